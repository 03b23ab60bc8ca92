/* SPDX-License-Identifier: Apache-2.0 */
/* mixed - `ptq run RECIPE --target-bpw X`, --target-qr, --max-kl: a run that chooses the bits of
 * every site itself.
 *
 * Its steps (steps.h), in OUT.mixed: the recipe at one width (the nearest to the target), with its
 * problems recorded; these solved again at the other widths (ptq resolve), of which only the
 * journals are kept; the choice (ptq allocate); the recipe again, with the choice as overrides,
 * into OUT. The inputs of the last run went through what was chosen. With a text to measure on
 * several choices are tried on the recording: by several scores, the same bits everywhere, and
 * what is learned from those; the one that diverges least is followed. With a divergence as the
 * target all widths are measured too, and of the choices that meet it the smallest is followed. */
#ifndef PTQ_MIXED_H
#define PTQ_MIXED_H

#include "../common/base/err.h"
#include "../common/model/sites.h"
#include "mixed_types.h"
#include "route.h"

/* t: checked, of the run that is asked for (its bits and overrides apart). ERR_USE: an option that
 * the choice replaces, or a target that no choice can meet. */
int mixed_check(const struct mixed_opts *o, const struct route *t, const struct sites *sites,
                struct err *e); /* its errors alone */
int mixed_run(const struct mixed_opts *o, const struct route *t, const struct sites *sites,
              struct err *e);

#endif

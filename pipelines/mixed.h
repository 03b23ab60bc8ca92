/* SPDX-License-Identifier: Apache-2.0 */
/* mixed - `ptq run RECIPE --target-bpw X`: a run that chooses the bits of every site itself.
 *
 * Its steps (steps.h), in OUT.mixed: the recipe at the width nearest to the target, with its
 * problems recorded; these solved again at the other widths (ptq resolve), of which only the
 * journals are kept; the choice (ptq allocate); the recipe again, with the choice as overrides,
 * into OUT. The inputs of the last run went through what was chosen. With a text to measure on
 * several ways of choosing are tried on the recording, the same bits everywhere among them, and
 * the one that diverges least is followed. */
#ifndef PTQ_MIXED_H
#define PTQ_MIXED_H

#include "../common/base/err.h"
#include "../common/model/sites.h"
#include "route.h"

struct mixed_opts {
    double bpw;
    const char *widths; /* "2,3,4,8": to choose among, as far as the formats hold them */
    const char *on;     /* text that the choice is measured on; NULL: it is not */
    const char *recipe; /* as the user named it */
    int argc;           /* the words behind it */
    char **argv;
};

/* t: checked, of the run that is asked for (its bits and overrides apart). ERR_USE: an option that
 * the choice replaces, or a target that no choice can meet. */
int mixed_check(const struct mixed_opts *o, const struct route *t, const struct sites *sites,
                struct err *e); /* its errors alone */
int mixed_run(const struct mixed_opts *o, const struct route *t, const struct sites *sites,
              struct err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* choice - what `ptq run --target-bpw` or another target would choose, by the losses of runs that
 * are there. */
#ifndef PTQ_PLAN_CHOICE_H
#define PTQ_PLAN_CHOICE_H

#include "../../../common/base/opt.h"
#include "../../../common/run/override.h"
#include "../allocate/allocate_target.h"

/* target: as in ptq run; kl by the figures that the runs keep.
 * dirs: finished runs, or folders that hold such; none: OUT.mixed of `out`, which may be NULL.
 * *lines, empty before: the choice as overrides, then those of the command, which win over it.
 * *text: what is to be said of the choice, lines that begin with "# "; the caller's to free. */
int choice_make(const struct allocate_target *target, const struct opt_texts *dirs, const char *out,
                const struct opt_texts *command, struct overrides *lines, char **text,
                struct err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* best - `ptq run best`: a run that finds out first what suits this model.
 *
 * Trials are runs of the same recipe on few tokens (steps.h, in OUT.best), each judged by its KL
 * divergence from the model on rows behind the calibration rows. One thing is changed at a time,
 * and what is better by a hundredth, and by more than the windows of the text leave in doubt, stays
 * for those that follow; they begin with what helped elsewhere (ops/studies/methods.md, lengths.md)
 * and end when the budget is spent. What makes little difference on few tokens is tried on half of
 * them too, and what it makes on all is foreseen from both. The last run takes all tokens and
 * carries a note that says what was found. */
#ifndef PTQ_BEST_H
#define PTQ_BEST_H

#include "../common/base/err.h"
#include "../common/model/config.h"
#include "best_types.h"
#include "route.h"

/* Is it a recipe that searches first? -1: it says something else of its variable "search". */
int best_wanted(const struct recipe *r, struct err *e);
/* t: checked, of the run that is asked for; c: of its model. */
int best_run(const struct best_opts *o, const struct route *t, const struct config *c,
             struct err *e);

#endif

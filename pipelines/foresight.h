/* SPDX-License-Identifier: Apache-2.0 */
/* foresight - what the stages of a recipe will take, before any of them is started. */
#ifndef PTQ_FORESIGHT_H
#define PTQ_FORESIGHT_H

#include "../common/model/config.h"
#include "../stages/forward/forward_forecast.h"
#include "../stages/reduce/reduce_forecast.h"
#include "route.h"

struct foresight {
    struct forecast all;
    struct forward_forecast forward; /* of one process */
    struct reduce_forecast reduce;
};

/* t: parsed and checked against the model. 1; 0: not known before the start, as where the recipe
 * has other stages than these, or two that reduce. */
int foresight_make(const struct route *t, const struct config *c, const struct sites *sites,
                   struct foresight *x);

#endif

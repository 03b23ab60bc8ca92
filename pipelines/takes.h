/* SPDX-License-Identifier: Apache-2.0 */
/* takes - whether each site of a model is taken by some reducer and some solver (--only), before
 * any of them starts. */
#ifndef PTQ_TAKES_H
#define PTQ_TAKES_H

#include "../common/base/err.h"
#include "../common/model/sites.h"
#include "route.h"

/* After route_parse. ERR_USE: a pattern hits no site of the model, or a site has nobody. Where a
 * stage runs a program that is not ours, only the patterns are looked at. */
int takes_check(const struct route *t, const struct sites *s, struct err *e);

#endif

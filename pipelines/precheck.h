/* SPDX-License-Identifier: Apache-2.0 */
/* precheck - what can be seen to be wrong with a model, data and an output folder before any
 * process starts; the stages check everything again. */
#ifndef PTQ_PRECHECK_H
#define PTQ_PRECHECK_H

#include "../common/base/err.h"
#include "../common/model/config.h"
#include "route.h"

/* t: parsed. known: 1 when the stages have a model, whose config is then in *c for the caller to
 * release. */
int precheck(const struct route *t, struct config *c, int *known, struct err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* precheck - what can be seen to be wrong before any process starts. Looks at the variables
 * model, data, out, bits, group, format, override and overrides of a recipe, those that it has;
 * the stages check everything again. */
#ifndef PTQ_PRECHECK_H
#define PTQ_PRECHECK_H

#include "../common/base/err.h"
#include "../common/model/config.h"
#include "recipe.h"

/* known: 1 when the recipe has a model, whose config is then in *c for the caller to release. */
int precheck(const struct recipe *r, struct config *c, int *known, struct err *e);

#endif

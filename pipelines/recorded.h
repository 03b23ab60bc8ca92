/* SPDX-License-Identifier: Apache-2.0 */
/* recorded - what the first recorded problem tells of all that a recipe feeds its solvers from a
 * file (set problems): of which model they are, and whether they hold what is asked for. */
#ifndef PTQ_RECORDED_H
#define PTQ_RECORDED_H

#include "../common/base/err.h"
#include "../common/model/config.h"
#include "route.h"

/* c: config of the model in dir. What cannot be looked at twice, as a pipe, its reader looks at.
 * 0; ERR_USE or ERR_DATA. */
int recorded_check(const struct route *t, const struct config *c, const char *dir, struct err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* line - what the command lines of ptq run and ptq plan have alike beside the options of the
 * recipe and its stages: how many processes a stage gets, and options as NAME=VALUE. */
#ifndef PTQ_LINE_H
#define PTQ_LINE_H

#include "../common/base/opt.h"
#include "route.h"

struct line_opts {
    struct opt_texts set, workers;
};

extern const struct opt line_rows[]; /* fill struct line_opts */

/* What was said of both goes into the recipe. own, nown: as in route_option. */
int line_apply(const struct line_opts *l, struct route *t, const struct opt_group *own, size_t nown,
               struct err *e);

#endif

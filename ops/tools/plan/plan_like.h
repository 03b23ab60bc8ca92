/* SPDX-License-Identifier: Apache-2.0 */
/* plan_like - what a finished run on a machine says of its speed: the work of its stages, which is
 * planned again from what it was told, over the CPU seconds that they took. */
#ifndef PTQ_PLAN_LIKE_H
#define PTQ_PLAN_LIKE_H

#include "../../../common/base/json.h"
#include "../../../pipelines/route.h"
#include "preview.h"

/* Flops a second of a core in each kind of work; 0: a share of its best rate. */
struct hosts_speeds {
    double forward, sums, solve;
    double beside; /* CPU seconds of what no further host makes shorter and is no site's: text,
                      reading the model, the checkpoint */
};

/* What OUT/.ptqflow/run.json has of a run. NULL: *e says why. */
struct json *like_read(const char *out, struct err *e);
/* The recipe that it ran. Lives as long as run. */
const char *like_recipe(const struct json *run);
/* Its options into those of that recipe's stages, without where text came from and the result
 * went. */
int like_apply(const struct json *run, struct route *t, struct err *e);
/* p: what is planned of that. */
int like_speeds(const struct json *run, const struct route *t, const struct preview *p,
                struct hosts_speeds *s, struct err *e);

#endif

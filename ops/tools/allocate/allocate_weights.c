/* SPDX-License-Identifier: Apache-2.0 */
/* allocate_weights - what a loss at a site means for the model, from a file: JSON lines
 * {"block","site","weight"}, one for each unit. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/json.h"
#include "../../../common/base/mem.h"
#include "allocate_impl.h"

#define WEIGHTS_MAX ((size_t)64 << 20) /* bytes of the file */

struct weights {
    struct allocate *a;
    unsigned char *seen; /* [units] */
};

static int set_weight(void *ctx, const struct json *x, const char *what, struct err *e)
{
    const struct weights *w = ctx;
    struct allocate *a = w->a;
    const char *site = json_need_text(x, "site", what, e);
    int64_t block;
    double weight;

    if (!site || json_need_int(x, "block", 0, INT32_MAX, &block, what, e) < 0 ||
        json_need_real(x, "weight", &weight, what, e) < 0)
        return -1;
    if (!(weight >= 0.0) || !isfinite(weight))
        return err_set(e, ERR_USE, "%s: weight %g of b%lld.%s", what, weight, (long long)block,
                       site);
    for (size_t i = 0; i < a->units; i++) {
        struct unit *u = &a->unit[i];

        if (u->block != (uint64_t)block || strcmp(u->name, site) != 0)
            continue;
        if (w->seen[i]++)
            return err_set(e, ERR_USE, "%s: b%lld.%s has two weights", what, (long long)block,
                           site);
        for (size_t k = 0; k < a->runs; k++) {
            u->candidate[k].loss *= weight;
            u->candidate[k].other *= weight;
        }
        return 0;
    }
    return err_set(e, ERR_USE, "%s: the runs have no site b%lld.%s", what, (long long)block, site);
}

int allocate_weigh(struct allocate *a, const char *path, struct err *e)
{
    struct weights w = {a, mem_array(a->units, 1, e)};
    int rc = w.seen ? json_read_lines(path, WEIGHTS_MAX, set_weight, &w, e) : -1;

    for (size_t i = 0; rc == 0 && i < a->units; i++)
        if (!w.seen[i])
            rc = err_set(e, ERR_USE, "'%s' has no weight for b%llu.%s", path,
                         (unsigned long long)a->unit[i].block, a->unit[i].name);
    free(w.seen);
    return rc;
}

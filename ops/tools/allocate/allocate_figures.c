/* SPDX-License-Identifier: Apache-2.0 */
/* allocate_figures - how far runs were measured to diverge from their model. */
#include <math.h>
#include <string.h>

#include "../../../common/base/json.h"
#include "../../../common/base/mem.h"
#include "../../../common/run/evals.h"
#include "allocate_impl.h"

/* The evaluation of a run against its model. NULL: none, or several (an error). */
static const struct json *measured(const struct json *evals, const char *run, struct err *e)
{
    const struct json *found = NULL;

    for (size_t i = 0; i < json_count(evals); i++) {
        const struct json *x = json_at(evals, i);

        if (!json_has(x, "kld_mean"))
            continue;
        if (found) {
            err_set(e, ERR_USE, "'%s' has several evaluations ('%s', '%s'): keep one", run,
                    json_text_or(found, "data", "?"), json_text_or(x, "data", "?"));
            return NULL;
        }
        found = x;
    }
    return found;
}

/* Figures can be compared when they are of the same text and windows. */
static int same_text(const struct json *a, const struct json *b)
{
    return strcmp(json_text_or(a, "data", ""), json_text_or(b, "data", "")) == 0 &&
           fabs(json_real_or(a, "window", 0) - json_real_or(b, "window", 0)) < .5 &&
           fabs(json_real_or(a, "max_windows", 0) - json_real_or(b, "max_windows", 0)) < .5;
}

/* first: the figures of an earlier run, which is number of. */
static int read_one(struct allocate *a, size_t r, struct json **first, size_t *of, struct err *e)
{
    struct json *evals = evals_read(a->run[r], e);
    const struct json *x = evals ? measured(evals, a->run[r], e) : NULL;
    int rc = evals && !e->kind ? 0 : -1;

    if (rc == 0 && x && *first && !same_text(*first, x))
        rc = err_set(e, ERR_USE,
                     "'%s' and '%s' were measured on different texts or windows: figures of the "
                     "same are needed",
                     a->run[*of], a->run[r]);
    if (rc == 0 && x && !*first) {
        *of = r;
        if (!(*first = json_clone(x)))
            rc = err_set(e, ERR_SYS, "out of memory for the figures of '%s'", a->run[r]);
    }
    if (rc == 0)
        a->kl[r] = json_real_or(x, "kld_mean", NAN);
    json_destroy(&evals);
    if (rc == 0 && r >= a->offered && !(a->kl[r] > 0.0 && isfinite(a->kl[r])))
        rc = err_set(e, ERR_USE,
                     "--measured: '%s' keeps no divergence from its model: ptq eval --model %s "
                     "--ref MODEL --data FILE --keep-figures",
                     a->run[r], a->run[r]);
    return rc;
}

int allocate_figures(struct allocate *a, struct err *e)
{
    struct json *first = NULL;
    size_t of = 0;
    int rc = (a->kl = mem_array(a->runs, sizeof *a->kl, e)) ? 0 : -1;

    for (size_t r = 0; r < a->runs && rc == 0; r++)
        rc = read_one(a, r, &first, &of, e);
    json_destroy(&first);
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* allocate_kl - how far a choice is foreseen to diverge, from what the runs themselves lost and
 * were measured to diverge.
 *
 * ln KL as a function of ln loss: straight between two runs, and on beyond them as between the two
 * at that end; of one run alone in proportion. It is what holds between choices of one score, so
 * the result is to be measured. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/json.h"
#include "../../../common/base/mem.h"
#include "../../../common/run/evals.h"
#include "allocate_impl.h"

/* ---- what was measured ---- */

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

/* A run that changes nothing says nothing of the others. */
static void take(struct allocate *a, size_t r, const struct json *figures)
{
    const double kl = json_real_or(figures, "kld_mean", NAN), loss = allocate_run_loss(a, r);

    if (kl > 0.0 && loss > 0.0)
        a->mark[a->marks++] = (struct allocate_mark){log(loss), log(kl)};
}

/* first: the figures of an earlier run, which is number of. */
static int read_one(struct allocate *a, size_t r, struct json **first, size_t *of, struct err *e)
{
    struct json *evals = evals_read(a->run[r], e);
    const struct json *x = evals ? measured(evals, a->run[r], e) : NULL;
    int rc = evals && !e->kind ? 0 : -1;

    if (rc == 0 && x && *first && !same_text(*first, x))
        rc = err_set(e, ERR_USE,
                     "'%s' and '%s' were measured on different texts or windows: --max-kl needs "
                     "figures of the same",
                     a->run[*of], a->run[r]);
    if (rc == 0 && x && !*first) {
        *of = r;
        if (!(*first = json_clone(x)))
            rc = err_set(e, ERR_SYS, "out of memory for the figures of '%s'", a->run[r]);
    }
    if (rc == 0 && x)
        take(a, r, x);
    json_destroy(&evals);
    return rc;
}

static int by_loss(const void *x, const void *y)
{
    const struct allocate_mark *a = x, *b = y;

    return (a->loss > b->loss) - (a->loss < b->loss);
}

static int check_marks(struct allocate *a, struct err *e)
{
    const struct allocate_mark *m = a->mark;

    if (!a->marks)
        return err_set(e, ERR_USE,
                       "--max-kl needs what the runs diverge: ptq eval --model %s --ref MODEL "
                       "--data FILE --keep-figures, best of each",
                       a->run[0]);
    qsort(a->mark, a->marks, sizeof *a->mark, by_loss);
    for (size_t k = 1; k < a->marks; k++)
        if (!(m[k].kl > m[k - 1].kl) || !(m[k].loss > m[k - 1].loss))
            return err_set(e, ERR_USE,
                           "the runs do not diverge more where their %s is larger: no divergence "
                           "can be foreseen by it",
                           allocate_score_name(a->o.score));
    return 0;
}

int allocate_kl_read(struct allocate *a, struct err *e)
{
    struct json *first = NULL;
    size_t of = 0;
    int rc = (a->mark = mem_array(a->runs, sizeof *a->mark, e)) ? 0 : -1;

    for (size_t r = 0; r < a->runs && rc == 0; r++)
        rc = read_one(a, r, &first, &of, e);
    json_destroy(&first);
    return rc == 0 ? check_marks(a, e) : -1;
}

/* ---- what is foreseen ---- */

/* From mark i on, ln KL over ln loss. */
static double slope(const struct allocate *a, size_t i)
{
    const struct allocate_mark *m = a->mark;

    return a->marks < 2 ? 1.0 : (m[i + 1].kl - m[i].kl) / (m[i + 1].loss - m[i].loss);
}

/* The loss at which it diverges by kl. */
static double loss_at(const struct allocate *a, double kl)
{
    const struct allocate_mark *m = a->mark;
    size_t i = 0;

    while (i + 2 < a->marks && m[i + 1].kl < log(kl))
        i++;
    return exp(m[i].loss + (log(kl) - m[i].kl) / slope(a, i));
}

/* And the other way round. */
static double kl_at(const struct allocate *a, double loss)
{
    const struct allocate_mark *m = a->mark;
    size_t i = 0;

    while (i + 2 < a->marks && m[i + 1].loss < log(loss))
        i++;
    return exp(m[i].kl + (log(loss) - m[i].loss) * slope(a, i));
}

/* ---- the choice ---- */

static uint64_t dearest(const struct allocate *a)
{
    uint64_t cost = 0;

    for (size_t i = 0; i < a->units; i++) {
        const struct unit *u = &a->unit[i];
        uint64_t most = a->o.keep ? u->candidate[a->runs].cost : 0;

        for (size_t r = 0; r < a->runs; r++)
            most = u->candidate[r].cost > most ? u->candidate[r].cost : most;
        cost += most;
    }
    return cost;
}

/* Is the best choice within this budget good enough? */
static int enough(struct allocate *a, struct knapsack_class *class, uint64_t budget, double most,
                  struct err *e)
{
    struct err none = {.kind = ERR_NONE};

    a->budget = budget;
    if (allocate_solve(a, class, &none) == 0)
        return a->result.loss <= most;
    if (none.kind == ERR_USE)
        return 0; /* less than the cheapest */
    *e = none;
    return -1;
}

int allocate_kl_solve(struct allocate *a, struct knapsack_class *class, struct err *e)
{
    const double most = loss_at(a, a->o.kl) * (1 + 1e-12); /* logarithms round */
    uint64_t low = 0, high = dearest(a);
    int rc = enough(a, class, high, most, e);

    if (rc <= 0)
        return rc < 0 ? -1
                      : err_set(e, ERR_USE,
                                "--max-kl %g: even the most bits that these runs allow are "
                                "foreseen to diverge by %.4g: add a run with more bits, or --keep",
                                a->o.kl, kl_at(a, a->result.loss));
    for (high = a->result.cost; high - low > 1;) {
        const uint64_t middle = low + (high - low) / 2;

        if ((rc = enough(a, class, middle, most, e)) < 0)
            return -1;
        if (rc)
            high = a->result.cost;
        else
            low = middle;
    }
    if (enough(a, class, high, most, e) < 0)
        return -1;
    a->foreseen = kl_at(a, a->result.loss);
    return 0;
}

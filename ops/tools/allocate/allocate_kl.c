/* SPDX-License-Identifier: Apache-2.0 */
/* allocate_kl - how far a choice is foreseen to diverge, from what the runs themselves lost and
 * were measured to diverge.
 *
 * ln KL as a function of ln loss: straight between two runs, and on beyond them as between the two
 * at that end; of one run alone in proportion. It is what holds between choices of one score, so
 * the result is to be measured. */
#include <math.h>
#include <stdlib.h>

#include "../../../common/base/mem.h"
#include "allocate_impl.h"

/* ---- what was measured ---- */

static int by_loss(const void *x, const void *y)
{
    const struct allocate_mark *a = x, *b = y;

    return (a->loss > b->loss) - (a->loss < b->loss);
}

/* Choices that lose nearly the same may diverge the other way round: such neighbours count as their
 * mean, as often as it takes (pool adjacent violators). */
static void pool(struct allocate *a)
{
    struct allocate_mark *m = a->mark;
    size_t n = 0;

    for (size_t k = 0; k < a->marks; k++) {
        m[n] = m[k];
        for (; n > 0 && !(m[n].kl > m[n - 1].kl && m[n].loss > m[n - 1].loss); n--) {
            const double all = m[n - 1].count + m[n].count;

            m[n - 1].kl = (m[n - 1].count * m[n - 1].kl + m[n].count * m[n].kl) / all;
            m[n - 1].loss = (m[n - 1].count * m[n - 1].loss + m[n].count * m[n].loss) / all;
            m[n - 1].count = all;
        }
        n++;
    }
    a->marks = n;
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
    if (a->runs > a->offered)
        pool(a);
    for (size_t k = 1; k < a->marks; k++)
        if (!(m[k].kl > m[k - 1].kl) || !(m[k].loss > m[k - 1].loss))
            return err_set(e, ERR_USE,
                           "the runs do not diverge more where their %s is larger: no divergence "
                           "can be foreseen by it",
                           allocate_score_name(a->by));
    return 0;
}

/* A run that changes nothing says nothing of the others. */
int allocate_kl_read(struct allocate *a, struct err *e)
{
    if (!(a->mark = mem_array(a->runs, sizeof *a->mark, e)))
        return -1;
    for (size_t r = 0; r < a->runs; r++) {
        const double loss = allocate_run_loss(a, r);

        if (a->kl[r] > 0.0 && loss > 0.0)
            a->mark[a->marks++] = (struct allocate_mark){log(loss), log(a->kl[r]), 1.0};
    }
    return check_marks(a, e);
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

        for (size_t r = 0; r < a->offered; r++)
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
    const double most = loss_at(a, a->o.target.kl) * (1 + 1e-12); /* logarithms round */
    uint64_t low = 0, high = dearest(a);
    int rc = enough(a, class, high, most, e);

    if (rc <= 0)
        return rc < 0 ? -1
                      : err_set(e, ERR_USE,
                                "--max-kl %g: even the most bits that these runs allow are "
                                "foreseen to diverge by %.4g: add a run with more bits, or --keep",
                                a->o.target.kl, kl_at(a, a->result.loss));
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

/* SPDX-License-Identifier: Apache-2.0 */
/* allocate - see allocate.h. */
#include "allocate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/json.h"
#include "../../../common/base/mem.h"
#include "allocate_impl.h"

/* ---- candidates ---- */

static int is_end(const struct allocate *a, const struct unit *u)
{
    uint64_t last = 0;

    for (size_t i = 0; i < a->units; i++)
        last = a->unit[i].block > last ? a->unit[i].block : last;
    return u->block == 0 || u->block == last;
}

uint64_t allocate_price(const struct allocate *a, const struct unit *u, const struct candidate *c)
{
    if (a->o.target.qr > 0.0)
        return c->kept ? (uint64_t)u->weights : 0;
    return c->cost;
}

double allocate_loss(const struct unit *u, const struct candidate *c)
{
    return u->weight * c->loss;
}

uint64_t allocate_run_cost(const struct allocate *a, size_t r)
{
    uint64_t cost = 0;

    for (size_t i = 0; i < a->units; i++)
        cost += a->unit[i].candidate[r].cost;
    return cost;
}

double allocate_run_loss(const struct allocate *a, size_t r)
{
    double loss = 0.0;

    for (size_t i = 0; i < a->units; i++)
        loss += allocate_loss(&a->unit[i], &a->unit[i].candidate[r]);
    return loss;
}

/* Is run r as it is within the target? A share to quantize leaves that to the choice. */
static int within(const struct allocate *a, size_t r)
{
    return a->o.target.qr > 0.0 || allocate_run_cost(a, r) <= a->budget;
}

size_t allocate_best_run(const struct allocate *a)
{
    size_t best = SIZE_MAX;

    for (size_t r = 0; r < a->offered; r++)
        if (within(a, r) &&
            (best == SIZE_MAX || allocate_run_cost(a, r) > allocate_run_cost(a, best)))
            best = r;
    return best;
}

static int unit_prepare(const struct allocate *a, struct unit *u, struct err *e)
{
    u->candidate[a->runs] =
        (struct candidate){.kept = 1, .cost = (uint64_t)(u->weights * KEPT_BITS)};
    return (u->of = mem_array(a->runs + 1, sizeof *u->of, e)) &&
                   (u->item = mem_array(a->runs + 1, sizeof *u->item, e))
               ? 0
               : -1;
}

/* The items of a unit: its candidates; where it is protected none that is cheaper than in the
 * run `least`, so that what that run is stays a choice. */
static void unit_items(const struct allocate *a, struct unit *u, size_t least)
{
    const int keep = a->o.keep || a->o.target.qr > 0.0;
    const uint64_t from =
        a->o.protect && least != SIZE_MAX && is_end(a, u) ? u->candidate[least].cost : 0;

    u->items = 0;
    for (size_t n = 0; n < a->offered + (size_t)keep; n++) {
        const size_t i = n < a->offered ? n : a->runs;
        const struct candidate *c = &u->candidate[i];

        if (c->cost < from)
            continue;
        u->of[u->items] = i;
        u->item[u->items++] = (struct knapsack_item){allocate_price(a, u, c), allocate_loss(u, c)};
    }
}

static int names_copy(struct allocate *a, const char *const *runs, size_t count, struct err *e)
{
    for (size_t i = 0; i < count; i++, a->runs++)
        if (!(a->run[a->runs] = mem_text(runs[i], e)))
            return -1;
    return 0;
}

static uint64_t target(const struct allocate *a)
{
    const struct allocate_target *t = &a->o.target;
    const double budget =
        (t->qr > 0.0 ? 1.0 - t->qr : allocate_target_bits(t, a->weights)) * a->weights;

    return budget < 9e18 ? (uint64_t)(budget * (1 + 1e-12)) : UINT64_MAX / 2;
}

static int open_runs(struct allocate *a, const char *const *runs, size_t count, struct err *e)
{
    a->offered = count;
    if (!(a->run = mem_array(count + a->o.nmeasured, sizeof *a->run, e)) ||
        names_copy(a, runs, count, e) < 0 || names_copy(a, a->o.measured, a->o.nmeasured, e) < 0)
        return -1;
    for (size_t i = 0; i < a->runs; i++)
        if (allocate_read(a, i, e) < 0)
            return -1;
    if (a->o.site_weights && allocate_weigh(a, a->o.site_weights, e) < 0)
        return -1;
    for (size_t i = 0; i < a->units; i++)
        a->weights += a->unit[i].weights;
    a->budget = target(a);
    if ((a->o.target.kl > 0.0 || a->o.nmeasured) && allocate_figures(a, e) < 0)
        return -1;
    if (a->o.target.kl > 0.0 && allocate_kl_read(a, e) < 0)
        return -1;
    for (size_t i = 0; i < a->units; i++)
        if (unit_prepare(a, &a->unit[i], e) < 0)
            return -1;
    return a->units ? 0 : err_set(e, ERR_USE, "'%s' has no sites", runs[0]);
}

struct allocate *allocate_open(const char *const *runs, size_t count, const struct allocate_opts *o,
                               struct err *e)
{
    struct allocate *a = mem_array(1, sizeof *a, e);

    if (!a)
        return NULL;
    a->o = *o;
    a->by = o->score == ALLOCATE_AGREED ? ALLOCATE_RELATIVE : o->score;
    a->against = SIZE_MAX;
    if (open_runs(a, runs, count, e) < 0)
        allocate_close(&a);
    return a;
}

void allocate_close(struct allocate **a)
{
    struct allocate *x = *a;

    if (!x)
        return;
    for (size_t i = 0; i < x->units; i++) {
        free(x->unit[i].name);
        free(x->unit[i].candidate);
        free(x->unit[i].of);
        free(x->unit[i].item);
    }
    for (size_t i = 0; i < x->runs; i++)
        free(x->run[i]);
    free(x->run);
    free(x->kl);
    free(x->mark);
    free(x->unit);
    free(x->model);
    free(x->choice);
    free(x->second);
    free(x);
    *a = NULL;
}

/* ---- the choice ---- */

int allocate_solve(struct allocate *a, struct knapsack_class *class, struct err *e)
{
    const size_t least = allocate_best_run(a);

    for (size_t i = 0; i < a->units; i++) {
        unit_items(a, &a->unit[i], least);
        class[i] = (struct knapsack_class){a->unit[i].items, a->unit[i].item};
    }
    return knapsack_solve(class, a->units, a->budget, a->choice, &a->result, e);
}

static int too_little(const struct allocate *a, struct err *e)
{
    if (a->o.target.qr > 0.0)
        return err_set(e, ERR_USE,
                       "no choice quantizes a share of %.4g: the runs keep more themselves",
                       a->o.target.qr);
    return err_set(e, ERR_USE,
                   "the target is %.4g bits a weight, and the least that these runs allow is "
                   "%.4g: add a run with fewer bits",
                   (double)a->budget / a->weights, (double)a->result.cost / a->weights);
}

/* Is a second score to agree? What was measured, and random choices, go by the first alone. */
static int asks(const struct allocate *a)
{
    return a->o.score == ALLOCATE_AGREED && a->o.search == ALLOCATE_EXACT &&
           !(a->o.target.kl > 0.0) && a->runs == a->offered;
}

int allocate_run(struct allocate *a, struct err *e)
{
    struct knapsack_class *class = mem_array(a->units, sizeof *class, e);
    int rc = -1;

    a->foreseen = NAN;
    a->choice = mem_array(a->units, sizeof *a->choice, e);
    if (class && a->choice) {
        rc = a->o.target.kl > 0.0   ? allocate_kl_solve(a, class, e)
             : a->runs > a->offered ? allocate_explore(a, class, e)
                                    : allocate_solve(a, class, e);
        if (rc == 0 && asks(a))
            rc = allocate_agree(a, class, e);
        if (rc == 0 && a->o.search == ALLOCATE_RANDOM)
            rc = allocate_random(a, e);
        else if (rc == 0)
            rc = allocate_second(a, class, e);
        else if (e->kind == ERR_USE && !(a->o.target.kl > 0.0))
            too_little(a, e);
    }
    free(class);
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* knapsack - see knapsack.h. */
#include "knapsack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/mem.h"

#define STATES_MAX ((size_t)32 << 20) /* of all classes together: 1 GiB */

struct state {
    uint64_t cost;
    double loss;
    uint32_t before, item; /* state of the class before */
};

struct search {
    const struct knapsack_class *class;
    size_t count;
    uint64_t budget;
    double multiplier, bound, best; /* best: loss of a choice that is known */
    uint64_t *cheapest;             /* [count + 1] of the classes from i on */
    double *least;                  /* [count + 1] the same, of loss + multiplier cost */
    struct state *state, *next;     /* all states, class behind class; those being made */
    size_t states, states_cap, next_cap;
    size_t *first; /* [count + 2] state of each class */
};

/* ---- the multiplier ---- */

/* The cheapest of the best items at this multiplier. */
static size_t pick(const struct knapsack_class *c, double multiplier)
{
    size_t best = 0;

    for (size_t i = 1; i < c->count; i++) {
        const double d = c->item[i].loss - c->item[best].loss +
                         multiplier * ((double)c->item[i].cost - (double)c->item[best].cost);

        if (d < 0.0 || (!(d > 0.0) && c->item[i].cost < c->item[best].cost))
            best = i;
    }
    return best;
}

static void sums_at(const struct search *s, double multiplier, uint64_t *cost, double *loss)
{
    *cost = 0;
    *loss = 0.0;
    for (size_t k = 0; k < s->count; k++) {
        const struct knapsack_item *x = &s->class[k].item[pick(&s->class[k], multiplier)];

        *cost += x->cost;
        *loss += x->loss;
    }
}

/* The least multiplier at which the choice is within the budget: that choice is a solution, and
 * the bound there is the best there is, up to the last halving. */
static void multiplier_find(struct search *s)
{
    double low = 0.0, high = 1e-30, loss;
    uint64_t cost;

    for (sums_at(s, low, &cost, &loss); cost > s->budget; sums_at(s, high, &cost, &loss)) {
        low = high;
        high *= 1e3;
    }
    if (low > 0.0)
        for (int i = 0; i < 200 && high > low * (1 + 1e-15); i++) {
            const double middle = sqrt(low * high);

            sums_at(s, middle, &cost, &loss);
            *(cost > s->budget ? &low : &high) = middle;
        }
    else
        high = 0.0;
    sums_at(s, high, &cost, &loss);
    s->multiplier = high;
    s->best = loss;
}

static void rest_sums(struct search *s)
{
    for (size_t k = s->count; k-- > 0;) {
        const struct knapsack_class *c = &s->class[k];
        const struct knapsack_item *x = &c->item[pick(c, s->multiplier)];
        uint64_t cheapest = UINT64_MAX;

        for (size_t i = 0; i < c->count; i++)
            cheapest = c->item[i].cost < cheapest ? c->item[i].cost : cheapest;
        s->cheapest[k] = s->cheapest[k + 1] + cheapest;
        s->least[k] = s->least[k + 1] + x->loss + s->multiplier * (double)x->cost;
    }
    s->bound = s->least[0] - s->multiplier * (double)s->budget;
}

/* ---- states ---- */

static int by_cost(const void *a, const void *b)
{
    const struct state *x = a, *y = b;

    if (x->cost != y->cost)
        return x->cost < y->cost ? -1 : 1;
    if (x->loss < y->loss || y->loss < x->loss)
        return x->loss < y->loss ? -1 : 1;
    if (x->before != y->before)
        return x->before < y->before ? -1 : 1;
    return x->item < y->item ? -1 : x->item > y->item;
}

/* Can it become a solution that is no worse than the best one? A little is added for rounding. */
static int hopeful(const struct search *s, const struct state *x, size_t k)
{
    const double slack = 1e-12 * (fabs(s->best) + fabs(s->least[0]));
    const double bound = x->loss + s->multiplier * (double)x->cost + s->least[k + 1] -
                         s->multiplier * (double)s->budget;

    return x->cost <= s->budget && s->cheapest[k + 1] <= s->budget - x->cost &&
           bound <= s->best + slack;
}

/* The states of class k from those before it. */
static int extend(struct search *s, size_t k, struct err *e)
{
    const struct knapsack_class *c = &s->class[k];
    const size_t from = s->first[k], to = s->first[k + 1];
    size_t n = 0;

    for (size_t b = from; b < to; b++)
        for (size_t i = 0; i < c->count; i++) {
            const struct state x = {.cost = s->state[b].cost + c->item[i].cost,
                                    .loss = s->state[b].loss + c->item[i].loss,
                                    .before = (uint32_t)b,
                                    .item = (uint32_t)i};

            if (!hopeful(s, &x, k))
                continue;
            if (n == s->next_cap &&
                mem_grow((void **)&s->next, &s->next_cap, n + 1, sizeof *s->next, e) < 0)
                return -1;
            s->next[n++] = x;
        }
    qsort(s->next, n, sizeof *s->next, by_cost);
    for (size_t i = 0; i < n; i++) {
        if (s->states > to && !(s->next[i].loss < s->state[s->states - 1].loss))
            continue;
        if (s->states == STATES_MAX)
            return err_set(e, ERR_DATA, "too many ways to choose: allow fewer candidates");
        if (s->states == s->states_cap &&
            mem_grow((void **)&s->state, &s->states_cap, s->states + 1, sizeof *s->state, e) < 0)
            return -1;
        s->state[s->states++] = s->next[i];
    }
    s->first[k + 2] = s->states;
    return 0;
}

static int search_run(struct search *s, size_t *choice, struct knapsack_result *r, struct err *e)
{
    size_t at;

    s->state[s->states++] = (struct state){.cost = 0};
    s->first[1] = 1;
    for (size_t k = 0; k < s->count; k++)
        if (extend(s, k, e) < 0)
            return -1;
    at = s->states - 1; /* of states that none beats the dearest has the least loss */
    *r = (struct knapsack_result){s->state[at].cost, s->state[at].loss,
                                  fmin(s->bound, s->state[at].loss)};
    for (size_t k = s->count; k-- > 0; at = s->state[at].before)
        choice[k] = s->state[at].item;
    return 0;
}

int knapsack_solve(const struct knapsack_class *class, size_t count, uint64_t budget,
                   size_t *choice, struct knapsack_result *r, struct err *e)
{
    struct search s = {.class = class, .count = count, .budget = budget};
    int rc = -1;

    *r = (struct knapsack_result){0};
    if (!(s.cheapest = mem_array(count + 1, sizeof *s.cheapest, e)) ||
        !(s.least = mem_array(count + 1, sizeof *s.least, e)) ||
        !(s.first = mem_array(count + 2, sizeof *s.first, e)) ||
        mem_grow((void **)&s.state, &s.states_cap, 1, sizeof *s.state, e) < 0)
        goto out;
    rest_sums(&s);
    r->cost = s.cheapest[0];
    if (r->cost > budget) {
        err_set(e, ERR_USE, "even the cheapest choice costs more than the budget");
        goto out;
    }
    multiplier_find(&s);
    rest_sums(&s);
    rc = search_run(&s, choice, r, e);
out:
    free(s.cheapest);
    free(s.least);
    free(s.first);
    free(s.state);
    free(s.next);
    return rc;
}

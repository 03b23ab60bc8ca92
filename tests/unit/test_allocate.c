/* SPDX-License-Identifier: Apache-2.0 */
/* test_allocate - the runner-up of a choice, and the fewest bits that are foreseen to diverge no
 * more, against every choice of small instances; a choice that two scores agree on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/base/rng.h"
#include "../../ops/tools/allocate/allocate_impl.h"

enum { UNITS = 5, ITEMS = 3 };

struct instance {
    struct unit unit[UNITS];
    struct knapsack_item item[UNITS][ITEMS];
    struct knapsack_class class[UNITS];
    size_t choice[UNITS];
    struct allocate a;
};

static void instance_make(struct instance *x, struct rng *rng)
{
    uint64_t cheapest = 0, dearest = 0;

    memset(x, 0, sizeof *x);
    x->a = (struct allocate){
        .unit = x->unit, .units = 1 + rng_below(rng, UNITS), .runs = ITEMS, .choice = x->choice};
    for (size_t k = 0; k < x->a.units; k++) {
        uint64_t low = UINT64_MAX, high = 0;

        x->unit[k].weight = 1.0;
        x->unit[k].items = 1 + rng_below(rng, ITEMS);
        x->unit[k].item = x->item[k];
        for (size_t i = 0; i < x->unit[k].items; i++) {
            x->item[k][i] = (struct knapsack_item){1 + rng_below(rng, 50), 1 + rng_unit(rng)};
            low = x->item[k][i].cost < low ? x->item[k][i].cost : low;
            high = x->item[k][i].cost > high ? x->item[k][i].cost : high;
        }
        x->class[k] = (struct knapsack_class){x->unit[k].items, x->item[k]};
        cheapest += low;
        dearest += high;
    }
    x->a.budget = cheapest + rng_below(rng, dearest - cheapest + 1);
}

/* The least loss of a choice that differs from x->choice; INFINITY: there is none. */
static double second_of_all(const struct instance *x, size_t k, uint64_t left, int differs)
{
    double best = INFINITY;

    if (k == x->a.units)
        return differs ? 0.0 : INFINITY;
    for (size_t i = 0; i < x->unit[k].items; i++)
        if (x->item[k][i].cost <= left)
            best =
                fmin(best, x->item[k][i].loss + second_of_all(x, k + 1, left - x->item[k][i].cost,
                                                              differs || i != x->choice[k]));
    return best;
}

static void test_runner_up(void **state)
{
    static struct instance x;
    struct rng rng;
    size_t none = 0;

    (void)state;
    rng_seed(&rng, 5, 0);
    for (int n = 0; n < 300; n++) {
        struct err err = {0};
        double best, loss = 0.0;
        uint64_t cost = 0;
        int same = 1;

        instance_make(&x, &rng);
        assert_int_equal(
            knapsack_solve(x.class, x.a.units, x.a.budget, x.choice, &x.a.result, &err), 0);
        assert_int_equal(allocate_second(&x.a, x.class, &err), 0);
        best = second_of_all(&x, 0, x.a.budget, 0);
        none += x.a.second == NULL;
        assert_int_equal(x.a.second == NULL, isinf(best) != 0);
        for (size_t k = 0; x.a.second && k < x.a.units; k++) {
            assert_true(x.a.second[k] < x.unit[k].items);
            loss += x.item[k][x.a.second[k]].loss;
            cost += x.item[k][x.a.second[k]].cost;
            same &= x.a.second[k] == x.choice[k];
        }
        if (x.a.second) {
            assert_true(!same && cost <= x.a.budget && cost == x.a.runner_up.cost);
            assert_true(fabs(loss - best) <= 1e-12 * best);
            assert_true(x.a.runner_up.loss >= x.a.result.loss);
        }
        free(x.a.second);
    }
    assert_true(none > 0 && none < 300);
}

struct measured {
    struct unit unit[UNITS];
    struct candidate candidate[UNITS][ITEMS + 1];
    struct knapsack_item item[UNITS][ITEMS + 1];
    size_t of[UNITS][ITEMS + 1], choice[UNITS];
    struct knapsack_class class[UNITS];
    struct allocate_mark mark[ITEMS];
    struct allocate a;
};

static void measured_make(struct measured *x, struct rng *rng)
{
    memset(x, 0, sizeof *x);
    x->a = (struct allocate){.unit = x->unit,
                             .units = 1 + rng_below(rng, UNITS),
                             .runs = ITEMS,
                             .offered = ITEMS,
                             .choice = x->choice,
                             .mark = x->mark};
    for (size_t k = 0; k < x->a.units; k++) {
        x->unit[k].weight = 1.0;
        x->unit[k].candidate = x->candidate[k];
        x->unit[k].item = x->item[k];
        x->unit[k].of = x->of[k];
        for (size_t i = 0; i < ITEMS; i++)
            x->candidate[k][i] =
                (struct candidate){.cost = 1 + rng_below(rng, 50), .loss = .1 + rng_unit(rng)};
    }
}

/* The least cost of a choice that loses no more than this; UINT64_MAX: there is none. */
static uint64_t least_cost(const struct measured *x, size_t k, double left)
{
    uint64_t best = UINT64_MAX;

    if (k == x->a.units)
        return left >= 0 ? 0 : UINT64_MAX;
    for (size_t i = 0; i < ITEMS; i++) {
        const uint64_t rest = least_cost(x, k + 1, left - x->candidate[k][i].loss);

        if (rest < UINT64_MAX && rest + x->candidate[k][i].cost < best)
            best = rest + x->candidate[k][i].cost;
    }
    return best;
}

/* Marks on KL = loss^2 / 100, so what is foreseen is that everywhere, between marks and beyond. */
static void test_max_kl(void **state)
{
    static struct measured x;
    struct rng rng;
    size_t none = 0;

    (void)state;
    rng_seed(&rng, 6, 0);
    for (int n = 0; n < 300; n++) {
        struct err err = {0};
        const double most = .2 + 3 * rng_unit(&rng);
        uint64_t best;
        int rc;

        measured_make(&x, &rng);
        for (x.a.marks = 0; x.a.marks < 2 + (size_t)n % 2; x.a.marks++) {
            const double loss = log(.5 + (double)x.a.marks);

            x.mark[x.a.marks] = (struct allocate_mark){loss, 2 * loss - log(100), 1};
        }
        x.a.o.target.kl = most * most / 100;
        best = least_cost(&x, 0, most);
        rc = allocate_kl_solve(&x.a, x.class, &err);
        none += best == UINT64_MAX;
        assert_int_equal(rc, best == UINT64_MAX ? -1 : 0);
        if (rc < 0) {
            assert_int_equal(err.kind, ERR_USE);
            continue;
        }
        assert_true(x.a.result.cost == best && x.a.budget == best);
        assert_true(fabs(x.a.foreseen / (x.a.result.loss * x.a.result.loss / 100) - 1) < 1e-9);
        assert_true(x.a.foreseen <= x.a.o.target.kl * (1 + 1e-9));
    }
    assert_true(none > 0 && none < 300);
}

struct both {
    double loss, other;
};

static struct both sums(const struct measured *x, struct candidate from[UNITS][ITEMS + 1],
                        size_t run)
{
    struct both sum = {0, 0};

    for (size_t k = 0; k < x->a.units; k++) {
        const size_t r = run < ITEMS ? run : x->of[k][x->choice[k]];

        sum.loss += from[k][r].loss;
        sum.other += from[k][r].other;
    }
    return sum;
}

/* Whatever is chosen: by both scores no worse than the run that fits. */
static void test_agree(void **state)
{
    static struct measured x;
    static struct candidate from[UNITS][ITEMS + 1];
    size_t kept = 0, others = 0, runs = 0;
    struct rng rng;

    (void)state;
    rng_seed(&rng, 7, 0);
    for (int n = 0; n < 600; n++) {
        struct err err = {0};
        struct both one, two;
        size_t first[UNITS], run;

        measured_make(&x, &rng);
        for (size_t k = 0; k < x.a.units; k++)
            for (size_t r = 0; r < ITEMS; r++) {
                struct candidate *c = &x.candidate[k][r];

                c->loss = (.5 + rng_unit(&rng)) / (double)c->cost;
                c->other = (.5 + rng_unit(&rng)) / (double)c->cost;
            }
        memcpy(from, x.candidate, sizeof from);
        x.a.against = SIZE_MAX;
        x.a.budget = allocate_run_cost(&x.a, 0);
        run = allocate_best_run(&x.a);
        assert_int_equal(allocate_solve(&x.a, x.class, &err), 0);
        memcpy(first, x.choice, sizeof first);
        one = sums(&x, from, ITEMS);
        assert_int_equal(allocate_agree(&x.a, x.class, &err), 0);
        two = sums(&x, from, ITEMS);
        assert_true(x.a.result.cost <= x.a.budget);
        assert_true(two.loss <= sums(&x, from, run).loss * (1 + 1e-9));
        assert_true(two.other <= sums(&x, from, run).other * (1 + 1e-9));
        if (x.a.against == SIZE_MAX) {
            assert_memory_equal(first, x.choice, x.a.units * sizeof *first);
            kept++;
            continue;
        }
        assert_true(x.a.against == run && one.other > sums(&x, from, run).other);
        assert_true(fabs(x.a.result.loss - (x.a.by == ALLOCATE_ROUND_OFF ? two.other : two.loss)) <
                    1e-12);
        others += x.a.by == ALLOCATE_ROUND_OFF;
        runs += x.a.by == ALLOCATE_RELATIVE;
        for (size_t k = 0; x.a.by == ALLOCATE_RELATIVE && k < x.a.units; k++)
            assert_int_equal(x.of[k][x.choice[k]], run);
    }
    assert_true(kept > 50 && others > 20 && runs > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_runner_up),
                                       cmocka_unit_test(test_max_kl), cmocka_unit_test(test_agree)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

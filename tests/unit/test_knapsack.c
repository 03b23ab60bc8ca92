/* SPDX-License-Identifier: Apache-2.0 */
/* test_knapsack - every choice of every small instance is tried: none is better than the one that
 * is found. Large instances: never worse than what is cheap to find, never below the bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "../../common/base/rng.h"
#include "../../ops/tools/allocate/knapsack.h"

enum { CLASSES = 6, ITEMS = 4, LARGE = 320 };

struct instance {
    struct knapsack_item item[LARGE][ITEMS];
    struct knapsack_class class[LARGE];
    size_t count;
    uint64_t cheapest, dearest;
};

/* kind 0: unlike each other; 1: of a few shapes with bits 2, 3, 4, 8, as models are; 2: losses
 * that are equal or 0. */
static void instance_make(struct instance *x, size_t count, int kind, struct rng *rng)
{
    static const uint64_t bits[ITEMS] = {2, 3, 4, 8}, shape[3] = {64, 192, 256};

    *x = (struct instance){.count = count};
    for (size_t k = 0; k < count; k++) {
        const double scale = exp(2 * rng_normal(rng));
        const uint64_t size = shape[rng_below(rng, 3)];
        uint64_t low = UINT64_MAX, high = 0;

        x->class[k] =
            (struct knapsack_class){kind == 0 ? 1 + rng_below(rng, ITEMS) : ITEMS, x->item[k]};
        for (size_t i = 0; i < x->class[k].count; i++) {
            struct knapsack_item *y = &x->item[k][i];

            y->cost = kind == 0 ? rng_below(rng, 1000) : size * bits[i];
            y->loss = kind == 2 ? (double)rng_below(rng, 3)
                                : scale * exp2(-2.0 * (double)bits[i]) * (1 + rng_unit(rng));
            low = y->cost < low ? y->cost : low;
            high = y->cost > high ? y->cost : high;
        }
        x->cheapest += low;
        x->dearest += high;
    }
}

static double best_of_all(const struct instance *x, size_t k, uint64_t left)
{
    double best = INFINITY;

    if (k == x->count)
        return 0.0;
    for (size_t i = 0; i < x->class[k].count; i++)
        if (x->item[k][i].cost <= left)
            best =
                fmin(best, x->item[k][i].loss + best_of_all(x, k + 1, left - x->item[k][i].cost));
    return best;
}

static void check_choice(const struct instance *x, uint64_t budget, const size_t *choice,
                         const struct knapsack_result *r)
{
    uint64_t cost = 0;
    double loss = 0.0;

    for (size_t k = 0; k < x->count; k++) {
        assert_true(choice[k] < x->class[k].count);
        cost += x->item[k][choice[k]].cost;
        loss += x->item[k][choice[k]].loss;
    }
    assert_true(cost == r->cost && cost <= budget);
    assert_true(fabs(loss - r->loss) <= 1e-12 * loss);
    assert_true(r->bound <= r->loss * (1 + 1e-12));
}

static void test_all_choices(void **state)
{
    struct rng rng;

    (void)state;
    rng_seed(&rng, 11, 0);
    for (int n = 0; n < 600; n++) {
        struct instance x;
        struct knapsack_result r;
        struct err err = {0};
        size_t choice[CLASSES];
        uint64_t budget;
        double best;

        instance_make(&x, 1 + rng_below(&rng, CLASSES), n % 3, &rng);
        budget = x.cheapest + rng_below(&rng, x.dearest - x.cheapest + 2);
        assert_int_equal(knapsack_solve(x.class, x.count, budget, choice, &r, &err), 0);
        check_choice(&x, budget, choice, &r);
        best = best_of_all(&x, 0, budget);
        assert_true(fabs(r.loss - best) <= 1e-12 * best);
        if (x.cheapest == 0)
            continue;
        assert_int_equal(knapsack_solve(x.class, x.count, x.cheapest - 1, choice, &r, &err), -1);
        assert_true(err.kind == ERR_USE && r.cost == x.cheapest);
    }
}

/* 320 sites of 80 blocks: the bound shows how far a better choice could be. */
static void test_large(void **state)
{
    static struct instance x;
    static size_t choice[LARGE];
    struct rng rng;

    (void)state;
    rng_seed(&rng, 13, 0);
    for (int kind = 0; kind < 2; kind++)
        for (uint64_t part = 1; part < 8; part++) {
            struct knapsack_result r;
            struct err err = {0};
            uint64_t budget;

            instance_make(&x, LARGE, kind, &rng);
            budget = x.cheapest + (x.dearest - x.cheapest) * part / 8;
            assert_int_equal(knapsack_solve(x.class, x.count, budget, choice, &r, &err), 0);
            check_choice(&x, budget, choice, &r);
            assert_true(r.loss - r.bound <= .02 * r.loss);
        }
}

static void test_nothing(void **state)
{
    struct knapsack_result r;
    struct err err = {0};
    size_t choice;

    (void)state;
    assert_int_equal(knapsack_solve(NULL, 0, 0, &choice, &r, &err), 0);
    assert_true(r.cost == 0 && r.loss == 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_all_choices),
        cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

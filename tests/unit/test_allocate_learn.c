/* SPDX-License-Identifier: Apache-2.0 */
/* test_allocate_learn - what measured choices teach: made-up divergences, of which the weights of
 * the units are known, and the identities that hold for any. */
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

enum { BLOCKS = 4, NAMES = 3, UNITS = BLOCKS * NAMES, WIDTHS = 3, MEASURED = 40 };

struct world {
    struct unit unit[UNITS];
    struct candidate candidate[UNITS][WIDTHS + MEASURED + 1];
    struct knapsack_item item[UNITS][WIDTHS + MEASURED + 1];
    size_t of[UNITS][WIDTHS + MEASURED + 1], choice[UNITS];
    struct knapsack_class class[UNITS];
    double kl[WIDTHS + MEASURED], truth[UNITS];
    struct allocate a;
};

/* Units of two, three and four bits, each bit a quarter of the loss; `measured` random choices
 * among them, whose divergence is the sum of losses by the true weights. */
static void world_make(struct world *x, size_t measured, double spread, struct rng *rng)
{
    static char *const name[NAMES] = {"attn.o", "mlp.down", "mlp.up"};

    memset(x, 0, sizeof *x);
    x->a = (struct allocate){.unit = x->unit,
                             .units = UNITS,
                             .offered = WIDTHS,
                             .runs = WIDTHS + measured,
                             .choice = x->choice,
                             .kl = x->kl,
                             .budget = 3 * UNITS * 100,
                             .weights = UNITS * 100};
    for (size_t i = 0; i < UNITS; i++) {
        x->unit[i] = (struct unit){.block = i / NAMES,
                                   .name = name[i % NAMES],
                                   .weights = 100,
                                   .weight = 1,
                                   .candidate = x->candidate[i],
                                   .of = x->of[i],
                                   .item = x->item[i]};
        x->truth[i] = 3 * exp(spread * rng_normal(rng));
        for (size_t r = 0; r < WIDTHS + measured; r++) {
            const size_t w = r < WIDTHS ? r : rng_below(rng, WIDTHS);

            x->candidate[i][r] =
                r < WIDTHS ? (struct candidate){.bits = 2 + (int64_t)r,
                                                .group = 64,
                                                .cost = 100 * (2 + r),
                                                .loss = (1 + rng_unit(rng)) * pow(.25, (double)r)}
                           : x->candidate[i][w];
        }
    }
    for (size_t r = 0; r < WIDTHS + measured; r++)
        for (size_t i = 0; i < UNITS; i++)
            x->kl[r] += x->truth[i] * x->candidate[i][r].loss;
}

/* Alike units: one choice tells all there is to tell. */
static void test_alike(void **state)
{
    static struct world x;
    double weight[UNITS];
    struct err e = {0};
    struct rng rng;

    (void)state;
    rng_seed(&rng, 1, 0);
    world_make(&x, 1, 0, &rng);
    assert_int_equal(allocate_learn(&x.a, NULL, weight, &e), 0);
    for (size_t i = 0; i < UNITS; i++)
        assert_true(fabs(weight[i] / x.truth[i] - 1) < 1e-12);
}

/* With more choices than units the weights are known, as far as a divergence is said to be off. */
static void test_many(void **state)
{
    static struct world x;
    double weight[UNITS], off = 0, before = 0;
    struct err e = {0};
    struct rng rng;

    (void)state;
    rng_seed(&rng, 2, 0);
    world_make(&x, MEASURED, .5, &rng);
    assert_int_equal(allocate_learn(&x.a, NULL, weight, &e), 0);
    for (size_t i = 0; i < UNITS; i++) {
        off += pow(log(weight[i] / x.truth[i]), 2) / UNITS;
        before += pow(log(x.truth[i] / 3), 2) / UNITS;
    }
    assert_true(sqrt(off) < .25 * sqrt(before));
}

/* The mean of draws is what is expected, within four standard errors of it; where no weight can
 * come near its least. */
static void test_draws(void **state)
{
    static struct world x;
    double expected[UNITS], weight[UNITS], sum[UNITS] = {0}, square[UNITS] = {0};
    const int draws = 2000;
    struct err e = {0};
    struct rng rng;

    (void)state;
    rng_seed(&rng, 3, 0);
    world_make(&x, MEASURED, .1, &rng);
    assert_int_equal(allocate_learn(&x.a, NULL, expected, &e), 0);
    for (int n = 0; n < draws; n++) {
        assert_int_equal(allocate_learn(&x.a, &rng, weight, &e), 0);
        for (size_t i = 0; i < UNITS; i++) {
            sum[i] += weight[i] / draws;
            square[i] += weight[i] * weight[i] / draws;
        }
    }
    for (size_t i = 0; i < UNITS; i++) {
        const double deviation = sqrt(square[i] - sum[i] * sum[i]);

        assert_true(deviation > 0 && deviation < .3 * expected[i]);
        assert_true(fabs(sum[i] - expected[i]) < 4 * deviation / sqrt(draws));
    }
}

static int is_measured(const struct world *x)
{
    for (size_t r = WIDTHS; r < x->a.runs; r++) {
        size_t i = 0;

        while (i < UNITS &&
               x->unit[i].candidate[x->of[i][x->choice[i]]].bits == x->candidate[i][r].bits)
            i++;
        if (i == UNITS)
            return 1;
    }
    return 0;
}

/* Explored is what was not measured, within the budget; each one measured in turn, the best soon
 * is near the best there is, by the true weights. */
static void test_explore(void **state)
{
    static struct world x;
    struct knapsack_item item[UNITS][WIDTHS];
    struct knapsack_result least;
    size_t best[UNITS];
    double found = INFINITY, first = 0;
    struct err e = {0};
    struct rng rng;

    (void)state;
    rng_seed(&rng, 4, 0);
    world_make(&x, 1, .7, &rng);
    for (size_t i = 0; i < UNITS; i++) {
        for (size_t r = 0; r < WIDTHS; r++)
            item[i][r] =
                (struct knapsack_item){x.candidate[i][r].cost, x.truth[i] * x.candidate[i][r].loss};
        x.class[i] = (struct knapsack_class){WIDTHS, item[i]};
    }
    assert_int_equal(knapsack_solve(x.class, UNITS, x.a.budget, best, &least, &e), 0);
    x.a.o.search = ALLOCATE_EXPLORE;
    for (size_t n = 0; n < 20; n++) {
        const size_t r = x.a.runs;

        x.a.o.seed = n;
        for (size_t i = 0; i < UNITS; i++)
            x.unit[i].weight = 1;
        assert_int_equal(allocate_explore(&x.a, x.class, &e), 0);
        assert_true(x.a.result.cost <= x.a.budget);
        assert_false(is_measured(&x));
        x.kl[r] = 0;
        for (size_t i = 0; i < UNITS; i++) {
            x.candidate[i][r] = x.candidate[i][x.of[i][x.choice[i]]];
            x.kl[r] += x.truth[i] * x.candidate[i][r].loss;
        }
        first = n ? first : x.kl[r];
        found = fmin(found, x.kl[r]);
        x.a.runs++;
    }
    assert_true(found - least.loss <= .25 * (first - least.loss));
}

static void test_nothing_lost(void **state)
{
    static struct world x;
    double weight[UNITS];
    struct err e = {0};
    struct rng rng;

    (void)state;
    rng_seed(&rng, 5, 0);
    world_make(&x, 1, 0, &rng);
    for (size_t i = 0; i < UNITS; i++)
        x.candidate[i][WIDTHS].loss = 0;
    assert_int_equal(allocate_learn(&x.a, NULL, weight, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_alike), cmocka_unit_test(test_many),
                                       cmocka_unit_test(test_draws), cmocka_unit_test(test_explore),
                                       cmocka_unit_test(test_nothing_lost)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

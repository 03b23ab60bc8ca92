/* SPDX-License-Identifier: Apache-2.0 */
/* test_solve_cluster - clusters of numbers on a line against every way to cut them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/rng.h"
#include "../../stages/solve/solve_cluster.h"

enum { N = 10, K = 4 };

static int rising(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Of x by the nearest centre. */
static double loss_of(const double *x, const double *w, const double *centre, size_t k)
{
    double sum = 0;

    for (size_t i = 0; i < N; i++) {
        double least = INFINITY;

        for (size_t c = 0; c < k; c++)
            least = fmin(least, (x[i] - centre[c]) * (x[i] - centre[c]));
        sum += w[i] * least;
    }
    return sum;
}

/* x rises; cuts: bit i says that a cluster ends behind number i. */
static double loss_cut(const double *x, const double *w, unsigned cuts)
{
    double sum = 0, a = 0, b = 0, c = 0;

    for (size_t i = 0; i < N; i++) {
        a += w[i];
        b += w[i] * x[i];
        c += w[i] * x[i] * x[i];
        if (cuts >> i & 1 || i == N - 1) {
            sum += a > 0 ? c - b * b / a : 0;
            a = b = c = 0;
        }
    }
    return sum;
}

static double least_of(const double *x, const double *w, size_t k)
{
    double least = INFINITY;

    for (unsigned cuts = 0; cuts < 1u << (N - 1); cuts++)
        if ((size_t)__builtin_popcount(cuts) < k)
            least = fmin(least, loss_cut(x, w, cuts));
    return least;
}

static void the_best_there_are(void **state)
{
    struct rng rng;
    struct err e = {0};

    (void)state;
    rng_seed(&rng, 4, 0);
    for (size_t turn = 0; turn < 200; turn++) {
        const size_t k = 1 + turn % K;
        struct cluster_room *r = cluster_open(N, k, &e);
        double x[N], w[N], centre[K];

        assert_non_null(r);
        for (size_t i = 0; i < N; i++) {
            x[i] = turn % 3 ? rng_normal(&rng) : floor(3 * rng_unit(&rng)); /* equal ones, too */
            w[i] = turn % 5 ? pow(rng_unit(&rng), 6) : rng_unit(&rng) < 0.5 ? 0 : 1;
        }
        qsort(x, N, sizeof *x, rising);
        cluster_find(r, x, w, centre);
        for (size_t c = 0; c < k; c++)
            assert_true(isfinite(centre[c]) && (!c || centre[c] >= centre[c - 1]));
        assert_true(loss_of(x, w, centre, k) <= least_of(x, w, k) + 1e-12);
        cluster_close(&r);
    }
}

static void weights_that_are_all_0_count_alike(void **state)
{
    static const double x[N] = {5, 1, 1, 5, 1, 5, 1, 5, 1, 5}, none[N] = {0};
    struct err e = {0};
    struct cluster_room *r = cluster_open(N, K, &e);
    double a[K], b[K];

    (void)state;
    assert_non_null(r);
    cluster_find(r, x, none, a);
    cluster_find(r, x, NULL, b);
    assert_memory_equal(a, b, sizeof a);
    assert_true(a[0] == 1 && a[1] == 5 && a[2] == 5 && a[3] == 5);
    cluster_close(&r);
    assert_null(r);
    cluster_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_there_are),
        cmocka_unit_test(weights_that_are_all_0_count_alike),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

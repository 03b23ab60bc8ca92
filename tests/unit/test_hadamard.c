/* SPDX-License-Identifier: Apache-2.0 */
/* test_hadamard - H H' = n I for every order that can be made, which orders those are, and the
 * matrices of others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/rng.h"
#include "../../common/tensor/hadamard.h"
#include "../../common/tensor/safetensors.h"
#include "shared.h"

static struct hadamard *made(size_t n)
{
    struct err e = {0};
    struct hadamard *h = hadamard_create(n, &e);

    if (!h)
        fail_msg("%zu: %s", n, e.text);
    return h;
}

static void *room(size_t n, size_t size)
{
    void *p = calloc(n, size);

    assert_non_null(p);
    return p;
}

/* The matrix, row by row: products with the unit vectors. */
static signed char *matrix(size_t n)
{
    struct hadamard *h = made(n);
    signed char *out = room(n * n, 1);
    double *x = room(n, sizeof *x), *scratch = room(n, sizeof *scratch);

    for (size_t i = 0; i < n; i++) {
        memset(x, 0, n * sizeof *x);
        x[i] = 1;
        hadamard_apply(h, 1, x, scratch);
        for (size_t j = 0; j < n; j++)
            out[i * n + j] = x[j] == 1 ? 1 : x[j] == -1 ? -1 : 0;
    }
    free(scratch);
    free(x);
    hadamard_destroy(&h);
    assert_null(h);
    return out;
}

static int is_hadamard(const signed char *h, size_t n)
{
    for (size_t i = 0; i < n * n; i++)
        if (h[i] != 1 && h[i] != -1)
            return 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) {
            int sum = 0;

            for (size_t k = 0; k < n; k++)
                sum += h[i * n + k] * h[j * n + k];
            if (sum)
                return 0;
        }
    return 1;
}

static void test_refused(void **state)
{
    static const size_t none[] = {0, 3, 6, 10, 92, 116, 156, HADAMARD_ORDER_MAX + 4, SIZE_MAX};
    struct err e;

    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        memset(&e, 0, sizeof e);
        assert_int_equal(hadamard_core(none[i]), 0);
        assert_null(hadamard_create(none[i], &e));
        assert_int_equal(e.kind, ERR_USE);
    }
    hadamard_destroy(NULL);
}

static void test_whole_matrices(void **state)
{
    size_t count = 0;

    (void)state;
    for (size_t n = 1; n <= 256; n++) {
        signed char *h;

        if (!hadamard_core(n))
            continue;
        h = matrix(n);
        if (!is_hadamard(h, n))
            fail_msg("order %zu", n);
        h[n / 2] = (signed char)-h[n / 2]; /* one sign: the test must see it */
        assert_int_equal(is_hadamard(h, n), n == 1);
        free(h);
        count++;
    }
    /* 1, 2 and the multiples of 4 but 92, 116, 156, 172, 184, 188, 232, 236 */
    assert_int_equal(count, 2 + 64 - 8);
}

/* |x H|^2 = n |x|^2 holds for all x only if H H' = n I; a wrong H of ones meets it for random
 * integers x from -1000 to 1000 with probability at most 2/2001 (Schwartz, Zippel), for two x
 * 1e-6. Sums stay below n (1000 n)^2 < 2^53: equality is exact. */
static void test_all_orders(void **state)
{
    const size_t largest = 2048;
    double *x = room(2 * largest, sizeof *x), *scratch = room(largest, sizeof *scratch);
    struct rng r;

    (void)state;
    rng_seed(&r, 1, 0);
    for (size_t n = 1; n <= largest; n++) {
        double before[2] = {0};
        struct hadamard *h;

        if (!hadamard_core(n))
            continue;
        h = made(n);
        for (size_t i = 0; i < 2 * n; i++) {
            x[i] = (double)rng_below(&r, 2001) - 1000;
            before[i / n] += x[i] * x[i];
        }
        hadamard_apply(h, 2, x, scratch);
        for (size_t v = 0; v < 2; v++) {
            double after = 0;

            for (size_t i = 0; i < n; i++)
                after += x[v * n + i] * x[v * n + i];
            if (after != (double)n * before[v])
                fail_msg("order %zu: %.17g, not %.17g", n, after, (double)n * before[v]);
        }
        hadamard_destroy(&h);
    }
    free(scratch);
    free(x);
}

static void test_sizes_of_models(void **state)
{
    static const size_t want[][2] = {{64, 1},    {288, 36},   {576, 36},   {896, 28},  {960, 60},
                                     {1152, 36}, {1536, 12},  {1600, 100}, {2048, 1},  {2560, 20},
                                     {3072, 12}, {3200, 100}, {3584, 28},  {5120, 20}, {6656, 52}};

    (void)state;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        assert_int_equal(hadamard_core(want[i][0]), want[i][1]);
    for (size_t n = 64; n <= 4608; n += 64)
        if (!hadamard_core(n) != (n == 3776))
            fail_msg("order %zu has %s", n, n == 3776 ? "one" : "none");
}

/* Matrices made by others: the check accepts them, and their orders that we do not make are
 * known ones. */
static void test_others(void **state)
{
    struct err e = {0};
    struct st_set *s;
    size_t missing = 0;

    (void)state;
    shared_or_skip(path, "data/golden-hadamard/hadamards.safetensors");
    s = st_open(path, &e);
    if (!s)
        fail_msg("%s", e.text);
    assert_true(s->count >= 60);
    for (size_t i = 0; i < s->count; i++) {
        struct tensor t;
        size_t n = (size_t)s->entries[i].shape[0];

        assert_int_equal(s->entries[i].dtype, DT_I8);
        assert_int_equal(st_load(s, &s->entries[i], &t, &e), 0);
        assert_true(is_hadamard(t.data, n));
        tensor_release(&t);
        missing += hadamard_core(n) == 0;
    }
    assert_int_equal(missing, 8);
    st_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),    cmocka_unit_test(test_whole_matrices),
        cmocka_unit_test(test_all_orders), cmocka_unit_test(test_sizes_of_models),
        cmocka_unit_test(test_others),
    };

    return cmocka_run_group_tests_name("hadamard", tests, NULL, NULL);
}

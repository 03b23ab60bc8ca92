/* SPDX-License-Identifier: Apache-2.0 */
/* What the first tokens of rows hold, against plain sums, weights counted; the site where it is
 * most stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "../../stages/forward/forward_first.h"

enum { K = 300, T = 7 };

static const int32_t LENGTHS[2] = {3, 4};

static void fill(float *x, float first, float others)
{
    for (size_t t = 0; t < T; t++)
        for (size_t k = 0; k < K; k++)
            x[t * K + k] = t == 0 || t == 3 ? first : others;
}

static void test_shares(void **state)
{
    const float w[T] = {2, 1, 1, 0.5f, 1, 1, 1};
    struct site s = {.block = 4};
    struct acts_view a = {.T = T, .K = K, .nseq = 2, .lengths = LENGTHS};
    struct first_found f = {.energy = 0};
    float x[T * K];
    uint16_t half[T * K];

    (void)state;
    snprintf(s.name, sizeof s.name, "mlp.down");
    fill(x, 8, 0.5f);
    first_look(&f, &s, &a, DT_F32, x);
    assert_true(fabs(f.energy - 128 / (128 + 5 * .25)) < 1e-12);
    assert_true(fabs(f.weight - 2.0 / 7) < 1e-12);
    assert_string_equal(f.site, "mlp.down");
    assert_int_equal(f.block, 4);

    /* less elsewhere does not take its place */
    snprintf(s.name, sizeof s.name, "attn.o");
    fill(x, 4, 0.5f);
    first_look(&f, &s, &a, DT_F32, x);
    assert_string_equal(f.site, "mlp.down");

    /* weights, and rows as they travel */
    f = (struct first_found){.energy = 0};
    a.w = w;
    assert_int_equal(dtype_from_f32(DT_BF16, x, T * K, half), 0);
    first_look(&f, &s, &a, DT_BF16, half);
    assert_true(fabs(f.energy - 40 / (40 + 5 * .25)) < 1e-12);
    assert_true(fabs(f.weight - 2.5 / 7.5) < 1e-12);
    assert_string_equal(f.site, "attn.o");
}

static void test_nothing(void **state)
{
    const struct site s = {.block = 0};
    const struct acts_view a = {.T = T, .K = K, .nseq = 2, .lengths = LENGTHS};
    struct first_found f = {.energy = 0};
    float x[T * K] = {0};

    (void)state;
    first_look(&f, &s, &a, DT_F32, x);
    assert_true(f.energy <= 0 && !*f.site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shares),
                                       cmocka_unit_test(test_nothing)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

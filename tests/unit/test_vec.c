/* SPDX-License-Identifier: Apache-2.0 */
/* test_vec - rows of numbers against f64 twins; u = 2^-24 is the rounding of one f32 operation.
 * Lengths cross the 16 lanes and their tails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "../../common/base/rng.h"
#include "../../common/model/vec.h"

#define U 5.9604644775390625e-8

enum { N = 1500 };

static const size_t lengths[] = {1, 2, 15, 16, 17, 31, 33, 512, 513, N};

static void fill(float *x, size_t n, double low, double high, uint64_t seed)
{
    struct rng r;

    rng_seed(&r, seed, 0);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(low + (high - low) * rng_unit(&r));
}

static void test_exp(void **state)
{
    float x[N], y[N];

    (void)state;
    for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
        size_t n = lengths[l];
        double sum = 0.0, moment = 0.0, want_moment = 0.0, total;
        float top;

        fill(x, n, -80.0, 80.0, 1);
        fill(y, n, -80.0, 80.0, 2);
        top = vec_max(x, n);
        for (size_t i = 0; i < n; i++) {
            assert_true(x[i] <= top);
            sum += exp((double)(x[i] - top));
            want_moment += exp((double)(x[i] - top)) * ((double)x[i] - (double)top - (double)y[i]);
        }
        moment = vec_exp_moment(x, y, n, top, 0.0f, &total);
        /* a term is good to 3 u (and the few below e^-87 are too large by less than e^-87); 32
         * of them are added in a lane */
        assert_true(fabs(vec_exp_total(x, n, top) - sum) <= 40 * U * sum);
        assert_true(fabs(total - sum) <= 40 * U * sum);
        assert_true(fabs(moment - want_moment) <= 48 * U * sum * 240.0);
        memcpy(y, x, n * sizeof *x);
        /* up to 94 terms in a lane */
        assert_true(fabs((double)vec_exp_sum(y, n, top) - sum) <= 110 * U * sum);
        for (size_t i = 0; i < n; i++)
            if (x[i] - top >= -87.0f)
                assert_true(fabs((double)y[i] - exp((double)(x[i] - top))) <=
                            3 * U * exp((double)(x[i] - top)));
    }
    x[0] = -1e30f;
    assert_true(vec_exp_sum(x, 1, 0.0f) < 1e-37f);
    assert_true(vec_max(x, 0) == -INFINITY);
}

static void test_silu(void **state)
{
    float x[N], gate[N], up[N];

    (void)state;
    for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
        size_t n = lengths[l];

        fill(x, n, -30.0, 30.0, 3);
        fill(up, n, -2.0, 2.0, 4);
        memcpy(gate, x, n * sizeof *x);
        vec_silu_mul(gate, up, n);
        for (size_t i = 0; i < n; i++) {
            double want = (double)x[i] / (1.0 + exp(-(double)x[i])) * (double)up[i];

            assert_true(fabs((double)gate[i] - want) <= 7 * U * fabs(want));
        }
    }
    gate[0] = -200.0f;
    up[0] = 1.0f;
    vec_silu_mul(gate, up, 1);
    assert_true(gate[0] <= 0.0f && gate[0] > -1e-35f);
}

/* tanh is off by a few u of itself, of 1 where it is large; 1 + tanh cancels there. */
static void test_gelu_and_cap(void **state)
{
    float x[N], gate[N], up[N];

    (void)state;
    for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
        const size_t n = lengths[l];

        fill(x, n, -6.0, 6.0, 13);
        fill(up, n, -2.0, 2.0, 14);
        memcpy(gate, x, n * sizeof *x);
        vec_gelu_mul(gate, up, n);
        for (size_t i = 0; i < n; i++) {
            const double v = (double)x[i], u = 0.7978845608028654 * (v + 0.044715 * v * v * v);

            assert_true(fabs((double)gate[i] - 0.5 * v * (1 + tanh(u)) * (double)up[i]) <=
                        16 * U * fabs(v * (double)up[i]));
        }
        for (double cap = 0.5; cap < 100; cap *= 10) {
            memcpy(gate, x, n * sizeof *x);
            vec_cap(gate, n, (float)cap);
            for (size_t i = 0; i < n; i++) {
                const double want = cap * tanh((double)x[i] / cap);

                assert_true(fabs((double)gate[i] - want) <= 8 * U * fabs(want));
            }
        }
    }
    assert_true(vec_sigmoid(0.0f) == 0.5f && vec_sigmoid(-80.0f) > 0 && vec_sigmoid(80.0f) == 1);
}

/* The mean is off by some u of the largest number, and so is each difference. */
static void mean_norm(const float *x, const float *w, size_t n, float *y)
{
    double mean = 0, square = 0;

    vec_layernorm(x, w, n, 1e-5f, y);
    for (size_t i = 0; i < n; i++)
        mean += (double)x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        square += ((double)x[i] - mean) * ((double)x[i] - mean);
    for (size_t i = 0; i < n; i++) {
        const double a = (double)w[i] / sqrt(square / (double)n + 1e-5);

        assert_true(fabs((double)y[i] - a * ((double)x[i] - mean)) <= 200 * U * 3 * a);
    }
}

static void test_norm_and_rotate(void **state)
{
    float x[N], w[N], y[N];

    (void)state;
    for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
        size_t n = lengths[l];
        double square = 0.0, a;

        fill(x, n, -3.0, 3.0, 5);
        fill(w, n, 0.5, 2.0, 6);
        for (size_t i = 0; i < n; i++)
            square += (double)x[i] * (double)x[i];
        a = 1.0 / sqrt(square / (double)n + 1e-5);
        vec_rmsnorm(x, w, n, 1e-5f, 0.0f, y);
        /* up to 94 squares in a lane err by 48 u of the sum at most, half of that in the root */
        for (size_t i = 0; i < n; i++)
            assert_true(fabs((double)y[i] - (double)w[i] * (double)x[i] * a) <=
                        60 * U * fabs((double)w[i] * (double)x[i] * a));
        vec_rmsnorm(x, w, n, 1e-5f, 1.0f, y);
        for (size_t i = 0; i < n; i++)
            assert_true(fabs((double)y[i] - (1 + (double)w[i]) * (double)x[i] * a) <=
                        60 * U * fabs((1 + (double)w[i]) * (double)x[i] * a));
        mean_norm(x, w, n, y);
        vec_rmsnorm(x, w, n, 1e-5f, 0.0f, y);
        vec_rmsnorm(x, w, n, 1e-5f, 0.0f, x);
        assert_true(memcmp(x, y, n * sizeof *x) == 0);
        if (2 * n > N)
            continue;
        fill(x, 2 * n, -1.0, 1.0, 7);
        memcpy(y, x, 2 * n * sizeof *x);
        fill(w, 2 * n, -1.0, 1.0, 8);
        vec_rotate(y, w, w + n, n);
        for (size_t i = 0; i < n; i++) {
            double c = (double)w[i], s = (double)w[n + i], p = (double)x[i], q = (double)x[n + i];

            assert_true(fabs((double)y[i] - (p * c - q * s)) <= 4 * U);
            assert_true(fabs((double)y[n + i] - (q * c + p * s)) <= 4 * U);
        }
    }
}

static void test_plain(void **state)
{
    float x[N], y[N], z[N];

    (void)state;
    for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
        size_t n = lengths[l];

        fill(x, n, -1.0, 1.0, 9);
        fill(y, n, -1.0, 1.0, 10);
        memcpy(z, x, n * sizeof *x);
        vec_add(z, y, n);
        for (size_t i = 0; i < n; i++)
            assert_true(z[i] == x[i] + y[i]);
        memcpy(z, x, n * sizeof *x);
        vec_scale(z, n, 3.0f);
        for (size_t i = 0; i < n; i++)
            assert_true(z[i] == x[i] * 3.0f);
        assert_true(vec_finite(x, n));
        for (size_t i = 0; i < n; i += n / 7 + 1) {
            float keep = x[i];

            x[i] = i % 2 ? NAN : -INFINITY;
            assert_false(vec_finite(x, n));
            x[i] = keep;
        }
    }
    assert_true(vec_finite(x, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp),          cmocka_unit_test(test_silu),
        cmocka_unit_test(test_gelu_and_cap), cmocka_unit_test(test_norm_and_rotate),
        cmocka_unit_test(test_plain),
    };

    return cmocka_run_group_tests_name("vec", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* attention: what tokens receive against plain loops in f64, for one and three threads; rows
 * behind a cache are those of the whole sequence; masks of every kind; the token weights. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../common/base/rng.h"
#include "../../common/model/attention.h"
#include "../../common/model/attention16.h"
#include "../../common/tensor/blas.h"
#include "../../common/tensor/dtype.h"
#include "../../stages/forward/forward_weights.h"
#include "model_run.h"

enum { HEADS = 4, KV = 2, HD = 8, T = 309, WIDTH = (HEADS + 2 * KV) * HD };
static const int32_t lengths[] = {1, 7, 300, 1};
static const struct rows rows = {.T = T, .nseq = 4, .lengths = lengths};

static float *random_rows(void)
{
    float *q = run_array(T * WIDTH);
    struct rng r;

    rng_seed(&r, 7, 0);
    for (size_t i = 0; i < T * WIDTH; i++)
        q[i] = (float)rng_normal(&r);
    return q;
}

static struct attention_shape small(size_t window)
{
    return (struct attention_shape){
        .heads = HEADS, .kv_heads = KV, .head_dim = HD, .window = window};
}

static void plain_received(const struct attention_shape *c, const float *q, double *out)
{
    for (size_t s = 0, start = 0; s < rows.nseq; start += (size_t)lengths[s++])
        for (size_t h = 0; h < HEADS; h++)
            for (size_t i = 0; i < (size_t)lengths[s]; i++) {
                double p[T], sum = 0;
                size_t low = c->window && i + 1 > c->window ? i + 1 - c->window : 0;

                for (size_t j = low; j <= i; j++) {
                    double dot = 0;
                    for (size_t k = 0; k < HD; k++)
                        dot += (double)q[(start + i) * WIDTH + h * HD + k] *
                               (double)q[(start + j) * WIDTH + (HEADS + h / (HEADS / KV)) * HD + k];
                    sum += p[j] = exp(dot / sqrt(HD));
                }
                for (size_t j = low; j <= i; j++)
                    out[start + j] += p[j] / sum;
            }
}

/* Gate: a weight of the softmax is off by some 1e-6 of itself in f32 (scores up to 16, exp and
 * sums in f32); a token receives a sum of such weights, all positive. */
static void received_is_the_plain_sum(void **state)
{
    float *q = random_rows();
    struct err err = {0};

    (void)state;
    for (size_t window = 0; window <= 20; window += 20) {
        const struct attention_shape c = small(window);
        double want[T] = {0}, got[2][T], total = 0;

        plain_received(&c, q, want);
        for (size_t threads = 1; threads <= 3; threads += 2) {
            struct par *p = par_open(threads, &err);

            must(attention_received(p, &blas_products, &c, &rows, q, WIDTH, q + HEADS * HD, WIDTH,
                                    got[threads / 2], &err) == 0);
            par_close(&p);
        }
        assert_memory_equal(got[0], got[1], sizeof got[0]);
        for (size_t t = 0; t < T; t++) {
            assert_true(fabs(got[0][t] - want[t]) <= 1e-5 * want[t]);
            total += got[0][t];
        }
        assert_true(fabs(total - HEADS * T) <= 1e-5 * HEADS * T);
        /* the only token of its sequence gets it all */
        assert_true(fabs(got[0][0] - HEADS) <= 1e-5);
    }
    free(q);
}

/* Sequence 2 in pieces of 128, 1, 100, 71 rows against the whole: a row's sums are in the order of
 * its keys, whatever block of rows it is in. */
static void cached_rows_are_those_of_the_whole(void **state)
{
    static const int32_t pieces[] = {128, 1, 100, 71}, whole = 300;
    float *q = random_rows() + 8 * WIDTH, *all = run_array(300 * HEADS * HD),
          *part = run_array(300 * HEADS * HD);
    struct err err = {0};
    struct par *p = par_open(2, &err);

    (void)state;
    for (size_t window = 0; window <= 20; window += 20) {
        const struct attention_shape c = small(window);
        const float *k = q + HEADS * HD, *v = k + KV * HD;

        must(attention_run(p, &c, &(struct rows){.T = 300, .nseq = 1, .lengths = &whole}, q, WIDTH,
                           k, WIDTH, v, WIDTH, all, &err) == 0);
        for (size_t i = 0, first = 0; i < 4; first += (size_t)pieces[i++]) {
            must(attention_cached(
                     p, &c,
                     &(struct rows){.T = (size_t)pieces[i], .nseq = 1, .lengths = &pieces[i]},
                     &first, q + first * WIDTH, WIDTH, &k, WIDTH, &v, WIDTH,
                     part + first * HEADS * HD, &err) == 0);
        }
        assert_memory_equal(all, part, 300 * HEADS * HD * sizeof *all);
    }
    par_close(&p);
    free(q - 8 * WIDTH);
    free(all);
    free(part);
}

/* Values narrower than keys, and a score of each head that takes its share: against plain loops. */
static void sinks_take_their_share(void **state)
{
    enum { N = 9, VD = 3 };
    static const float sinks[HEADS] = {2, -3, 90, 0};
    static const int32_t length = N;
    const struct attention_shape c = {.heads = HEADS,
                                      .kv_heads = KV,
                                      .head_dim = HD,
                                      .value_dim = VD,
                                      .window = 4,
                                      .sinks = sinks};
    float *q = random_rows(), x[N * HEADS * VD];
    const float *k = q + HEADS * HD, *v = k + KV * HD;
    struct err err = {0};
    struct par *p = par_open(1, &err);

    (void)state;
    must(attention_run(p, &c, &(struct rows){.T = N, .nseq = 1, .lengths = &length}, q, WIDTH, k,
                       WIDTH, v, WIDTH, x, &err) == 0);
    for (size_t h = 0; h < HEADS; h++)
        for (size_t i = 0; i < N; i++) {
            double sum = exp((double)sinks[h]), want[VD] = {0};

            for (size_t j = i < 3 ? 0 : i - 3; j <= i; j++) {
                double dot = 0;

                for (size_t n = 0; n < HD; n++)
                    dot +=
                        (double)q[i * WIDTH + h * HD + n] * (double)k[j * WIDTH + h / 2 * HD + n];
                dot = exp(dot / sqrt(HD));
                sum += dot;
                for (size_t n = 0; n < VD; n++)
                    want[n] += dot * (double)v[j * WIDTH + h / 2 * VD + n];
            }
            for (size_t n = 0; n < VD; n++)
                assert_true(fabs((double)x[(i * HEADS + h) * VD + n] - want[n] / sum) < 1e-5);
        }
    par_close(&p);
    free(q);
}

/* Does row i of a sequence of n see key j? Tokens 20 to 149 are one image. */
static int sees(const struct attention_shape *c, size_t i, size_t j, size_t n)
{
    const int together = c->images && i >= 20 && i < 150 && j >= 20 && j < 150;

    return together || (c->both ? j < n : j <= i && (!c->window || j + c->window > i));
}

/* One sequence of n rows against plain loops in f64, for one and three threads. Gate: weights are
 * off by some 1e-6 of themselves (scores up to 16), values up to 4 in size. With products of bf16
 * (by) keys and values are exact; a score is off by 2^-9 of what its terms sum up to, which are
 * products of a rounded query, so a weight by twice the largest of these (of its own score and of
 * the others), and by 2^-9 for its own rounding. */
static void check_plain_by(const struct attention16 *by, const struct attention_shape *c, size_t n)
{
    static int32_t image[T];
    const struct rows_seen seen = {.image = image};
    const int32_t length = (int32_t)n;
    const struct rows r = {.T = n, .nseq = 1, .lengths = &length, .seen = &seen};
    const size_t each = c->heads / c->kv_heads, vd = attention_value_dim(c);
    float *q = random_rows(), *x[2] = {run_array(n * c->heads * vd), run_array(n * c->heads * vd)};
    const float *k = q + HEADS * HD, *v = k + KV * HD;
    struct err err = {0};

    for (size_t i = 0; by && i < T * WIDTH; i++)
        q[i] = bf16_to_f32(f32_to_bf16(q[i]));
    for (size_t t = 0; t < T; t++)
        image[t] = t >= 20 && t < 150 ? 0 : -1;
    for (size_t w = 0; w < 2; w++) {
        struct par *p = par_open(1 + 2 * w, &err);

        must((by ? attention_run16(p, by, c, &r, q, WIDTH, k, WIDTH, v, WIDTH, x[w], &err)
                 : attention_run(p, c, &r, q, WIDTH, k, WIDTH, v, WIDTH, x[w], &err)) == 0);
        par_close(&p);
    }
    assert_memory_equal(x[0], x[1], n * c->heads * vd * sizeof(float));
    for (size_t h = 0; h < c->heads; h++)
        for (size_t i = 0; i < n; i++) {
            double sum = 0, want[HD] = {0}, size[HD] = {0}, off = 0;

            for (size_t j = 0; j < n; j++) {
                double dot = 0, terms = 0;

                for (size_t d = 0; d < HD && sees(c, i, j, n); d++) {
                    const double term = (double)q[i * WIDTH + h * HD + d] *
                                        (double)k[j * WIDTH + h / each * HD + d];

                    dot += term;
                    terms += fabs(term);
                }
                off = fmax(off, ldexp(terms / sqrt(HD), -9));
                dot /= sqrt(HD);
                dot = c->cap != 0 ? (double)c->cap * tanh(dot / (double)c->cap) : dot;
                dot = sees(c, i, j, n) ? exp(dot) : 0;
                sum += dot;
                for (size_t d = 0; d < vd; d++) {
                    want[d] += dot * (double)v[j * WIDTH + h / each * vd + d];
                    size[d] += dot * fabs((double)v[j * WIDTH + h / each * vd + d]);
                }
            }
            for (size_t d = 0; d < vd; d++)
                assert_true(fabs((double)x[0][(i * c->heads + h) * vd + d] - want[d] / sum) <
                            1e-5 + (by ? (expm1(2 * off) + ldexp(1, -9)) * size[d] / sum : 0));
        }
    free(q);
    free(x[0]);
    free(x[1]);
}

/* The same with each kind of products that this CPU has. */
static void check_plain(const struct attention_shape *c, size_t n)
{
    const struct attention16 *by = NULL;

    for (size_t i = 0; i == 0 || by; by = attention16_nth(i++))
        check_plain_by(by, c, n);
}

/* Lengths around blocks of rows (64) and of keys (96); windows within a block and across some. */
static void every_shape_is_the_plain_sum(void **state)
{
    static const size_t lengths_of[] = {1, 63, 97, 193, 300}, windows[] = {0, 5, 130};

    (void)state;
    for (size_t i = 0; i < 5; i++)
        for (size_t w = 0; w < 3; w++) {
            struct attention_shape c = small(windows[w]);

            check_plain(&c, lengths_of[i]);
            c.cap = 3;
            c.images = 1;
            check_plain(&c, lengths_of[i]);
        }
    check_plain(&(struct attention_shape){.heads = 4, .kv_heads = 1, .head_dim = HD, .both = 1},
                193);
    check_plain(
        &(struct attention_shape){
            .heads = 2, .kv_heads = 2, .head_dim = HD, .value_dim = 7, .window = 1},
        100);
}

static void lanes_agree(size_t l, size_t values, float sum, float sum16, const float *x,
                        const float *x16)
{
    const size_t L = ATTENTION_LANES;

    assert_true(fabs((double)sum - (double)sum16) <= 1e-4 * (double)sum);
    for (size_t d = 0; d < values; d++)
        assert_true(fabs((double)x[d * L + l] - (double)x16[d * L + l]) <=
                    (ldexp(1, -9) + 1e-4) * 6 * (double)sum);
}

/* A tile of wide heads, some keys short of a block, with products of bf16 against those of f32 on
 * the same numbers, some of the keys seen before: what differs is the rounding of the weights. */
static void wide_tiles_agree(void **state)
{
    enum { WIDE = 80, VALUES = 56, KEYS = 70, L = ATTENTION_LANES };
    float *q = run_array(96 * L), *pairs = run_array(96 * L), *k = run_array(KEYS * WIDE),
          *v = run_array(KEYS * VALUES), *room = run_array(ATTENTION16_ROOM + ATTENTION_TILE_ROOM);
    uint16_t *block = mem_raw(attention16_block(WIDE, VALUES), sizeof *block, NULL);
    int32_t low[L], high[L];
    struct rng r;

    (void)state;
    rng_seed(&r, 5, 0);
    for (size_t i = 0; i < WIDE * L; i++)
        pairs[i] = q[i] = bf16_to_f32(f32_to_bf16((float)rng_normal(&r) / 4));
    for (size_t i = 0; i < KEYS * WIDE; i++)
        k[i] = bf16_to_f32(f32_to_bf16((float)rng_normal(&r)));
    for (size_t i = 0; i < KEYS * VALUES; i++)
        v[i] = bf16_to_f32(f32_to_bf16((float)rng_normal(&r)));
    for (size_t l = 0; l < L; l++) {
        low[l] = (int32_t)l * 3;
        high[l] = (int32_t)(l ? 20 + l * 10 : 0); /* one sees nothing */
    }
    attention16_queries(WIDE, pairs);
    attention16_pack(WIDE, VALUES, KEYS, k, WIDE, v, VALUES, block);
    for (size_t i = 0; attention16_nth(i); i++) {
        const struct attention16 *by = attention16_nth(i);
        float x[2][64 * L], most[2][L], sum[2][L];

        for (int w = 0; w < 2; w++)
            for (size_t l = 0; l < 64 * L; l++) {
                x[w][l] = 0;
                most[w][l % L] = l % 2 ? ATTENTION_UNSEEN : 1;
                sum[w][l % L] = l % 2 ? 0 : 1;
            }
        attention_tile(&(struct attention_tile){.head_dim = WIDE,
                                                .value_dim = VALUES,
                                                .ldk = WIDE,
                                                .ldv = VALUES,
                                                .q = q,
                                                .x = x[0],
                                                .most = most[0],
                                                .sum = sum[0],
                                                .low = low,
                                                .high = high,
                                                .k = k,
                                                .v = v,
                                                .keys = KEYS,
                                                .masked = 1},
                       room);
        by->begin();
        by->tile(&(struct attention16_tile){.head_dim = WIDE,
                                            .value_dim = VALUES,
                                            .q = (const uint32_t *)(const void *)pairs,
                                            .block = block,
                                            .x = x[1],
                                            .most = most[1],
                                            .sum = sum[1],
                                            .low = low,
                                            .high = high,
                                            .keys = KEYS,
                                            .masked = 1},
                 room);
        by->end();
        for (size_t l = 0; l < L; l++)
            lanes_agree(l, VALUES, sum[0][l], sum[1][l], x[0], x[1]);
    }
    free(q);
    free(pairs);
    free(k);
    free(v);
    free(room);
    free(block);
}

static void weights_have_mean_one(void **state)
{
    static const int32_t n[] = {1, 4, 3};
    static const double received[] = {4, 10, 2, 6, 4, 5, 5, 5};
    const struct rows r = {.T = 8, .nseq = 3, .lengths = n};
    float w[8];
    double low = 0.25, sum = 0;

    (void)state;
    assert_int_equal(forward_weights_scale(&r, received, low, w), 2);
    assert_true(w[0] == 1 && w[5] == 1 && w[6] == 1 && w[7] == 1);
    /* (r - 2) / 8 of {10, 2, 6, 4} = {1, 0, 1/2, 1/4} -> {1, 0.25, 0.625, 0.4375}, sum 2.3125 */
    assert_true(w[1] == (float)(1 * 4 / 2.3125) && w[2] == (float)(0.25 * 4 / 2.3125));
    for (size_t t = 1; t < 5; t++)
        sum += (double)w[t];
    assert_true(fabs(sum - 4) < 1e-6);
    assert_int_equal(forward_weights_scale(&r, received, 1.0, w), 2);
    for (size_t t = 0; t < 8; t++)
        assert_true(w[t] == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_have_mean_one),
        cmocka_unit_test(received_is_the_plain_sum),
        cmocka_unit_test(cached_rows_are_those_of_the_whole),
        cmocka_unit_test(sinks_take_their_share),
        cmocka_unit_test(every_shape_is_the_plain_sum),
        cmocka_unit_test(wide_tiles_agree),
    };
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("attention", tests, NULL, NULL);
}

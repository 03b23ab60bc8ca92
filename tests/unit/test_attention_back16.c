/* SPDX-License-Identifier: Apache-2.0 */
/* test_attention_back16 - the way back of attention by products of bf16, against plain loops in f64
 * that carry along how far a number may be off: by what is rounded to bf16 (2^-9 of it), and by
 * sums in f32. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "../../common/base/mem.h"
#include "../../common/base/rng.h"
#include "../../common/model/attention.h"
#include "../../common/tensor/blas.h"

enum { T = 150 + 1 + 67, HEADS = 4, HD = 24, MOST = 150 };

static const int32_t lengths[] = {150, 1, 67}; /* more than a block, less than a piece */
static const struct rows rows = {.T = T, .nseq = 3, .lengths = lengths};

/* ---- numbers that are off ---- */

struct off {
    double x, by; /* at most */
};

static struct off exact(double x)
{
    return (struct off){x, 0};
}

static struct off summed(double x, double by)
{
    return (struct off){x, by + ldexp(1, -23) * (fabs(x) + by)};
}

static struct off plus(struct off a, struct off b)
{
    return summed(a.x + b.x, a.by + b.by);
}

static struct off minus(struct off a, struct off b)
{
    return summed(a.x - b.x, a.by + b.by);
}

static struct off times(struct off a, struct off b)
{
    return summed(a.x * b.x, a.by * fabs(b.x) + fabs(a.x) * b.by + a.by * b.by);
}

static struct off over(struct off a, struct off b)
{
    return times(a, (struct off){1 / b.x, 1 / (b.x - b.by) - 1 / b.x});
}

static struct off narrow(struct off a)
{
    return (struct off){a.x, a.by + ldexp(1, -9) * (fabs(a.x) + a.by)};
}

static struct off power(struct off a)
{
    return summed(exp(a.x), exp(a.x) * (exp(a.by) - 1));
}

static struct off capped(struct off a, double cap)
{
    return summed(cap * tanh(a.x / cap), a.by); /* its slope is 1 at most */
}

/* ---- what it should be ---- */

struct in {
    const struct attention_shape *c;
    const float *q, *k, *v, *x;
};

struct want {
    struct off q[T * HEADS * HD], k[T * HEADS * HD], v[T * HEADS * HD], sinks[3 * HEADS];
};

static size_t value_dim(const struct in *in)
{
    return attention_value_dim(in->c);
}

static struct off at16(const float *x, size_t i)
{
    return narrow(exact((double)x[i]));
}

/* Query i of a head, of keys [low, i]. */
static void one_query(const struct in *in, size_t seq, size_t start, size_t i, size_t head,
                      struct want *w)
{
    static struct off z[MOST], p[MOST], d[MOST];
    const struct attention_shape *c = in->c;
    const size_t kv = head / (c->heads / c->kv_heads), vd = value_dim(in), nk = c->kv_heads * HD,
                 nv = c->kv_heads * vd, q = (start + i) * c->heads * HD + head * HD,
                 x = (start + i) * c->heads * vd + head * vd,
                 low = c->window && i + 1 > c->window ? i + 1 - c->window : 0;
    const double scale = c->scale != 0 ? (double)c->scale : 1 / sqrt(HD);
    struct off sum = c->sinks ? exact(exp((double)c->sinks[head])) : exact(0), along = exact(0),
               rest = exact(1);

    for (size_t j = low; j <= i; j++) {
        z[j] = d[j] = exact(0);
        for (size_t n = 0; n < HD; n++)
            z[j] = plus(z[j], times(narrow(exact(scale * (double)in->q[q + n])),
                                    at16(in->k, (start + j) * nk + kv * HD + n)));
        for (size_t n = 0; n < vd; n++)
            d[j] =
                plus(d[j], times(at16(in->x, x + n), at16(in->v, (start + j) * nv + kv * vd + n)));
        if (c->cap != 0)
            z[j] = capped(z[j], (double)c->cap);
        p[j] = power(z[j]);
        sum = plus(sum, p[j]);
    }
    for (size_t j = low; j <= i; j++) {
        p[j] = over(p[j], sum);
        along = plus(along, times(p[j], d[j]));
        rest = minus(rest, p[j]);
    }
    w->sinks[seq * c->heads + head] = minus(w->sinks[seq * c->heads + head], times(rest, along));
    for (size_t j = low; j <= i; j++) {
        struct off s = times(p[j], minus(d[j], along));

        if (c->cap != 0) {
            const struct off part = times(z[j], exact(1 / (double)c->cap));

            s = times(s, minus(exact(1), times(part, part)));
        }
        for (size_t n = 0; n < HD; n++) {
            const size_t k = (start + j) * nk + kv * HD + n;

            w->q[q + n] = plus(w->q[q + n], times(times(narrow(s), at16(in->k, k)), exact(scale)));
            w->k[k] = plus(w->k[k], times(narrow(s), narrow(exact(scale * (double)in->q[q + n]))));
        }
        for (size_t n = 0; n < vd; n++) {
            const size_t v = (start + j) * nv + kv * vd + n;

            w->v[v] = plus(w->v[v], times(narrow(p[j]), at16(in->x, x + n)));
        }
    }
}

static void reckon(const struct in *in, struct want *w)
{
    memset(w, 0, sizeof *w);
    for (size_t s = 0, start = 0; s < rows.nseq; start += (size_t)lengths[s++])
        for (size_t i = 0; i < (size_t)lengths[s]; i++)
            for (size_t head = 0; head < in->c->heads; head++)
                one_query(in, s, start, i, head, w);
}

/* ---- what it is ---- */

struct got {
    float q[T * HEADS * HD], k[T * HEADS * HD], v[T * HEADS * HD];
    double sinks[3 * HEADS];
};

/* Added to ones. */
static void go_back(const struct in *in, size_t threads, struct got *g)
{
    const struct attention_shape *c = in->c;
    struct err e = {0};
    struct par *p = par_open(threads, &e);

    for (size_t i = 0; i < T * HEADS * HD; i++)
        g->q[i] = g->k[i] = g->v[i] = 1;
    memset(g->sinks, 0, sizeof g->sinks);
    assert_int_equal(
        attention_back(p, &blas_products, 1, c, &rows, in->q, c->heads * HD, in->k,
                       c->kv_heads * HD, in->v, c->kv_heads * value_dim(in),
                       &(struct attention_grads){
                           .x = in->x, .q = g->q, .k = g->k, .v = g->v, .sinks = g->sinks},
                       &e),
        0);
    par_close(&p);
}

static void is_near(const float *got, const struct off *want, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct off w = plus(want[i], exact(1));

        assert_true(fabs((double)got[i] - w.x) <= w.by);
    }
}

static float *random_rows(size_t width, uint64_t seed)
{
    float *x = mem_raw(T * width, sizeof *x, NULL);
    struct rng r;

    assert_non_null(x);
    rng_seed(&r, seed, 0);
    for (size_t i = 0; i < T * width; i++)
        x[i] = (float)(2 * rng_unit(&r) - 1);
    return x;
}

static void test_back(void **state)
{
    static const float sinks[HEADS] = {0.5f, -1, 0, 2};
    static const struct attention_shape shapes[] = {
        {.heads = 4, .kv_heads = 2, .head_dim = HD},
        {.heads = 2, .kv_heads = 2, .head_dim = HD, .window = 20, .value_dim = 5},
        {.heads = 4, .kv_heads = 1, .head_dim = HD, .window = 140, .scale = 0.2f, .cap = 1.5f},
        {.heads = 4, .kv_heads = 2, .head_dim = HD, .sinks = sinks}};
    static struct want want;
    static struct got one, three;

    (void)state;
    if (!blas_has_bf16())
        skip();
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const struct attention_shape *c = &shapes[i];
        const size_t vd = attention_value_dim(c);
        float *q = random_rows(c->heads * HD, 1), *k = random_rows(c->kv_heads * HD, 2),
              *v = random_rows(c->kv_heads * vd, 3), *x = random_rows(c->heads * vd, 4);
        const struct in in = {.c = c, .q = q, .k = k, .v = v, .x = x};

        reckon(&in, &want);
        go_back(&in, 1, &one);
        go_back(&in, 3, &three);
        assert_memory_equal(&one, &three, sizeof one);
        is_near(one.q, want.q, T * c->heads * HD);
        is_near(one.k, want.k, T * c->kv_heads * HD);
        is_near(one.v, want.v, T * c->kv_heads * vd);
        for (size_t s = 0; c->sinks && s < rows.nseq * c->heads; s++)
            assert_true(fabs(one.sinks[s] - want.sinks[s].x) <= want.sinks[s].by);
        free(q);
        free(k);
        free(v);
        free(x);
    }
}

static void test_bad_arguments(void **state)
{
    struct err e = {0};
    float c[4] = {0};
    uint16_t h[4] = {0};

    (void)state;
    assert_int_equal(blas_tile16(0, 0, 2, 2, 2, h, 1, h, 2, c, 2, 0, &e), -1);
    assert_int_equal(blas_tile16(1, 1, 2, 2, 2, h, 2, h, 1, c, 2, 0, &e), -1);
    assert_int_equal(blas_tile16(0, 0, 2, 2, 2, h, 2, h, 2, c, 1, 0, &e), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bad_arguments),
                                       cmocka_unit_test(test_back)};
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("attention_back16", tests, NULL, NULL);
}

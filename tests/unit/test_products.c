/* SPDX-License-Identifier: Apache-2.0 */
/* test_products - linears in bf16: weights rounded piece by piece, and whole blocks, stop by stop,
 * against blocks of f32 products whose weights were rounded beforehand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include "../../common/base/par.h"
#include "../../common/model/block_back.h"
#include "../../common/tensor/blas.h"
#include "../../common/tensor/dtype.h"
#include "model_run.h"
#include "shared.h"

enum { T = 48, WIDEST = 256 };

/* ---- weights ---- */

struct array {
    const float *w;
    size_t K, fail_at, calls;
};

static int array_rows(void *ctx, size_t first, size_t count, float *w, struct err *e)
{
    struct array *a = ctx;

    a->calls++;
    if (first + count > a->fail_at)
        return err_set(e, ERR_DATA, "no such rows");
    memcpy(w, a->w + first * a->K, count * a->K * sizeof *w);
    return 0;
}

static void test_weights(void **state)
{
    enum { N = 300, K = 500 };
    float *w = run_array(N * K);
    struct array a = {.w = w, .K = K, .fail_at = N};
    const struct weights_source from = {array_rows, &a};
    struct weights16 h;
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < N * K; i++)
        w[i] = ((float)(i * 7919 % 10007) - 5000.3f) / 9973.0f;
    assert_int_equal(weights16_make(&h, N, K, 1, &from, &e), 0);
    assert_true(a.calls > 1);
    assert_non_null(h.rest);
    for (size_t i = 0; i < N * K; i++) {
        const double left = (double)w[i] - (double)bf16_to_f32(h.w[i]);

        assert_int_equal(h.w[i], f32_to_bf16(w[i]));
        assert_true(fabs(left - (double)bf16_to_f32(h.rest[i])) <= ldexp(fabs((double)w[i]), -17));
    }
    weights16_release(&h);
    for (size_t i = 0; i < N * K; i++)
        w[i] = bf16_to_f32(f32_to_bf16(w[i]));
    assert_int_equal(weights16_make(&h, N, K, 1, &from, &e), 0);
    assert_null(h.rest); /* all of it was held */
    weights16_release(&h);
    a.fail_at = N - 1;
    assert_int_equal(weights16_make(&h, N, K, 0, &from, &e), -1);
    assert_null(h.w);
    a.fail_at = N;
    w[N * K - 1] = FLT_MAX;
    assert_int_equal(weights16_make(&h, N, K, 0, &from, &e), -1);
    assert_int_equal(e.kind, ERR_DATA);
    assert_non_null(strstr(e.text, "--products f32"));
    assert_int_equal(weights16_make(&h, SIZE_MAX, 2, 0, &from, &e), -1);
    free(w);
}

/* ---- blocks ---- */

static struct model *open_with(const char *dir, enum products products, struct par *p)
{
    struct err err = {0};
    struct model *m;

    must(m = model_open_for(dir, &(struct model_use){.products = products}, p, &err));
    return m;
}

struct moved {
    float *w;
    size_t K;
    int rounded;
};

/* Weights that bf16 does not hold, or what it makes of them. */
static int moved_rows(void *ctx, size_t first, size_t count, float *w, struct err *e)
{
    const struct moved *m = ctx;

    (void)e;
    for (size_t i = 0; i < count * m->K; i++) {
        const size_t at = first * m->K + i;
        const float v = m->w[at] * (1 + (float)(at % 13) / 1024);

        w[i] = m->rounded ? bf16_to_f32(f32_to_bf16(v)) : v;
    }
    return 0;
}

static void load(const char *dir, struct model *m, struct block *b, int rounded)
{
    struct err err = {0};
    const struct sites *s = model_sites(m);
    struct par *p = par_open(1, &err);
    struct model *plain = open_with(dir, PRODUCTS_F32, p);
    struct block *source = block_open(plain, 0, &err);

    must(block_load_all(source, &err) == 0);
    for (size_t i = s->first[0]; i < s->end[0]; i++)
        for (size_t l = 0; l < s->site[i].count; l++) {
            struct moved x = {block_linear(source, i - s->first[0], l), s->site[i].inputs, rounded};

            must(block_set_linear(b, i - s->first[0], l, &(struct weights_source){moved_rows, &x},
                                  &err) == 0);
        }
    block_close(&source);
    model_close(&plain);
    par_close(&p);
}

/* Of all numbers together, beside the first ones. */
static double distance(const float *a, const float *b, size_t n)
{
    double d = 0, all = 0;

    for (size_t i = 0; i < n; i++) {
        d += pow((double)a[i] - (double)b[i], 2);
        all += pow((double)a[i], 2);
    }
    return n ? sqrt(d / all) : 0;
}

struct pair {
    struct model *m[2];
    struct block *b[2];
    float *h[2];
    char *kept[2];
};

static void both_step(struct pair *x, size_t stop, const struct rows *r)
{
    struct err err = {0};

    for (int i = 0; i < 2; i++)
        must(block_step(x->b[i], stop, r, x->h[i], DT_BF16, x->kept[i], &err) == 0);
}

/* The rows of the sites that stand at the stop, before they are rounded. Those that attention made
 * are 2^-7 apart at most, where it rounds queries, keys, values and weights, and do not count. */
static double rows_distance(const struct pair *x, size_t stop, const struct rows *r)
{
    struct err err = {0};
    const struct sites *s = model_sites(x->m[0]);
    struct block_rows rows[2];
    double most = 0;

    for (size_t k = s->first[0]; k < s->end[0]; k++) {
        if (s->site[k].stop != stop)
            continue;
        for (int i = 0; i < 2; i++)
            must(block_site_rows(x->b[i], k - s->first[0], r, DT_BF16, &rows[i], &err) == 0);
        assert_int_equal(rows[0].count, rows[1].count);
        const double d = distance(rows[0].x, rows[1].x, rows[0].count * s->site[k].inputs);

        if (strcmp(s->site[k].name, "attn.o") == 0)
            assert_true(d <= ldexp(1, -7));
        else
            most = fmax(most, d);
    }
    return most;
}

/* The first block of a model as forward runs it, with plain products and with others: the largest
 * distance of what comes out of a step that both began with the same numbers. */
static double walk(const char *dir, enum products products, int rounded, size_t threads)
{
    struct err err = {0};
    struct par *p = par_open(threads, &err);
    struct pair x = {.m = {open_with(dir, PRODUCTS_F32, p), open_with(dir, products, p)}};
    const size_t d = model_config(x.m[0])->d, bytes = T * model_kept(x.m[0], DT_BF16);
    const int32_t lengths[] = {T - 19, 19};
    const struct rows r = {.T = T, .nseq = 2, .lengths = lengths};
    int32_t ids[T];
    double most = 0;

    for (size_t t = 0; t < T; t++)
        ids[t] = (int32_t)(t * 37 % 100);
    for (int i = 0; i < 2; i++) {
        must(x.b[i] = block_open(x.m[i], 0, &err));
        x.h[i] = run_array(T * d);
        must(x.kept[i] = mem_array(bytes, 1, &err));
        must(model_embed(x.m[i], ids, T, x.h[i], &err) == 0);
        load(dir, x.m[i], x.b[i], i == 0 && rounded);
    }
    for (size_t s = 0; s <= block_stops(x.b[0]); s++) {
        both_step(&x, s, &r);
        most = fmax(most, distance(x.h[0], x.h[1], T * d));
        memcpy(x.h[1], x.h[0], T * d * sizeof *x.h[0]);
        if (s == block_stops(x.b[0]))
            break;
        most = fmax(most, rows_distance(&x, s, &r));
        block_keep(x.b[0], s, &r, DT_BF16, x.kept[0]);
        memcpy(x.kept[1], x.kept[0], bytes);
    }
    for (int i = 0; i < 2; i++) {
        block_close(&x.b[i]);
        model_close(&x.m[i]);
        free(x.h[i]);
        free(x.kept[i]);
    }
    par_close(&p);
    return most;
}

/* Sums of K terms err by K u at most, u = 2^-24; weights with their rest by 2^-18 each, at random,
 * and attention and gates hand that on; weights alone by up to 2^-9. */
static void blocks_case(const char *dir)
{
    assert_true(walk(dir, PRODUCTS_BF16, 1, 1) <= WIDEST * FLT_EPSILON / 2);
    assert_true(walk(dir, PRODUCTS_BF16, 1, 2) <= WIDEST * FLT_EPSILON / 2);
    assert_true(walk(dir, PRODUCTS_BF16X2, 0, 1) <= ldexp(1, -15));
    assert_true(walk(dir, PRODUCTS_BF16, 0, 1) >= ldexp(1, -12));
    assert_true(walk(dir, PRODUCTS_BF16, 0, 1) <= ldexp(1, -7));
}

static void test_blocks(void **state)
{
    (void)state;
    blocks_case("tests/golden/conformance/llama3");
    blocks_case("tests/golden/conformance/qwen3");
}

/* Experts, whose rows are parts of a slot; a router and a shared expert, which read the same. */
static void test_blocks_of_experts(void **state)
{
    shared_or_skip(mixtral, "data/conformance/mixtral");
    shared_or_skip(shared, "data/conformance/qwen2_moe");
    (void)state;
    blocks_case(mixtral);
    blocks_case(shared);
}

/* A model that learns has its weights in f32 too; what is written there is multiplied once
 * block_written() was told. */
static void test_learning(void **state)
{
    struct err err = {0};
    struct par *p = par_open(3, &err);
    const char *dir = "tests/golden/conformance/llama3";
    struct model *m = open_with(dir, PRODUCTS_BF16, p);
    struct block *b = block_open(m, 0, &err);
    const size_t n = T * model_config(m)->d;
    const int32_t length = T;
    const struct rows r = {.T = T, .nseq = 1, .lengths = &length};
    float *h[3];

    (void)state;
    for (size_t k = 0; k < 3; k++) {
        h[k] = run_array(n);
        for (size_t i = 0; i < n; i++)
            h[k][i] = (float)(i * 7919 % 1009) / 500 - 1;
    }
    must(block_load_all(b, &err) == 0);
    assert_null(block_linear(b, 0, 0));
    load(dir, m, b, 0);
    must(block_forward(b, &r, h[0], &err) == 0);
    block_close(&b);
    model_close(&m);
    must(m = model_open_for(dir, &(struct model_use){.products = PRODUCTS_BF16, .learns = 1}, p,
                            &err));
    must(b = block_open(m, 0, &err));
    load(dir, m, b, 0);
    must(block_forward(b, &r, h[1], &err) == 0);
    assert_memory_equal(h[0], h[1], n * sizeof **h);
    for (size_t i = 0; i < model_sites(m)->site[0].inputs; i++)
        block_linear(b, 0, 0)[i] = 1;
    must(block_written(b, &err) == 0);
    must(block_forward(b, &r, h[2], &err) == 0);
    assert_true(distance(h[1], h[2], n) > 0);
    block_linear(b, 0, 0)[5] = FLT_MAX;
    assert_int_equal(block_written(b, &err), -1);
    assert_int_equal(err.kind, ERR_DATA);
    assert_non_null(strstr(err.text, "q_proj"));
    assert_non_null(strstr(err.text, "--products f32"));
    for (size_t k = 0; k < 3; k++)
        free(h[k]);
    block_close(&b);
    model_close(&m);
    par_close(&p);
}

/* By threads and in the room of others: what weights16_make makes. */
static void test_rounding_again(void **state)
{
    enum { N = 300, K = 500 };
    float *w = run_array(N * K);
    struct array a = {.w = w, .K = K, .fail_at = N};
    const struct weights_source from = {array_rows, &a};
    struct err e = {0};
    struct par *p = par_open(3, &e);
    struct weights16 h, again = {0};

    (void)state;
    for (int rest = 1; rest >= 0; rest--) {
        for (size_t i = 0; i < N * K; i++)
            w[i] = ((float)(i * 7919 % 10007) - 5000.3f) / (9973.0f + (float)rest);
        assert_int_equal(weights16_make(&h, N, K, rest, &from, &e), 0);
        assert_int_equal(weights16_round(&again, p, N, K, rest, w, &e), 0);
        assert_memory_equal(h.w, again.w, N * K * sizeof *h.w);
        if (rest)
            assert_memory_equal(h.rest, again.rest, N * K * sizeof *h.w);
        weights16_release(&h);
    }
    for (size_t i = 0; i < N * K; i++)
        w[i] = 0.5f;
    assert_int_equal(weights16_round(&again, p, N, K, 1, w, &e), 0);
    assert_null(again.rest); /* all of it was held */
    w[N * K - 1] = -FLT_MAX;
    assert_int_equal(weights16_round(&again, p, N, K, 0, w, &e), -1);
    assert_int_equal(e.kind, ERR_DATA);
    weights16_release(&again);
    par_close(&p);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights), cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_blocks_of_experts), cmocka_unit_test(test_learning),
        cmocka_unit_test(test_rounding_again)};
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("products", tests, NULL, NULL);
}

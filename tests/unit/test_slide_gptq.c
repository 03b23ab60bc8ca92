/* SPDX-License-Identifier: Apache-2.0 */
/* test_slide_gptq - the last rounding of a block: codes against a plain GPTQ (Gauss-Jordan, one
 * weight after the other) on scales that were learned; the same bytes for any number of threads;
 * weights of tokens; and a site without rows, which stays as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../common/base/rng.h"
#include "../../stages/slide/slide_gptq.h"
#include "model_run.h"

#define OWN "tests/golden/conformance/qwen3"
#define DAMP 0.01

enum { ROWS = 96 };
static const int32_t lengths[] = {37, 59};

struct run {
    struct par *par;
    struct model *m;
    struct slide_shape shape;
    struct slide_block *b;
    struct slide_part part[2];
    struct slide_data data;
    uint8_t **codes;
    struct inverse_used *used;
};

static void run_open(struct run *r, size_t threads, float weight)
{
    struct err err = {0};
    struct rng rng;
    size_t n;

    *r = (struct run){.par = par_open(threads, &err)};
    must(r->m = model_open(OWN, r->par, &err));
    r->shape = (struct slide_shape){.grid = grid_find("asym"),
                                    .bits = 2,
                                    .group = 16,
                                    .scale_type = DT_F32,
                                    .rank = 4,
                                    .clips = 1};
    must(r->b = slide_block_open(r->m, 0, &r->shape, 1, &err));
    n = ROWS * model_config(r->m)->d;
    r->part[0] = (struct slide_part){0, {.T = 37, .nseq = 1, .lengths = lengths}};
    r->part[1] = (struct slide_part){37, {.T = 59, .nseq = 1, .lengths = lengths + 1}};
    r->data = (struct slide_data){.m = r->m, .part = r->part, .parts = 2, .T = ROWS};
    r->data.quantized = run_array(n);
    r->data.weight = weight < 0 ? NULL : run_array(ROWS);
    rng_seed(&rng, 9, 0);
    for (size_t i = 0; i < n; i++)
        r->data.quantized[i] = (float)rng_normal(&rng);
    for (size_t i = 0; r->data.weight && i < ROWS; i++)
        r->data.weight[i] = weight * (float)(1 + i % 5);
    must(r->codes = mem_array(r->b->count, sizeof *r->codes, &err));
    must(r->used = mem_array(r->b->count, sizeof *r->used, &err));
    for (size_t i = 0; i < r->b->count; i++) { /* as if it had been learned */
        struct slide_linear *l = &r->b->linear[i];

        for (size_t k = 0; k < l->b.n; k++)
            l->b.x[k] = (float)(0.01 * rng_normal(&rng));
        for (size_t k = 0; k < l->lo.n; k++)
            l->lo.x[k] = l->hi.x[k] = 1;
        must(r->codes[i] = mem_raw(l->N * l->K, 1, &err));
        must(slide_linear_round(l, r->par, slide_block_out(r->b, i), r->codes[i], &err) == 0);
    }
}

static void run_close(struct run *r)
{
    for (size_t i = 0; i < r->b->count; i++)
        free(r->codes[i]);
    free(r->codes);
    free(r->used);
    free(r->data.quantized);
    free(r->data.weight);
    slide_block_close(&r->b);
    model_close(&r->m);
    par_close(&r->par);
}

static void round_all(struct run *r)
{
    const struct slide_gptq g = {&r->data, r->par, DAMP};
    struct err err = {0};

    must(slide_gptq_block(&g, r->b, r->codes, r->used, &err) == 0);
}

/* ---- a plain GPTQ ---- */

struct hessian {
    struct run *r;
    size_t K, first;
    double *h;
};

/* Of the first site, which reads what the norm makes. */
static int gather(void *ctx, size_t stop, const struct rows *rows, struct err *e)
{
    const struct hessian *x = ctx;
    struct block_rows r;

    if (stop)
        return 0;
    assert_int_equal(block_site_rows(x->r->b->b, 0, rows, DT_F32, &r, e), 0);
    for (size_t t = 0; t < r.count; t++)
        for (size_t i = 0; i < x->K; i++)
            for (size_t k = 0; k < x->K; k++)
                x->h[i * x->K + k] +=
                    (x->r->data.weight ? (double)x->r->data.weight[x->first + t] : 1) *
                    (double)r.x[t * x->K + i] * (double)r.x[t * x->K + k];
    return 0;
}

static void invert(double *a, size_t n)
{
    for (size_t p = 0; p < n; p++) {
        const double d = a[p * n + p];

        a[p * n + p] = 1;
        for (size_t k = 0; k < n; k++)
            a[p * n + k] /= d;
        for (size_t i = 0; i < n; i++) {
            const double f = a[i * n + p];

            if (i == p)
                continue;
            a[i * n + p] = 0;
            for (size_t k = 0; k < n; k++)
                a[i * n + k] -= f * a[p * n + k];
        }
    }
}

/* The largest diagonal first; the errors go by the inverse of what is left of H. */
static size_t *order_of(const double *h, size_t K)
{
    struct err err = {0};
    size_t *order = mem_array(K, sizeof *order, &err);

    must(order);
    for (size_t k = 0; k < K; k++) {
        size_t at = 0;

        for (size_t i = 0; i < K; i++)
            at += h[i * K + i] > h[k * K + k];
        order[at] = k;
    }
    return order;
}

static void plain_gptq(const struct slide_linear *l, const double *hessian, uint8_t *codes)
{
    struct err err = {0};
    const size_t K = l->K;
    size_t *order = order_of(hessian, K);
    double *h = mem_array(K * K, sizeof *h, &err), *w = mem_array(l->N * K, sizeof *w, &err),
           mean = 0;

    must(h && w);
    for (size_t k = 0; k < K; k++)
        mean += hessian[k * K + k] / (double)K;
    for (size_t i = 0; i < K * K; i++)
        h[i] = hessian[i] + (i % (K + 1) ? 0 : DAMP * mean);
    invert(h, K);
    for (size_t n = 0; n < l->N; n++)
        slide_linear_target(l, n, w + n * K);
    for (size_t j = 0; j < K; j++) {
        const size_t c = order[j];

        for (size_t n = 0; n < l->N; n++) {
            const size_t at = n * l->G + c / l->width;
            double *x = w + n * K, q = nearbyint(x[c] / l->scale[at]) + l->zero[at], by;

            q = q < 0 ? 0 : q > 3 ? 3 : q;
            codes[n * K + c] = (uint8_t)q;
            by = (x[c] - l->scale[at] * (q - l->zero[at])) / h[c * K + c];
            for (size_t i = j; i < K; i++)
                x[order[i]] -= by * h[c * K + order[i]];
        }
        for (size_t i = j + 1; i < K; i++) /* the inverse without c */
            for (size_t k = j + 1; k < K; k++)
                h[order[i] * K + order[k]] -=
                    h[order[i] * K + c] * h[c * K + order[k]] / h[c * K + c];
    }
    free(order);
    free(h);
    free(w);
}

static void check_plain(float weight)
{
    struct err err = {0};
    struct run r;
    struct hessian x;
    uint8_t *want;
    size_t nearest = 0;

    run_open(&r, 1, weight);
    x = (struct hessian){.r = &r, .K = r.b->linear[0].K};
    must(x.h = mem_array(x.K * x.K, sizeof *x.h, &err));
    for (size_t i = 0; i < 2; i++) {
        const size_t n = r.part[i].rows.T * model_config(r.m)->d;
        float *h = run_array(n);

        memcpy(h, r.data.quantized + r.part[i].first * model_config(r.m)->d, n * sizeof *h);
        x.first = r.part[i].first;
        must(slide_block_walk(r.b, &r.part[i].rows, h, gather, &x, &err) == 0);
        free(h);
    }
    for (size_t i = 0; i < 3; i++) { /* q, k, v */
        const struct slide_linear *l = &r.b->linear[i];

        must(want = mem_raw(l->N * l->K, 1, &err));
        plain_gptq(l, x.h, want);
        if (i == 0)
            round_all(&r);
        assert_memory_equal(r.codes[i], want, l->N * l->K);
        for (size_t k = 0; k < l->N * l->K; k++) { /* the block holds what they stand for */
            const size_t at = k / l->K * l->G + k % l->K / l->width;

            assert_true(slide_block_out(r.b, i)[k] ==
                        (float)(l->scale[at] * ((double)want[k] - (double)l->zero[at])));
        }
        must(slide_linear_round(&r.b->linear[i], r.par, slide_block_out(r.b, i), want, &err) == 0);
        nearest += memcmp(want, r.codes[i], l->N * l->K) == 0;
        free(want);
    }
    assert_int_equal(nearest, 0); /* it is not what rounding to nearest gives */
    assert_null(r.used[0].fallback);
    assert_int_equal(r.used[0].attempts, 1);
    free(x.h);
    run_close(&r);
}

static void codes_are_those_of_a_plain_gptq(void **state)
{
    (void)state;
    check_plain(-1);
    check_plain(0.5F);
}

static void bytes_do_not_depend_on_threads(void **state)
{
    struct run r[2];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        run_open(&r[i], 1 + 2 * i, -1);
        round_all(&r[i]);
    }
    for (size_t i = 0; i < r[0].b->count; i++)
        assert_memory_equal(r[0].codes[i], r[1].codes[i],
                            r[0].b->linear[i].N * r[0].b->linear[i].K);
    for (size_t i = 0; i < 2; i++)
        run_close(&r[i]);
}

static void sites_without_rows_stay(void **state)
{
    struct run r[2];

    (void)state;
    for (size_t i = 0; i < 2; i++)
        run_open(&r[i], 1, -1);
    r[0].data.parts = 0;
    round_all(&r[0]);
    for (size_t i = 0; i < r[0].b->count; i++)
        assert_memory_equal(r[0].codes[i], r[1].codes[i],
                            r[0].b->linear[i].N * r[0].b->linear[i].K);
    assert_string_equal(r[0].used[0].fallback, "rtn");
    for (size_t i = 0; i < 2; i++)
        run_close(&r[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_those_of_a_plain_gptq),
        cmocka_unit_test(bytes_do_not_depend_on_threads),
        cmocka_unit_test(sites_without_rows_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* model_run - a whole forward pass and comparison with golden tensors, for the tests of
 * common/model. Include after cmocka.h. */
#ifndef PTQ_TEST_MODEL_RUN_H
#define PTQ_TEST_MODEL_RUN_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/model/model.h"

#define must(expr)                               \
    do {                                         \
        if (!(expr))                             \
            fail_msg("%s: %s", #expr, err.text); \
    } while (0)

static inline float *run_array(size_t n)
{
    struct err err = {0};
    float *x = mem_raw(n ? n : 1, sizeof *x, &err);

    must(x);
    return x;
}

/* Hidden states after the final norm, [T,d]. */
static inline float *run_hidden(struct model *m, const struct rows *r, const int32_t *ids)
{
    struct err err = {0};
    const struct config *c = model_config(m);
    float *h = run_array(r->T * config_row(c));

    must(model_embed(m, ids, r->T, h, &err) == 0);
    for (size_t i = 0; i < c->layers; i++) {
        struct block *b = block_open(m, i, &err);

        must(b);
        must(block_load_all(b, &err) == 0);
        must(block_forward(b, r, h, &err) == 0);
        block_close(&b);
    }
    must(model_final_norm(m, r->T, h, &err) == 0);
    return h;
}

static inline float *run_logits(struct model *m, const int32_t *ids, size_t T)
{
    struct err err = {0};
    const int32_t length = (int32_t)T;
    const struct rows r = {.T = T, .nseq = 1, .lengths = &length};
    float *h = run_hidden(m, &r, ids), *logits = run_array(T * model_config(m)->vocab);

    must(model_logits(m, T, h, logits, &err) == 0);
    free(h);
    return logits;
}

static inline size_t run_argmax(const float *x, size_t n)
{
    size_t best = 0;

    for (size_t i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

/* -log softmax(x)[id] in f64 */
static inline double run_nll(const float *x, size_t n, size_t id)
{
    double sum = 0.0, top = (double)x[run_argmax(x, n)];

    for (size_t i = 0; i < n; i++)
        sum += exp((double)x[i] - top);
    return log(sum) + top - (double)x[id];
}

static inline double run_distance(const float *a, const float *b, size_t n)
{
    double worst = 0.0;

    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);

        if (!(d <= worst)) /* NaN too */
            worst = d;
    }
    return worst;
}

static inline const struct st_entry *run_find(const struct st_set *g, const char *name)
{
    const struct st_entry *x = st_find(g, name);

    if (!x)
        fail_msg("golden has no '%s'", name);
    return x;
}

/* A golden f32 tensor, whole. */
static inline float *run_golden(const struct st_set *g, const char *name, size_t *n)
{
    struct err err = {0};
    const struct st_entry *x = run_find(g, name);
    struct tensor t;
    float *out;

    assert_int_equal(x->dtype, DT_F32);
    must(st_load(g, x, &t, &err) == 0);
    *n = tensor_elements(&t);
    out = run_array(*n);
    memcpy(out, t.data, t.bytes);
    tensor_release(&t);
    return out;
}

static inline int32_t *run_ids(const struct st_set *g, const char *name, size_t *n)
{
    struct err err = {0};
    const struct st_entry *x = run_find(g, name);
    struct tensor t;
    int32_t *out;

    assert_int_equal(x->dtype, DT_I64);
    must(st_load(g, x, &t, &err) == 0);
    *n = tensor_elements(&t);
    out = mem_array(*n, sizeof *out, &err);
    must(out);
    for (size_t i = 0; i < *n; i++)
        out[i] = (int32_t)((const int64_t *)t.data)[i];
    tensor_release(&t);
    return out;
}

/* x must lie within tolerance of the golden tensor everywhere. */
static inline void run_compare(const struct st_set *g, const char *name, const float *x, size_t n,
                               double tolerance)
{
    size_t count;
    float *want = run_golden(g, name, &count);
    double d;

    assert_int_equal(count, n);
    d = run_distance(x, want, n);
    if (!(d <= tolerance))
        fail_msg("%s: differs by %g, allowed %g", name, d, tolerance);
    free(want);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* format_dense - ordinary weights: same names, shapes and types as the source, config.json as it
 * was. A quantized weight is what its code stands for, once rounded to f32 (coded.h) and once from
 * there to the source's type. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "engine.h"

#define ROWS 64 /* converted at a time */

/* Every grid that a solution can have is a set of numbers. */
static int check(const struct format_linear *l, struct err *e)
{
    (void)l;
    (void)e;
    return 0;
}

static int weight_name(const char *linear, char out[TENSOR_NAME], struct err *e)
{
    const int n = snprintf(out, TENSOR_NAME, "%s.weight", linear);

    return n > 0 && n < TENSOR_NAME ? 0
                                    : err_set(e, ERR_USE, "'%s.weight': a name too long", linear);
}

static int tensors(const struct format_linear *l, struct format_tensor t[FORMAT_TENSORS],
                   struct err *e)
{
    memset(t, 0, sizeof *t);
    if (weight_name(l->name, t->name, e))
        return -1;
    t->dtype = l->source_type;
    t->ndim = 2;
    t->shape[0] = l->N;
    t->shape[1] = l->K;
    return 1;
}

static int put(const struct format_linear *l, const struct coded *c, format_emit *emit, void *ctx,
               struct err *e)
{
    const size_t width = dtype_size(l->source_type), step = l->N < ROWS ? l->N : ROWS;
    unsigned char *out = mem_raw(l->N * l->K, width, e);
    float *rows = out ? mem_raw(step * l->K, sizeof *rows, e) : NULL;
    struct format_tensor d[FORMAT_TENSORS];
    struct tensor t;
    int rc = -1;

    if (!rows || tensors(l, d, e) < 0)
        goto out;
    for (size_t n = 0; n < l->N; n += step) {
        const size_t count = l->N - n < step ? l->N - n : step;

        if (coded_decode(c, n, count, rows, e))
            goto out;
        dtype_from_f32(l->source_type, rows, count * l->K, out + n * l->K * width);
    }
    if (tensor_borrow(&t, l->name, l->source_type, 2, d->shape, out, e))
        goto out;
    if (tensor_count_bad(&t))
        err_set(e, ERR_USE, "'%s': dequantized weights do not fit type %s", l->name,
                dtype_name(l->source_type));
    else
        rc = emit(ctx, d->name, out, t.bytes, e);
out:
    free(rows);
    free(out);
    return rc;
}

/* ---- reading ---- */

static int missing(const struct format_source *s, const char *name, const char *full, struct err *e)
{
    return err_set(e, ERR_USE, "%s: tensor '%s' is missing%s", s->dir, full,
                   format_packed(s->set, name)
                       ? ": the model is quantized already, and config.json does not say how"
                       : "");
}

static int find(const void *spec, const struct format_source *s, const char *name, size_t N,
                size_t K, struct err *e)
{
    const uint64_t shape[2] = {N, K};
    char full[TENSOR_NAME], want[96], got[96];
    const struct st_entry *x;

    (void)spec;
    if (weight_name(name, full, e))
        return -1;
    if (!(x = st_find(s->set, full)))
        return missing(s, name, full, e);
    if (format_check_float(s->set, x, "config.json has no quantization_config that says how", e) <
        0)
        return -1;
    if (x->ndim == 2 && memcmp(x->shape, shape, sizeof shape) == 0)
        return 0;
    tensor_shape_text(2, shape, want, sizeof want);
    tensor_shape_text(x->ndim, x->shape, got, sizeof got);
    return err_set(e, ERR_USE, "%s: tensor '%s' has shape %s, config.json wants %s",
                   s->set->paths[x->shard], full, got, want);
}

static int load(const void *spec, const struct format_source *s, const char *name, size_t N,
                size_t K, float *w, struct err *e)
{
    char full[TENSOR_NAME];
    const struct st_entry *x;

    (void)spec;
    (void)K;
    if (weight_name(name, full, e))
        return -1;
    if (!(x = st_find(s->set, full)))
        return missing(s, name, full, e);
    return st_load_finite_f32(s->set, x, 0, N, w, e);
}

/* Weights like the source's: what reads that reads these. These two were tried. */
static const struct engine engines[] = {
    {.name = "transformers",
     .bits = ~0u,
     .floats = 1,
     .zeros = 1,
     .kept = 1,
     .mixed = 1,
     .parts = 1,
     .head = 1,
     .permuted = 1,
     .use = "AutoModelForCausalLM.from_pretrained(\"DIR\")"},
    {.name = "vLLM",
     .bits = ~0u,
     .floats = 1,
     .zeros = 1,
     .kept = 1,
     .mixed = 1,
     .parts = 1,
     .head = 1,
     .permuted = 1,
     .use = "vllm serve DIR"},
    {.name = "SGLang",
     .bits = ~0u,
     .floats = 1,
     .zeros = 1,
     .kept = 1,
     .mixed = 1,
     .parts = 1,
     .head = 1,
     .permuted = 1,
     .use = SGLANG,
     .untried = 1},
    {.name = NULL},
};

extern const struct format format_dense;
const struct format format_dense = {
    .name = "dense",
    .title = "dense",
    .towers = 1,
    .beside = 1,
    .about = "dequantized weights in the types of the source, for any reader",
    .stacks = 1,
    .check = check,
    .tensors = tensors,
    .put = put,
    .engines = engines,
    .find = find,
    .load = load,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* format_ct_float - linears of compressed-tensors on grids of floating-point numbers:
 *   float-quantized       P.weight F8_E4M3 [N,K], P.weight_scale F16 or BF16 [N,1]
 *   nvfp4-pack-quantized  P.weight_packed U8 [N,K/2], P.weight_scale F8_E4M3 [N,K/16],
 *                         P.weight_global_scale F32 [1]: the inverse of the tensor's scale
 *   mxfp4-pack-quantized  P.weight_packed U8 [N,K/2], P.weight_scale U8 [N,K/32]: E8M0
 * Two codes of 4 bits a byte, the first one low. Read are also FP8 with one scale for the tensor,
 * for groups, or for blocks of rows and columns. */
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "format_ct.h"

const char *ct_format_name(const struct grid *g)
{
    return strcmp(g->name, "fp8") == 0     ? CT_FP8
           : strcmp(g->name, "nvfp4") == 0 ? CT_NVFP4
           : strcmp(g->name, "mxfp4") == 0 ? CT_MXFP4
                                           : CT_FORMAT;
}

static int is_fp8(const struct grid *g)
{
    return g->bits == GRID_BIT(8);
}

int ct_float_check(const struct format_linear *l, struct err *e)
{
    if (l->grid->table)
        return err_set(e, ERR_USE,
                       "'%s': the %s format has no place for the table that grid %s has for each "
                       "row: write --format dense",
                       l->name, CT_METHOD, l->grid->name);
    if (is_fp8(l->grid) && l->group && l->group != -1)
        return err_set(
            e, ERR_USE,
            "'%s': compressed-tensors holds FP8 with a scale for each row, which engines "
            "multiply with after the product: say --group -1, not %lld",
            l->name, (long long)l->group);
    if (is_fp8(l->grid) && l->scale_type != DT_COUNT && l->scale_type != DT_F16 &&
        l->scale_type != DT_BF16)
        return err_set(e, ERR_USE,
                       "'%s': FP8 has scales of type F16 or BF16 in the %s format, not %s: solve "
                       "with --scale-type bf16",
                       l->name, CT_METHOD, dtype_name(l->scale_type));
    if (l->grid->group && l->K % (size_t)l->grid->group)
        return err_set(e, ERR_USE,
                       "'%s': groups of %lld, which grid %s has, do not divide %zu "
                       "inputs",
                       l->name, (long long)l->grid->group, l->grid->name, l->K);
    return 0;
}

int ct_float_tensors(const struct format_linear *l, struct format_tensor t[FORMAT_TENSORS],
                     struct err *e)
{
    const enum dtype type = l->scale_type == DT_F8_E8M0 ? DT_U8 : l->scale_type;

    if ((is_fp8(l->grid)
             ? packed_describe(&t[0], l->name, "weight", DT_F8_E4M3, l->N, l->K, e)
             : packed_describe(&t[0], l->name, "weight_packed", DT_U8, l->N, l->K / 2, e)) ||
        packed_describe(&t[1], l->name, "weight_scale", type, l->N, l->G, e))
        return -1;
    if (!l->grid->tensor_scale)
        return 2;
    return packed_describe(&t[2], l->name, "weight_global_scale", DT_F32, 1, 0, e) ? -1 : 3;
}

static int put_codes(const struct format_linear *l, const struct coded *c, format_emit *emit,
                     void *ctx, struct err *e)
{
    const size_t n = l->N * l->K;
    uint8_t *pairs;
    int rc;

    if (is_fp8(l->grid))
        return packed_put(emit, ctx, l->name, "weight", c->codes, n, e);
    if (!(pairs = mem_raw(n / 2, 1, e)))
        return -1;
    for (size_t i = 0; i < n / 2; i++)
        pairs[i] = (uint8_t)(c->codes[2 * i] | c->codes[2 * i + 1] << 4);
    rc = packed_put(emit, ctx, l->name, "weight_packed", pairs, n / 2, e);
    free(pairs);
    return rc;
}

int ct_float_put(const struct format_linear *l, const struct coded *c, format_emit *emit, void *ctx,
                 struct err *e)
{
    const float inverse = (float)(1.0 / c->tensor_scale);

    if (put_codes(l, c, emit, ctx, e) < 0 ||
        packed_put(emit, ctx, l->name, "weight_scale", c->scales,
                   l->N * l->G * dtype_size(c->scale_type), e))
        return -1;
    return l->grid->tensor_scale
               ? packed_put(emit, ctx, l->name, "weight_global_scale", &inverse, sizeof inverse, e)
               : 0;
}

/* ---- reading ---- */

static size_t blocks_of(size_t n, size_t each)
{
    return n / each + (n % each != 0);
}

/* Rows and columns of the scales, and how many rows have the same. */
static void scales_shape(const struct ct_kind *k, size_t N, size_t K, uint64_t shape[2])
{
    shape[0] = k->rows ? blocks_of(N, k->rows) : N;
    shape[1] = grid_groups(K, k->group);
}

/* One scale: a vector of one, or a number without dimensions. */
static int whole_check(const struct format_source *from, const char *name, struct err *e)
{
    const struct st_entry *x = packed_part(from, name, "weight_scale");

    if (x && x->ndim == 0 && dtype_is_float(x->dtype))
        return 0;
    return packed_part_is(from, name, "weight_scale", DT_COUNT, 1, (const uint64_t[]){1}, e);
}

int ct_float_find(const struct ct_kind *k, const struct format_source *from, const char *name,
                  size_t N, size_t K, struct err *e)
{
    const enum dtype scale = strcmp(k->grid->name, "mxfp4") == 0   ? DT_U8
                             : strcmp(k->grid->name, "nvfp4") == 0 ? DT_F8_E4M3
                                                                   : DT_COUNT;
    uint64_t shape[2];

    scales_shape(k, N, K, shape);
    if (k->grid->group && K % (size_t)k->grid->group)
        return err_set(e, ERR_USE, "%s: '%s': groups of %lld do not divide %zu inputs", from->dir,
                       name, (long long)k->grid->group, K);
    if (is_fp8(k->grid)
            ? packed_part_is(from, name, "weight", DT_F8_E4M3, 2, (const uint64_t[]){N, K}, e)
            : packed_part_is(from, name, "weight_packed", DT_U8, 2, (const uint64_t[]){N, K / 2},
                             e))
        return -1;
    if (k->whole
            ? whole_check(from, name, e)
            : packed_part_is(from, name, k->part ? k->part : "weight_scale", scale, 2, shape, e))
        return -1;
    return k->grid->tensor_scale ? packed_part_is(from, name, "weight_global_scale", DT_F32, 1,
                                                  (const uint64_t[]){1}, e)
                                 : 0;
}

static int read_codes(const struct ct_kind *k, const struct format_source *from, const char *name,
                      struct packed *p, struct err *e)
{
    const size_t n = p->N * p->K;
    const uint8_t *stored;
    struct tensor t;
    int rc = 0;

    if (packed_part_load(from, name, is_fp8(k->grid) ? "weight" : "weight_packed", &t, e) < 0)
        return -1;
    stored = t.data;
    if (is_fp8(k->grid) && tensor_count_bad(&t))
        rc = err_set(e, ERR_USE, "%s: tensor '%s.weight' holds NaN", from->dir, name);
    else if (is_fp8(k->grid))
        memcpy(p->codes, stored, n);
    for (size_t i = 0; !is_fp8(k->grid) && i < n; i++)
        p->codes[i] = stored[i / 2] >> (i % 2 * 4) & 15;
    tensor_release(&t);
    return rc;
}

/* One number of F32 that must be above 0 and finite. */
static int read_global(const struct format_source *from, const char *name, double *scale,
                       struct err *e)
{
    struct tensor t;
    float inverse;

    if (packed_part_load(from, name, "weight_global_scale", &t, e) < 0)
        return -1;
    memcpy(&inverse, t.data, sizeof inverse);
    tensor_release(&t);
    if (!(inverse > 0) || inverse > 3e38f)
        return err_set(e, ERR_USE, "%s: tensor '%s.weight_global_scale' is %g", from->dir, name,
                       (double)inverse);
    *scale = 1.0 / (double)inverse;
    return 0;
}

static int read_scales(const struct ct_kind *k, const struct format_source *from, const char *name,
                       struct packed *p, struct err *e)
{
    const char *part = k->part ? k->part : "weight_scale";
    const size_t rows = k->whole ? p->N : k->rows ? k->rows : 1;
    float *read = NULL;
    struct tensor t;
    int rc = -1;

    if (packed_part_load(from, name, part, &t, e) < 0)
        return -1;
    if (t.dtype == DT_U8)
        t.dtype = DT_F8_E8M0;
    p->scale_type = t.dtype;
    if (tensor_count_bad(&t))
        err_set(e, ERR_USE, "%s: tensor '%s.%s' holds NaN or infinite numbers", from->dir, name,
                part);
    else if ((read = mem_raw(tensor_elements(&t), sizeof *read, e)))
        rc = dtype_to_f32(t.dtype, t.data, tensor_elements(&t), read);
    for (size_t n = 0; rc == 0 && n < p->N; n++)
        memcpy(p->scales + n * p->G, read + n / rows * p->G, p->G * sizeof *read);
    free(read);
    tensor_release(&t);
    return rc;
}

int ct_float_read(const struct ct_kind *k, const struct format_source *from, const char *name,
                  size_t N, size_t K, struct packed *p, struct err *e)
{
    if (packed_open_grid(p, k->grid, N, K, is_fp8(k->grid) ? 8 : 4, k->group, e) < 0)
        return -1;
    if (read_codes(k, from, name, p, e) == 0 && read_scales(k, from, name, p, e) == 0 &&
        (!k->grid->tensor_scale || read_global(from, name, &p->tensor_scale, e) == 0))
        return 0;
    packed_release(p);
    return -1;
}

/* weight F8_E4M3 [N,K], or weight_packed U8 [N,K/2], beside the scales x. */
int ct_float_look(const struct st_set *set, const struct st_entry *x, struct format_linear *l)
{
    const struct format_source from = {"", set};
    const struct st_entry *packed = packed_part(&from, l->name, "weight_packed"),
                          *w = packed ? packed : packed_part(&from, l->name, "weight");
    const int two = packed != NULL;

    if (w && !two && w->dtype == DT_I8)
        return ct_int_look(w, x, l);
    if (!w || w->ndim != 2 || w->dtype != (two ? DT_U8 : DT_F8_E4M3) || !w->shape[0] ||
        !w->shape[1] || w->shape[1] > SIZE_MAX / 8 || (two && x->ndim != 2) || x->ndim > 2)
        return 0;
    l->N = (size_t)w->shape[0];
    l->K = (size_t)w->shape[1] << two;
    l->bits = two ? 4 : 8;
    l->G = x->ndim == 2 ? (size_t)x->shape[1] : 1;
    l->group = l->G ? (int64_t)blocks_of(l->K, l->G) : 0;
    l->grid = grid_find(!two ? "fp8" : x->dtype == DT_U8 ? "mxfp4" : "nvfp4");
    return l->group != 0;
}

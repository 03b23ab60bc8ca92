/* SPDX-License-Identifier: Apache-2.0 */
/* packed - see packed.h. */
#include "packed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "grid_affine.h"

int packed_open_grid(struct packed *p, const struct grid *g, size_t N, size_t K, int bits,
                     int64_t group, struct err *e)
{
    *p = (struct packed){.N = N,
                         .K = K,
                         .G = grid_groups(K, group),
                         .bits = bits,
                         .group = group,
                         .grid = g,
                         .tensor_scale = 1.0,
                         .weight_type = DT_COUNT};
    if ((p->codes = mem_raw(N * K, 1, e)) && (!g->zeros || (p->zeros = mem_raw(N * p->G, 1, e))) &&
        (p->scales = mem_raw(N * p->G, sizeof *p->scales, e)) &&
        (!g->table || (p->table = mem_raw(N << bits, sizeof *p->table, e))))
        return 0;
    packed_release(p);
    return -1;
}

int packed_open(struct packed *p, size_t N, size_t K, int bits, int64_t group, struct err *e)
{
    return packed_open_grid(p, grid_find("asym"), N, K, bits, group, e);
}

void packed_release(struct packed *p)
{
    free(p->codes);
    free(p->zeros);
    free(p->scales);
    free(p->group_of);
    free(p->table);
    for (size_t i = 0; i < sizeof p->sparse_part / sizeof *p->sparse_part; i++)
        tensor_release(&p->sparse_part[i]);
    memset(p, 0, sizeof *p);
}

int packed_spread(const struct packed *p, struct packed *each, struct err *e)
{
    if (packed_open_grid(each, p->grid, p->N, p->K, p->bits, 1, e) < 0)
        return -1;
    each->scale_type = p->scale_type;
    each->tensor_scale = p->tensor_scale;
    each->weight_type = p->weight_type;
    memcpy(each->codes, p->codes, p->N * p->K);
    for (size_t n = 0; n < p->N; n++)
        for (size_t k = 0; k < p->K; k++) {
            const size_t at = n * p->G + (size_t)p->group_of[k];

            each->scales[n * p->K + k] = p->scales[at];
            if (p->zeros)
                each->zeros[n * p->K + k] = p->zeros[at];
        }
    return 0;
}

void packed_coded(const struct packed *p, enum dtype type, const void *scales, struct coded *c)
{
    *c = (struct coded){.grid = p->grid,
                        .N = p->N,
                        .K = p->K,
                        .G = p->G,
                        .bits = p->bits,
                        .group = p->group,
                        .codes = p->codes,
                        .scale_type = type,
                        .scales = scales,
                        .zeros = p->zeros,
                        .tensor_scale = p->tensor_scale,
                        .table = p->table,
                        .group_of = p->group_of,
                        .sparse = p->sparse};
}

int packed_weights(const struct packed *p, float *w, struct err *e)
{
    struct packed each;
    struct coded c;
    int rc;

    if (!p->group_of) {
        packed_coded(p, DT_F32, p->scales, &c);
        return coded_decode(&c, 0, p->N, w, e);
    }
    if (packed_spread(p, &each, e) < 0)
        return -1;
    rc = packed_weights(&each, w, e);
    packed_release(&each);
    return rc;
}

void packed_linear(const struct packed *p, struct format_linear *l)
{
    l->bits = p->bits;
    l->group = p->group;
    l->G = p->G;
    l->permuted = p->group_of != NULL;
    l->scale_type = p->scale_type;
    l->sparse = p->sparse.count;
    l->sparse_type = p->sparse.type;
    l->symmetric = 1;
    for (size_t i = 0; p->zeros && i < p->N * p->G && l->symmetric; i++)
        l->symmetric = p->zeros[i] == affine_middle(p->bits);
    l->grid = !affine_is(p->grid) ? p->grid : grid_find(l->symmetric ? "sym" : "asym");
}

/* ---- reading ---- */

const struct st_entry *packed_part(const struct format_source *s, const char *name,
                                   const char *part)
{
    char full[TENSOR_NAME + 32];

    snprintf(full, sizeof full, "%s.%s", name, part);
    return st_find(s->set, full);
}

int packed_part_check(const struct format_source *s, const char *name, const char *part, int real,
                      int ndim, const uint64_t *shape, struct err *e)
{
    return packed_part_is(s, name, part, real ? DT_COUNT : DT_I32, ndim, shape, e);
}

int packed_part_is(const struct format_source *s, const char *name, const char *part,
                   enum dtype type, int ndim, const uint64_t *shape, struct err *e)
{
    const int real = type == DT_COUNT;
    const struct st_entry *x = packed_part(s, name, part);
    char want[96], got[96];

    if (!x)
        return err_set(e, ERR_USE,
                       "%s: tensor '%s.%s' is missing (and '%s.weight' is not there either)",
                       s->dir, name, part, name);
    if (real ? !dtype_is_float(x->dtype) : x->dtype != type)
        return err_set(e, ERR_USE, "%s: tensor '%s' has type %s, %s is needed",
                       s->set->paths[x->shard], x->name, dtype_name(x->dtype),
                       real ? "a float type" : dtype_name(type));
    if (x->ndim == ndim && memcmp(x->shape, shape, (size_t)ndim * sizeof *shape) == 0)
        return 0;
    tensor_shape_text(ndim, shape, want, sizeof want);
    tensor_shape_text(x->ndim, x->shape, got, sizeof got);
    return err_set(e, ERR_USE, "%s: tensor '%s' has shape %s, config.json wants %s",
                   s->set->paths[x->shard], x->name, got, want);
}

int packed_part_load(const struct format_source *s, const char *name, const char *part,
                     struct tensor *t, struct err *e)
{
    return st_load(s->set, packed_part(s, name, part), t, e);
}

int packed_scales(struct packed *p, const struct format_source *s, const char *name,
                  const char *part, int by_group, struct err *e)
{
    const struct st_entry *x = packed_part(s, name, part);
    float *all = p->scales, *read = by_group ? mem_raw(p->N * p->G, sizeof *read, e) : all;
    struct tensor t;
    int rc = -1;

    if (!read || st_load_rows_f32(s->set, x, 0, x->shape[0], read, e) < 0 ||
        tensor_borrow(&t, x->name, DT_F32, x->ndim, x->shape, read, e) < 0)
        goto out;
    if (tensor_count_bad(&t)) {
        err_set(e, ERR_USE, "%s: tensor '%s' holds NaN or infinite numbers",
                s->set->paths[x->shard], x->name);
        goto out;
    }
    for (size_t n = 0; by_group && n < p->N; n++)
        for (size_t g = 0; g < p->G; g++)
            all[n * p->G + g] = read[g * p->N + n];
    p->scale_type = x->dtype;
    rc = 0;
out:
    if (by_group)
        free(read);
    return rc;
}

int packed_groups(struct packed *p, const struct format_source *s, const char *name,
                  const char *part, struct err *e)
{
    const size_t width = p->G == 1 ? p->K : (size_t)p->group;
    int32_t *group;
    struct tensor t;
    int plain = 1, rc = 0;

    if (!packed_part(s, name, part))
        return 0;
    if (!(group = mem_array(p->K, sizeof *group, e)))
        return -1;
    if (packed_part_load(s, name, part, &t, e) < 0) {
        free(group);
        return -1;
    }
    memcpy(group, t.data, p->K * sizeof *group);
    tensor_release(&t);
    for (size_t k = 0; k < p->K && rc == 0; k++) {
        plain &= group[k] >= 0 && (size_t)group[k] == k / width;
        if (group[k] < 0 || (size_t)group[k] >= p->G)
            rc = err_set(e, ERR_USE,
                         "%s: tensor '%s.%s': group %ld of input %zu is outside 0 to %zu", s->dir,
                         name, part, (long)group[k], k, p->G - 1);
    }
    if (rc == 0 && !plain) {
        p->group_of = group;
        group = NULL;
    }
    free(group);
    return rc;
}

/* ---- writing ---- */

int packed_describe(struct format_tensor *t, const char *linear, const char *part, enum dtype dtype,
                    uint64_t a, uint64_t b, struct err *e)
{
    const int n = snprintf(t->name, sizeof t->name, "%s.%s", linear, part);

    if (n < 0 || (size_t)n >= sizeof t->name)
        return err_set(e, ERR_USE, "'%s.%s': a name too long", linear, part);
    t->dtype = dtype;
    t->ndim = b ? 2 : 1;
    t->shape[0] = a;
    t->shape[1] = b;
    return 0;
}

int packed_put(format_emit *emit, void *ctx, const char *linear, const char *part, const void *data,
               size_t bytes, struct err *e)
{
    char name[TENSOR_NAME + 32];

    snprintf(name, sizeof name, "%s.%s", linear, part);
    return emit(ctx, name, data, bytes, e);
}

void packed_transpose(const uint16_t *in, size_t N, size_t G, uint16_t *out)
{
    for (size_t n = 0; n < N; n++)
        for (size_t g = 0; g < G; g++)
            out[g * N + n] = in[n * G + g];
}

int packed_check(const struct format_linear *l, const char *format, struct err *e)
{
    if (l->grid && !affine_is(l->grid))
        return err_set(e, ERR_USE, "'%s': the %s format holds grids of equal steps, not %s",
                       l->name, format, l->grid->name);
    if (l->scale_type != DT_COUNT && l->scale_type != DT_F16 && l->scale_type != DT_BF16)
        return err_set(e, ERR_USE,
                       "'%s': scales of type %s cannot be stored in the %s format; solve with "
                       "--scale-type f16",
                       l->name, dtype_name(l->scale_type), format);
    return 0;
}

int packed_check_order(const struct format_linear *l, const char *format, struct err *e)
{
    return l->permuted ? err_set(e, ERR_USE,
                                 "'%s': --desc-act yes: in the %s format no reader of today takes "
                                 "groups of inputs that do not follow each other; gptq, gptq-v2 "
                                 "and dense hold them",
                                 l->name, format)
                       : 0;
}

int packed_alike(const struct format_linear *a, const struct format_linear *b)
{
    return a->bits == b->bits && a->group == b->group && a->permuted == b->permuted &&
           a->grid->zeros == b->grid->zeros &&
           (a->grid == b->grid || (affine_is(a->grid) && affine_is(b->grid)));
}

const struct format_linear *packed_first(const struct format_model *m)
{
    for (size_t i = 0; i < m->count; i++)
        if (!m->linear[i]->kept)
            return m->linear[i];
    return NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* format_ct_int - linears of compressed-tensors that engines multiply with rounded activations:
 *   int-quantized  P.weight I8 [N,K]: the format's numbers as they are, code - 2^(b-1)
 *                  P.weight_scale F16 or BF16 [N,G]
 * and what config.json says of the activations: whole numbers, symmetric, each token by its own
 * scale (op_round.c of common/model). */
#include <stdint.h>
#include <stdlib.h>

#include "../base/mem.h"
#include "format_ct.h"

int ct_int_check(const struct format_linear *l, struct err *e)
{
    if (l->bits && (l->bits < 2 || l->bits > 8))
        return err_set(e, ERR_USE, "'%s': %d bits beside rounded activations (2 to 8)", l->name,
                       l->bits);
    if (l->grid && l->grid->zeros)
        return err_set(e, ERR_USE,
                       "'%s': engines that round activations know no zero points: say --grid sym",
                       l->name);
    if (l->group > 0 && l->K % (size_t)l->group)
        return err_set(e, ERR_USE, "'%s': group %lld does not divide %zu inputs", l->name,
                       (long long)l->group, l->K);
    return 0;
}

int ct_int_tensors(const struct format_linear *l, struct format_tensor t[FORMAT_TENSORS],
                   struct err *e)
{
    return packed_describe(&t[0], l->name, "weight", DT_I8, l->N, l->K, e) ||
                   packed_describe(&t[1], l->name, "weight_scale", l->scale_type, l->N, l->G, e)
               ? -1
               : 2;
}

int ct_int_put(const struct format_linear *l, const struct coded *c, format_emit *emit, void *ctx,
               struct err *e)
{
    const size_t n = l->N * l->K;
    const int middle = 1 << (l->bits - 1);
    int8_t *signs = mem_raw(n, 1, e);
    int rc = -1;

    if (!signs)
        return -1;
    for (size_t i = 0; i < n; i++)
        signs[i] = (int8_t)((int)c->codes[i] - middle);
    if (packed_put(emit, ctx, l->name, "weight", signs, n, e) == 0)
        rc = packed_put(emit, ctx, l->name, "weight_scale", c->scales,
                        l->N * l->G * sizeof(uint16_t), e);
    free(signs);
    return rc;
}

/* ---- reading ---- */

int ct_int_is(const struct format_source *from, const char *name)
{
    const struct st_entry *x = packed_part(from, name, "weight");

    return x && x->dtype == DT_I8;
}

/* How many bits it has config.json says alone: 8 hold any. */
int ct_int_look(const struct st_entry *w, const struct st_entry *x, struct format_linear *l)
{
    if (w->ndim != 2 || x->ndim != 2 || !w->shape[0] || !w->shape[1] || !x->shape[1] ||
        w->shape[1] > SIZE_MAX / 8)
        return 0;
    l->N = (size_t)w->shape[0];
    l->K = (size_t)w->shape[1];
    l->bits = 8;
    l->G = (size_t)x->shape[1];
    l->group = (int64_t)(l->K / l->G);
    return l->group != 0;
}

int ct_int_find(const struct ct_kind *k, const struct format_source *from, const char *name,
                size_t N, size_t K, struct err *e)
{
    if (k->zeros)
        return err_set(e, ERR_USE, "%s: '%s': zero points beside numbers of 8 bits are not read",
                       from->dir, name);
    if (k->group > 0 && K % (size_t)k->group)
        return err_set(e, ERR_USE, "%s: '%s': group %lld does not divide %zu inputs", from->dir,
                       name, (long long)k->group, K);
    return packed_part_is(from, name, "weight", DT_I8, 2, (const uint64_t[]){N, K}, e) ||
                   packed_part_check(from, name, "weight_scale", 1, 2,
                                     (const uint64_t[]){N, grid_groups(K, k->group)}, e)
               ? -1
               : 0;
}

int ct_int_read(const struct ct_kind *k, const struct format_source *from, const char *name,
                size_t N, size_t K, struct packed *p, struct err *e)
{
    const int middle = 1 << (k->bits - 1);
    struct tensor t = {0};
    const int8_t *stored;
    int rc = -1;

    if (packed_open(p, N, K, k->bits, k->group, e) < 0)
        return -1;
    if (packed_scales(p, from, name, "weight_scale", 0, e) < 0 ||
        packed_part_load(from, name, "weight", &t, e) < 0)
        goto out;
    stored = t.data;
    rc = 0;
    for (size_t i = 0; i < N * K && rc == 0; i++) {
        if (stored[i] < -middle || stored[i] >= middle)
            rc = err_set(e, ERR_USE, "%s: tensor '%s.weight' holds %d, %d bits have %d to %d",
                         from->dir, name, stored[i], k->bits, -middle, middle - 1);
        p->codes[i] = (uint8_t)(stored[i] + middle);
    }
    for (size_t i = 0; i < N * p->G; i++)
        p->zeros[i] = (uint8_t)middle;
out:
    tensor_release(&t);
    if (rc < 0)
        packed_release(p);
    return rc;
}

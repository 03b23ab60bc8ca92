/* SPDX-License-Identifier: Apache-2.0 */
/* coded - see coded.h. For F16 and BF16 scales the product with a difference of codes is exact in
 * f32 anyway (11 bits times at most 9), for F32 scales the one rounding is that of f32
 * arithmetic. */
#include "coded.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"

#define WEIGHT_MAX 65504.0 /* the largest number in F16 */

static int part_check(const struct solution_linear *x, const struct grid *g, const struct tensor *t,
                      int has, const char *part, struct err *e)
{
    if (!t == !has)
        return 0;
    return err_set(e, ERR_USE,
                   t ? "'%s': grid %s has no %s, but the solution brings tensor '%s.%s'"
                     : "'%s': grid %s needs %s: the solution lacks tensor '%s.%s'",
                   x->name, g->name, part, x->name, part);
}

/* The farthest level from 0 of `lanes` groups from number `at` on. */
static double farthest(const struct coded *c, size_t at, size_t lanes)
{
    double scale[GRID_LANES] = {0}, zero[GRID_LANES] = {0}, low[GRID_LANES], high[GRID_LANES];
    double most = 0;

    for (size_t i = 0; i < lanes; i++) {
        const struct grid_group x = coded_group(c, (at + i) / c->G, (at + i) % c->G);

        scale[i] = x.scale * x.tensor_scale;
        zero[i] = x.zero;
    }
    c->grid->ends(&(struct grid_lanes){c->bits, scale, zero}, low, high);
    for (size_t i = 0; i < lanes; i++)
        most = fmax(most, fmax(fabs(low[i]), fabs(high[i])));
    return most;
}

/* Solvers make no scale of 0 or below (a group of zeros has one too), and no weights that are not
 * finite in F16, in which engines compute. */
static int scales_check(const struct solution_linear *x, const struct coded *c, struct err *e)
{
    for (size_t i = 0; i < c->N * c->G; i++) {
        const double s = coded_group(c, i / c->G, i % c->G).scale;

        if (!(s > 0) || !isfinite(s))
            return err_set(e, ERR_USE,
                           "tensor '%s.scales': that of row %zu, group %zu is %g, must be above 0",
                           x->name, i / c->G, i % c->G, s);
    }
    for (size_t at = 0; c->grid->ends && at < c->N * c->G; at += GRID_LANES) {
        const size_t left = c->N * c->G - at, lanes = left < GRID_LANES ? left : GRID_LANES;
        const double most = farthest(c, at, lanes);

        if (!(most <= WEIGHT_MAX))
            return err_set(e, ERR_USE,
                           "tensor '%s.scales': from row %zu on they make weights of %g on grid "
                           "%s; beyond %g no engine can hold them",
                           x->name, at / c->G, most, c->grid->name, WEIGHT_MAX);
    }
    return 0;
}

static int table_check(const struct solution_linear *x, struct err *e)
{
    const float *t = x->table ? x->table->data : NULL;

    for (size_t i = 0; t && i < x->N << x->bits; i++)
        if (!(fabsf(t[i]) <= (float)WEIGHT_MAX))
            return err_set(e, ERR_USE,
                           "tensor '%s.table': level %zu of row %zu is %g; beyond %g no engine can "
                           "hold it",
                           x->name, i % ((size_t)1 << x->bits), i >> x->bits, (double)t[i],
                           WEIGHT_MAX);
    return 0;
}

/* Codes are bits of numbers there, of which one is none. */
static int numbers_check(const struct grid *g, const struct solution_linear *x, struct err *e)
{
    const uint8_t *codes = x->codes->data;
    const unsigned sign = 1u << (x->bits - 1);
    size_t bad = 0;

    for (size_t i = 0; g->no_number && i < x->N * x->K; i++)
        bad += (codes[i] & (sign - 1)) == (unsigned)g->no_number;
    return bad ? err_set(e, ERR_USE, "tensor '%s.codes': %zu of them are no number on grid %s",
                         x->name, bad, g->name)
               : 0;
}

/* Weights beside the codes, where the solution has some. */
static int sparse_take(const struct solution_linear *x, struct sparse *s, struct err *e)
{
    if (!x->sparse_value)
        return 0;
    if (x->g_idx)
        return err_set(e, ERR_USE,
                       "'%s': weights beside the codes and groups of inputs in any order (g_idx) "
                       "do not go together",
                       x->name);
    *s = (struct sparse){.count = (size_t)x->sparse_value->shape[0],
                         .end = x->sparse_end->data,
                         .column = x->sparse_column->data,
                         .value = x->sparse_value->data,
                         .type = x->sparse_value->dtype};
    return sparse_check(s, x->N, x->K, x->name, e);
}

int coded_take(const struct grid *g, const struct solution_linear *x, struct coded *c,
               struct err *e)
{
    if (!grid_takes_bits(g, x->bits))
        return err_set(e, ERR_USE, "'%s': grid %s has no codes of %d bits", x->name, g->name,
                       x->bits);
    if (!(g->scale_types & GRID_BIT(x->scales->dtype)))
        return err_set(e, ERR_USE, "'%s': grid %s has no scales of type %s", x->name, g->name,
                       dtype_name(x->scales->dtype));
    if (part_check(x, g, x->zeros, g->zeros, "zeros", e) ||
        part_check(x, g, x->tensor_scale, g->tensor_scale != NULL, "tensor_scale", e) ||
        part_check(x, g, x->table, g->table, "table", e))
        return -1;
    *c = (struct coded){.grid = g,
                        .N = x->N,
                        .K = x->K,
                        .G = x->G,
                        .bits = x->bits,
                        .group = x->group,
                        .codes = x->codes->data,
                        .scale_type = x->scales->dtype,
                        .scales = x->scales->data,
                        .zeros = x->zeros ? x->zeros->data : NULL,
                        .tensor_scale =
                            x->tensor_scale ? (double)*(const float *)x->tensor_scale->data : 1.0,
                        .table = x->table ? x->table->data : NULL,
                        .group_of = x->g_idx ? x->g_idx->data : NULL};
    return numbers_check(g, x, e) || scales_check(x, c, e) || table_check(x, e) ||
                   sparse_take(x, &c->sparse, e)
               ? -1
               : 0;
}

int coded_read(const struct solution_linear *x, struct coded *c, struct err *e)
{
    const struct grid *g = grid_find(x->grid);
    char known[256];

    if (g)
        return coded_take(g, x, c, e);
    return err_set(e, ERR_USE, "'%s': grid '%.40s' is not known (known: %s)", x->name, x->grid,
                   grid_name_list(grid_names(), NULL, known, sizeof known));
}

struct grid_group coded_group(const struct coded *c, size_t n, size_t g)
{
    const size_t at = n * c->G + g;
    struct grid_group out = {
        .bits = c->bits,
        .zero = c->zeros ? c->zeros[at] : c->grid->zero(c->bits),
        .tensor_scale = c->tensor_scale,
        .table = c->table ? c->table + (n << c->bits) : NULL,
    };

    dtype_to_f64(c->scale_type, (const char *)c->scales + at * dtype_size(c->scale_type), 1,
                 &out.scale);
    return out;
}

void coded_zeros(const struct coded *c, uint8_t *zeros)
{
    if (c->zeros)
        memcpy(zeros, c->zeros, c->N * c->G);
    else
        memset(zeros, c->grid->zero(c->bits), c->N * c->G);
}

/* The inputs by their groups: those of group g from at[0][start[g]] on. */
static size_t *by_group(const struct coded *c, size_t **start, struct err *e)
{
    size_t *at = mem_array(c->K, sizeof *at, e);

    if (!at || !(*start = mem_array(c->G + 1, sizeof **start, e))) {
        free(at);
        return NULL;
    }
    for (size_t k = 0; k < c->K; k++)
        (*start)[c->group_of[k] + 1]++;
    for (size_t g = 0; g < c->G; g++)
        (*start)[g + 1] += (*start)[g];
    for (size_t k = c->K; k-- > 0;)
        at[--(*start)[c->group_of[k] + 1]] = k;
    memmove(*start, *start + 1, c->G * sizeof **start);
    (*start)[c->G] = c->K;
    return at;
}

static int decode_permuted(const struct coded *c, size_t first, size_t rows, float *w,
                           struct err *e)
{
    size_t *start = NULL, *at = by_group(c, &start, e);
    double *value = at ? mem_raw(c->K, sizeof *value, e) : NULL;
    uint8_t *codes = value ? mem_raw(c->K, 1, e) : NULL;

    for (size_t n = first; codes && n < first + rows; n++, w += c->K)
        for (size_t g = 0; g < c->G; g++) {
            const struct grid_group group = coded_group(c, n, g);
            const size_t count = start[g + 1] - start[g];

            for (size_t i = 0; i < count; i++)
                codes[i] = c->codes[n * c->K + at[start[g] + i]];
            c->grid->value(&group, codes, count, value);
            for (size_t i = 0; i < count; i++)
                w[at[start[g] + i]] = (float)value[i];
        }
    free(value);
    free(at);
    free(start);
    if (!codes)
        return -1;
    free(codes);
    return 0;
}

int coded_decode(const struct coded *c, size_t first, size_t rows, float *w, struct err *e)
{
    const size_t K = c->K, width = c->G == 1 ? K : (size_t)c->group;
    double *value;

    if (!dtype_is_float(c->scale_type))
        return err_set(e, ERR_USE, "scales of type %s: not a float type",
                       dtype_name(c->scale_type));
    if (c->group_of)
        return decode_permuted(c, first, rows, w, e);
    if (!(value = mem_raw(width, sizeof *value, e)))
        return -1;
    for (size_t n = first; n < first + rows; n++) {
        for (size_t g = 0, k = 0; k < K; g++) {
            const size_t count = K - k < width ? K - k : width;
            const struct grid_group group = coded_group(c, n, g);

            c->grid->value(&group, c->codes + n * K + k, count, value);
            sparse_put(&c->sparse, n, k, count, value);
            for (size_t i = 0; i < count; i++)
                *w++ = (float)value[i];
            k += count;
        }
    }
    free(value);
    return 0;
}

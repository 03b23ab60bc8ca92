/* SPDX-License-Identifier: Apache-2.0 */
/* model_tensor - tensors of a checkpoint by name, with their shapes: whole, or cut from one that
 * holds several (q, k and v in one matrix; the matrices of all experts stacked). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "model.h"
#include "model_parts.h"
#include "vec.h"

/* Length of a tensor's name without ".weight". */
static size_t stem_length(const char *name)
{
    size_t n = strlen(name), k = strlen(".weight");

    return n > k && strcmp(name + n - k, ".weight") == 0 ? n - k : n;
}

const struct st_entry *model_need(const struct model *m, const char *name, int ndim,
                                  const uint64_t *shape, struct err *e)
{
    const struct st_entry *x = st_find(m->st, name);
    char want[96], got[96], stem[TENSOR_NAME];

    if (!x) {
        snprintf(stem, sizeof stem, "%.*s", (int)stem_length(name), name);
        err_set(e, ERR_USE, "%s: tensor '%s' is missing%s", m->dir, name,
                format_packed(m->st, stem)
                    ? ": the model is quantized already, and config.json does not say how"
                    : "");
        return NULL;
    }
    if (format_check_float(m->st, x, "what config.json says does not read it", e) < 0)
        return NULL;
    if (x->ndim != ndim || memcmp(x->shape, shape, (size_t)ndim * sizeof *shape) != 0) {
        tensor_shape_text(ndim, shape, want, sizeof want);
        tensor_shape_text(x->ndim, x->shape, got, sizeof got);
        err_set(e, ERR_USE, "%s: tensor '%s' has shape %s, config.json wants %s",
                m->st->paths[x->shard], name, got, want);
        return NULL;
    }
    return x;
}

int model_read(const struct model *m, const struct st_entry *x, uint64_t first, uint64_t count,
               float *dst, struct err *e)
{
    return st_load_finite_f32(m->st, x, first, count, dst, e);
}

/* ---- what programs ask for ---- */

static int linear_name(const struct op_tensor *t, char *out, size_t size)
{
    return snprintf(out, size, "%.*s", (int)stem_length(t->name), t->name) < (int)size;
}

/* It stands in the checkpoint only as a part of a tensor that holds several. */
static int is_cut(const struct model *m, const struct op_tensor *t, const char *linear)
{
    return t->whole && !st_find(m->st, t->name) && !format_packed(m->st, linear);
}

static const struct st_entry *whole_need(const struct model *m, const struct op_tensor *t,
                                         struct err *e)
{
    const uint64_t shape[3] = {t->stacked, t->turned ? t->shape[1] : t->total,
                               t->turned ? t->total : t->shape[1]};

    if (t->ndim == 1) /* vectors, stacked */
        return model_need(m, t->whole, 2, (const uint64_t[]){t->stacked, t->total}, e);
    return t->stacked ? model_need(m, t->whole, 3, shape, e)
                      : model_need(m, t->whole, 2, shape + 1, e);
}

static int check_linear(const struct model *m, const struct op_tensor *t, struct err *e)
{
    char linear[TENSOR_NAME];

    if (!linear_name(t, linear, sizeof linear))
        return err_set(e, ERR_USE, "'%s': the name is too long", t->name);
    if (is_cut(m, t, linear))
        return whole_need(m, t, e) ? 0 : -1;
    return format_find_linear(m->reader, linear, t->shape[0], t->shape[1], e);
}

int model_check_tensor(const struct model *m, const struct op_tensor *t, int is_linear,
                       struct err *e)
{
    if (is_linear)
        return check_linear(m, t, e);
    if (t->whole && !st_find(m->st, t->name) && st_find(m->st, t->whole))
        return whole_need(m, t, e) ? 0 : -1;
    if (t->optional && !st_find(m->st, t->name))
        return 0;
    if (t->optional && !format_is_quantized(m->reader))
        return err_set(e, ERR_USE,
                       "%s: tensor '%s' is there, but config.json says that there is no bias",
                       m->dir, t->name);
    return model_need(m, t->name, t->ndim, t->shape, e) ? 0 : -1;
}

/* *part: rows [first, first + N) of matrix `which`. */
static int cut_find(const struct model *m, const struct op_tensor *t, struct st_entry *part,
                    struct err *e)
{
    const struct st_entry *x = whole_need(m, t, e);
    const uint64_t first = t->which * t->total + t->first;

    if (!x || (t->ndim == 1 ? st_cut_vector(m->st, x, first, t->shape[0], part, e)
               : t->turned  ? st_turn(m->st, x, t->which, part, e)
                            : st_cut(m->st, x, first, t->shape[0], part, e)) < 0)
        return -1;
    return 1;
}

/* Where a tensor that is there stands. 1: *x, to be read by rows; 0: in codes, of the linear of
 * this name; -1. */
static int tensor_find(const struct model *m, const struct op_tensor *t, struct st_entry *x,
                       char linear[TENSOR_NAME], struct err *e)
{
    const struct st_entry *named = st_find(m->st, t->name);

    if (named && (named->dtype == DT_F8_E4M3 || named->dtype == DT_I8) &&
        linear_name(t, linear, TENSOR_NAME) && !format_is_plain(m->st, linear))
        named = NULL; /* codes of that name */
    if (named && !(named = model_need(m, t->name, t->ndim, t->shape, e)))
        return -1;
    if (named) {
        *x = *named;
        return 1;
    }
    return !linear_name(t, linear, TENSOR_NAME) || is_cut(m, t, linear) || t->ndim == 1
               ? cut_find(m, t, x, e)
               : 0;
}

int model_load_tensor(const struct model *m, const struct op_tensor *t, float **w, struct err *e)
{
    struct st_entry x;
    char linear[TENSOR_NAME];
    int rc;

    *w = NULL;
    if (t->optional && !st_find(m->st, t->name))
        return 0; /* model_open checked that none is missing */
    if ((rc = tensor_find(m, t, &x, linear, e)) < 0 ||
        !(*w = mem_raw((size_t)(t->shape[0] * (t->ndim > 1 ? t->shape[1] : 1) *
                                (t->ndim > 2 ? t->shape[2] : 1)),
                       sizeof **w, e)))
        return -1;
    rc =
        rc ? model_read(m, &x, 0, t->shape[0], *w, e)
           : format_load_linear(m->reader, linear, (size_t)t->shape[0], (size_t)t->shape[1], *w, e);
    if (rc < 0) {
        free(*w);
        *w = NULL;
    }
    return rc;
}

struct stored_rows {
    const struct model *m;
    const struct st_entry *x;
    const float *w; /* or all of them [N, K], of codes */
    size_t K;
};

static int stored_rows(void *ctx, size_t first, size_t count, float *w, struct err *e)
{
    const struct stored_rows *s = ctx;

    if (!s->w)
        return model_read(s->m, s->x, first, count, w, e);
    memcpy(w, s->w + first * s->K, count * s->K * sizeof *w);
    return 0;
}

int model_load_narrow(const struct model *m, const struct op_tensor *t, int rest,
                      struct weights16 *w, struct err *e)
{
    const size_t N = (size_t)t->shape[0], K = (size_t)t->shape[1];
    struct st_entry x;
    struct stored_rows from = {.m = m, .x = &x, .K = K};
    char linear[TENSOR_NAME];
    float *all = NULL;
    int rc = tensor_find(m, t, &x, linear, e);

    if (rc == 0) {
        rc = model_load_tensor(m, t, &all, e);
        from.w = all;
    }
    if (rc >= 0 &&
        (rc = weights16_make(w, N, K, rest, &(struct weights_source){stored_rows, &from}, e)) < 0)
        err_prefix(e, "'%s'", t->name);
    free(all);
    return rc;
}

/* x holds a number that is not finite: which, and where. */
static int name_bad(const struct model *m, const struct st_entry *x, struct err *e)
{
    float *row = mem_raw((size_t)x->shape[1], sizeof *row, e);
    int rc = row ? 0 : -1;

    for (uint64_t i = 0; rc == 0 && i < x->shape[0]; i++)
        rc = model_read(m, x, i, 1, row, e);
    free(row);
    return -1;
}

int model_find_linear(const struct model *m, const struct site_linear *l, struct st_entry *x,
                      struct err *e)
{
    const int found = sites_source(m->st, l, x, e);

    if (found == 0)
        return err_set(e, ERR_USE,
                       "tensor '%s.weight' is not in the checkpoint (is it quantized already?)",
                       l->name);
    return found < 0 ? -1 : 0;
}

int model_load_linear(const struct model *m, const struct st_entry *x, const struct tensor *t,
                      struct err *e)
{
    if (st_load_into(m->st, x, t, e) < 0)
        return -1;
    return tensor_count_bad(t) ? name_bad(m, x, e) : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* sight - see sight.h. A few pictures go through the whole tower before the next ones do, and a
 * block is read anew for each such part: memory is that of a block and of the rows of a part. */
#include "sight.h"

#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "../tensor/blas.h"
#include "block_parts.h"
#include "op.h"
#include "sight_parts.h"
#include "vec.h"

/* ---- features ---- */

void features_release(struct features *f)
{
    for (size_t i = 0; f->deep && i < VISION_LEVELS; i++)
        free(f->deep[i]);
    free(f->deep);
    free(f->first);
    free(f->x);
    memset(f, 0, sizeof *f);
}

static int check_pictures(const struct pictures *p, struct err *e)
{
    size_t sum = 0;

    for (size_t i = 0; i < p->count; i++) {
        if (p->image_rows[i] < 1 || (size_t)p->image_rows[i] > p->rows - sum)
            return err_set(e, ERR_USE, "picture %zu: %ld rows of pixels, %zu are left", i,
                           (long)p->image_rows[i], p->rows - sum);
        sum += (size_t)p->image_rows[i];
    }
    return sum == p->rows ? 0
                          : err_set(e, ERR_USE, "%zu pictures have %zu rows of pixels, not %zu",
                                    p->count, sum, p->rows);
}

int features_make(struct model *m, const struct pictures *p, struct features *f, struct err *e)
{
    const struct vision *v = m->c.vision;
    size_t n;

    *f = (struct features){.count = p->count, .d = m->c.d};
    if (!v)
        return err_set(e, ERR_USE, "%s: a model_type '%s' sees no images", m->dir, m->c.model_type);
    if (check_pictures(p, e) < 0 || !(f->first = mem_array(p->count + 1, sizeof *f->first, e)))
        return -1;
    for (size_t i = 0; i < p->count; i++) {
        if (!(n = v->kind->tokens(v, p, i, e)))
            return err_prefix(e, "picture %zu", i);
        f->first[i + 1] = f->first[i] + n;
    }
    f->rows = f->first[p->count];
    f->levels = v->branches;
    if (mem_mul(f->rows, f->d, &n) < 0)
        return err_set(e, ERR_USE, "%zu features are too many", f->rows);
    if (!(f->x = mem_raw(n + 1, sizeof *f->x, e)) ||
        !(f->deep = mem_array(VISION_LEVELS, sizeof *f->deep, e)))
        return -1;
    for (size_t l = 0; l < f->levels; l++)
        if (!(f->deep[l] = mem_raw(n + 1, sizeof *f->x, e)))
            return -1;
    return 0;
}

/* ---- for the towers ---- */

static int room(struct sight *s, size_t T, size_t sequences, struct err *e)
{
    s->x = mem_raw(T * s->v->d, sizeof *s->x, e);
    s->lengths = mem_array(sequences, sizeof *s->lengths, e);
    s->rows = (struct rows){.T = T, .nseq = sequences, .lengths = s->lengths};
    return s->x && s->lengths ? 0 : -1;
}

static float *tensor(const struct sight *s, const char *prefix, const char *name, int ndim,
                     const uint64_t *shape, struct err *e)
{
    char full[TENSOR_NAME];
    const struct st_entry *x;
    size_t n = 1;
    float *w;

    snprintf(full, sizeof full, "%s%s", prefix, name);
    if (!(x = model_need(s->m, full, ndim, shape, e)))
        return NULL;
    for (int i = 0; i < ndim; i++)
        n *= (size_t)shape[i];
    if ((w = mem_raw(n, sizeof *w, e)) && model_read(s->m, x, 0, shape[0], w, e) < 0) {
        free(w);
        w = NULL;
    }
    return w;
}

static float *tensor_of(const struct sight *s, const char *prefix, const char *name,
                        const char *end, int ndim, const uint64_t *shape, struct err *e)
{
    char full[TENSOR_NAME];

    snprintf(full, sizeof full, "%s%s", name, end);
    return tensor(s, prefix, full, ndim, shape, e);
}

static int multiply(const struct sight *s, const struct sight_linear *l, size_t T, const float *x,
                    float *y, struct err *e)
{
    float *w = tensor_of(s, l->prefix, l->name, ".weight", l->ndim, l->shape, e), *b = NULL;
    const size_t N = (size_t)l->shape[0];
    size_t K = 1;
    int rc = w ? 0 : -1;

    for (int i = 1; i < l->ndim; i++)
        K *= (size_t)l->shape[i];
    if (rc == 0 && l->bias && !(b = tensor_of(s, l->prefix, l->name, ".bias", 1, l->shape, e)))
        rc = -1;
    if (rc == 0)
        rc = blas_linear(s->m->par, T, N, K, x, K, w, K, y, N, 0, e);
    for (size_t t = 0; rc == 0 && b && t < T; t++)
        vec_add(y + t * N, b, N);
    free(b);
    free(w);
    return rc;
}

static int norm(const struct sight *s, const char *prefix, const char *name,
                const struct norm_spec *spec, size_t T, size_t n, float *x, struct err *e)
{
    const uint64_t shape[1] = {n};
    float *w = tensor_of(s, prefix, name, ".weight", 1, shape, e), *b = NULL;
    int rc = w ? 0 : -1;

    if (rc == 0 && spec->kind == NORM_MEAN &&
        !(b = tensor_of(s, prefix, name, ".bias", 1, shape, e)))
        rc = -1;
    for (size_t t = 0; rc == 0 && t < T; t++) {
        norm_row(spec, w, n, x + t * n, x + t * n);
        if (b)
            vec_add(x + t * n, b, n);
    }
    free(b);
    free(w);
    return rc;
}

static const struct sight_table table = {
    .room = room, .tensor = tensor, .multiply = multiply, .norm = norm, .products = &blas_products};

/* ---- in steps ---- */

struct sight *sight_open(struct model *m, const struct pictures *p, struct features *f, size_t at,
                         struct err *e)
{
    struct sight *s = mem_array(1, sizeof *s, e);

    if (!s)
        return NULL;
    s->by = &table;
    s->m = m;
    s->v = m->c.vision;
    s->p = p;
    s->f = f;
    s->at = at;
    for (size_t i = 0; i < p->count; i++)
        s->tokens += s->v->kind->tokens(s->v, p, i, e);
    if (s->v->kind->embed(s, e) == 0)
        return s;
    sight_close(&s);
    return NULL;
}

void sight_close(struct sight **sp)
{
    struct sight *s = *sp;

    if (!s)
        return;
    free(s->x);
    free(s->lengths);
    free(s->window_lengths);
    free(s->axis);
    free(s->order);
    free(s);
    *sp = NULL;
}

const float *sight_rows(const struct sight *s, size_t *n)
{
    *n = s->rows.T;
    return s->x;
}

void sight_aim(struct sight *s, struct features *f)
{
    s->f = f;
}

int sight_behind(struct sight *s, size_t block, struct err *e)
{
    for (size_t l = 0; l < s->v->branches; l++)
        if (s->v->branch[l] == block) {
            s->to = s->f->deep[l] + s->at * s->f->d;
            if (s->v->kind->branch(s, l, e) < 0)
                return -1;
        }
    return 0;
}

float *sight_stream(struct sight *s, size_t block, const struct rows **r)
{
    *r = s->windows.T && !s->v->full[block] ? &s->windows : &s->rows;
    return s->x;
}

int sight_block(struct sight *s, size_t block, struct err *e)
{
    struct block *b = block_open_tower(s->m, block, e);
    const struct rows *r;
    float *x = sight_stream(s, block, &r);
    int rc = b ? block_load_all(b, e) : -1;

    if (rc == 0)
        rc = block_forward(b, r, x, e);

    block_close(&b);
    return rc == 0 ? sight_behind(s, block, e) : -1;
}

int sight_join(struct sight *s, struct err *e)
{
    s->to = s->f->x + s->at * s->f->d;
    return s->v->kind->join(s, e);
}

/* ---- all of it ---- */

static int part_run(struct model *m, const struct pictures *p, struct features *f, size_t at,
                    struct err *e)
{
    struct sight *s = sight_open(m, p, f, at, e);
    int rc = s ? 0 : -1;

    for (size_t b = 0; rc == 0 && b < m->c.vision->run; b++)
        rc = sight_block(s, b, e);
    if (rc == 0)
        rc = sight_join(s, e);
    sight_close(&s);
    return rc;
}

static size_t patches_of(const struct vision *v, const struct pictures *p, size_t i)
{
    return (size_t)p->image_rows[i] * (v->side ? v->side * v->side : 1);
}

int sight_all(struct model *m, const struct pictures *p, struct features *f, struct err *e)
{
    size_t before = 0;

    if (features_make(m, p, f, e) < 0)
        return -1;
    for (size_t i = 0, n; i < p->count; i += n) {
        struct pictures part = {.pixels = p->pixels + before * p->width,
                                .width = p->width,
                                .image_rows = p->image_rows + i,
                                .grid = p->grid + 3 * i,
                                .size = p->size ? p->size + 2 * i : NULL};
        size_t patches = patches_of(m->c.vision, p, i);

        for (n = 0; i + n < p->count && (n == 0 || patches <= SIGHT_ROWS);) {
            part.rows += (size_t)p->image_rows[i + n++];
            patches += i + n < p->count ? patches_of(m->c.vision, p, i + n) : 0;
        }
        part.count = n;
        if (part_run(m, &part, f, f->first[i], e) < 0)
            return err_prefix(e, "%s: the tower", m->dir);
        before += part.rows;
    }
    return 0;
}

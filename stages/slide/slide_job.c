/* SPDX-License-Identifier: Apache-2.0 */
/* slide_job - see slide_job.h. */
#include "slide_job.h"

#include <stdio.h>
#include <string.h>
#include "../../common/format/grid_affine.h"
#include "../../common/model/program.h"

#define WHAT "a share of a step"

/* ---- parameters and gradients, of all blocks ---- */

static int put_params(struct msg *m, const struct slide_window *w, int gradients, struct err *e)
{
    enum slide_rate rate;
    struct slide_param *p;
    char name[48];

    for (size_t b = 0; b < w->count; b++)
        for (size_t i = 0; (p = slide_block_param(w->block[b], i, &rate)); i++) {
            void *to;

            snprintf(name, sizeof name, "b%zu.p%zu", w->block[b]->index, i);
            if (!p->n)
                continue;
            if (!(to = msg_add_new(m, name, DT_F32, 1, (const uint64_t[]){p->n}, e)))
                return -1;
            memcpy(to, gradients ? p->g : p->x, p->n * sizeof *p->x);
        }
    return 0;
}

static const float *need_param(const struct msg *m, const struct slide_block *b, size_t i, size_t n,
                               struct err *e)
{
    char name[48];
    const struct tensor *t;

    snprintf(name, sizeof name, "b%zu.p%zu", b->index, i);
    if (!(t = msg_need(m, name, DT_F32, 1, e)))
        return NULL;
    if (t->shape[0] == n && !tensor_count_bad(t))
        return t->data;
    err_set(e, ERR_USE, "'%s': tensor '%s' must have %zu finite numbers", m->id, name, n);
    return NULL;
}

int slide_job_take(const struct msg *m, const struct slide_window *w, struct err *e)
{
    enum slide_rate rate;
    struct slide_param *p;
    const float *x;

    for (size_t b = 0; b < w->count; b++)
        for (size_t i = 0; (p = slide_block_param(w->block[b], i, &rate)); i++) {
            if (!p->n)
                continue;
            if (!(x = need_param(m, w->block[b], i, p->n, e)))
                return -1;
            memcpy(p->x, x, p->n * sizeof *x);
        }
    return 0;
}

int slide_sum_add(const struct msg *m, const struct slide_window *w, int first, double *loss,
                  struct err *e)
{
    enum slide_rate rate;
    struct slide_param *p;
    const float *x;
    double one;

    if (json_need_real(m->meta, "loss", &one, m->id, e) < 0)
        return -1;
    *loss = first ? one : *loss + one;
    for (size_t b = 0; b < w->count; b++)
        for (size_t i = 0; (p = slide_block_param(w->block[b], i, &rate)); i++) {
            if (!p->n)
                continue;
            if (!(x = need_param(m, w->block[b], i, p->n, e)))
                return -1;
            for (size_t k = 0; k < p->n; k++)
                p->g[k] = first ? x[k] : p->g[k] + x[k];
        }
    return 0;
}

/* ---- jobs ---- */

static struct msg *begin(enum msg_kind kind, const struct slide_job *j, const char *run,
                         struct err *e)
{
    struct msg *m = msg_create(kind, "slide", e);

    if (!m)
        return NULL;
    snprintf(m->run, sizeof m->run, "%s", run);
    if (msg_set_id(m, e, "w%zu.s%zu.p%zu", j->window, j->step, j->part) == 0) {
        if (!json_set_int(m->meta, "window", (int64_t)j->window) &&
            !json_set_int(m->meta, "step", (int64_t)j->step) &&
            !json_set_int(m->meta, "part", (int64_t)j->part))
            return m;
        err_set(e, ERR_SYS, "out of memory");
    }
    msg_destroy(&m);
    return NULL;
}

static int put_shape(struct msg *m, const struct slide_job *j)
{
    const struct slide_shape *s = &j->shape;

    return json_set_int(m->meta, "first", (int64_t)j->first) |
           json_set_int(m->meta, "blocks", (int64_t)j->count) |
           json_set_real(m->meta, "share", j->share) | json_set_real(m->meta, "all", j->batch.all) |
           json_set_int(m->meta, "bits", s->bits) | json_set_int(m->meta, "group", s->group) |
           json_set_text(m->meta, "grid", s->grid->name) |
           json_set_text(m->meta, "scale_type", dtype_name(s->scale_type)) |
           json_set_int(m->meta, "zero_min", s->zero_min) | json_set_int(m->meta, "rank", s->rank) |
           json_set_bool(m->meta, "clip", s->clips) |
           json_set_int(m->meta, "act_bits", j->act_bits) |
           json_set_int(m->meta, "qkv_bits", j->qkv_bits) |
           (j->products ? json_set_text(m->meta, "products", products_name(j->products)) : 0) |
           json_set_bool(m->meta, "alpha", s->scales);
}

static int put_rows(struct msg *m, const struct slide_batch *t, size_t d, struct err *e)
{
    const uint64_t shape[2] = {t->rows.T, d}, n[1] = {t->rows.nseq};
    const size_t bytes = t->rows.T * d * sizeof(float);
    void *lengths, *x, *target, *weight;

    if (!(lengths = msg_add_new(m, "lengths", DT_I32, 1, n, e)) ||
        !(x = msg_add_new(m, "x", DT_F32, 2, shape, e)) ||
        !(target = msg_add_new(m, "target", DT_F32, 2, shape, e)))
        return -1;
    memcpy(lengths, t->rows.lengths, t->rows.nseq * sizeof(int32_t));
    memcpy(x, t->x, bytes);
    memcpy(target, t->target, bytes);
    if (!t->weight)
        return 0;
    if (!(weight = msg_add_new(m, "weights", DT_F32, 1, shape, e)))
        return -1;
    memcpy(weight, t->weight, t->rows.T * sizeof(float));
    return 0;
}

struct msg *slide_job_make(const struct slide_job *j, const struct slide_window *w, const char *run,
                           struct err *e)
{
    struct msg *m = begin(MSG_PROBLEM, j, run, e);

    if (!m)
        return NULL;
    if (put_shape(m, j))
        err_set(e, ERR_SYS, "out of memory");
    else if (put_rows(m, &j->batch, model_config(w->block[0]->m)->d, e) == 0 &&
             put_params(m, w, 0, e) == 0)
        return m;
    msg_destroy(&m);
    return NULL;
}

/* f32 where it is not said. */
static int read_products(const struct msg *m, enum products *p, struct err *e)
{
    const struct json *said = json_get(m->meta, "products");

    *p = PRODUCTS_F32;
    return !said || products_find(json_as_text(said), p) == 0
               ? 0
               : err_set(e, ERR_USE, "'%s': field 'products' must be f32, bf16 or bf16x2", m->id);
}

static int read_shape(const struct msg *m, int64_t layers, struct slide_job *j, struct err *e)
{
    struct slide_shape *s = &j->shape;
    const char *grid = json_need_text(m->meta, "grid", WHAT, e), *type;
    int64_t window, step, part, first, count, bits, act_bits, qkv_bits;

    if (!grid || !(type = json_need_text(m->meta, "scale_type", WHAT, e)) ||
        json_need_int(m->meta, "window", 0, INT32_MAX, &window, WHAT, e) < 0 ||
        json_need_int(m->meta, "step", 0, INT32_MAX, &step, WHAT, e) < 0 ||
        json_need_int(m->meta, "part", 0, INT32_MAX, &part, WHAT, e) < 0 ||
        json_need_int(m->meta, "first", 0, layers - 1, &first, WHAT, e) < 0 ||
        json_need_int(m->meta, "blocks", 1, layers - first, &count, WHAT, e) < 0 ||
        json_need_int(m->meta, "bits", 1, 8, &bits, WHAT, e) < 0 ||
        json_need_int(m->meta, "act_bits", 0, ACT_BITS_MAX, &act_bits, WHAT, e) < 0 ||
        json_need_int(m->meta, "qkv_bits", 0, ACT_BITS_MAX, &qkv_bits, WHAT, e) < 0 ||
        json_need_int(m->meta, "group", -1, 1 << 24, &s->group, WHAT, e) < 0 ||
        json_need_int(m->meta, "zero_min", 0, 1, &s->zero_min, WHAT, e) < 0 ||
        json_need_int(m->meta, "rank", 0, SLIDE_RANK, &s->rank, WHAT, e) < 0 ||
        json_opt_bool(m->meta, "clip", 0, &s->clips, WHAT, e) < 0 ||
        json_opt_bool(m->meta, "alpha", 0, &s->scales, WHAT, e) < 0 ||
        json_need_real(m->meta, "share", &j->share, WHAT, e) < 0 ||
        json_need_real(m->meta, "all", &j->batch.all, WHAT, e) < 0)
        return -1;
    s->grid = grid_find(grid);
    s->bits = (int)bits;
    if (!s->grid || !affine_is(s->grid) || !grid_takes_bits(s->grid, s->bits) || !s->group ||
        dtype_parse(type, &s->scale_type) < 0 || !(s->grid->scale_types & GRID_BIT(s->scale_type)))
        return err_set(e, ERR_USE, "'%s': there is no grid '%s' of %d bits with scales of %s",
                       m->id, grid, s->bits, type);
    if (!(j->share > 0 && j->share <= 1 && j->batch.all > 0))
        return err_set(e, ERR_USE, "'%s': fields 'share' and 'all' must be above 0", m->id);
    if ((act_bits && act_bits < ACT_BITS_MIN) || (qkv_bits && qkv_bits < ACT_BITS_MIN))
        return err_set(e, ERR_USE, "'%s': activations of %d bits (%d to %d)", m->id,
                       (int)(act_bits && act_bits < ACT_BITS_MIN ? act_bits : qkv_bits),
                       ACT_BITS_MIN, ACT_BITS_MAX);
    if (read_products(m, &j->products, e) < 0)
        return -1;
    j->act_bits = (int)act_bits;
    j->qkv_bits = (int)qkv_bits;
    j->window = (size_t)window;
    j->step = (size_t)step;
    j->part = (size_t)part;
    j->first = (size_t)first;
    j->count = (size_t)count;
    return 0;
}

static int read_rows(const struct msg *m, size_t d, struct slide_batch *t, struct err *e)
{
    const struct tensor *lengths = msg_need(m, "lengths", DT_I32, 1, e), *x, *target, *weight;
    uint64_t shape[2] = {0, d};

    if (!lengths || !(x = msg_need(m, "x", DT_F32, 2, e)) ||
        !(target = msg_need(m, "target", DT_F32, 2, e)))
        return -1;
    t->rows.lengths = lengths->data;
    t->rows.nseq = (size_t)lengths->shape[0];
    for (size_t i = 0; i < t->rows.nseq; i++) {
        if (t->rows.lengths[i] < 1)
            return err_set(e, ERR_USE, "'%s': a length is below 1", m->id);
        shape[0] += (uint64_t)t->rows.lengths[i];
    }
    weight = msg_tensor(m, "weights");
    if (!shape[0] || !tensor_has_shape(x, 2, shape) || !tensor_has_shape(target, 2, shape) ||
        tensor_count_bad(x) || tensor_count_bad(target) ||
        (weight && (weight->dtype != DT_F32 || !tensor_has_shape(weight, 1, shape))))
        return err_set(e, ERR_USE,
                       "'%s': rows must be finite, of %zu numbers, as many as 'lengths' says",
                       m->id, d);
    t->rows.T = (size_t)shape[0];
    t->x = x->data;
    t->target = target->data;
    t->weight = weight ? weight->data : NULL;
    return 0;
}

int slide_job_read(const struct msg *m, size_t layers, size_t width, struct slide_job *j,
                   struct err *e)
{
    *j = (struct slide_job){0};
    if (read_shape(m, (int64_t)layers, j, e) < 0)
        return -1;
    return read_rows(m, width, &j->batch, e);
}

/* ---- answers ---- */

struct msg *slide_sum_make(const struct slide_job *j, const struct slide_window *w, double loss,
                           const char *run, struct err *e)
{
    struct msg *m = begin(MSG_PARTIAL, j, run, e);

    if (!m)
        return NULL;
    if (json_set_real(m->meta, "loss", loss))
        err_set(e, ERR_SYS, "out of memory");
    else if (put_params(m, w, 1, e) == 0)
        return m;
    msg_destroy(&m);
    return NULL;
}

int slide_sum_part(const struct msg *m, const struct slide_job *j, size_t parts, struct err *e)
{
    int64_t window, step, part;

    if (json_need_int(m->meta, "window", 0, INT32_MAX, &window, WHAT, e) < 0 ||
        json_need_int(m->meta, "step", 0, INT32_MAX, &step, WHAT, e) < 0 ||
        json_need_int(m->meta, "part", 0, INT32_MAX, &part, WHAT, e) < 0)
        return -1;
    return (size_t)window == j->window && (size_t)step == j->step && (size_t)part < parts
               ? (int)part
               : (int)parts;
}

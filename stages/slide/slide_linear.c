/* SPDX-License-Identifier: Apache-2.0 */
/* slide_linear - see slide_linear.h. Rows in tiles, sums of columns in tiles of columns: both fixed
 * by the shape. */
#include "slide_linear.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/base/rng.h"
#include "../../common/format/grid_affine.h"
#include "../../common/tensor/blas.h"
#include "slide_loops.h"

#define FIRST_LOGIT 4.0f /* 0.982 of the range */
enum { TILE = 16, COLUMNS = 64 };

/* ---- making ---- */

static int param_of(struct slide_param *p, size_t n, float x, struct err *e)
{
    if (slide_param_init(p, n, e) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        p->x[i] = x;
    return 0;
}

int slide_linear_init(struct slide_linear *l, const struct slide_shape *o, const char *name,
                      size_t N, size_t K, float *w, uint64_t seed, uint64_t stream, struct err *e)
{
    const size_t r = (size_t)o->rank, G = grid_groups(K, o->group);
    struct rng rng;

    *l = (struct slide_linear){.o = o, .name = name, .N = N, .K = K, .G = G, .columns = K, .w = w};
    l->width = G == 1 ? K : (size_t)o->group;
    if (!affine_is(o->grid))
        return err_set(e, ERR_USE, "--grid %s: what is learned needs a grid of equal steps",
                       o->grid->name);
    if (slide_param_init(&l->a, r * K, e) < 0 || slide_param_init(&l->b, r * N, e) < 0 ||
        param_of(&l->lo, o->clips ? N * G : 0, FIRST_LOGIT, e) < 0 ||
        param_of(&l->hi, o->clips ? N * G : 0, FIRST_LOGIT, e) < 0 ||
        !(l->scale = mem_array(N * G, sizeof *l->scale, e)) ||
        !(l->zero = mem_array(N * G, sizeof *l->zero, e)))
        return -1;
    rng_seed(&rng, seed, stream);
    for (size_t i = 0; i < r * K; i++)
        l->a.x[i] = (float)((2 * rng_unit(&rng) - 1) / sqrt((double)K));
    return 0;
}

void slide_linear_release(struct slide_linear *l)
{
    free(l->w);
    slide_param_release(&l->a);
    slide_param_release(&l->b);
    slide_param_release(&l->lo);
    slide_param_release(&l->hi);
    free(l->scale);
    free(l->zero);
    *l = (struct slide_linear){0};
}

/* ---- a row ---- */

struct work {
    struct slide_linear *l;
    float *out;
    uint8_t *codes;
    const float *g; /* of out */
    float *room;    /* that of W~ */
    double *row;    /* [threads, 2, K] */
};

void slide_linear_target(const struct slide_linear *l, size_t n, double *x)
{
    slide_times(x, l->w + n * l->K, l->alpha ? l->alpha->x : NULL, l->K);
    slide_plus(x, l->a.x, l->b.x + n, l->N, (size_t)l->o->rank, l->K);
}

/* The alpha that it divides by itself; NULL: by none. */
static const float *divisor(const struct slide_linear *l)
{
    return l->alpha && !l->divided ? l->alpha->x : NULL;
}

static double share(const struct slide_param *p, size_t at)
{
    return p->n ? 1 / (1 + exp(-(double)p->x[at])) : 1;
}

/* How the scale of a group came about. */
struct fit {
    double scale, zero;
    double lo, hi;       /* the ends, 0 among them */
    double by_lo, by_hi; /* slope of the scale by what is left of them */
    double keep_lo, keep_hi;
};

static void slopes(const struct slide_linear *l, struct fit *f, double lo, double hi)
{
    const double top = affine_top(l->o->bits), least = (double)l->o->zero_min;

    if (!(hi > lo))
        return;
    if (!l->o->grid->zeros) {
        f->by_hi = hi >= -lo ? f->scale / hi : 0;
        f->by_lo = hi >= -lo ? 0 : f->scale / lo;
    } else if (round_even(-lo / ((hi - lo) / top)) < least) {
        f->by_hi = 1 / (top - least);
    } else {
        f->by_hi = 1 / top;
        f->by_lo = -1 / top;
    }
}

static int fit_group(const struct slide_linear *l, size_t at, const double *x, size_t n,
                     struct fit *f, struct err *e)
{
    const struct slide_shape *o = l->o;
    const struct grid_fit how = {
        .bits = o->bits, .scale_type = o->scale_type, .zero_min = (int)o->zero_min};
    double lo, hi;
    int raised;

    *f = (struct fit){.keep_lo = share(&l->lo, at), .keep_hi = share(&l->hi, at)};
    slide_ends(x, n, &f->lo, &f->hi);
    lo = f->lo * f->keep_lo;
    hi = f->hi * f->keep_hi;
    o->grid->range(&lo, &hi);
    if (o->grid->place(&how, lo, hi, 1.0, &f->scale, &f->zero, &raised) || !isfinite(f->scale))
        return err_set(e, ERR_DATA,
                       "'%s', row %zu: a scale of %g does not fit into %s: take --scale-type bf16 "
                       "or f32, or smaller rates",
                       l->name, at / l->G, hi - lo, dtype_name(o->scale_type));
    slopes(l, f, f->lo * f->keep_lo, f->hi * f->keep_hi);
    return 0;
}

static size_t at_most(size_t x, size_t most)
{
    return x < most ? x : most;
}

static size_t group_size(const struct slide_linear *l, size_t g)
{
    return at_most(l->K - g * l->width, l->width);
}

/* Group g, whose columns before `rounded` are. */
static void write_group(const struct work *w, size_t n, size_t first, size_t size, size_t rounded,
                        const struct fit *f, double *x)
{
    const struct slide_linear *l = w->l;
    const float *by = divisor(l) ? divisor(l) + first : NULL;
    const double top = affine_top(l->o->bits);
    float *out = w->out + n * l->K + first;
    double *q = x + l->K;

    slide_value(x + first, rounded, f->scale, f->zero, top, by, out);
    slide_over(out + rounded, x + first + rounded, by ? by + rounded : NULL, size - rounded);
    if (!w->codes)
        return;
    slide_level(x + first, size, f->scale, f->zero, top, q);
    for (size_t k = 0; k < size; k++)
        w->codes[n * l->K + first + k] = (uint8_t)(int)q[k];
}

/* How many of the size columns of a group are rounded. */
static size_t rounded_of(const struct slide_linear *l, size_t first, size_t size)
{
    return at_most(l->columns > first ? l->columns - first : 0, size);
}

static int round_row(const struct work *w, size_t n, double *x, struct err *e)
{
    struct slide_linear *l = w->l;

    slide_linear_target(l, n, x);
    for (size_t g = 0; g < l->G; g++) {
        const size_t first = g * l->width, size = group_size(l, g);
        struct fit f;

        if (fit_group(l, n * l->G + g, x + first, size, &f, e) < 0)
            return -1;
        l->scale[n * l->G + g] = f.scale;
        l->zero[n * l->G + g] = (uint8_t)(int)f.zero;
        write_group(w, n, first, size, rounded_of(l, first, size), &f, x);
    }
    return 0;
}

static void add_at(float *g, double x)
{
    *g = (float)((double)*g + x);
}

/* What the scale gets goes to the ends of its group, the first of equal ones, and to the shares
 * that are kept of them. */
static void give_ends(struct slide_linear *l, size_t at, const struct fit *f, const double *x,
                      size_t n, double sum, float *g)
{
    if (f->lo < 0)
        add_at(g + slide_first(x, n, f->lo), sum * f->by_lo * f->keep_lo);
    if (f->hi > 0)
        add_at(g + slide_first(x, n, f->hi), sum * f->by_hi * f->keep_hi);
    if (!l->lo.n)
        return;
    l->lo.g[at] = (float)(sum * f->by_lo * f->lo * f->keep_lo * (1 - f->keep_lo));
    l->hi.g[at] = (float)(sum * f->by_hi * f->hi * f->keep_hi * (1 - f->keep_hi));
}

/* Group i of a row. */
static int back_group(const struct work *w, size_t n, size_t i, const double *x, struct err *e)
{
    struct slide_linear *l = w->l;
    const size_t first = i * l->width, size = group_size(l, i), at = n * l->K + first,
                 rounded = rounded_of(l, first, size);
    const float *by = divisor(l) ? divisor(l) + first : NULL, *g = w->g + at;
    float *to = w->room + at;
    struct fit f;
    double sum;

    if (fit_group(l, n * l->G + i, x, size, &f, e) < 0)
        return -1;
    sum = slide_through(x, rounded, f.scale, f.zero, affine_top(l->o->bits), g, by, to);
    for (size_t k = rounded; k < size; k++)
        to[k] = by ? g[k] / by[k] : g[k];
    give_ends(l, n * l->G + i, &f, x, size, sum, to);
    return 0;
}

static int back_row(const struct work *w, size_t n, double *x, struct err *e)
{
    slide_linear_target(w->l, n, x);
    for (size_t i = 0; i < w->l->G; i++)
        if (back_group(w, n, i, x + i * w->l->width, e) < 0)
            return -1;
    return 0;
}

/* ---- all rows ---- */

static int each_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct work *w = ctx;
    const size_t end = at_most((i + 1) * TILE, w->l->N);
    double *x = w->row + worker * 2 * w->l->K;

    for (size_t n = i * TILE; n < end; n++)
        if ((w->g ? back_row : round_row)(w, n, x, e) < 0)
            return -1;
    return 0;
}

static int each_row(struct work *w, struct par *p, struct err *e)
{
    int rc = -1;

    if ((w->row = mem_raw(par_threads(p) * 2 * w->l->K, sizeof *w->row, e)))
        rc = par_for(p, (w->l->N + TILE - 1) / TILE, each_tile, w, e);
    free(w->row);
    return rc;
}

int slide_linear_round(struct slide_linear *l, struct par *p, float *out, uint8_t *codes,
                       struct err *e)
{
    struct work w = {.l = l, .out = out, .codes = codes};

    return each_row(&w, p, e);
}

/* ---- alpha ---- */

struct columns {
    const struct slide_linear *l;
    const float *x, *y;
    int over; /* minus, over alpha */
};

static int each_columns(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct columns *c = ctx;
    const size_t K = c->l->K, first = i * COLUMNS, n = at_most(K - first, COLUMNS);
    struct slide_param *alpha = c->l->alpha;
    double sum[COLUMNS] = {0};

    (void)worker;
    (void)e;
    for (size_t r = 0; r < c->l->N; r++)
        slide_products(sum, c->x + r * K + first, c->y + r * K + first, n);
    for (size_t k = 0; k < n; k++)
        alpha->g[first + k] += (float)(c->over ? -sum[k] / (double)alpha->x[first + k] : sum[k]);
    return 0;
}

static int add_columns(const struct slide_linear *l, struct par *p, const float *x, const float *y,
                       int over, struct err *e)
{
    struct columns c = {.l = l, .x = x, .y = y, .over = over};

    return l->alpha ? par_for(p, (l->K + COLUMNS - 1) / COLUMNS, each_columns, &c, e) : 0;
}

int slide_linear_back(struct slide_linear *l, struct par *p, const float *out, const float *g,
                      float *room, struct err *e)
{
    struct work w = {.l = l, .g = g, .room = room};
    const size_t r = (size_t)l->o->rank;

    if ((divisor(l) && add_columns(l, p, g, out, 1, e) < 0) || each_row(&w, p, e) < 0 ||
        add_columns(l, p, room, l->w, 0, e) < 0)
        return -1;
    if (!r)
        return 0;
    if (blas_product(p, r, l->K, l->N, l->b.x, l->N, room, l->K, l->a.g, l->K, 0, e) < 0)
        return -1;
    return blas_linear(p, r, l->N, l->K, l->a.x, l->K, room, l->K, l->b.g, l->N, 0, e);
}

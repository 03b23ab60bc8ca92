/* SPDX-License-Identifier: Apache-2.0 */
/* slide_gptq - see slide_gptq.h. */
#include "slide_gptq.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/each_cpu.h"
#include "../../common/base/mem.h"
#include "../../common/format/grid_affine.h"
#include "../../common/tensor/blas.h"

enum { TILE = 16 };

struct gather {
    const struct slide_gptq *g;
    struct slide_block *b;
    const struct sites *sites;
    size_t first, count;        /* order of the block's first site, how many */
    const struct slide_part *p; /* whose rows come now */
    double **h;                 /* [count] of each site [K,K], its lower triangle; NULL: no rows */
};

/* ---- H ---- */

/* As they count: times the root of their weights. NULL: out of memory. */
static float *weighed(const struct block_rows *r, size_t K, const float *w, struct err *e)
{
    float *x = mem_raw(r->count * K, sizeof *x, e);

    for (size_t t = 0; x && t < r->count; t++) {
        const float by = sqrtf(w[r->token ? r->token[t] : t]);

        for (size_t k = 0; k < K; k++)
            x[t * K + k] = by * r->x[t * K + k];
    }
    return x;
}

static int add_rows(struct gather *g, size_t site, const struct block_rows *r, struct err *e)
{
    const struct slide_data *d = g->g->data;
    const size_t K = g->sites->site[g->first + site].inputs;
    float *x = d->weight ? weighed(r, K, d->weight + g->p->first, e) : NULL,
          *s = mem_raw(K * K, sizeof *s, e);
    int rc = s && (x || !d->weight) ? 0 : -1;

    if (rc == 0 && !g->h[site] && !(g->h[site] = mem_array(K * K, sizeof(double), e)))
        rc = -1;
    if (rc == 0)
        rc = blas_gram(g->g->par, r->count, K, NULL, x ? x : r->x, K, s, K, e);
    for (size_t i = 0; rc == 0 && i < K; i++)
        for (size_t k = 0; k <= i; k++)
            g->h[site][i * K + k] += (double)s[i * K + k];
    free(s);
    free(x);
    return rc;
}

static int at_stop(void *ctx, size_t stop, const struct rows *rows, struct err *e)
{
    struct gather *g = ctx;

    for (size_t s = 0; s < g->count; s++) {
        struct block_rows r;

        if (g->sites->site[g->first + s].stop != stop)
            continue;
        if (block_site_rows(g->b->b, s, rows, DT_F32, &r, e) < 0 ||
            (r.count && add_rows(g, s, &r, e) < 0))
            return -1;
    }
    return 0;
}

/* The stream itself stays before the block. */
static int gather(struct gather *g, struct err *e)
{
    const struct slide_data *d = g->g->data;
    const size_t width = model_config(g->b->m)->d;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < d->parts; i++) {
        const size_t n = d->part[i].rows.T * width;
        float *h = mem_raw(n + 1, sizeof *h, e);

        g->p = &d->part[i];
        if (h)
            memcpy(h, d->quantized + g->p->first * width, n * sizeof *h);
        rc = h ? slide_block_walk(g->b, &g->p->rows, h, at_stop, g, e) : -1;
        free(h);
    }
    return rc;
}

/* ---- its factor ---- */

struct factor {
    size_t K;
    double *U;
    size_t *order;
};

struct column {
    double h;
    size_t at;
};

static int by_diagonal(const void *a, const void *b)
{
    const struct column *x = a, *y = b;

    return x->h > y->h ? -1 : x->h < y->h ? 1 : (x->at > y->at) - (x->at < y->at);
}

/* Columns that no row has reached count as the mean of the others. */
static void columns_of(size_t K, const double *h, double *diag, struct column *c, size_t *order)
{
    double sum = 0;
    size_t live = 0;

    for (size_t k = 0; k < K; k++) {
        diag[k] = h[k * K + k];
        sum += diag[k];
        live += diag[k] > 0;
    }
    for (size_t k = 0; k < K; k++) {
        if (!(diag[k] > 0))
            diag[k] = live ? sum / (double)live : 1;
        c[k] = (struct column){diag[k], k};
    }
    qsort(c, K, sizeof *c, by_diagonal);
    for (size_t k = 0; k < K; k++)
        order[k] = c[k].at;
}

static int factor_make(struct factor *f, double damp, size_t K, double *h,
                       struct inverse_used *used, struct par *p, struct err *e)
{
    double *diag = mem_raw(K, sizeof *diag, e);
    struct column *c = mem_raw(K, sizeof *c, e);
    int rc = -1;

    *f = (struct factor){
        .K = K, .U = mem_raw(K * K, sizeof *f->U, e), .order = mem_raw(K, sizeof *f->order, e)};
    if (diag && c && f->U && f->order) {
        for (size_t i = 0; i < K; i++)
            for (size_t k = 0; k < i; k++)
                h[k * K + i] = h[i * K + k];
        columns_of(K, h, diag, c, f->order);
        rc = inverse_factor(damp, K, h, diag, f->order, f->U, used, p, e);
    }
    free(diag);
    free(c);
    return rc;
}

static void factor_drop(struct factor *f)
{
    free(f->U);
    free(f->order);
}

/* ---- column by column ---- */

EACH_BODY spread_body(double *restrict x, const double *restrict u, double by, size_t n)
{
    for (size_t k = 0; k < n; k++)
        x[k] -= by * u[k];
}

static void spread(double *restrict x, const double *restrict u, double by, size_t n);
EACH_CPU(spread, (double *restrict x, const double *restrict u, double by, size_t n), (x, u, by, n))

struct work {
    const struct factor *f;
    const struct slide_linear *l;
    float *out;
    uint8_t *codes;
    double *rows; /* [threads, TILE + 1, K] */
};

/* Column j of the order, of row n; x: the row in that order. */
static void round_column(const struct work *w, size_t n, size_t j, double *x)
{
    const struct slide_linear *l = w->l;
    const size_t K = l->K, k = w->f->order[j], at = n * l->G + k / l->width;
    const double s = l->scale[at], z = (double)l->zero[at];
    const double c = fmin(fmax(nearbyint(x[j] / s) + z, 0), affine_top(l->o->bits)),
                 q = affine_level(s, c, z);

    w->codes[n * K + k] = (uint8_t)(int)c;
    w->out[n * K + k] = (float)q;
    spread(x + j + 1, w->f->U + j * K + j + 1, (x[j] - q) / w->f->U[j * K + j], K - j - 1);
}

static int each_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct work *w = ctx;
    const size_t K = w->l->K, first = i * TILE,
                 rows = w->l->N - first < TILE ? w->l->N - first : TILE;
    double *x = w->rows + worker * (TILE + 1) * K, *plain = x + TILE * K;

    (void)e;
    for (size_t r = 0; r < rows; r++) {
        slide_linear_target(w->l, first + r, plain);
        for (size_t j = 0; j < K; j++)
            x[r * K + j] = plain[w->f->order[j]];
    }
    for (size_t j = 0; j < K; j++)
        for (size_t r = 0; r < rows; r++)
            round_column(w, first + r, j, x + r * K);
    return 0;
}

static int round_linear(const struct slide_gptq *g, const struct factor *f,
                        const struct slide_linear *l, float *out, uint8_t *codes, struct err *e)
{
    struct work w = {.f = f, .l = l, .out = out, .codes = codes};
    int rc = -1;

    if ((w.rows = mem_raw(par_threads(g->par) * (TILE + 1) * l->K, sizeof *w.rows, e)))
        rc = par_for(g->par, (l->N + TILE - 1) / TILE, each_tile, &w, e);
    free(w.rows);
    return rc;
}

/* ---- all ---- */

static int round_site(struct gather *g, size_t site, size_t linear, uint8_t *const *codes,
                      struct inverse_used *used, struct err *e)
{
    const struct site *s = &g->sites->site[g->first + site];
    struct factor f;
    int rc;

    *used = (struct inverse_used){.fallback = "rtn"};
    if (!g->h[site])
        return 0;
    rc = factor_make(&f, g->g->damp, s->inputs, g->h[site], used, g->g->par, e);
    for (size_t i = linear; rc == 0 && i < linear + s->count; i++)
        if (!used->fallback || *used->fallback != 'r')
            rc = round_linear(g->g, &f, &g->b->linear[i], slide_block_out(g->b, i), codes[i], e);
    factor_drop(&f);
    free(g->h[site]);
    g->h[site] = NULL;
    return rc;
}

int slide_gptq_block(const struct slide_gptq *x, struct slide_block *b, uint8_t *const *codes,
                     struct inverse_used *used, struct err *e)
{
    struct gather g = {.g = x, .b = b, .sites = model_sites(b->m)};
    size_t linear = 0;
    int rc;

    g.first = g.sites->first[b->index];
    g.count = g.sites->end[b->index] - g.first;
    if (!(g.h = mem_array(g.count + 1, sizeof *g.h, e)))
        return -1;
    rc = gather(&g, e);
    for (size_t s = 0; rc == 0 && s < g.count; s++) {
        rc = round_site(&g, s, linear, codes, &used[s], e);
        linear += g.sites->site[g.first + s].count;
    }
    for (size_t s = 0; s < g.count; s++)
        free(g.h[s]);
    free(g.h);
    return rc;
}

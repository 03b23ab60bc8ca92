/* SPDX-License-Identifier: Apache-2.0 */
/* slide_window - see slide_window.h. */
#include "slide_window.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/model/block_back.h"
#include "slide_loops.h"

#define LEAST_ALPHA 1e-2f

static size_t width_of(const struct slide_window *w)
{
    return model_config(w->block[0]->m)->d;
}

enum { TILE_ROWS = 32 };

struct distance {
    const struct slide_batch *t;
    float *y;
    size_t d;
    double all;
    int slope;
    double *row; /* [T] */
};

static int each_rows(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct distance *x = ctx;
    const size_t T = x->t->rows.T, d = x->d;

    (void)worker;
    (void)e;
    for (size_t t = i * TILE_ROWS; t < T && t < (i + 1) * TILE_ROWS; t++) {
        const double by = (x->t->weight ? (double)x->t->weight[t] : 1) * x->all;

        x->row[t] = by * slide_apart(x->y + t * d, x->t->target + t * d, d, x->slope, by);
    }
    return 0;
}

/* y becomes the gradient of the loss where slope is set. */
static int distance(const struct slide_window *w, const struct slide_batch *t, float *y, int slope,
                    double *loss, struct err *e)
{
    const size_t T = t->rows.T, d = width_of(w);
    struct distance x = {
        .t = t, .y = y, .d = d, .slope = slope, .row = mem_raw(T + 1, sizeof *x.row, e)};
    double all = t->all;
    int rc = -1;

    for (size_t i = 0; i < T && t->all <= 0; i++)
        all += t->weight ? (double)t->weight[i] : 1;
    x.all = all > 0 ? 1 / (all * (double)d) : 0;
    if (x.row)
        rc = par_for(w->par, (T + TILE_ROWS - 1) / TILE_ROWS, each_rows, &x, e);
    *loss = 0;
    for (size_t i = 0; rc == 0 && i < T; i++)
        *loss += x.row[i];
    free(x.row);
    return rc;
}

int slide_window_loss(const struct slide_window *w, const struct slide_batch *t, double *loss,
                      struct err *e)
{
    const size_t n = t->rows.T * width_of(w);
    float *y = mem_raw(n ? n : 1, sizeof *y, e);
    int rc = y ? 0 : -1;

    if (y)
        memcpy(y, t->x, n * sizeof *y);
    for (size_t i = 0; rc == 0 && i < w->count; i++)
        rc = block_forward(w->block[i]->b, &t->rows, y, e);
    if (rc == 0)
        rc = distance(w, t, y, 0, loss, e);
    free(y);
    return rc;
}

/* ---- the way back ---- */

static void no_gradient(struct slide_param *p)
{
    if (p->n)
        memset(p->g, 0, p->n * sizeof *p->g);
}

/* Of alpha: by the norms that it divides, and the readers that it multiplies. */
static void folds_back(struct slide_block *b, const struct block_back *k)
{
    const char *name;
    size_t n;

    for (size_t a = 0; a < SLIDE_ALPHAS; a++)
        for (size_t i = 0; b->folded[a][0] && (name = slide_block_folded(b, a, i, &n)); i++) {
            const float *g = block_back_tensor(k, name), *was = b->folded[a][i];
            struct slide_param *alpha = &b->alpha[a];
            const float one = b->fold[a].one ? 1 : 0;

            for (size_t j = 0; g && j < n; j++)
                alpha->g[j % alpha->n] +=
                    i ? g[j] * was[j] : -g[j] * (was[j] + one) / (alpha->x[j] * alpha->x[j]);
        }
}

static int linears_back(const struct slide_window *w, struct slide_block *b,
                        const struct block_back *k, float *room, struct err *e)
{
    char name[TENSOR_NAME];

    for (size_t i = 0; i < SLIDE_ALPHAS; i++)
        no_gradient(&b->alpha[i]);
    folds_back(b, k);
    for (size_t i = 0; i < b->count; i++) {
        struct slide_linear *l = &b->linear[i];
        const float *g;

        snprintf(name, sizeof name, "%s.weight", l->name);
        if ((g = block_back_tensor(k, name))) {
            if (slide_linear_back(l, w->par, slide_block_out(b, i), g, room, e) < 0)
                return -1;
            continue;
        }
        no_gradient(&l->a); /* of an expert that got no token */
        no_gradient(&l->b);
        no_gradient(&l->lo);
        no_gradient(&l->hi);
    }
    return 0;
}

static float *room_make(const struct slide_window *w, struct err *e)
{
    size_t n = 1;

    for (size_t b = 0; b < w->count; b++)
        for (size_t i = 0; i < w->block[b]->count; i++) {
            const struct slide_linear *l = &w->block[b]->linear[i];

            n = l->N * l->K > n ? l->N * l->K : n;
        }
    return mem_raw(n, sizeof(float), e);
}

int slide_window_back(const struct slide_window *w, const struct slide_batch *t, double *loss,
                      struct err *e)
{
    const size_t n = t->rows.T * width_of(w);
    struct block_back **k = mem_array(w->count, sizeof *k, e);
    float *y = mem_raw(n ? n : 1, sizeof *y, e), *room = room_make(w, e);
    int rc = k && y && room ? 0 : -1;

    for (size_t i = 0; rc == 0 && i < w->count; i++)
        if (!(k[i] = block_back_forward(w->block[i]->b, SIZE_MAX, &t->rows, i ? y : t->x, y, e)))
            rc = -1;
    if (rc == 0)
        rc = distance(w, t, y, 1, loss, e);
    for (size_t i = w->count; rc == 0 && i-- > 0;) {
        rc = block_back_reverse(k[i], y, &(struct block_back_ask){.tensors = 1}, e);
        if (rc == 0)
            rc = linears_back(w, w->block[i], k[i], room, e);
        block_back_close(&k[i]);
    }
    for (size_t i = 0; k && i < w->count; i++)
        block_back_close(&k[i]);
    free(k);
    free(y);
    free(room);
    return rc;
}

/* ---- steps ---- */

int slide_window_narrow(const struct slide_window *w, double share, struct err *e)
{
    for (size_t b = 0; b < w->count; b++) {
        for (size_t i = 0; i < w->block[b]->count; i++) {
            struct slide_linear *l = &w->block[b]->linear[i];

            l->columns = (size_t)ceil(share * (double)l->K);
        }
        if (slide_block_round(w->block[b], w->par, e) < 0)
            return -1;
    }
    return 0;
}

void slide_window_restart(const struct slide_window *w)
{
    enum slide_rate rate;
    struct slide_param *p;

    for (size_t b = 0; b < w->count; b++)
        for (size_t i = 0; (p = slide_block_param(w->block[b], i, &rate)); i++)
            slide_param_restart(p);
}

static void stay_away(struct slide_param *alpha)
{
    for (size_t k = 0; k < alpha->n; k++)
        if (fabsf(alpha->x[k]) < LEAST_ALPHA)
            alpha->x[k] = copysignf(LEAST_ALPHA, alpha->x[k]);
}

int slide_window_step(const struct slide_window *w, const double rate[SLIDE_RATES], size_t step,
                      struct err *e)
{
    enum slide_rate which;
    struct slide_param *p;

    for (size_t b = 0; b < w->count; b++) {
        for (size_t i = 0; (p = slide_block_param(w->block[b], i, &which)); i++)
            if (slide_param_step(p, w->par, rate[which], step, e) < 0)
                return -1;
        for (size_t i = 0; i < SLIDE_ALPHAS; i++)
            stay_away(&w->block[b]->alpha[i]);
    }
    return 0;
}

int slide_window_round(const struct slide_window *w, struct err *e)
{
    for (size_t b = 0; b < w->count; b++)
        if (slide_block_round(w->block[b], w->par, e) < 0)
            return -1;
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* model_loss - cross-entropy at the end of a model: final norm, head, softmax, and back. Rows
 * that predict something go through the head HEAD_ROWS at a time. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "../tensor/blas.h"
#include "model_back.h"
#include "model_parts.h"
#include "op.h"
#include "vec.h"

enum { HEAD_ROWS = 128 };

struct head {
    struct model *m;
    const struct model_back_chunk *c;
    size_t count;
    size_t *row;   /* [count] that predict the token behind them, ascending */
    double *times; /* [count] 1 over how many rows of the sequence do */
    double *nll;   /* [count] */
    float *x, *dx; /* [count, d] the normed rows, and the gradient of them */
    float *logits; /* [HEAD_ROWS, vocab] */
    size_t first;  /* of the tile */
    float *h;      /* [T, d] */
};

static void head_release(struct head *o)
{
    free(o->row);
    free(o->times);
    free(o->nll);
    free(o->x);
    free(o->dx);
    free(o->logits);
}

static int head_rows(struct head *o, struct err *e)
{
    const struct rows *r = o->c->rows;

    if (!(o->row = mem_array(r->T, sizeof *o->row, e)) ||
        !(o->times = mem_array(r->T, sizeof *o->times, e)) ||
        !(o->nll = mem_array(r->T, sizeof *o->nll, e)))
        return -1;
    for (size_t s = 0, start = 0; s < r->nseq; start += (size_t)r->lengths[s++]) {
        const size_t from = o->count;

        for (size_t t = start + 1; t < start + (size_t)r->lengths[s]; t++)
            if (o->c->predicted[t])
                o->row[o->count++] = t - 1;
        for (size_t i = from; i < o->count; i++)
            o->times[i] = 1.0 / (double)(o->count - from);
    }
    return 0;
}

/* A row of logits becomes their gradient: p - 1 at the token that came, by way of the cap and the
 * scale. */
static int loss_row(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct head *o = ctx;
    const struct config *c = &o->m->c;
    const size_t at = o->first + i, id = (size_t)o->c->ids[o->row[at] + 1];
    const double cap = c->logit_cap, scale = o->times[at];
    float *z = o->logits + i * c->vocab;
    const float top = vec_max(z, c->vocab);
    const double sum = vec_exp_total(z, c->vocab, top);

    (void)worker;
    o->nll[at] = log(sum) + (double)top - (double)z[id];
    if (!isfinite(o->nll[at]))
        return err_set(e, ERR_DATA, "the model's logits are not finite");
    for (size_t k = 0; k < c->vocab; k++) {
        const double p = exp((double)z[k] - (double)top) / sum - (k == id);
        const double slope = cap != 0.0 ? 1 - (double)z[k] / cap * ((double)z[k] / cap) : 1.0;

        z[k] = (float)(scale * p * slope * c->logit_scale);
    }
    return 0;
}

static int head_tile(struct head *o, size_t rows,
                     int (*linear)(void *ctx, const struct block_back_rows *x, struct err *e),
                     void *ctx, struct err *e)
{
    const size_t d = o->m->c.d, V = o->m->c.vocab;

    if (model_logits(o->m, rows, o->x + o->first * d, o->logits, e) < 0 ||
        par_for(o->m->par, rows, loss_row, o, e) < 0)
        return -1;
    if (linear && linear(ctx,
                         &(struct block_back_rows){.name = o->m->f->head,
                                                   .site = -1,
                                                   .g = o->logits,
                                                   .count = rows,
                                                   .N = V,
                                                   .token = o->row + o->first},
                         e) < 0)
        return -1;
    return blas_product(o->m->par, rows, d, V, o->logits, V, o->m->head, d, o->dx + o->first * d, d,
                        0, e);
}

static int norm_back(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct head *o = ctx;
    const size_t d = o->m->c.d;
    float *h = o->h + o->row[i] * d, *dx = o->dx + i * d;

    (void)worker;
    (void)e;
    norm_row_back(&o->m->c.norm, o->m->final_norm, d, h, dx, dx, NULL);
    return 0;
}

static void losses(const struct head *o)
{
    const struct rows *r = o->c->rows;

    for (size_t s = 0, i = 0, end = 0; s < r->nseq; s++) {
        double sum = 0;
        const size_t from = i;

        end += (size_t)r->lengths[s];
        for (; i < o->count && o->row[i] < end; i++)
            sum += o->nll[i] * o->times[i];
        o->c->loss[s] = i > from ? sum : NAN;
    }
}

int model_loss(struct model *m, const struct model_back_chunk *c, float *h,
               int (*linear)(void *ctx, const struct block_back_rows *x, struct err *e), void *ctx,
               struct err *e)
{
    const size_t d = m->c.d;
    struct head o = {.m = m, .c = c, .h = h};
    int rc = -1;

    if (head_rows(&o, e) < 0 || !(o.x = mem_raw(o.count * d + 1, sizeof *o.x, e)) ||
        !(o.dx = mem_raw(o.count * d + 1, sizeof *o.dx, e)) ||
        !(o.logits = mem_raw(HEAD_ROWS * m->c.vocab, sizeof *o.logits, e)))
        goto out;
    for (size_t i = 0; i < o.count; i++)
        memcpy(o.x + i * d, h + o.row[i] * d, d * sizeof *h);
    if (model_final_norm(m, o.count, o.x, e) < 0)
        goto out;
    for (o.first = 0; o.first < o.count; o.first += HEAD_ROWS)
        if (head_tile(&o, o.count - o.first < HEAD_ROWS ? o.count - o.first : HEAD_ROWS, linear,
                      ctx, e) < 0)
            goto out;
    if (par_for(m->par, o.count, norm_back, &o, e) < 0)
        goto out;
    losses(&o);
    memset(h, 0, c->rows->T * d * sizeof *h);
    for (size_t i = 0; i < o.count; i++)
        memcpy(h + o.row[i] * d, o.dx + i * d, d * sizeof *h);
    rc = 0;
out:
    head_release(&o);
    return rc;
}

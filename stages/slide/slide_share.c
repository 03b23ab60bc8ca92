/* SPDX-License-Identifier: Apache-2.0 */
/* slide_share - see slide_share.h. */
#include "slide_share.h"

#include <stdlib.h>
#include "../../common/base/mem.h"

struct step {
    const struct slide_share *s;
    size_t parts;
    struct msg **sum; /* [parts] */
    double all;       /* what the loss of all parts is divided by */
};

/* Sequences [from, to) of part i of n: as even as they go. */
static struct slide_batch part_of(const struct slide_batch *t, const struct step *x, size_t i,
                                  size_t d)
{
    const size_t n = t->rows.nseq, from = i * n / x->parts, to = (i + 1) * n / x->parts;
    struct slide_batch p = {.rows = t->rows, .all = x->all};
    size_t first = 0;

    for (size_t k = 0; k < from; k++)
        first += (size_t)t->rows.lengths[k];
    p.rows.lengths = t->rows.lengths + from;
    p.rows.nseq = to - from;
    p.rows.T = 0;
    for (size_t k = from; k < to; k++)
        p.rows.T += (size_t)t->rows.lengths[k];
    p.x = t->x + first * d;
    p.target = t->target + first * d;
    p.weight = t->weight ? t->weight + first : NULL;
    return p;
}

/* Out to others, or done here. */
static int ask(struct step *x, const struct slide_batch *t, struct slide_job *j, struct err *e)
{
    const struct slide_share *s = x->s;
    struct msg *job;
    double loss;
    int rc;

    j->batch = part_of(t, x, j->part, model_config(s->w->block[0]->m)->d);
    if (!s->ask)
        return slide_window_back(s->w, &j->batch, &loss, e) < 0 ||
                       !(x->sum[j->part] = slide_sum_make(j, s->w, loss, s->run, e))
                   ? -1
                   : 0;
    job = slide_job_make(j, s->w, s->run, e);
    rc = job ? s->ask(s->ctx, &job, e) : -1;
    msg_destroy(&job);
    return rc;
}

static int collect(struct step *x, const struct slide_job *j, struct err *e)
{
    for (size_t left = x->parts; left;) {
        struct msg *m = NULL;
        int part;

        if (x->s->answer(x->s->ctx, &m, e) < 0)
            return -1;
        part = slide_sum_part(m, j, x->parts, e);
        if (part >= 0 && (size_t)part < x->parts && !x->sum[part]) {
            x->sum[part] = m;
            m = NULL;
            left--;
        }
        msg_destroy(&m);
        if (part < 0)
            return -1;
    }
    return 0;
}

static int share(struct step *x, const struct slide_batch *t, struct slide_job *j, double *loss,
                 struct err *e)
{
    int rc = 0;

    for (j->part = 0; rc == 0 && j->part < x->parts; j->part++)
        rc = ask(x, t, j, e);
    if (rc == 0 && x->s->ask)
        rc = collect(x, j, e);
    for (size_t i = 0; rc == 0 && i < x->parts; i++)
        rc = slide_sum_add(x->sum[i], x->s->w, i == 0, loss, e);
    return rc;
}

int slide_share_step(const struct slide_share *s, const struct slide_batch *t, size_t step,
                     double *loss, struct err *e)
{
    const size_t n = t->rows.nseq;
    struct step x = {.s = s, .parts = s->o->parts < n ? s->o->parts : n};
    struct slide_job j = {.window = s->window,
                          .step = step,
                          .first = s->first,
                          .count = s->w->count,
                          .share = s->columns,
                          .act_bits = s->o->act_bits,
                          .qkv_bits = s->o->qkv_bits,
                          .products = s->o->products,
                          .shape = s->o->shape};
    int rc;

    if (x.parts == 1 && !s->ask)
        return slide_window_back(s->w, t, loss, e);
    for (size_t i = 0; i < t->rows.T; i++)
        x.all += t->weight ? (double)t->weight[i] : 1;
    if (!(x.sum = mem_array(x.parts, sizeof(struct msg *), e)))
        return -1;
    rc = share(&x, t, &j, loss, e);
    for (size_t i = 0; i < x.parts; i++)
        msg_destroy(&x.sum[i]);
    free(x.sum);
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* slope - see slope.h. */
#include "slope.h"

#include <stdlib.h>
#include "../../common/base/mem.h"
#include "../../common/model/fingerprint.h"
#include "../../common/model/model_back.h"
#include "../../common/wire/run_id.h"

struct slope {
    const char *dir;
    struct model *m;
    struct par *par;
    struct model_use use; /* of the model as it is open */
    uint64_t print;
    struct slide_shape shape;   /* of the blocks that are there */
    struct slide_block **block; /* [layers] */
    size_t layers;
};

struct slope *slope_open(const char *dir, struct par *par, struct err *e)
{
    struct slope *s = mem_array(1, sizeof *s, e);

    if (!s)
        return NULL;
    s->dir = dir;
    s->par = par;
    s->use.learns = 1;
    if ((s->m = model_open_for(dir, &s->use, par, e)) && model_back_check(s->m, e) == 0 &&
        fingerprint_model(model_config(s->m)->file, model_tensors(s->m), &s->print, e) == 0) {
        s->layers = model_config(s->m)->layers;
        if ((s->block = mem_array(s->layers, sizeof(struct slide_block *), e)))
            return s;
    }
    slope_close(&s);
    return NULL;
}

static int opened_alike(const struct slope *s, const struct model_use *u)
{
    return s->use.act_bits == u->act_bits && s->use.qkv_bits == u->qkv_bits &&
           s->use.products == u->products;
}

static void drop(struct slope *s, size_t from, size_t to)
{
    for (size_t i = from; s->block && i < to; i++)
        slide_block_close(&s->block[i]);
}

void slope_close(struct slope **sp)
{
    struct slope *s = *sp;

    if (!s)
        return;
    drop(s, 0, s->layers);
    model_close(&s->m);
    free(s->block);
    free(s);
    *sp = NULL;
}

static int same(const struct slide_shape *a, const struct slide_shape *b)
{
    return a->grid == b->grid && a->bits == b->bits && a->group == b->group &&
           a->scale_type == b->scale_type && a->zero_min == b->zero_min && a->rank == b->rank &&
           a->clips == b->clips && a->scales == b->scales;
}

/* The blocks of the job, and no others. What is drawn at first is written over. */
static int settle(struct slope *s, const struct slide_job *j, struct err *e)
{
    const struct model_use use = {
        .act_bits = j->act_bits, .qkv_bits = j->qkv_bits, .products = j->products, .learns = 1};

    if (!same(&s->shape, &j->shape) || !opened_alike(s, &use))
        drop(s, 0, s->layers);
    s->shape = j->shape;
    if (!opened_alike(s, &use)) {
        struct model *m = model_open_for(s->dir, &use, s->par, e);

        if (!m)
            return -1;
        model_close(&s->m);
        s->m = m;
        s->use = use;
    }
    drop(s, 0, j->first);
    drop(s, j->first + j->count, s->layers);
    for (size_t i = j->first; i < j->first + j->count; i++)
        if (!s->block[i] && !(s->block[i] = slide_block_open(s->m, i, &s->shape, 0, e)))
            return -1;
    return 0;
}

int slope_take(struct slope *s, const struct msg *job, struct msg **sum, struct err *e)
{
    struct slide_window w = {.par = s->par};
    struct slide_job j;
    double loss;

    if (run_id_check_model(job->run, s->print, model_tensors(s->m)->paths[0], e) < 0 ||
        slide_job_read(job, s->layers, model_config(s->m)->d, &j, e) < 0 || settle(s, &j, e) < 0)
        return -1;
    w.block = s->block + j.first;
    w.count = j.count;
    /* it rounds, too */
    if (slide_job_take(job, &w, e) < 0 || slide_window_narrow(&w, j.share, e) < 0 ||
        slide_window_back(&w, &j.batch, &loss, e) < 0)
        return -1;
    *sum = slide_sum_make(&j, &w, loss, job->run, e);
    return *sum ? 0 : -1;
}

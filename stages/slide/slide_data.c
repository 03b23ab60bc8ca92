/* SPDX-License-Identifier: Apache-2.0 */
/* slide_data - see slide_data.h. */
#include "slide_data.h"

#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"

void slide_data_release(struct slide_data *d)
{
    for (size_t i = 0; i < d->count; i++)
        msg_destroy(&d->held[i].msg);
    free(d->held);
    free(d->quantized);
    free(d->full);
    free(d->weight);
    free(d->ids);
    free(d->lengths);
    free(d->part);
    json_destroy(&d->prov);
    *d = (struct slide_data){0};
}

/* ---- chunks ---- */

static int check_chunk(const struct slide_data *d, const struct chunk_view *v, struct err *e)
{
    const struct config *c = model_config(d->m);
    const unsigned long long n = v->chunk;

    if (v->vocab > c->vocab)
        return err_set(e, ERR_USE,
                       "chunk %llu: ids of a vocabulary of %llu, but the model has %zu; sample "
                       "with the tokenizer of this model",
                       n, (unsigned long long)v->vocab, c->vocab);
    if (v->site_weights || v->block_weights)
        return err_set(e, ERR_USE,
                       "chunk %llu has weights of single sites or blocks: a window has one loss; "
                       "give the sampler weights of tokens alone",
                       n);
    if (v->images.n)
        return err_set(e, ERR_USE, "chunk %llu has images: ptq-slide takes text alone", n);
    for (size_t i = 0; i < d->count; i++)
        if (d->held[i].number == v->chunk)
            return err_set(e, ERR_USE, "chunk %llu came before", n);
    return 0;
}

int slide_data_add(struct slide_data *d, const struct msg *chunk, struct err *e)
{
    struct slide_held h = {0};

    if (chunk_read(chunk, &h.view, e) < 0 || check_chunk(d, &h.view, e) < 0 ||
        mem_grow((void **)&d->held, &d->cap, d->count + 1, sizeof *d->held, e) < 0 ||
        !(h.msg = msg_copy(chunk, e)) || chunk_read(h.msg, &h.view, e) < 0) {
        msg_destroy(&h.msg);
        return -1;
    }
    h.number = h.view.chunk;
    d->T += h.view.T;
    d->nseq += h.view.nseq;
    d->held[d->count++] = h;
    return 0;
}

uint64_t slide_data_bytes(const struct slide_data *d)
{
    return (uint64_t)d->T * (2 * model_config(d->m)->d + 2) * sizeof(float);
}

/* ---- streams ---- */

static int by_number(const void *a, const void *b)
{
    const struct slide_held *x = a, *y = b;

    return (x->number > y->number) - (x->number < y->number);
}

static int check_all(struct slide_data *d, struct err *e)
{
    const uint64_t all = d->count ? d->held[0].view.chunks : 0;

    if (!d->count)
        return err_set(e, ERR_DATA, "no chunks came");
    if (d->count != all)
        return err_set(e, ERR_DATA,
                       "%zu of %llu chunks came: a window learns from all of them in one process",
                       d->count, (unsigned long long)all);
    qsort(d->held, d->count, sizeof *d->held, by_number);
    memcpy(d->run, d->held[0].msg->run, sizeof d->run);
    if (d->held[0].view.prov && !(d->prov = json_clone(d->held[0].view.prov)))
        return err_set(e, ERR_SYS, "out of memory");
    return 0;
}

static int take_chunks(struct slide_data *d, struct err *e)
{
    size_t t = 0, s = 0;
    int weighed = 0;

    for (size_t i = 0; i < d->count; i++)
        weighed = weighed || d->held[i].view.weights;
    if (weighed && !(d->weight = mem_array(d->T, sizeof *d->weight, e)))
        return -1;
    for (size_t i = 0; i < d->count; i++) {
        const struct chunk_view *v = &d->held[i].view;

        memcpy(d->ids + t, v->ids, v->T * sizeof *d->ids);
        memcpy(d->lengths + s, v->lengths, v->nseq * sizeof *d->lengths);
        for (size_t k = 0; k < v->T; k++, t++) {
            const float w = v->weights ? v->weights[k] : 1;

            if (d->weight)
                d->weight[t] = w;
            d->sum_w += (double)w;
            d->sum_w2 += (double)w * (double)w;
        }
        s += v->nseq;
        msg_destroy(&d->held[i].msg);
    }
    return 0;
}

int slide_data_restart(struct slide_data *d, struct err *e)
{
    if (model_embed(d->m, d->ids, d->T, d->full, e) < 0)
        return -1;
    memcpy(d->quantized, d->full, d->T * model_config(d->m)->d * sizeof(float));
    return 0;
}

static void cut(struct slide_data *d, size_t batch)
{
    size_t t = 0;

    for (size_t s = 0; s < d->nseq; s += batch) {
        struct slide_part *p = &d->part[d->parts++];

        p->first = t;
        p->rows.lengths = d->lengths + s;
        p->rows.nseq = d->nseq - s < batch ? d->nseq - s : batch;
        for (size_t i = 0; i < p->rows.nseq; i++)
            p->rows.T += (size_t)d->lengths[s + i];
        t += p->rows.T;
    }
}

int slide_data_start(struct slide_data *d, size_t batch, struct err *e)
{
    const size_t n = d->T * model_config(d->m)->d;

    if (check_all(d, e) < 0 || !(d->full = mem_raw(n, sizeof *d->full, e)) ||
        !(d->quantized = mem_raw(n, sizeof *d->quantized, e)) ||
        !(d->ids = mem_array(d->T, sizeof *d->ids, e)) ||
        !(d->lengths = mem_array(d->nseq, sizeof *d->lengths, e)) ||
        !(d->part = mem_array(d->nseq, sizeof *d->part, e)) || take_chunks(d, e) < 0 ||
        slide_data_restart(d, e) < 0)
        return -1;
    cut(d, batch);
    return 0;
}

int slide_data_full(struct slide_data *d, size_t block, struct err *e)
{
    struct block *b = block_open(d->m, block, e);
    int rc = b ? block_load_all(b, e) : -1;

    if (b)
        block_set_exact(b);
    for (size_t i = 0; rc == 0 && i < d->parts; i++)
        rc = block_forward(b, &d->part[i].rows, d->full + d->part[i].first * model_config(d->m)->d,
                           e);
    block_close(&b);
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* importance_forecast - see importance_forecast.h. What is allocated follows from shapes: hidden
 * states of the chunks that are worked on together, values and gradients of a block, its weights,
 * the head, scores of attention, the weights of tokens. */
#include "importance_forecast.h"

#include <math.h>
#include "../../common/model/attention.h"
#include "../../common/model/cost.h"
#include "../../common/model/model_back.h"

#define HEAD_ROWS 128
#define ROWS 4 /* times the stream of a chunk: what products have beside their rows; measured */

/* Bytes of a weight: in f32, in what products want, or in both. */
static double weight_bytes(const struct importance_opts *o)
{
    const double narrow = o->products == PRODUCTS_BF16 ? 2 : 4;

    return o->products == PRODUCTS_F32
               ? sizeof(float)
               : narrow + (o->method == IMPORTANCE_VLMQ ? sizeof(float) : 0);
}

/* Bytes of a block at work: its weights beside values and gradients; the most of any. */
static int block_bytes(const struct importance_opts *o, const struct config *c,
                       const struct sites *sites, size_t chunk, double *most, struct err *e)
{
    *most = 0;
    for (size_t b = 0; b < c->layers; b++) {
        double room, weights = 0;

        if (block_back_room(c, b, chunk, &room, e) < 0)
            return -1;
        for (size_t s = sites->first[b]; s < sites->end[b]; s++)
            for (size_t i = 0; i < sites->site[s].count; i++)
                weights += weight_bytes(o) * (double)sites->site[s].linear[i].rows *
                           (double)sites->site[s].inputs;
        *most = fmax(*most, room + weights);
    }
    return 0;
}

/* Pixels of the chunks that are here together; the copy of one that goes on is made when values and
 * gradients are gone. */
static double pixels_bytes(const struct forecast_pictures *p, double chunks)
{
    return p->rows ? chunks * p->mean / (double)p->rows * (double)p->bytes : 0;
}

int importance_forecast_make(const struct importance_opts *o, const struct config *c,
                             const struct sites *sites, const struct forecast *f, size_t processes,
                             struct importance_forecast *out, struct err *e)
{
    const int vlmq = o->method == IMPORTANCE_VLMQ;
    const double threads = forecast_threads(f, processes), length = (double)f->length,
                 d = (double)c->d, chunk = (double)f->chunk,
                 row = vlmq ? 2 * sizeof(float) * d : (double)model_back_kept(c),
                 mine = ceil((double)f->lanes / (double)processes) *
                        ceil((double)f->chunks / (double)f->lanes) * chunk;
    const int whole = o->keep || o->method == IMPORTANCE_MBQ; /* goes by all chunks of the run */
    const double each = row * chunk + (f->pictures.rows ? (double)f->pictures.bytes : 0),
                 together = fmin(mine, ceil((double)o->mem / each) * chunk),
                 pixels = pixels_bytes(&f->pictures, (whole ? mine : together) / chunk),
                 scores = 3 * sizeof(float) * threads * fmin(length, ATTENTION_QUERIES) * length,
                 head = vlmq ? 0 : sizeof(float) * (double)c->vocab * (d + HEAD_ROWS),
                 tokens = sizeof(float) * together * (double)sites->count;
    struct cost cost;
    double block, weights = tokens;

    if (!processes || !f->chunk || !f->lanes)
        return err_set(e, ERR_USE, "a plan needs the number of chunks");
    if (cost_of(c, (double)f->tokens, length, (size_t)f->chunk, f->acts, &cost, e) < 0 ||
        block_bytes(o, c, sites, (size_t)f->chunk, &block, e) < 0)
        return -1;
    /* there, there again and back; vlmq: both streams, and little more than one attention */
    out->flops = 3 * cost.flops + (vlmq ? 0 : 4 * (double)f->tokens * d * (double)c->vocab);
    out->seconds = out->flops / forecast_back_rate(o->products) / (threads * (double)processes);
    for (size_t i = 0; o->fisher && i < sites->count; i++)
        for (size_t k = 0; k < sites->site[i].count; k++)
            weights += sizeof(float) * (double)sites->site[i].linear[k].rows *
                       (double)sites->site[i].inputs;
    out->bytes = (uint64_t)(forecast_blocks(threads) + together * row + weights + block + head +
                            ROWS * sizeof(float) * chunk * d + scores + pixels);
    return 0;
}

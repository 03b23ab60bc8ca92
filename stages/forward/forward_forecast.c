/* SPDX-License-Identifier: Apache-2.0 */
/* forward_forecast - see forward_forecast.h.
 *
 * What is allocated follows from shapes: hidden states, the slots of a block, the linears of one
 * site as products want them, messages under way. The rest are constants that were
 * measured on runs of 1 to 4 workers, 2,048 to 65,536 tokens, 10M and 135M weights: kernels made
 * at run time, sockets, and each thread with what BLAS or oneDNN keeps for it. */
#include "forward_forecast.h"

#include <math.h>
#include "../../common/model/cost.h"
#include "../../common/model/sight.h"
#include "../../common/model/vision.h"
#include "forward_begin.h"

#define UNDER_WAY 4.5 /* messages that are made, packed or waiting, where credit allows them */

int forward_forecast_rows(const struct forward_opts *o, struct forecast *f, struct err *e)
{
    if (o->acts != DT_BF16 && o->acts != DT_F32)
        return err_set(e, ERR_USE, "--acts: rows are bf16 or f32");
    f->acts = o->acts;
    f->dual = o->dual;
    f->weighed = f->weighed || o->attention_weights || o->by_modality;
    return 0;
}

/* What the tower made of images, until the run begins. */
static uint64_t features_most(const struct config *c, const struct forecast *f, uint64_t mine)
{
    const double tokens = f->pictures.tokens * (double)mine / (double)f->chunks;

    return c->vision ? (uint64_t)(tokens * (double)c->d * sizeof(float)) * (1 + c->vision->branches)
                     : 0;
}

/* The chunks stay here, with what they bring: weights of their tokens at sites; some are on their
 * way in. */
static double weights_of_tokens(const struct forecast *f, uint64_t mine)
{
    return sizeof(float) * (double)f->weighted * (double)f->chunk * ((double)mine + UNDER_WAY);
}

/* While it looks at a chunk: the pixels, and the pictures that go through the tower together. */
static int looking(const struct config *c, const struct forecast *f, double threads, double *bytes,
                   struct err *e)
{
    const struct forecast_pictures *p = &f->pictures;
    const uint64_t patches = c->vision && c->vision->side ? c->vision->side * c->vision->side : 1,
                   all = p->rows * patches, one = p->most * patches;
    const uint64_t together = all < SIGHT_ROWS ? all : one > SIGHT_ROWS ? one : SIGHT_ROWS;
    const double length = (double)(patches > 1 ? patches : one);

    *bytes = 0;
    if (!c->vision || !all)
        return 0;
    if (cost_tower(c, together, bytes, e) < 0)
        return -1;
    *bytes += (double)p->bytes + sizeof(float) * threads * fmin(length, ATTENTION_QUERIES) * length;
    return 0;
}

/* Of a weight while its site is at work. */
static double weight_bytes(enum products p)
{
    return p == PRODUCTS_BF16 ? sizeof(uint16_t) : sizeof(float);
}

/* Bytes of whole chunks in memory and in the file, of one kind of area. */
static void areas(uint64_t budget, uint64_t area, uint64_t mine, uint64_t *held, uint64_t *spilled)
{
    const uint64_t fit = area ? budget / area : mine, kept = fit < mine ? fit : mine;

    *held += (kept + (kept < mine)) * area;
    *spilled += (mine - kept) * area;
}

static void hidden_states(struct forward_mem mem, const struct forecast *f, uint64_t mine,
                          struct forward_row row, struct forward_forecast *out)
{
    const uint64_t ways = f->dual ? 2 : 1;
    const struct store_room room = forward_budget(mem, ways, row, mine * f->chunk, f->chunk);
    uint64_t held = 0, spilled = 0;

    areas(room.h, row.h * f->chunk, mine, &held, &spilled);
    areas(room.x, row.x * f->chunk, mine, &held, &spilled);
    out->hidden = ways * held;
    out->spilled = ways * spilled;
}

/* Before a block, those of a lane beside the ones that they replace; at a stop inside one, with
 * what it keeps and the weights of tokens. */
static uint64_t states_kept(const struct forecast *f, struct forward_row row)
{
    const uint64_t ways = f->dual ? 2 : 1, lane = f->tokens / f->lanes;

    return ways * ((f->tokens + lane) * row.h + f->tokens * (row.h + row.x)) +
           (f->weighed ? sizeof(float) * f->tokens : 0);
}

int forward_forecast_make(const struct forward_opts *o, const struct config *c,
                          const struct forecast *f, struct forward_forecast *out, struct err *e)
{
    const double ways = f->dual ? 2 : 1, message = forecast_message(f), length = (double)f->length,
                 threads = forecast_threads(f, f->forwards);
    struct config own = *c; /* what it points to stays c's */
    struct cost cost;
    struct forward_row row;
    uint64_t mine, features;
    double later, look; /* what a block takes, when no features are there any more; before it */

    if (!f->forwards)
        return err_set(e, ERR_USE, "a plan needs at least one process of ptq-forward");
    if (!f->chunk || !f->lanes)
        return err_set(e, ERR_USE, "a plan needs the number of chunks");
    own.act_bits = o->act_bits;
    own.qkv_bits = o->qkv_bits;
    if (cost_of(&own, (double)f->tokens, length, (size_t)f->chunk, f->acts, &cost, e) < 0)
        return -1;
    mine = (uint64_t)forecast_share(f);
    features = features_most(c, f, mine);
    if (looking(c, f, threads, &look, e) < 0)
        return -1;
    row = (struct forward_row){sizeof(float) * config_row(c), cost.kept};
    hidden_states(forward_mem_of(o, features), f, mine, row, out);
    out->state = states_kept(f, row);
    out->flops = ways * cost.flops;
    later = (double)cost.room + ways * weight_bytes(o->products) * f->weights + forecast_source(f) +
            fmin(message * fmin(UNDER_WAY, (double)mine), (double)f->credit + message);
    out->bytes = (uint64_t)(forecast_blocks(threads) + weights_of_tokens(f, mine) +
                            fmax((double)features + look,
                                 (double)out->hidden + fmax(later, (double)features)));
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* generate - see generate.h. */
#include "generate.h"

#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/model/kv_cache.h"
#include "../../common/model/seen.h"

enum { STEP_ROWS = 1024 };

struct sequence {
    int32_t *ids;
    size_t prompt, count;
    int done;
};

struct slot {
    size_t sequence;
    int busy;
    struct rng rng;
};

struct generate {
    struct model *m;
    struct par *par;
    const struct config *c;
    const struct generate_opts *o;
    const struct prompt *prompts;
    size_t nprompts;
    struct generate_stats *stats;
    struct block **blocks;
    struct kv_cache *kv;
    struct sequence *sequences;
    struct slot *slots;
    size_t nslots, next, given, done; /* sequences begun, handed out, finished */
    /* of a step */
    int32_t *ids, *lengths;
    size_t *at;          /* slot of each sequence of the step */
    size_t *ready, *row; /* slots that get a token, the rows that tell it */
    size_t nready;
    float *h, *last, *logits;
    struct pick_item *work; /* [slots, V] */
    int32_t *picked;
};

/* ---- weights ---- */

static uint64_t block_bytes(const struct sites *s, size_t block)
{
    uint64_t n = 0;

    for (size_t k = s->first[block]; k < s->end[block]; k++)
        for (size_t i = 0; i < s->site[k].count; i++)
            n += (uint64_t)s->site[k].linear[i].rows * s->site[k].inputs * sizeof(float);
    return n;
}

/* The first blocks whose weights fit together. */
static size_t blocks_held(const struct generate *g)
{
    uint64_t left = g->o->mem;

    for (size_t i = 0; i < g->c->layers; i++) {
        const uint64_t n = block_bytes(model_sites(g->m), i);

        if (n > left)
            return i;
        left -= n;
    }
    return g->c->layers;
}

static int open_blocks(struct generate *g, struct err *e)
{
    g->stats->blocks = g->c->layers;
    g->stats->held = blocks_held(g);
    g->blocks = mem_array(g->c->layers, sizeof *g->blocks, e);
    for (size_t i = 0; g->blocks && i < g->c->layers; i++) {
        g->blocks[i] = block_open(g->m, i, e);
        if (!g->blocks[i] || (i < g->stats->held && block_load_all(g->blocks[i], e) < 0))
            return -1;
    }
    return g->blocks ? 0 : -1;
}

static int run_blocks(struct generate *g, const struct rows *r, struct err *e)
{
    for (size_t i = 0; i < g->c->layers; i++) {
        if (i >= g->stats->held && block_load_all(g->blocks[i], e) < 0)
            return -1;
        if (block_decode(g->blocks[i], g->kv, g->at, r, g->h, e) < 0)
            return -1;
        if (i >= g->stats->held)
            block_drop_all(g->blocks[i]);
    }
    kv_advance(g->kv, g->at, r);
    return 0;
}

/* ---- sequences ---- */

static size_t limit_of(const struct generate *g, const struct sequence *q)
{
    return g->c->context && q->prompt + g->o->tokens > g->c->context ? g->c->context
                                                                     : q->prompt + g->o->tokens;
}

static int begin_sequence(struct generate *g, size_t slot, struct err *e)
{
    const struct prompt *p = &g->prompts[g->next % g->nprompts];
    struct sequence *q = &g->sequences[g->next];

    q->prompt = q->count = p->count;
    q->ids = mem_array(limit_of(g, q), sizeof *q->ids, e);
    if (!q->ids)
        return -1;
    memcpy(q->ids, p->ids, p->count * sizeof *q->ids);
    rng_seed(&g->slots[slot].rng, g->o->seed, g->next);
    g->slots[slot].sequence = g->next++;
    g->slots[slot].busy = 1;
    kv_clear(g->kv, slot);
    return 0;
}

static int is_stop(const struct generate *g, int32_t id)
{
    for (size_t i = 0; i < g->o->nstops; i++)
        if (g->o->stops[i] == id)
            return 1;
    return 0;
}

static void add_token(struct generate *g, struct slot *s, int32_t id)
{
    struct sequence *q = &g->sequences[s->sequence];
    const int stop = is_stop(g, id);

    q->ids[q->count++] = id;
    g->stats->tokens++;
    if (!stop && q->count < limit_of(g, q))
        return;
    g->stats->stopped += (size_t)stop;
    g->stats->cut += !stop && q->count < q->prompt + g->o->tokens;
    q->done = 1;
    s->busy = 0;
    g->done++;
}

/* Sequences that are done and have none before them under way. */
static int hand_out(struct generate *g, const struct generate_io *io, struct err *e)
{
    for (; g->given < g->next && g->sequences[g->given].done; g->given++) {
        struct sequence *q = &g->sequences[g->given];

        if (io->take(io->ctx, g->given, q->ids, q->prompt, q->count, e) != 0)
            return -1;
        free(q->ids);
        q->ids = NULL;
    }
    return 0;
}

/* ---- steps ---- */

/* The rows that come next: all of a sequence that are not in the cache, as many as fit. */
static int collect(struct generate *g, struct rows *r, struct err *e)
{
    *r = (struct rows){.lengths = g->lengths};
    g->nready = 0;
    for (size_t s = 0; s < g->nslots && r->T < STEP_ROWS; s++) {
        const struct sequence *q;
        size_t have, n;

        if (!g->slots[s].busy && g->next < g->o->count && begin_sequence(g, s, e) < 0)
            return -1;
        if (!g->slots[s].busy)
            continue;
        q = &g->sequences[g->slots[s].sequence];
        have = kv_length(g->kv, s);
        n = q->count - have < STEP_ROWS - r->T ? q->count - have : STEP_ROWS - r->T;
        memcpy(g->ids + r->T, q->ids + have, n * sizeof *g->ids);
        r->T += n;
        if (have + n == q->count) {
            g->row[g->nready] = r->T - 1;
            g->ready[g->nready++] = s;
        }
        g->at[r->nseq] = s;
        g->lengths[r->nseq++] = (int32_t)n;
    }
    return 0;
}

static int pick_task(void *ctx, size_t i, size_t worker, struct err *e)
{
    struct generate *g = ctx;
    const size_t V = g->c->vocab, drawn = g->o->vocab && g->o->vocab < V ? g->o->vocab : V;

    (void)e;
    g->picked[i] = pick_token(g->logits + i * V, drawn, &g->o->pick, &g->slots[g->ready[i]].rng,
                              g->work + worker * V);
    return 0;
}

static int step(struct generate *g, struct err *e)
{
    const size_t d = g->c->d;
    struct rows r;

    if (collect(g, &r, e) < 0 || model_embed(g->m, g->ids, r.T, g->h, e) < 0 ||
        run_blocks(g, &r, e) < 0)
        return -1;
    if (!g->nready)
        return 0;
    for (size_t i = 0; i < g->nready; i++)
        memcpy(g->last + i * d, g->h + g->row[i] * d, d * sizeof *g->h);
    if (model_final_norm(g->m, g->nready, g->last, e) < 0 ||
        model_logits(g->m, g->nready, g->last, g->logits, e) < 0 ||
        par_for(g->par, g->nready, pick_task, g, e) < 0)
        return -1;
    for (size_t i = 0; i < g->nready; i++)
        add_token(g, &g->slots[g->ready[i]], g->picked[i]);
    return 0;
}

/* ---- */

static int check_prompts(const struct generate *g, size_t *room, struct err *e)
{
    *room = 1;
    for (size_t i = 0; i < g->nprompts; i++) {
        const struct sequence q = {.prompt = g->prompts[i].count};

        if (!q.prompt)
            return err_set(e, ERR_USE, "prompt %zu is empty", i);
        if (seen_check_text(g->m, &(struct seen_text){.T = q.prompt, .ids = g->prompts[i].ids}, e) <
            0)
            return err_prefix(e, "prompt %zu", i);
        if (g->c->context && q.prompt >= g->c->context)
            return err_set(
                e, ERR_USE,
                "prompt %zu has %zu tokens, the model's context is %zu: nothing can follow", i,
                q.prompt, g->c->context);
        if (limit_of(g, &q) > *room)
            *room = limit_of(g, &q);
    }
    return 0;
}

static int make_room(struct generate *g, struct err *e)
{
    const size_t V = g->c->vocab, n = g->nslots;
    size_t room;

    if (check_prompts(g, &room, e) < 0)
        return -1;
    return (g->kv = model_cache(g->m, n, room, e)) &&
                   (g->sequences = mem_array(g->o->count, sizeof *g->sequences, e)) &&
                   (g->slots = mem_array(n, sizeof *g->slots, e)) &&
                   (g->ids = mem_array(STEP_ROWS, sizeof *g->ids, e)) &&
                   (g->lengths = mem_array(n, sizeof *g->lengths, e)) &&
                   (g->at = mem_array(n, sizeof *g->at, e)) &&
                   (g->ready = mem_array(n, sizeof *g->ready, e)) &&
                   (g->row = mem_array(n, sizeof *g->row, e)) &&
                   (g->picked = mem_array(n, sizeof *g->picked, e)) &&
                   (g->h = mem_raw(STEP_ROWS * config_row(g->c), sizeof *g->h, e)) &&
                   (g->last = mem_raw(n * g->c->d, sizeof *g->last, e)) &&
                   (g->logits = mem_raw(n * V, sizeof *g->logits, e)) &&
                   (g->work = mem_raw(par_threads(g->par) * V, sizeof *g->work, e))
               ? 0
               : -1;
}

static void release(struct generate *g)
{
    for (size_t i = 0; g->blocks && i < g->c->layers; i++)
        if (g->blocks[i])
            block_close(&g->blocks[i]);
    for (size_t i = 0; g->sequences && i < g->o->count; i++)
        free(g->sequences[i].ids);
    kv_close(&g->kv);
    free(g->blocks);
    free(g->sequences);
    free(g->slots);
    free(g->ids);
    free(g->lengths);
    free(g->at);
    free(g->ready);
    free(g->row);
    free(g->picked);
    free(g->h);
    free(g->last);
    free(g->logits);
    free(g->work);
}

int generate_run(struct model *m, struct par *par, const struct prompt *prompts, size_t nprompts,
                 const struct generate_opts *o, const struct generate_io *io,
                 struct generate_stats *stats, struct err *e)
{
    struct generate g = {.m = m,
                         .par = par,
                         .c = model_config(m),
                         .o = o,
                         .prompts = prompts,
                         .nprompts = nprompts,
                         .stats = stats,
                         .nslots = o->slots < o->count ? o->slots : o->count};
    int rc = -1;

    memset(stats, 0, sizeof *stats);
    if (!nprompts || !o->count || !o->tokens || !o->slots)
        return err_set(e, ERR_USE, "nothing to generate: %zu prompts, %zu sequences of %zu tokens",
                       nprompts, o->count, o->tokens);
    if (make_room(&g, e) < 0 || open_blocks(&g, e) < 0)
        goto out;
    rc = 0;
    while (rc == 0 && g.done < o->count) {
        if (step(&g, e) != 0 || hand_out(&g, io, e) < 0)
            rc = -1;
        else if (io->progress)
            rc = io->progress(io->ctx, stats->tokens, g.done);
    }
out:
    release(&g);
    return rc;
}

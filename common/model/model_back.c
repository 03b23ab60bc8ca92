/* SPDX-License-Identifier: Apache-2.0 */
/* model_back - see model_back.h. The losses themselves: model_loss.c. */
#include "model_back.h"

#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "model_parts.h"

struct run {
    struct model *m;
    const struct model_back_chunk *chunk;
    size_t n;
    const struct model_back_ask *ask;
    float **h; /* [n] each [layers + 1, T, d]: the stream before each block, and behind the last */
    size_t at, block; /* at work */
    size_t done;
};

uint64_t model_back_kept(const struct config *c)
{
    return (uint64_t)(c->layers + 1) * c->d * sizeof(float);
}

int model_back_check(struct model *m, struct err *e)
{
    for (size_t l = 0; l < m->c.layers; l++) {
        struct block *b = block_open(m, l, e);
        int rc = b ? block_back_check(b, e) : -1;

        block_close(&b);
        if (rc < 0)
            return err_prefix(e, "%s", m->dir);
    }
    return 0;
}

/* The stream of a chunk before a block. */
static float *stream(const struct run *r, size_t chunk, size_t block)
{
    return r->h[chunk] + block * r->chunk[chunk].rows->T * r->m->c.d;
}

static int step(struct run *r, struct err *e)
{
    if (r->ask->step)
        r->ask->step(r->ask->ctx, ++r->done, 2 * r->n * r->m->c.layers);
    return r->ask->stop && r->ask->stop(r->ask->ctx) ? err_set(e, ERR_SYS, "asked to stop") : 0;
}

static int forward_block(struct run *r, struct err *e)
{
    struct block *b = block_open(r->m, r->block, e);
    int rc = b ? block_load_all(b, e) : -1;

    for (size_t i = 0; rc == 0 && i < r->n; i++) {
        const struct rows *rows = r->chunk[i].rows;
        float *h = stream(r, i, r->block), *y = stream(r, i, r->block + 1);

        memcpy(y, h, rows->T * r->m->c.d * sizeof *h);
        rc = block_forward(b, rows, y, e) < 0 ? -1 : step(r, e);
    }
    block_close(&b);
    return rc;
}

static int tell(void *ctx, const struct block_back_rows *x, struct err *e)
{
    struct run *r = ctx;

    return r->ask->linear ? r->ask->linear(r->ask->ctx, r->at, r->block, x, e) : 0;
}

/* The stream behind the block holds the gradient of it; that before the block becomes one. */
static int reverse_chunk(struct run *r, struct block *b, struct err *e)
{
    const struct rows *rows = r->chunk[r->at].rows;
    float *h = stream(r, r->at, r->block), *g = stream(r, r->at, r->block + 1);
    struct block_back *k = block_back_forward(b, SIZE_MAX, rows, h, NULL, e);
    int rc = -1;

    if (k &&
        block_back_reverse(
            k, g, &(struct block_back_ask){.linear = tell, .ctx = r, .tensors = r->ask->tensors},
            e) == 0)
        rc = r->ask->block ? r->ask->block(r->ask->ctx, r->at, r->block, k, g, e) : 0;
    block_back_close(&k);
    memcpy(h, g, rows->T * r->m->c.d * sizeof *h);
    return rc == 0 ? step(r, e) : rc;
}

static int reverse_block(struct run *r, struct err *e)
{
    struct block *b = block_open(r->m, r->block, e);
    int rc = b ? block_load_all(b, e) : -1;

    for (r->at = 0; rc == 0 && r->at < r->n; r->at++)
        rc = reverse_chunk(r, b, e);
    block_close(&b);
    return rc;
}

static int run_all(struct run *r, struct err *e)
{
    const size_t layers = r->m->c.layers;

    for (size_t i = 0; i < r->n; i++) {
        const size_t T = r->chunk[i].rows->T;

        r->h[i] = mem_raw((layers + 1) * T * r->m->c.d, sizeof *r->h[i], e);
        if (!r->h[i] || model_embed(r->m, r->chunk[i].ids, T, r->h[i], e) < 0)
            return -1;
        if (r->chunk[i].seen)
            seen_embed(r->chunk[i].seen, T, r->h[i]);
    }
    for (r->block = 0; r->block < layers; r->block++)
        if (forward_block(r, e) < 0)
            return -1;
    for (r->at = 0; r->at < r->n; r->at++)
        if (model_loss(r->m, &r->chunk[r->at], stream(r, r->at, layers), tell, r, e) < 0)
            return -1;
    while (r->block-- > 0)
        if (reverse_block(r, e) < 0)
            return -1;
    return 0;
}

int model_back_run(struct model *m, const struct model_back_chunk *chunk, size_t n,
                   const struct model_back_ask *ask, struct err *e)
{
    struct run r = {.m = m, .chunk = chunk, .n = n, .ask = ask};
    int rc = -1;

    if ((r.h = mem_array(n ? n : 1, sizeof *r.h, e)))
        rc = run_all(&r, e);
    for (size_t i = 0; r.h && i < n; i++)
        free(r.h[i]);
    free(r.h);
    return rc;
}

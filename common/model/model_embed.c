/* SPDX-License-Identifier: Apache-2.0 */
/* model_embed - what enters the first block: the embeddings of tokens, and of a model whose blocks
 * each have one of their own (Gemma 4 E) those too: of the token, and of its embedding by a linear
 * and a norm, as (norm(W e / sqrt(d)) + E[id] sqrt(n)) / sqrt(2). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "../tensor/blas.h"
#include "model.h"
#include "model_parts.h"
#include "op.h"
#include "vec.h"

/* A tensor that stands beside the table of embeddings. */
static void beside(const struct model *m, const char *what, char name[TENSOR_NAME])
{
    const char *embed = m->f->embed, *dot = strrchr(embed, '.');

    snprintf(name, TENSOR_NAME, "%.*s%s.weight", dot ? (int)(dot - embed) + 1 : 0, embed, what);
}

static const struct st_entry *table_of(const struct model *m, struct err *e)
{
    const uint64_t shape[2] = {m->c.block_embed_vocab, m->c.layers * m->c.block_embed};
    char name[TENSOR_NAME];

    beside(m, "embed_tokens_per_layer", name);
    return model_need(m, name, 2, shape, e);
}

static int load(struct model *m, const char *what, int ndim, uint64_t rows, uint64_t columns,
                float **w, struct err *e)
{
    const uint64_t shape[2] = {rows, columns};
    char name[TENSOR_NAME];
    const struct st_entry *x;

    beside(m, what, name);
    if (!(x = model_need(m, name, ndim, shape, e)) ||
        !(*w = mem_raw((size_t)(rows * (ndim > 1 ? columns : 1)), sizeof **w, e)))
        return -1;
    return model_read(m, x, 0, rows, *w, e);
}

static int load_both(struct model *m, struct err *e)
{
    const struct config *c = &m->c;

    if (m->block_embed)
        return 0;
    if (load(m, "per_layer_projection_norm", 1, c->block_embed, 1, &m->block_embed_norm, e) == 0 &&
        load(m, "per_layer_model_projection", 2, c->layers * c->block_embed, c->d, &m->block_embed,
             e) == 0)
        return 0;
    free(m->block_embed);
    free(m->block_embed_norm);
    m->block_embed = m->block_embed_norm = NULL;
    return -1;
}

int model_check_embed(const struct model *m, struct err *e)
{
    const struct config *c = &m->c;
    const uint64_t norm[1] = {c->block_embed}, linear[2] = {c->layers * c->block_embed, c->d};
    char name[TENSOR_NAME];

    if (!c->block_embed)
        return 0;
    beside(m, "per_layer_projection_norm", name);
    if (!table_of(m, e) || !model_need(m, name, 1, norm, e))
        return -1;
    beside(m, "per_layer_model_projection", name);
    return model_need(m, name, 2, linear, e) ? 0 : -1;
}

/* to: made of its embedding; own: of the token. */
static void join(const struct model *m, float *to, const float *own)
{
    const struct config *c = &m->c;
    const float scale = (float)sqrt((double)c->block_embed), half = (float)sqrt(0.5);

    for (size_t l = 0; l < c->layers; l++, to += c->block_embed, own += c->block_embed) {
        norm_row(&c->norm, m->block_embed_norm, c->block_embed, to, to);
        for (size_t i = 0; i < c->block_embed; i++)
            to[i] = (to[i] + own[i] * scale) * half;
    }
}

/* carry [T, carry]: behind the stream h [T,d], which is there. */
static int embed_blocks(struct model *m, const int32_t *ids, size_t T, const float *h, float *carry,
                        struct err *e)
{
    const struct config *c = &m->c;
    const size_t n = c->layers * c->block_embed;
    const struct st_entry *table = table_of(m, e);
    float *own = mem_raw(n, sizeof *own, e);
    int rc = -1;

    memset(carry, 0, T * c->carry * sizeof *carry);
    if (!table || !own || load_both(m, e) < 0 ||
        blas_linear(m->par, T, n, c->d, h, c->d, m->block_embed, c->d, carry, c->carry, 0, e) < 0)
        goto out;
    for (size_t t = 0; t < T; t++, carry += c->carry) {
        if ((size_t)ids[t] >= c->block_embed_vocab) {
            err_set(e, ERR_USE, "%s: token id %ld has no embeddings of blocks", m->dir,
                    (long)ids[t]);
            goto out;
        }
        if (model_read(m, table, (uint64_t)ids[t], 1, own, e) < 0)
            goto out;
        vec_scale(carry, n, (float)(1 / sqrt((double)c->d)));
        join(m, carry, own);
    }
    rc = 0;
out:
    free(own);
    return rc;
}

int model_embed(struct model *m, const int32_t *ids, size_t T, float *h, struct err *e)
{
    const size_t d = m->c.d;

    for (size_t t = 0; t < T; t++) {
        if (ids[t] < 0 || (size_t)ids[t] >= m->c.vocab)
            return err_set(e, ERR_USE, "%s: token id %ld is outside the vocabulary of %zu", m->dir,
                           (long)ids[t], m->c.vocab);
        if (model_read(m, m->embed, (uint64_t)ids[t], 1, h + t * d, e) < 0)
            return -1;
        if (m->c.embed_scale != 1.0)
            vec_scale(h + t * d, d, (float)m->c.embed_scale);
    }
    return m->c.block_embed ? embed_blocks(m, ids, T, h, h + T * d, e) : 0;
}

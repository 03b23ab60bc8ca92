/* SPDX-License-Identifier: Apache-2.0 */
/* model - opening and checking a checkpoint, embeddings, final norm and head. Blocks are in
 * block.c. Leaves out: heads with a bias, embeddings that are scaled or normed, a quantized
 * head. */
#include "model.h"

#include <stdlib.h>
#include <string.h>
#include "../base/hash.h"
#include "../base/mem.h"
#include "../tensor/blas.h"
#include "model_parts.h"
#include "vec.h"

enum { NORM_ROWS = 64 };

/* Length of a tensor's name without ".weight". */
static size_t stem_length(const char *name)
{
    size_t n = strlen(name), k = strlen(".weight");

    return n > k && strcmp(name + n - k, ".weight") == 0 ? n - k : n;
}

const struct st_entry *model_need(const struct model *m, const char *name, int ndim,
                                  const uint64_t *shape, struct err *e)
{
    const struct st_entry *x = st_find(m->st, name);
    char want[96], got[96], packed[TENSOR_NAME + 8];

    if (!x) {
        snprintf(packed, sizeof packed, "%.*s.qweight", (int)stem_length(name), name);
        err_set(e, ERR_USE, "%s: tensor '%s' is missing%s", m->dir, name,
                st_find(m->st, packed)
                    ? ": the model is quantized already, and config.json does not say how"
                    : "");
        return NULL;
    }
    if (!dtype_is_float(x->dtype)) {
        err_set(e, ERR_USE, "%s: tensor '%s' has type %s, a float type is needed",
                m->st->paths[x->shard], name, dtype_name(x->dtype));
        return NULL;
    }
    if (x->ndim != ndim || memcmp(x->shape, shape, (size_t)ndim * sizeof *shape) != 0) {
        tensor_shape_text(ndim, shape, want, sizeof want);
        tensor_shape_text(x->ndim, x->shape, got, sizeof got);
        err_set(e, ERR_USE, "%s: tensor '%s' has shape %s, config.json wants %s",
                m->st->paths[x->shard], name, got, want);
        return NULL;
    }
    return x;
}

int model_read(const struct model *m, const struct st_entry *x, uint64_t first, uint64_t count,
               float *dst, struct err *e)
{
    size_t n = (size_t)count * (x->ndim > 1 ? (size_t)x->shape[1] : 1);

    if (st_load_rows_f32(m->st, x, first, count, dst, e) < 0)
        return -1;
    if (!vec_finite(dst, n))
        return err_set(e, ERR_USE, "%s: tensor '%s' holds NaN or infinite numbers",
                       m->st->paths[x->shard], x->name);
    return 0;
}

float *model_vector(const struct model *m, const char *name, size_t n, struct err *e)
{
    const struct st_entry *x = model_need(m, name, 1, (const uint64_t[]){n}, e);
    float *v = x ? mem_raw(n, sizeof *v, e) : NULL;

    if (v && model_read(m, x, 0, n, v, e) < 0) {
        free(v);
        v = NULL;
    }
    return v;
}

float *model_scratch(struct model *m, size_t n, struct err *e)
{
    if (n > m->scratch_room) {
        free(m->scratch);
        m->scratch_room = 0;
        m->scratch = mem_raw(n, sizeof *m->scratch, e);
        if (!m->scratch)
            return NULL;
        m->scratch_room = n;
    }
    return m->scratch;
}

/* ---- open ---- */

static int check_bias(const struct model *m, const struct site_linear *l, struct err *e)
{
    char name[TENSOR_NAME + 8];

    snprintf(name, sizeof name, "%s.bias", l->name);
    if (l->has_bias || (m->quantized && st_find(m->st, name)))
        return model_need(m, name, 1, (const uint64_t[]){l->rows}, e) ? 0 : -1;
    if (st_find(m->st, name))
        return err_set(e, ERR_USE,
                       "%s: tensor '%s' is there, but config.json says that there is no bias",
                       m->dir, name);
    return 0;
}

static int check_linear(const struct model *m, const struct site_linear *l, size_t K, struct err *e)
{
    char name[TENSOR_NAME + 8];

    if (check_bias(m, l, e) < 0)
        return -1;
    snprintf(name, sizeof name, "%s.weight", l->name);
    if (m->quantized && !st_find(m->st, name))
        return gptq_check_linear(m, l->name, l->rows, K, e);
    return model_need(m, name, 2, (const uint64_t[]){l->rows, K}, e) ? 0 : -1;
}

static int check_norm(const struct model *m, size_t block, const char *part, size_t n,
                      struct err *e)
{
    char name[TENSOR_NAME];

    if (!part)
        return 0;
    family_block_name(m->f, block, part, ".weight", name);
    return model_need(m, name, 1, (const uint64_t[]){n}, e) ? 0 : -1;
}

static int check_block(const struct model *m, size_t block, struct err *e)
{
    struct site_info info;

    if (check_norm(m, block, m->f->norm1, m->c.d, e) < 0 ||
        check_norm(m, block, m->f->norm2, m->c.d, e) < 0 ||
        check_norm(m, block, m->f->q_norm, m->c.head_dim, e) < 0 ||
        check_norm(m, block, m->f->k_norm, m->c.head_dim, e) < 0)
        return -1;
    for (int s = 0; s < SITE_COUNT; s++) {
        site_describe(&m->c, block, (enum site)s, &info);
        for (size_t i = 0; i < info.count; i++)
            if (check_linear(m, &info.linear[i], info.inputs, e) < 0)
                return -1;
    }
    return 0;
}

/* A tied matrix may be stored under either name. */
static int check_ends(struct model *m, struct err *e)
{
    const uint64_t shape[] = {m->c.vocab, m->c.d};
    char embed[TENSOR_NAME], head[TENSOR_NAME], norm[TENSOR_NAME];

    snprintf(embed, sizeof embed, "%s.weight", m->f->embed);
    snprintf(head, sizeof head, "%s.weight", m->f->head);
    snprintf(norm, sizeof norm, "%s.weight", m->f->final_norm);
    m->embed = model_need(
        m, m->c.tied && !st_find(m->st, embed) && st_find(m->st, head) ? head : embed, 2, shape, e);
    if (!m->embed)
        return -1;
    m->head_entry = m->c.tied ? m->embed : model_need(m, head, 2, shape, e);
    return m->head_entry && model_need(m, norm, 1, (const uint64_t[]){m->c.d}, e) ? 0 : -1;
}

static int digest_make(struct model *m, struct err *e)
{
    char *text = json_print(m->c.json, 0, e);
    struct hash h;

    if (!text)
        return -1;
    hash_start(&h);
    hash_add(&h, text, strlen(text));
    free(text);
    for (size_t i = 0; i < m->st->count; i++) {
        const struct st_entry *x = &m->st->entries[i];

        hash_add(&h, x->name, strlen(x->name) + 1);
        hash_add(&h, dtype_name(x->dtype), strlen(dtype_name(x->dtype)) + 1);
        hash_add(&h, x->shape, (size_t)x->ndim * sizeof *x->shape);
        hash_add(&h, &x->bytes, sizeof x->bytes);
    }
    m->digest = hash_end(&h);
    return 0;
}

struct model *model_open(const char *dir, struct par *par, struct err *e)
{
    struct model *m = mem_array(1, sizeof *m, e);

    if (!m)
        return NULL;
    m->par = par;
    m->dir = mem_text(dir, e);
    if (!m->dir || config_read(dir, &m->c, e) < 0)
        goto fail;
    m->f = family_of(&m->c);
    if (gptq_read_spec(m->c.json, dir, &m->quantized, &m->gptq, e) < 0 ||
        !(m->st = st_open_folder(dir, e)) || check_ends(m, e) < 0 ||
        rope_init(&m->rope, &m->c, e) < 0)
        goto fail;
    for (size_t b = 0; b < m->c.layers; b++)
        if (check_block(m, b, e) < 0)
            goto fail;
    if (digest_make(m, e) == 0)
        return m;
fail:
    model_close(&m);
    return NULL;
}

void model_close(struct model **m)
{
    if (!*m)
        return;
    gptq_release_spec(&(*m)->gptq);
    rope_release(&(*m)->rope);
    st_close(&(*m)->st);
    config_release(&(*m)->c);
    free((*m)->dir);
    free((*m)->head);
    free((*m)->final_norm);
    free((*m)->scratch);
    free(*m);
    *m = NULL;
}

const struct config *model_config(const struct model *m)
{
    return &m->c;
}

const struct st_set *model_tensors(const struct model *m)
{
    return m->st;
}

int model_is_quantized(const struct model *m)
{
    return m->quantized;
}

uint64_t model_digest(const struct model *m)
{
    return m->digest;
}

/* ---- both ends ---- */

int model_embed(struct model *m, const int32_t *ids, size_t T, float *h, struct err *e)
{
    const size_t d = m->c.d;

    for (size_t t = 0; t < T; t++) {
        if (ids[t] < 0 || (size_t)ids[t] >= m->c.vocab)
            return err_set(e, ERR_USE, "%s: token id %ld is outside the vocabulary of %zu", m->dir,
                           (long)ids[t], m->c.vocab);
        if (model_read(m, m->embed, (uint64_t)ids[t], 1, h + t * d, e) < 0)
            return -1;
    }
    return 0;
}

struct norm_job {
    struct model *m;
    size_t T;
    float *h;
};

static int norm_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct norm_job *j = ctx;
    const size_t d = j->m->c.d;

    (void)worker;
    (void)e;
    for (size_t t = i * NORM_ROWS; t < j->T && t < (i + 1) * NORM_ROWS; t++)
        vec_rmsnorm(j->h + t * d, j->m->final_norm, d, (float)j->m->c.norm_eps, j->h + t * d);
    return 0;
}

int model_final_norm(struct model *m, size_t T, float *h, struct err *e)
{
    struct norm_job j = {.m = m, .T = T, .h = h};
    char name[TENSOR_NAME];

    if (!m->final_norm) {
        snprintf(name, sizeof name, "%s.weight", m->f->final_norm);
        m->final_norm = model_vector(m, name, m->c.d, e);
        if (!m->final_norm)
            return -1;
    }
    return par_for(m->par, T / NORM_ROWS + 1, norm_tile, &j, e);
}

int model_logits(struct model *m, size_t T, const float *h, float *logits, struct err *e)
{
    const size_t d = m->c.d, V = m->c.vocab;
    float *head;

    if (!m->head) {
        head = mem_raw(V * d, sizeof *head, e);
        if (!head)
            return -1;
        if (model_read(m, m->head_entry, 0, V, head, e) < 0) {
            free(head);
            return -1;
        }
        m->head = head;
    }
    return blas_linear(m->par, T, V, d, h, d, m->head, d, logits, V, 0, e);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* model - opening and checking a checkpoint, final norm and head. Blocks are in block.c, single
 * tensors in model_tensor.c, embeddings in model_embed.c, tied heads in model_head.c. Leaves out:
 * heads with a bias, embeddings that are normed. */
#include "model.h"

#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "../tensor/blas.h"
#include "config_read.h"
#include "fingerprint.h"
#include "model_parts.h"
#include "op.h"
#include "vec.h"
#include "vision.h"

enum { NORM_ROWS = 64 };

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

const struct rope *model_rope(struct model *m, const struct rope_spec *spec, const size_t *lengths,
                              size_t count, struct err *e)
{
    struct rope *r = NULL;

    for (size_t i = 0; i < m->nropes; i++)
        if (rope_spec_same(&m->rope[i]->spec, spec))
            r = m->rope[i];
    if (!r) {
        if (mem_grow((void **)&m->rope, &m->rope_cap, m->nropes + 1, sizeof *m->rope, e) < 0 ||
            !(r = mem_array(1, sizeof *r, e)))
            return NULL;
        m->rope[m->nropes++] = r;
        rope_init(r, spec);
    }
    return rope_reserve(r, lengths, count, e) < 0 ? NULL : r;
}

/* ---- open ---- */

static int check_block(struct model *m, size_t block, char *seen, struct err *e)
{
    struct program p;
    int rc = family_program(&m->c, block, &p, e);

    for (size_t i = 0; rc == 0 && i < p.nops; i++)
        for (size_t t = 0; rc == 0 && t < p.op[i].kind->tensors; t++) {
            rc = model_check_tensor(m, &p.op[i].tensor[t], p.op[i].kind == &op_linear, e);
            model_mark(m, &p.op[i].tensor[t], seen);
        }
    for (size_t k = 0; rc == 0 && k < 2; k++) {
        const size_t bytes = program_kept_most(&p, 1, 2 * (k + 1));

        m->kept[k] = bytes > m->kept[k] ? bytes : m->kept[k];
    }
    program_release(&p);
    return rc;
}

static int check_blocks(struct model *m, struct err *e)
{
    char *seen = mem_array(m->st->count + 1, 1, e);
    int rc = seen ? 0 : -1;

    for (size_t b = 0; rc == 0 && b < m->c.layers; b++)
        rc = check_block(m, b, seen, e);
    if (rc == 0)
        rc = model_check_unread(m, seen, e);
    free(seen);
    return rc;
}

/* One of both matrices is missing, and config.json does not say that the other serves both. */
static int hint_tied(const struct model *m, const char *name, const char *other, struct err *e)
{
    if (e && !m->c.tied && !st_find(m->st, name) && st_find(m->st, other))
        err_set(
            e, e->kind,
            "%.250s; if '%s' serves both ends, \"tie_word_embeddings\": true in config.json says "
            "so",
            e->text, other);
    return -1;
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
        return hint_tied(m, embed, head, e);
    if (!m->c.tied && !format_is_plain(m->st, m->f->head) && format_is_quantized(m->reader) &&
        format_packed(m->st, m->f->head)) { /* in codes, as linears are */
        if (format_find_linear(m->reader, m->f->head, m->c.vocab, m->c.d, e) < 0)
            return -1;
    } else if (!(m->head_entry = m->c.tied ? m->embed : model_need(m, head, 2, shape, e))) {
        return hint_tied(m, head, embed, e);
    }
    return model_need(m, norm, 1, (const uint64_t[]){m->c.d}, e) ? 0 : -1;
}

static int digest_make(struct model *m, struct err *e)
{
    struct hash h;

    hash_start(&h);
    if (fingerprint_shapes(&h, m->c.file, m->st, e) < 0)
        return -1;
    m->digest = hash_end(&h);
    return 0;
}

struct model *model_open(const char *dir, struct par *par, struct err *e)
{
    return model_open_rounded(dir, ACT_BITS_SAID, par, e);
}

struct model *model_open_rounded(const char *dir, int act_bits, struct par *par, struct err *e)
{
    return model_open_for(dir, &(struct model_use){.act_bits = act_bits}, par, e);
}

/* What is asked for goes into its config, from which all else follows. */
static int use_settle(struct model *m, const struct model_use *u, struct err *e)
{
    if (m->c.vision)
        vision_find(m->c.vision, m->st);
    m->c.qkv_bits = u->qkv_bits;
    m->c.act_bits = u->act_bits == ACT_BITS_SAID ? format_act_bits(m->reader) : u->act_bits;
    return u->tower ? vision_quantize(&m->c, m->dir, e) : 0;
}

struct model *model_open_for(const char *dir, const struct model_use *u, struct par *par,
                             struct err *e)
{
    struct model *m = mem_array(1, sizeof *m, e);

    if (!m)
        return NULL;
    m->par = par;
    m->products = u->products;
    m->learns = u->learns;
    m->dir = mem_text(dir, e);
    if (!m->dir || config_read(dir, &m->c, e) < 0)
        goto fail;
    m->f = family_of(&m->c);
    if (!(m->st = st_open_folder(dir, e)) || !(m->reader = format_open(m->c.file, dir, m->st, e)))
        goto fail;
    if (use_settle(m, u, e) < 0 || model_settle_head(&m->c, m->st, e) < 0 || check_ends(m, e) < 0 ||
        sites_make(&m->sites, &m->c, e) < 0)
        goto fail;
    if (check_blocks(m, e) < 0 || model_check_embed(m, e) < 0 || model_open_tower(m, e) < 0)
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
    format_close(&(*m)->reader);
    for (size_t i = 0; i < (*m)->nropes; i++) {
        rope_release((*m)->rope[i]);
        free((*m)->rope[i]);
    }
    free((*m)->rope);
    sites_release(&(*m)->sites);
    st_close(&(*m)->st);
    config_release(&(*m)->c);
    free((*m)->dir);
    free((*m)->head);
    free((*m)->final_norm);
    free((*m)->block_embed);
    free((*m)->block_embed_norm);
    free((*m)->scratch);
    free(*m);
    *m = NULL;
}

const struct config *model_config(const struct model *m)
{
    return &m->c;
}

const struct sites *model_sites(const struct model *m)
{
    return &m->sites;
}

size_t model_kept(const struct model *m, enum dtype rows)
{
    return m->kept[dtype_size(rows) / 2 - 1];
}

const struct st_set *model_tensors(const struct model *m)
{
    return m->st;
}

enum products model_products(const struct model *m)
{
    return m->products;
}

int model_is_quantized(const struct model *m)
{
    return format_is_quantized(m->reader);
}

uint64_t model_digest(const struct model *m)
{
    return m->digest;
}

/* ---- both ends ---- */

struct norm_job {
    struct model *m;
    size_t T;
    float *h; /* or logits */
};

static int norm_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct norm_job *j = ctx;
    const size_t d = j->m->c.d;

    (void)worker;
    (void)e;
    for (size_t t = i * NORM_ROWS; t < j->T && t < (i + 1) * NORM_ROWS; t++)
        norm_row(&j->m->c.norm, j->m->final_norm, d, j->h + t * d, j->h + t * d);
    return 0;
}

int model_final_norm(struct model *m, size_t T, float *h, struct err *e)
{
    struct norm_job j = {.m = m, .T = T, .h = h};
    char name[TENSOR_NAME];

    if (!m->final_norm) {
        snprintf(name, sizeof name, "%s.weight", m->f->final_norm);
        if (model_load_tensor(m, &(struct op_tensor){.name = name, .ndim = 1, .shape = {m->c.d}},
                              &m->final_norm, e) < 0)
            return -1;
    }
    return par_for(m->par, T / NORM_ROWS + 1, norm_tile, &j, e);
}

/* Multiplied and capped, a row at a time. */
static int finish_logits(void *ctx, size_t t, size_t worker, struct err *e)
{
    const struct norm_job *j = ctx;
    float *row = j->h + t * j->m->c.vocab;

    (void)worker;
    (void)e;
    if (j->m->c.logit_scale != 1.0)
        vec_scale(row, j->m->c.vocab, (float)j->m->c.logit_scale);
    if (j->m->c.logit_cap != 0.0)
        vec_cap(row, j->m->c.vocab, (float)j->m->c.logit_cap);
    return 0;
}

int model_logits(struct model *m, size_t T, const float *h, float *logits, struct err *e)
{
    const size_t d = m->c.d, V = m->c.vocab;
    float *head;

    if (!m->head) {
        head = mem_raw(V * d, sizeof *head, e);
        if (!head)
            return -1;
        if ((m->head_entry ? model_read(m, m->head_entry, 0, V, head, e)
                           : format_load_linear(m->reader, m->f->head, V, d, head, e)) < 0) {
            free(head);
            return -1;
        }
        m->head = head;
    }
    if (blas_linear(m->par, T, V, d, h, d, m->head, d, logits, V, 0, e) < 0)
        return -1;
    return m->c.logit_scale == 1.0 && m->c.logit_cap == 0.0
               ? 0
               : par_for(m->par, T, finish_logits, &(struct norm_job){m, T, logits}, e);
}

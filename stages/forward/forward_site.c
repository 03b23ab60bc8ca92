/* SPDX-License-Identifier: Apache-2.0 */
/* forward_site - see forward_site.h. */
#include "forward_site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/hash.h"
#include "../../common/base/mem.h"
#include "../../common/base/version.h"
#include "../../common/format/coded.h"
#include "../../common/tensor/blas.h"
#include "../../common/wire/msg_chunk.h"
#include "../../common/wire/msg_solution.h"

int site_part_make(struct site_part *p, const struct block_rows *b, const struct rows *r,
                   const float *w, const uint8_t *modality, struct err *e)
{
    size_t at = 0, end = 0;

    memset(p, 0, sizeof *p);
    p->T = b->count ? b->count : 1;
    p->lengths = mem_array(r->nseq + 1, sizeof *p->lengths, e);
    p->w = mem_array(p->T, sizeof *p->w, e);
    if (!p->lengths || !p->w ||
        (modality && !(p->modality = mem_array(p->T, sizeof *p->modality, e))))
        return -1;
    for (size_t i = 0; i < b->count; i++)
        p->w[i] = w ? w[b->token[i]] : 1;
    for (size_t i = 0; modality && i < b->count; i++)
        p->modality[i] = modality[b->token[i]];
    for (size_t s = 0; s < r->nseq; s++) {
        size_t n = at;

        for (end += (size_t)r->lengths[s]; at < b->count && b->token[at] < end;)
            at++;
        if (at > n)
            p->lengths[p->nseq++] = (int32_t)(at - n);
    }
    if (!p->nseq)
        p->lengths[p->nseq++] = 1;
    return 0;
}

void site_part_release(struct site_part *p)
{
    free(p->lengths);
    free(p->w);
    free(p->modality);
    memset(p, 0, sizeof *p);
}

int site_emit_weights(struct model *model, const struct site *at, size_t sites,
                      const struct chunk_view *first, const struct json *prov, const char *run,
                      const struct forward_io *io, struct err *e)
{
    struct weights_view v = {.block = at->block,
                             .order = at->order,
                             .sites = sites,
                             .site = at->name,
                             .K = at->inputs,
                             .ratios = chunk_ratios(first, at->block, at->name),
                             .prov = prov};
    struct json *linears = json_new_array();
    struct msg *m = NULL;
    int rc = -1;

    for (size_t i = 0; i < at->count; i++) {
        struct json *l = json_new_object();
        json_set_text(l, "name", at->linear[i].name);
        json_set_int(l, "rows", (int64_t)at->linear[i].rows);
        if (json_push(linears, l) < 0) {
            err_set(e, ERR_SYS, "out of memory");
            goto out;
        }
    }
    v.linears = linears;
    m = weights_create(&v, "forward", e);
    if (!m)
        goto out;
    snprintf(m->run, sizeof m->run, "%s", run);
    for (size_t i = 0; i < at->count; i++) {
        struct st_entry x;

        if (model_find_linear(model, &at->linear[i], &x, e) < 0 ||
            !msg_add_new(m, at->linear[i].name, x.dtype, x.ndim, x.shape, e) ||
            model_load_linear(model, &x, &m->tensors[i], e) < 0)
            goto out;
    }
    rc = io->emit(io->ctx, &m, e);
out:
    msg_destroy(&m);
    json_destroy(&linears);
    return rc;
}

/* The results of linear i of a site; NULL: they are not there, or of another shape. */
static const struct solution_linear *linear_of(const struct site *s, size_t i,
                                               const struct solution_view *v, struct err *e)
{
    const struct site_linear *l = &s->linear[i];

    for (size_t k = 0; k < v->nlinears; k++)
        if (strcmp(v->linear[k].name, l->name) == 0 && v->linear[k].N == l->rows &&
            v->linear[k].K == s->inputs)
            return &v->linear[k];
    err_set(e, ERR_USE, "the commit of %s of block %zu has no '%s' of [%zu, %zu]", s->name,
            s->block, l->name, l->rows, s->inputs);
    return NULL;
}

/* Norms would come too late: the rows of the site were made with the old ones. */
static int check_changed(const struct site *s, const struct solution_view *v, struct err *e)
{
    return v->nchanged ? err_set(e, ERR_USE,
                                 "the commit of %s of block %zu changes '%s', with which the rows "
                                 "of the site were made: only ptq-slide goes on behind it",
                                 s->name, s->block, v->changed[0]->name)
                       : 0;
}

int site_check_commit(const struct site *s, const struct solution_view *v, struct err *e)
{
    struct coded codes;

    if (check_changed(s, v, e) < 0)
        return -1;
    for (size_t i = 0; i < s->count; i++) {
        const struct solution_linear *q = linear_of(s, i, v, e);

        if (!q || (!q->kept && coded_read(q, &codes, e) < 0))
            return -1;
    }
    return 0;
}

static int decoded_rows(void *ctx, size_t first, size_t count, float *w, struct err *e)
{
    return coded_decode(ctx, first, count, w, e);
}

static int set_linear(struct block *b, const struct site *s, size_t at, size_t i,
                      const struct solution_view *v, struct err *e)
{
    const struct solution_linear *q = linear_of(s, i, v, e);
    struct coded codes;
    int rc;

    if (!q)
        return -1;
    if (q->kept)
        return block_load_linear(b, at, i, e);
    if (coded_read(q, &codes, e) < 0)
        return -1;
    rc = block_set_linear(b, at, i, &(struct weights_source){decoded_rows, &codes}, e);
    return rc < 0 ? err_prefix(e, "'%s'", q->name) : 0;
}

int site_set_commit(struct block *b, const struct site *s, size_t at, const struct msg *m,
                    struct err *e)
{
    struct solution_view v;

    if (solution_read(m, &v, e) < 0)
        return -1;
    if (v.order != s->order)
        return err_set(e, ERR_DATA, "got the commit of site %llu, expected %llu",
                       (unsigned long long)v.order, (unsigned long long)s->order);
    if (check_changed(s, &v, e) < 0)
        return -1;
    for (size_t i = 0; i < s->count; i++)
        if (set_linear(b, s, at, i, &v, e) < 0)
            return -1;
    return 0;
}

struct json *site_record(const struct model *m, const struct forward_opts *o)
{
    struct json *rec = json_new_object();
    char digest[17];

    hash_hex(model_digest(m), digest);
    json_set_text(rec, "stage", "forward");
    json_set_text(rec, "version", PTQ_VERSION);
    json_set_text(rec, "model", digest);
    json_set_text(rec, "acts", dtype_name(o->acts));
    if (o->products)
        json_set_text(rec, "products", products_name(o->products));
    if (o->tower)
        json_set_text(rec, "vision", "quantize");
    if (o->act_bits)
        json_set_int(rec, "act_bits", o->act_bits);
    if (o->qkv_bits)
        json_set_int(rec, "qkv_bits", o->qkv_bits);
    json_set_text(rec, "order", o->order == FORWARD_SITE ? "site" : "full");
    if (o->attention_weights) {
        json_set_text(rec, "weights", "attention");
        json_set_real(rec, "weight_min", o->weight_min);
    }
    if (o->by_modality) {
        struct json *ratio = json_new_object();

        json_set_real(ratio, "text", o->modality[0]);
        json_set_real(ratio, "image", o->modality[1]);
        json_set(rec, "modality_weights", ratio);
    }
    weigh_clip_record(&o->clip, rec);
    if (model_config(m)->experts) {
        json_set_text(rec, "experts", o->expert.every ? "all" : "routed");
        json_set_text(rec, "starved", expert_starved_name(o->expert.starved));
        json_set_int(rec, "starved_below", (int64_t)o->expert.below);
    }
    return rec;
}

struct json *site_prov(const struct json *before, const struct model *m,
                       const struct forward_opts *o, struct err *e)
{
    struct json *all = before ? json_clone(before) : json_new_array();
    struct json *rec = site_record(m, o);

    json_set_text(rec, "kernel", blas_kernel());
    if (json_push(all, rec) < 0) {
        json_destroy(&all);
        err_set(e, ERR_SYS, "out of memory");
    }
    return all;
}

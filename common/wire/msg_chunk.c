/* SPDX-License-Identifier: Apache-2.0 */
/* msg_chunk - chunk, acts and weights: readers check everything against everything, writers fill
 * id and metadata. */
#include "msg_chunk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modality.h"
#include "../base/mem.h"
#include "msg_check.h"

#define VOCAB_MAX INT32_MAX

_Static_assert(WEIGHTS_LINEARS == CHECK_LINEARS, "one limit");

static struct msg *no_memory(struct msg **m, struct err *e)
{
    err_set(e, ERR_SYS,
            "%s '%s': cannot set its metadata (out of memory, or a text that is not UTF-8)",
            msg_kind_name((*m)->kind), (*m)->id);
    msg_destroy(m);
    return NULL;
}

/* Adds a copy as a tensor of this shape. */
static int add_shaped(struct msg *m, const char *name, enum dtype t, int ndim,
                      const uint64_t *shape, const void *data, struct err *e)
{
    void *to = msg_add_new(m, name, t, ndim, shape, e);
    const size_t bytes = to ? m->tensors[m->ntensors - 1].bytes : 0;

    if (bytes)
        memcpy(to, data, bytes);
    return to ? 0 : -1;
}

/* n elements, 1-D. */
static int add_copy(struct msg *m, const char *name, enum dtype t, size_t n, const void *data,
                    struct err *e)
{
    return add_shaped(m, name, t, 1, (const uint64_t[]){n}, data, e);
}

static int check_ids(const struct msg *m, const struct chunk_view *v, struct err *e)
{
    for (size_t i = 0; i < v->T; i++)
        if (v->ids[i] < 0 || (uint64_t)v->ids[i] >= v->vocab)
            return check_fail(
                m, e, "tensor 'ids': token %zu is %d, must be below the vocabulary's %" PRIu64, i,
                (int)v->ids[i], v->vocab);
    return 0;
}

/* An optional U8 [T] of numbers below `kinds`, which `meaning` explains. */
static int check_kinds(const struct msg *m, const char *name, size_t T, int kinds,
                       const char *meaning, const uint8_t **out, struct err *e)
{
    const struct tensor *t;
    int there = check_optional(m, name, DT_U8, 1, &t, e);

    *out = NULL;
    if (there != 1)
        return there;
    if (t->shape[0] != T)
        return check_fail(m, e, "tensor '%s' has %" PRIu64 " values for %zu tokens", name,
                          t->shape[0], T);
    *out = t->data;
    for (size_t i = 0; i < T; i++)
        if ((*out)[i] >= kinds)
            return check_fail(m, e, "tensor '%s': token %zu is %d, must be %s", name, i, (*out)[i],
                              meaning);
    return 0;
}

/* Of chunk and acts alike. */
static int check_modality(const struct msg *m, size_t T, const uint8_t **modality, struct err *e)
{
    return check_kinds(m, "modality", T, MODALITIES, "0 (text) or 1 (image)", modality, e);
}

static int check_block_weights(const struct msg *m, struct chunk_view *v, struct err *e)
{
    const struct tensor *t;
    int there = check_optional(m, "block_weights", DT_F32, 2, &t, e);

    if (there != 1)
        return there;
    if (t->shape[0] < 1 || t->shape[1] != v->nseq)
        return check_fail(m, e,
                          "tensor 'block_weights' is [%" PRIu64 ", %" PRIu64 "], for %zu sequences",
                          t->shape[0], t->shape[1], v->nseq);
    v->blocks = (size_t)t->shape[0];
    v->block_weights = t->data;
    return check_finite_weights(m, "block_weights", v->block_weights, v->blocks * v->nseq, e);
}

const char *const chunk_known[] = {
    "chunk",        "chunks",      "lane",    "lanes",         "vocab",        "prov",
    "ids",          "lengths",     "weights", "block_weights", "site_weights", "modality",
    "role",         "pixels",      "image",   "image_rows",    "image_grid",   "image_size",
    "image_digest", "site_ratios", NULL};
const char *const weights_known[] = {"block", "order",   "sites", "site",
                                     "K",     "linears", "prov",  NULL};

/* Entry i of the list of sites. */
static const char *site_of(const struct json *sites, size_t i, int64_t *block)
{
    const struct json *x = json_at(sites, i), *site = json_get(x, "site");

    if (json_as_int(json_get(x, "block"), block) < 0 || *block < 0 || !json_text_length(site))
        return NULL;
    return json_as_text(site);
}

struct entry { /* of that list */
    const char *site;
    int64_t block;
};

static int by_block(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    return x->block != y->block ? (x->block < y->block ? -1 : 1) : strcmp(x->site, y->site);
}

/* All entries hold block and site. */
static int check_twice(const struct msg *m, const struct json *sites, size_t n, struct err *e)
{
    struct entry *all = mem_array(n, sizeof *all, e);
    int rc = all ? 0 : -1;

    for (size_t i = 0; all && i < n; i++)
        all[i].site = site_of(sites, i, &all[i].block);
    if (all)
        qsort(all, n, sizeof *all, by_block);
    for (size_t i = 1; rc == 0 && i < n; i++)
        if (by_block(&all[i - 1], &all[i]) == 0)
            rc = check_fail(m, e, "field 'site_weights': %.60s of block %" PRId64 " twice",
                            all[i].site, all[i].block);
    free(all);
    return rc;
}

static int check_sites(const struct msg *m, const struct json *sites, size_t n, struct err *e)
{
    if (json_kind(sites) != JSON_KIND_ARRAY || json_count(sites) != n)
        return check_fail(m, e,
                          "field 'site_weights' must be an array with an entry for each of the %zu "
                          "rows of its tensor",
                          n);
    for (size_t i = 0; i < n; i++) {
        int64_t block;
        const char *site = site_of(sites, i, &block);

        if (!site || strlen(site) != json_text_length(json_get(json_at(sites, i), "site")))
            return check_fail(m, e, "field 'site_weights': entry %zu must hold block and site", i);
    }
    return check_twice(m, sites, n, e);
}

static int check_site_weights(const struct msg *m, struct chunk_view *v, struct err *e)
{
    const struct tensor *t;
    int there = check_optional(m, "site_weights", DT_F32, 2, &t, e);

    if (there != 1)
        return there;
    if (t->shape[0] < 1 || t->shape[0] > CHUNK_SITES_MAX || t->shape[1] != v->T)
        return check_fail(m, e,
                          "tensor 'site_weights' is [%" PRIu64 ", %" PRIu64 "], for %zu tokens",
                          t->shape[0], t->shape[1], v->T);
    v->nsites = (size_t)t->shape[0];
    v->site_weights = t->data;
    v->sites = json_get(m->meta, "site_weights");
    if (check_sites(m, v->sites, v->nsites, e) < 0)
        return -1;
    return check_finite_weights(m, "site_weights", v->site_weights, v->nsites * v->T, e);
}

const float *chunk_site_weights(const struct chunk_view *v, uint64_t block, const char *site,
                                size_t guess)
{
    for (size_t i = 0; i <= v->nsites; i++) {
        const size_t at = i ? i - 1 : guess;
        const char *name;
        int64_t of;

        if (at < v->nsites && (name = site_of(v->sites, at, &of)) && (uint64_t)of == block &&
            strcmp(name, site) == 0)
            return v->site_weights + at * v->T;
    }
    return NULL;
}

static int check_ratios(const struct msg *m, struct chunk_view *v, struct err *e)
{
    const struct json *x = json_get(m->meta, "site_ratios");
    double ratio[MODALITIES];

    if (!x)
        return 0;
    if (json_kind(x) != JSON_KIND_ARRAY || json_count(x) < 1 || json_count(x) > CHUNK_SITES_MAX)
        return check_fail(m, e, "field 'site_ratios' must be an array of 1 to %d entries",
                          CHUNK_SITES_MAX);
    for (size_t i = 0; i < json_count(x); i++) {
        int64_t block;

        if (!site_of(x, i, &block) || modality_ratios_read(json_at(x, i), ratio))
            return check_fail(m, e,
                              "field 'site_ratios': entry %zu must hold block, site, and text "
                              "and image from 0 up, not both 0",
                              i);
    }
    v->ratios = x;
    return 0;
}

const struct json *chunk_ratios(const struct chunk_view *v, uint64_t block, const char *site)
{
    for (size_t i = 0; i < json_count(v->ratios); i++) {
        int64_t at;

        if (strcmp(site_of(v->ratios, i, &at), site) == 0 && (uint64_t)at == block)
            return json_at(v->ratios, i);
    }
    return NULL;
}

int chunk_read(const struct msg *m, struct chunk_view *v, struct err *e)
{
    const struct tensor *ids;
    char id[32];

    memset(v, 0, sizeof *v);
    if (check_kind(m, MSG_CHUNK, e) < 0 ||
        check_lane(m, &v->chunk, &v->chunks, &v->lane, &v->lanes, e) < 0 ||
        check_u64(m, "vocab", 1, VOCAB_MAX, &v->vocab, e) < 0 || check_prov(m, &v->prov, e) < 0)
        return -1;
    snprintf(id, sizeof id, "c%" PRIu64, v->chunk);
    if (strcmp(m->id, id) != 0)
        return check_fail(m, e, "field 'id' must be '%s', as its field 'chunk' says", id);
    if (!(ids = msg_need(m, "ids", DT_I32, 1, e)))
        return -1;
    v->T = (size_t)ids->shape[0];
    v->ids = ids->data;
    if (v->T < 1)
        return check_fail(m, e, "tensor 'ids' is empty");
    if (check_ids(m, v, e) < 0 || check_lengths(m, v->T, &v->lengths, &v->nseq, e) < 0 ||
        check_weights(m, "weights", v->T, &v->weights, e) < 0 || check_block_weights(m, v, e) < 0 ||
        check_site_weights(m, v, e) < 0 || check_ratios(m, v, e) < 0 ||
        check_modality(m, v->T, &v->modality, e) < 0 ||
        images_read(m, v->T, v->modality, &v->images, e) < 0)
        return -1;
    return check_kinds(m, "role", v->T, ROLES, "0 (plain text), 1 (prompt) or 2 (answer)", &v->role,
                       e);
}

struct msg *chunk_write(const struct chunk_view *v, const char *stage, struct err *e)
{
    struct msg *m = msg_create(MSG_CHUNK, stage, e);

    if (!m)
        return NULL;
    if (msg_set_id(m, e, "c%" PRIu64, v->chunk) < 0)
        goto fail;
    if (json_set_int(m->meta, "chunk", (int64_t)v->chunk) ||
        json_set_int(m->meta, "chunks", (int64_t)v->chunks) ||
        json_set_int(m->meta, "lane", (int64_t)v->lane) ||
        json_set_int(m->meta, "lanes", (int64_t)v->lanes) ||
        json_set_int(m->meta, "vocab", (int64_t)v->vocab) || check_put_prov(m, v->prov) ||
        (v->site_weights && json_set(m->meta, "site_weights", json_clone(v->sites))) ||
        (v->ratios && json_set(m->meta, "site_ratios", json_clone(v->ratios))))
        return no_memory(&m, e);
    if (add_copy(m, "ids", DT_I32, v->T, v->ids, e) < 0 ||
        add_copy(m, "lengths", DT_I32, v->nseq, v->lengths, e) < 0 ||
        (v->weights && add_copy(m, "weights", DT_F32, v->T, v->weights, e) < 0) ||
        (v->modality && add_copy(m, "modality", DT_U8, v->T, v->modality, e) < 0) ||
        (v->role && add_copy(m, "role", DT_U8, v->T, v->role, e) < 0) ||
        (v->block_weights &&
         add_shaped(m, "block_weights", DT_F32, 2, (const uint64_t[]){v->blocks, v->nseq},
                    v->block_weights, e) < 0) ||
        (v->site_weights &&
         add_shaped(m, "site_weights", DT_F32, 2, (const uint64_t[]){v->nsites, v->T},
                    v->site_weights, e) < 0) ||
        images_write(m, v->T, &v->images, e) < 0)
        goto fail;
    return m;
fail:
    msg_destroy(&m);
    return NULL;
}

static int read_x(const struct msg *m, struct acts_view *v, struct err *e)
{
    const struct tensor *x = msg_need(m, "x", DT_COUNT, 2, e);

    if (!x)
        return -1;
    if (x->dtype != DT_BF16 && x->dtype != DT_F32)
        return check_fail(m, e, "tensor 'x' is of type %s, must be BF16 or F32",
                          dtype_name(x->dtype));
    if (x->shape[1] < 1)
        return check_fail(m, e, "tensor 'x' has no columns");
    v->x = x;
    v->T = (size_t)x->shape[0];
    v->K = (size_t)x->shape[1];
    v->xf = msg_tensor(m, "xf");
    if (v->xf && (v->xf->dtype != x->dtype || !tensor_has_shape(v->xf, 2, x->shape)))
        return check_fail(m, e, "tensor 'xf' must have the type and shape of 'x'");
    return 0;
}

static int read_lane_span(const struct msg *m, struct acts_view *v, struct err *e)
{
    uint64_t first = v->lane * v->chunks / v->lanes, end = (v->lane + 1) * v->chunks / v->lanes;

    if (check_u64(m, "lane_first", 0, CHECK_COUNT_MAX, &v->lane_first, e) < 0 ||
        check_u64(m, "lane_count", 1, CHECK_COUNT_MAX, &v->lane_count, e) < 0)
        return -1;
    if (v->lane_first != first || v->lane_count != end - first)
        return check_fail(m, e,
                          "fields 'lane_first' and 'lane_count' are %" PRIu64 " and %" PRIu64
                          ", must be %" PRIu64 " and %" PRIu64,
                          v->lane_first, v->lane_count, first, end - first);
    return 0;
}

/* Of "b3.attn.qkv/c12". */
static int check_acts_id(const struct msg *m, const struct acts_view *v, struct err *e)
{
    char suffix[32];

    snprintf(suffix, sizeof suffix, "/c%" PRIu64, v->chunk);
    return check_site_id(m, v->block, v->site, suffix, e);
}

int acts_read(const struct msg *m, struct acts_view *v, struct err *e)
{
    memset(v, 0, sizeof *v);
    if (check_kind(m, MSG_ACTS, e) < 0 ||
        check_site(m, &v->block, &v->order, &v->sites, &v->site, e) < 0 ||
        check_lane(m, &v->chunk, &v->chunks, &v->lane, &v->lanes, e) < 0 ||
        read_lane_span(m, v, e) < 0 || check_acts_id(m, v, e) < 0 || read_x(m, v, e) < 0 ||
        check_lengths(m, v->T, &v->lengths, &v->nseq, e) < 0 ||
        check_modality(m, v->T, &v->modality, e) < 0 || expert_read(m, &v->expert, e) < 0 ||
        check_kinds(m, "routed", v->T, 2, "0 or 1", &v->routed, e) < 0)
        return -1;
    if (v->routed && !v->expert.known)
        return check_fail(m, e, "tensor 'routed' is there, but not field 'expert'");
    return check_weights(m, "w", v->T, &v->w, e);
}

static struct msg *acts_head(const struct acts_view *v, const char *stage, struct err *e)
{
    struct msg *m = msg_create(MSG_ACTS, stage, e);
    char suffix[32];

    if (!m)
        return NULL;
    snprintf(suffix, sizeof suffix, "/c%" PRIu64, v->chunk);
    if (msg_set_site_id(m, v->block, v->site, suffix, e) < 0) {
        msg_destroy(&m);
        return NULL;
    }
    if (check_put_site(m, v->block, v->order, v->sites, v->site) ||
        json_set_int(m->meta, "chunk", (int64_t)v->chunk) ||
        json_set_int(m->meta, "chunks", (int64_t)v->chunks) ||
        json_set_int(m->meta, "lane", (int64_t)v->lane) ||
        json_set_int(m->meta, "lanes", (int64_t)v->lanes) ||
        json_set_int(m->meta, "lane_first", (int64_t)v->lane_first) ||
        json_set_int(m->meta, "lane_count", (int64_t)v->lane_count) || expert_put(m, &v->expert))
        return no_memory(&m, e);
    return m;
}

/* What stands behind the rows. */
static int acts_rest(struct msg *m, const struct acts_view *v, struct err *e)
{
    return add_copy(m, "lengths", DT_I32, v->nseq, v->lengths, e) < 0 ||
                   (v->w && add_copy(m, "w", DT_F32, v->T, v->w, e) < 0) ||
                   (v->modality && add_copy(m, "modality", DT_U8, v->T, v->modality, e) < 0) ||
                   (v->routed && add_copy(m, "routed", DT_U8, v->T, v->routed, e) < 0)
               ? -1
               : 0;
}

struct msg *acts_write(const struct acts_view *v, enum dtype x_type, void **x, void **xf,
                       const char *stage, struct err *e)
{
    const uint64_t shape[2] = {v->T, v->K};
    struct msg *m = acts_head(v, stage, e);

    if (m && (!(*x = msg_add_new(m, "x", x_type, 2, shape, e)) ||
              (xf && !(*xf = msg_add_new(m, "xf", x_type, 2, shape, e))) || acts_rest(m, v, e) < 0))
        msg_destroy(&m);
    return m;
}

struct msg *acts_over(const struct acts_view *v, const char *stage, struct err *e)
{
    const struct tensor *x = v->x, *xf = v->xf;
    struct msg *m = acts_head(v, stage, e);

    if (m && (msg_add_over(m, "x", x->dtype, x->ndim, x->shape, x->data, e) < 0 ||
              (xf && msg_add_over(m, "xf", xf->dtype, xf->ndim, xf->shape, xf->data, e) < 0) ||
              acts_rest(m, v, e) < 0))
        msg_destroy(&m);
    return m;
}

int weights_read(const struct msg *m, struct weights_view *v, struct err *e)
{
    uint64_t K;

    memset(v, 0, sizeof *v);
    if (check_kind(m, MSG_WEIGHTS, e) < 0 ||
        check_site(m, &v->block, &v->order, &v->sites, &v->site, e) < 0 ||
        check_site_id(m, v->block, v->site, "/w", e) < 0 ||
        check_u64(m, "K", 1, CHECK_COUNT_MAX, &K, e) < 0 || check_prov(m, &v->prov, e) < 0)
        return -1;
    v->K = (size_t)K;
    v->linears = json_get(m->meta, "linears");
    return check_linears(m, v->linears, v->K, v->linear, &v->nlinears, e);
}

/* Of the entry of a site those that it is about. */
static int put_ratios(struct msg *m, const struct json *from)
{
    double ratio[MODALITIES];
    struct json *x;

    if (!from || modality_ratios_read(from, ratio))
        return 0;
    x = json_new_object();
    if (modality_ratios_put(x, ratio)) {
        json_destroy(&x);
        return -1;
    }
    return json_set(m->meta, "ratios", x);
}

struct msg *weights_create(const struct weights_view *v, const char *stage, struct err *e)
{
    struct msg *m = msg_create(MSG_WEIGHTS, stage, e);

    if (!m)
        return NULL;
    if (msg_set_site_id(m, v->block, v->site, "/w", e) < 0) {
        msg_destroy(&m);
        return NULL;
    }
    if (check_put_site(m, v->block, v->order, v->sites, v->site) ||
        json_set_int(m->meta, "K", (int64_t)v->K) ||
        json_set(m->meta, "linears", json_clone(v->linears)) || put_ratios(m, v->ratios) ||
        check_put_prov(m, v->prov))
        return no_memory(&m, e);
    return m;
}

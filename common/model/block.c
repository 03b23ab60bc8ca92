/* SPDX-License-Identifier: Apache-2.0 */
/* block - one decoder block, site by site: norms, attention and the gated MLP around the
 * linears. Row slabs bound the scratch memory; their size, like that of tiles, is fixed. Leaves
 * out: experts, norms after a sublayer, parallel attention and MLP. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "../tensor/blas.h"
#include "attention.h"
#include "kv_cache.h"
#include "model_parts.h"
#include "vec.h"

enum { TILE_ROWS = 64, SLAB_ROWS = 1024 };

struct block {
    struct model *m;
    size_t index;
    struct site_info info[SITE_COUNT];
    float *norm1, *norm2, *q_norm, *k_norm;
    float *bias[SITE_COUNT][SITE_LINEARS]; /* NULL: none */
    float *w[SITE_COUNT][SITE_LINEARS];
};

/* ---- open and load ---- */

static int load_norm(struct block *b, const char *part, size_t n, float **out, struct err *e)
{
    char name[TENSOR_NAME];

    if (!part)
        return 0;
    family_block_name(b->m->f, b->index, part, ".weight", name);
    *out = model_vector(b->m, name, n, e);
    return *out ? 0 : -1;
}

static int load_biases(struct block *b, enum site s, struct err *e)
{
    char name[TENSOR_NAME + 8];

    for (size_t i = 0; i < b->info[s].count; i++) {
        const struct site_linear *l = &b->info[s].linear[i];

        snprintf(name, sizeof name, "%s.bias", l->name);
        if (!st_find(b->m->st, name))
            continue; /* model_open checked that none is missing */
        b->bias[s][i] = model_vector(b->m, name, l->rows, e);
        if (!b->bias[s][i])
            return -1;
    }
    return 0;
}

struct block *block_open(struct model *m, size_t index, struct err *e)
{
    struct block *b;

    if (index >= m->c.layers) {
        err_set(e, ERR_USE, "%s: no block %zu, the model has %zu", m->dir, index, m->c.layers);
        return NULL;
    }
    b = mem_array(1, sizeof *b, e);
    if (!b)
        return NULL;
    b->m = m;
    b->index = index;
    for (int s = 0; s < SITE_COUNT; s++) {
        site_describe(&m->c, index, (enum site)s, &b->info[s]);
        if (load_biases(b, (enum site)s, e) < 0)
            goto fail;
    }
    if (load_norm(b, m->f->norm1, m->c.d, &b->norm1, e) == 0 &&
        load_norm(b, m->f->norm2, m->c.d, &b->norm2, e) == 0 &&
        load_norm(b, m->f->q_norm, m->c.head_dim, &b->q_norm, e) == 0 &&
        load_norm(b, m->f->k_norm, m->c.head_dim, &b->k_norm, e) == 0)
        return b;
fail:
    block_close(&b);
    return NULL;
}

void block_drop_site(struct block *b, enum site s)
{
    for (size_t i = 0; i < SITE_LINEARS; i++) {
        free(b->w[s][i]);
        b->w[s][i] = NULL;
    }
}

void block_close(struct block **b)
{
    if (!*b)
        return;
    for (int s = 0; s < SITE_COUNT; s++) {
        block_drop_site(*b, (enum site)s);
        for (size_t i = 0; i < SITE_LINEARS; i++)
            free((*b)->bias[s][i]);
    }
    free((*b)->norm1);
    free((*b)->norm2);
    free((*b)->q_norm);
    free((*b)->k_norm);
    free(*b);
    *b = NULL;
}

int block_load_linear(struct block *b, enum site s, size_t i, struct err *e)
{
    const size_t K = b->info[s].inputs;
    const struct site_linear *l;
    char name[TENSOR_NAME + 8];
    const struct st_entry *x;
    float *w;
    int rc;

    if (i >= b->info[s].count)
        return err_set(e, ERR_USE, "block %zu: site %s has no linear %zu", b->index,
                       b->info[s].name, i);
    l = &b->info[s].linear[i];
    if (!(w = mem_raw(l->rows * K, sizeof *w, e)))
        return -1;
    snprintf(name, sizeof name, "%s.weight", l->name);
    x = st_find(b->m->st, name);
    rc = x ? model_read(b->m, x, 0, l->rows, w, e)
           : gptq_load_linear(b->m, l->name, l->rows, K, w, e);
    if (rc != 0) {
        free(w);
        return -1;
    }
    return block_set_linear(b, s, i, w, e);
}

int block_load_site(struct block *b, enum site s, struct err *e)
{
    for (size_t i = 0; i < b->info[s].count; i++)
        if (block_load_linear(b, s, i, e) < 0)
            return -1;
    return 0;
}

int block_set_linear(struct block *b, enum site s, size_t i, float *w, struct err *e)
{
    if (i >= b->info[s].count) {
        free(w);
        return err_set(e, ERR_USE, "block %zu: site %s has no linear %zu", b->index,
                       b->info[s].name, i);
    }
    free(b->w[s][i]);
    b->w[s][i] = w;
    return 0;
}

/* ---- rows ---- */

struct row_job {
    const struct block *b;
    size_t T;
    const size_t *position; /* of each row in its sequence */
    float *h, *x;
    const float *up, *bias;
    float *q;     /* q, k, v side by side */
    size_t width; /* of a row of q, or of the rows that get a bias */
};

typedef void row_fn(const struct row_job *j, size_t row);

struct rows_run {
    const struct row_job *j;
    row_fn *fn;
};

static int row_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct rows_run *r = ctx;

    (void)worker;
    (void)e;
    for (size_t t = i * TILE_ROWS; t < r->j->T && t < (i + 1) * TILE_ROWS; t++)
        r->fn(r->j, t);
    return 0;
}

static int each_row(const struct row_job *j, row_fn *fn, struct err *e)
{
    struct rows_run r = {.j = j, .fn = fn};

    return par_for(j->b->m->par, (j->T + TILE_ROWS - 1) / TILE_ROWS, row_tile, &r, e);
}

static void row_norm1(const struct row_job *j, size_t row)
{
    const size_t d = j->b->m->c.d;

    vec_rmsnorm(j->h + row * d, j->b->norm1, d, (float)j->b->m->c.norm_eps, j->x + row * d);
}

static void row_norm2(const struct row_job *j, size_t row)
{
    const size_t d = j->b->m->c.d;

    if (j->bias)
        vec_add(j->h + row * d, j->bias, d);
    vec_rmsnorm(j->h + row * d, j->b->norm2, d, (float)j->b->m->c.norm_eps, j->x + row * d);
}

static void row_bias(const struct row_job *j, size_t row)
{
    vec_add(j->h + row * j->width, j->bias, j->width);
}

static void norm_heads(float *x, size_t heads, size_t n, const float *w, float eps)
{
    for (size_t h = 0; w && h < heads; h++)
        vec_rmsnorm(x + h * n, w, n, eps, x + h * n);
}

/* Biases, head norms and rotation of one row of q, k and, where the row is that wide, v. */
static void row_heads(const struct row_job *j, size_t row)
{
    const struct config *c = &j->b->m->c;
    float *const *bias = j->b->bias[SITE_QKV];
    const size_t nq = c->heads * c->head_dim, nk = c->kv_heads * c->head_dim;
    float *q = j->q + row * j->width, *k = q + nq, *v = k + nk;

    if (bias[0])
        vec_add(q, bias[0], nq);
    if (bias[1])
        vec_add(k, bias[1], nk);
    if (bias[2] && j->width > nq + nk)
        vec_add(v, bias[2], nk);
    norm_heads(q, c->heads, c->head_dim, j->b->q_norm, (float)c->norm_eps);
    norm_heads(k, c->kv_heads, c->head_dim, j->b->k_norm, (float)c->norm_eps);
    rope_apply(&j->b->m->rope, j->position[row], c->heads, q);
    rope_apply(&j->b->m->rope, j->position[row], c->kv_heads, k);
}

static void row_gate(const struct row_job *j, size_t row)
{
    const size_t n = j->b->m->c.ff;
    float *const *bias = j->b->bias[SITE_UP];
    float *gate = j->x + row * n, *up = j->q + row * n;

    if (bias[0])
        vec_add(gate, bias[0], n);
    if (bias[1])
        vec_add(up, bias[1], n);
    vec_silu_mul(gate, up, n);
}

/* ---- sites ---- */

static int need_site(const struct block *b, enum site s, struct err *e)
{
    for (size_t i = 0; i < b->info[s].count; i++)
        if (!b->w[s][i])
            return err_set(e, ERR_USE, "block %zu: '%s' is needed but not loaded", b->index,
                           b->info[s].linear[i].name);
    return 0;
}

static int linear(const struct block *b, enum site s, size_t i, size_t T, const float *x, float *y,
                  size_t ldy, int add, struct err *e)
{
    const size_t K = b->info[s].inputs;

    return blas_linear(b->m->par, T, b->info[s].linear[i].rows, K, x, K, b->w[s][i], K, y, ldy, add,
                       e);
}

static int check_rows(const struct rows *r, size_t *longest, struct err *e)
{
    size_t sum = 0;

    *longest = 0;
    for (size_t s = 0; s < r->nseq; s++) {
        if (r->lengths[s] < 1 || (size_t)r->lengths[s] > r->T - sum)
            return err_set(e, ERR_USE, "sequence %zu of the chunk has %ld tokens, %zu are left", s,
                           (long)r->lengths[s], r->T - sum);
        sum += (size_t)r->lengths[s];
        if ((size_t)r->lengths[s] > *longest)
            *longest = (size_t)r->lengths[s];
    }
    return sum == r->T ? 0
                       : err_set(e, ERR_USE,
                                 "the sequences of the chunk have %zu tokens, the chunk has %zu",
                                 sum, r->T);
}

/* Cached keys: what block_decode knows beside the rows. */
struct cached {
    struct kv_cache *kv;
    const size_t *slots;
    size_t *first; /* position of the first row of each sequence */
    const float **keys, **values;
};

static size_t *positions_make(const struct rows *r, const size_t *first, struct err *e)
{
    size_t *p = mem_array(r->T, sizeof *p, e), t = 0;

    for (size_t s = 0; p && s < r->nseq; s++)
        for (size_t i = 0; i < (size_t)r->lengths[s]; i++)
            p[t++] = (first ? first[s] : 0) + i;
    return p;
}

/* The first `parts` of q, k, v of rows that are normed already, side by side in j->q, rotated.
 * longest: positions needed. */
static int heads_make(struct row_job *j, const struct rows *r, const size_t *first, size_t longest,
                      const float *prev, size_t parts, struct err *e)
{
    const struct block *b = j->b;
    size_t *position, at = 0;
    int rc = -1;

    if (need_site(b, SITE_QKV, e) < 0 || rope_reserve(&b->m->rope, longest, e) < 0)
        return -1;
    position = positions_make(r, first, e);
    j->position = position;
    if (!position)
        return -1;
    for (size_t i = 0; i < parts; at += b->info[SITE_QKV].linear[i++].rows)
        if (linear(b, SITE_QKV, i, r->T, prev, j->q + at, j->width, 0, e) < 0)
            goto out;
    rc = each_row(j, row_heads, e);
out:
    free(position);
    return rc;
}

/* Rows of k and v go behind those that the cache has. */
static void cache_append(const struct row_job *j, const struct rows *r, const struct cached *c,
                         size_t nq, size_t nk)
{
    const float *k = j->q + nq;

    for (size_t s = 0; s < r->nseq; s++) {
        float *keys = kv_keys(c->kv, j->b->index, c->slots[s]),
              *values = kv_values(c->kv, j->b->index, c->slots[s]);

        for (size_t i = c->first[s]; i < c->first[s] + (size_t)r->lengths[s]; i++, k += j->width) {
            memcpy(keys + i * nk, k, nk * sizeof *k);
            memcpy(values + i * nk, k + nk, nk * sizeof *k);
        }
        c->keys[s] = keys;
        c->values[s] = values;
    }
}

static int input_attention(struct block *b, const struct rows *r, const struct cached *cache,
                           const float *prev, float *x, struct err *e)
{
    const struct config *c = &b->m->c;
    const size_t nq = c->heads * c->head_dim, nk = c->kv_heads * c->head_dim;
    struct row_job j = {.b = b, .T = r->T, .width = nq + 2 * nk};
    size_t longest;

    if (check_rows(r, &longest, e) < 0 || need_site(b, SITE_QKV, e) < 0 ||
        !(j.q = model_scratch(b->m, r->T * j.width, e)))
        return -1;
    if (cache)
        longest = kv_room(cache->kv);
    if (heads_make(&j, r, cache ? cache->first : NULL, longest, prev, 3, e) < 0)
        return -1;
    if (!cache)
        return attention_run(b->m->par, c, r, j.q, j.width, j.q + nq, j.width, j.q + nq + nk,
                             j.width, x, e);
    cache_append(&j, r, cache, nq, nk);
    return attention_cached(b->m->par, c, r, cache->first, j.q, j.width, cache->keys, cache->values,
                            nk, x, e);
}

static int input_mlp(struct block *b, const struct rows *r, float *h, const float *prev, float *x,
                     struct err *e)
{
    struct row_job j = {.b = b, .T = r->T, .h = h, .x = x, .bias = b->bias[SITE_O][0]};

    if (need_site(b, SITE_O, e) < 0 || linear(b, SITE_O, 0, r->T, prev, h, b->m->c.d, 1, e) < 0)
        return -1;
    return each_row(&j, row_norm2, e);
}

static int input_down(struct block *b, const struct rows *r, const float *prev, float *x,
                      struct err *e)
{
    const size_t d = b->m->c.d, ff = b->m->c.ff;
    float *up;

    if (need_site(b, SITE_UP, e) < 0 ||
        !(up = model_scratch(b->m, (r->T < SLAB_ROWS ? r->T : SLAB_ROWS) * ff, e)))
        return -1;
    for (size_t t = 0; t < r->T; t += SLAB_ROWS) {
        struct row_job j = {
            .b = b, .T = r->T - t < SLAB_ROWS ? r->T - t : SLAB_ROWS, .x = x + t * ff, .q = up};

        if (linear(b, SITE_UP, 0, j.T, prev + t * d, j.x, ff, 0, e) < 0 ||
            linear(b, SITE_UP, 1, j.T, prev + t * d, up, ff, 0, e) < 0 ||
            each_row(&j, row_gate, e) < 0)
            return -1;
    }
    return 0;
}

int block_input(struct block *b, enum site s, const struct rows *r, float *h, const float *prev,
                float *x, struct err *e)
{
    struct row_job j = {.b = b, .T = r->T, .h = h, .x = x};

    switch (s) {
    case SITE_QKV:
        return each_row(&j, row_norm1, e);
    case SITE_O:
        return input_attention(b, r, NULL, prev, x, e);
    case SITE_UP:
        return input_mlp(b, r, h, prev, x, e);
    case SITE_DOWN:
        return input_down(b, r, prev, x, e);
    default:
        return err_set(e, ERR_USE, "no site %d", (int)s);
    }
}

int block_finish(struct block *b, const struct rows *r, float *h, const float *prev, struct err *e)
{
    struct row_job j = {
        .b = b, .T = r->T, .h = h, .bias = b->bias[SITE_DOWN][0], .width = b->m->c.d};

    if (need_site(b, SITE_DOWN, e) < 0 ||
        linear(b, SITE_DOWN, 0, r->T, prev, h, b->m->c.d, 1, e) < 0)
        return -1;
    return j.bias ? each_row(&j, row_bias, e) : 0;
}

static int block_run(struct block *b, const struct rows *r, const struct cached *cache, float *h,
                     struct err *e)
{
    float *x[SITE_COUNT] = {0};
    int rc = -1;

    for (int s = 0; s < SITE_COUNT; s++) {
        x[s] = mem_raw(r->T * b->info[s].inputs, sizeof **x, e);
        if (!x[s])
            goto out;
        if (cache && s == SITE_O
                ? input_attention(b, r, cache, x[SITE_QKV], x[s], e) < 0
                : block_input(b, (enum site)s, r, h, s ? x[s - 1] : NULL, x[s], e) < 0)
            goto out;
        if (s) {
            free(x[s - 1]);
            x[s - 1] = NULL;
        }
    }
    rc = block_finish(b, r, h, x[SITE_DOWN], e);
out:
    for (int s = 0; s < SITE_COUNT; s++)
        free(x[s]);
    return rc;
}

int block_forward(struct block *b, const struct rows *r, float *h, struct err *e)
{
    return block_run(b, r, NULL, h, e);
}

int block_decode(struct block *b, struct kv_cache *kv, const size_t *slots, const struct rows *r,
                 float *h, struct err *e)
{
    struct cached c = {.kv = kv, .slots = slots, .first = mem_array(r->nseq, sizeof *c.first, e)};
    int rc = -1;

    c.keys = c.first ? mem_array(2 * r->nseq, sizeof *c.keys, e) : NULL;
    if (!c.keys)
        goto out;
    c.values = c.keys + r->nseq;
    for (size_t s = 0; s < r->nseq; s++) {
        c.first[s] = kv_length(kv, slots[s]);
        if (r->lengths[s] < 1 || (size_t)r->lengths[s] > kv_room(kv) - c.first[s]) {
            err_set(e, ERR_USE,
                    "%ld rows do not fit behind the %zu of slot %zu: the cache has room for %zu",
                    (long)r->lengths[s], c.first[s], slots[s], kv_room(kv));
            goto out;
        }
    }
    rc = block_run(b, r, &c, h, e);
out:
    free(c.keys);
    free(c.first);
    return rc;
}

int block_received(struct block *b, const struct rows *r, const float *h, double *received,
                   struct err *e)
{
    const struct config *c = &b->m->c;
    const size_t nq = c->heads * c->head_dim, nk = c->kv_heads * c->head_dim;
    struct row_job j = {.b = b, .T = r->T, .width = nq + nk};
    float *x = NULL;
    size_t longest;
    int rc = -1;

    if (check_rows(r, &longest, e) < 0 || !(j.q = model_scratch(b->m, r->T * j.width, e)) ||
        !(x = mem_raw(r->T * c->d, sizeof *x, e)))
        return -1;
    for (size_t t = 0; t < r->T; t++)
        vec_rmsnorm(h + t * c->d, b->norm1, c->d, (float)c->norm_eps, x + t * c->d);
    if (heads_make(&j, r, NULL, longest, x, 2, e) == 0)
        rc = attention_received(b->m->par, c, r, j.q, j.width, j.q + nq, j.width, received, e);
    free(x);
    return rc;
}

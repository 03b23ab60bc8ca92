/* SPDX-License-Identifier: Apache-2.0 */
/* slide_block - see slide_block.h. */
#include "slide_block.h"

#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"

static const struct site *site_at(const struct slide_block *b, size_t site)
{
    const struct sites *s = model_sites(b->m);

    return &s->site[s->first[b->index] + site];
}

static size_t sites_in(const struct slide_block *b)
{
    const struct sites *s = model_sites(b->m);

    return s->end[b->index] - s->first[b->index];
}

/* Which vector is what a site reads divided by? SLIDE_ALPHAS: none. */
static size_t alpha_at(const struct site *s)
{
    const char *last = strrchr(s->name, '.');

    if (strcmp(s->name, "attn.qkv") == 0)
        return 0;
    return last && strcmp(last, ".up") == 0 ? 1 : SLIDE_ALPHAS;
}

static int folds_find(struct slide_block *b, struct err *e)
{
    unsigned char *mine = mem_array(sites_in(b) + 1, 1, e);

    for (size_t i = 0; mine && i < SLIDE_ALPHAS; i++) {
        for (size_t s = 0; s < sites_in(b); s++)
            mine[s] = alpha_at(site_at(b, s)) == i;
        if (!block_fold_find(b->b, mine, &b->fold[i]))
            b->fold[i].norm = NULL;
    }
    free(mine);
    return mine ? 0 : -1;
}

static struct slide_param *alpha_of(struct slide_block *b, const struct site *s,
                                    const struct slide_shape *o)
{
    const size_t i = alpha_at(s);

    return i < SLIDE_ALPHAS && (o->scales_all || (o->scales && b->fold[i].norm)) ? &b->alpha[i]
                                                                                 : NULL;
}

static int alpha_make(struct slide_param *p, size_t K, struct err *e)
{
    if (p->n)
        return 0;
    if (slide_param_init(p, K, e) < 0)
        return -1;
    for (size_t k = 0; k < K; k++)
        p->x[k] = 1;
    return 0;
}

static int linear_make(struct slide_block *b, size_t site, size_t i, const struct slide_shape *o,
                       uint64_t seed, struct err *e)
{
    const struct site *s = site_at(b, site);
    const size_t N = s->linear[i].rows, K = s->inputs;
    struct slide_param *alpha = alpha_of(b, s, o);
    struct slide_linear *l = &b->linear[b->count];
    float *w = mem_raw(N * K, sizeof *w, e);

    if (!w)
        return -1;
    memcpy(w, block_linear(b->b, site, i), N * K * sizeof *w);
    if (slide_linear_init(l, o, s->linear[i].name, N, K, w, seed,
                          ((uint64_t)b->index << 32) + b->count, e) < 0 ||
        (alpha && alpha_make(alpha, K, e) < 0)) {
        slide_linear_release(l);
        return -1;
    }
    l->alpha = alpha;
    l->divided = alpha && !o->scales_all;
    b->count++;
    return 0;
}

static int linears_make(struct slide_block *b, const struct slide_shape *o, uint64_t seed,
                        struct err *e)
{
    size_t count = 0;

    for (size_t s = 0; s < sites_in(b); s++)
        count += site_at(b, s)->count;
    if (!(b->linear = mem_array(count + 1, sizeof *b->linear, e)))
        return -1;
    for (size_t s = 0; s < sites_in(b); s++)
        for (size_t i = 0; i < site_at(b, s)->count; i++)
            if (linear_make(b, s, i, o, seed, e) < 0)
                return -1;
    return 0;
}

const char *slide_block_folded(const struct slide_block *b, size_t a, size_t i, size_t *n)
{
    const struct block_fold *f = &b->fold[a];
    const char *name = !b->alpha[a].n || !f->norm ? NULL
                       : !i                       ? f->norm
                       : i <= f->readers          ? f->reader[i - 1]
                                                  : NULL;
    const struct st_entry *x = name ? st_find(model_tensors(b->m), name) : NULL;

    *n = 1;
    for (int k = 0; x && k < x->ndim; k++)
        *n *= (size_t)x->shape[k];
    return x ? name : NULL;
}

/* What the norms and the readers were is kept when they are first written. */
static int folds_keep(struct slide_block *b, struct err *e)
{
    const char *name;
    size_t n;

    for (size_t a = 0; a < SLIDE_ALPHAS; a++)
        for (size_t i = 0; (name = slide_block_folded(b, a, i, &n)); i++) {
            const float *x = block_fold_tensor(b->b, name);

            if (!x)
                return err_set(e, ERR_USE, "block %zu has no '%s'", b->index, name);
            if (!(b->folded[a][i] = mem_raw(n, sizeof *x, e)))
                return -1;
            memcpy(b->folded[a][i], x, n * sizeof *x);
        }
    return 0;
}

void slide_block_divide(struct slide_block *b)
{
    const char *name;
    size_t n;

    for (size_t a = 0; a < SLIDE_ALPHAS; a++)
        for (size_t i = 0; b->folded[a][0] && (name = slide_block_folded(b, a, i, &n)); i++) {
            float *x = block_fold_tensor(b->b, name);
            const float *was = b->folded[a][i], *alpha = b->alpha[a].x,
                        one = b->fold[a].one ? 1 : 0;

            for (size_t k = 0; k < n; k++)
                x[k] = i ? was[k] * alpha[k % b->alpha[a].n] : (was[k] + one) / alpha[k] - one;
        }
}

struct slide_block *slide_block_open(struct model *m, size_t index, const struct slide_shape *o,
                                     uint64_t seed, struct err *e)
{
    struct slide_block *b = mem_array(1, sizeof *b, e);

    if (!b)
        return NULL;
    b->m = m;
    b->index = index;
    if ((b->b = block_open(m, index, e)) && block_load_all(b->b, e) == 0 && folds_find(b, e) == 0 &&
        linears_make(b, o, seed, e) == 0 && (o->scales_all || folds_keep(b, e) == 0))
        return b;
    slide_block_close(&b);
    return NULL;
}

void slide_block_close(struct slide_block **bp)
{
    struct slide_block *b = *bp;

    if (!b)
        return;
    for (size_t i = 0; i < b->count; i++)
        slide_linear_release(&b->linear[i]);
    for (size_t i = 0; i < SLIDE_ALPHAS; i++) {
        slide_param_release(&b->alpha[i]);
        for (size_t k = 0; k <= BLOCK_FOLD_READERS; k++)
            free(b->folded[i][k]);
    }
    free(b->linear);
    block_close(&b->b);
    free(b);
    *bp = NULL;
}

float *slide_block_out(const struct slide_block *b, size_t linear)
{
    size_t site = 0;

    for (; linear >= site_at(b, site)->count; site++)
        linear -= site_at(b, site)->count;
    return block_linear(b->b, site, linear);
}

int slide_block_round(struct slide_block *b, struct par *p, struct err *e)
{
    slide_block_divide(b);
    for (size_t i = 0; i < b->count; i++)
        if (slide_linear_round(&b->linear[i], p, slide_block_out(b, i), NULL, e) < 0)
            return -1;
    return block_written(b->b, e);
}

int slide_block_walk(const struct slide_block *b, const struct rows *r, float *h,
                     int (*at)(void *ctx, size_t stop, const struct rows *r, struct err *e),
                     void *ctx, struct err *e)
{
    const size_t stops = block_stops(b->b);
    void *kept = NULL;
    int rc = 0;

    for (size_t stop = 0; rc == 0 && stop <= stops; stop++) {
        rc = block_step(b->b, stop, r, h, DT_F32, kept, e);
        free(kept);
        kept = NULL;
        if (rc < 0 || stop == stops)
            break;
        if ((rc = at(ctx, stop, r, e)) == 0 &&
            !(kept = mem_raw(block_kept(b->b, stop, r->T, DT_F32) + 1, 1, e)))
            rc = -1;
        if (kept)
            block_keep(b->b, stop, r, DT_F32, kept);
    }
    free(kept);
    return rc;
}

struct slide_param *slide_block_param(struct slide_block *b, size_t i, enum slide_rate *rate)
{
    enum { EACH = 4 };

    if (i >= EACH * b->count) {
        *rate = SLIDE_RATE_SCALE;
        return i - EACH * b->count < SLIDE_ALPHAS ? &b->alpha[i - EACH * b->count] : NULL;
    }
    *rate = i % EACH < 2 ? SLIDE_RATE_RANK : SLIDE_RATE_CLIP;
    switch (i % EACH) {
    case 0:
        return &b->linear[i / EACH].a;
    case 1:
        return &b->linear[i / EACH].b;
    case 2:
        return &b->linear[i / EACH].lo;
    default:
        return &b->linear[i / EACH].hi;
    }
}

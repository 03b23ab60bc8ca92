/* SPDX-License-Identifier: Apache-2.0 */
/* importance_local - see importance_local.h. */
#include "importance_local.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/model/sites.h"

/* ---- weights ---- */

static void round_group(float *w, size_t n, int bits)
{
    const double codes = (double)((1 << bits) - 1);
    double low = 0, high = 0, step;

    for (size_t k = 0; k < n; k++) {
        low = fmin(low, (double)w[k]);
        high = fmax(high, (double)w[k]);
    }
    if (!((step = (high - low) / codes) > 0))
        return;
    for (size_t k = 0; k < n; k++) {
        const double code = rint((double)w[k] / step) - rint(low / step);

        w[k] = (float)((fmin(fmax(code, 0), codes) + rint(low / step)) * step);
    }
}

int importance_round(float *w, size_t N, size_t K, int bits, int64_t group, struct err *e)
{
    const size_t G = group > 0 && (uint64_t)group < K ? (size_t)group : K;

    if (bits < 1 || bits > 8)
        return err_set(e, ERR_USE, "%d bits", bits);
    for (size_t n = 0; n < N; n++)
        for (size_t k = 0; k < K; k += G)
            round_group(w + n * K + k, K - k < G ? K - k : G, bits);
    return 0;
}

/* ---- streams ---- */

struct run {
    const struct importance_local *l;
    float **full, **rounded; /* [n] the streams of each chunk */
    size_t chunk, block, done;
};

static int tell(void *ctx, const struct block_back_rows *x, struct err *e)
{
    const struct run *r = ctx;

    return r->l->linear(r->l->ctx, r->chunk, r->block, x, e);
}

static struct rows rows_of(const struct importance_held *h)
{
    return (struct rows){
        .T = h->T, .nseq = h->nseq, .lengths = h->view.lengths, .seen = seen_rows(&h->seen)};
}

/* Losses are sums over the rows of all sequences. */
static int local_chunk(struct run *r, struct block *b, struct err *e)
{
    struct importance_held *h = r->l->held[r->chunk];
    const struct rows rows = rows_of(h);
    double loss;

    if (block_back_local(b, &rows, r->full[r->chunk], r->rounded[r->chunk], &loss,
                         &(struct block_back_ask){.linear = tell, .ctx = r}, e) < 0)
        return -1;
    for (size_t s = 0; s < h->nseq; s++)
        h->loss[s] += loss;
    return 0;
}

static int step(struct run *r, struct err *e)
{
    r->l->step(r->l->ctx, ++r->done, 2 * r->l->n * model_config(r->l->m)->layers);
    return r->l->stop(r->l->ctx) ? err_set(e, ERR_SYS, "asked to stop") : 0;
}

static int forward(struct run *r, struct block *b, float **streams, struct err *e)
{
    for (size_t i = 0; i < r->l->n; i++) {
        const struct rows rows = rows_of(r->l->held[i]);

        if (block_forward(b, &rows, streams[i], e) < 0 || step(r, e) < 0)
            return -1;
    }
    return 0;
}

static int round_block(const struct importance_local *l, struct block *b, size_t block,
                       struct err *e)
{
    const struct sites *sites = model_sites(l->m);

    for (size_t s = sites->first[block]; s < sites->end[block]; s++)
        for (size_t i = 0; i < sites->site[s].count; i++) {
            float *w = block_linear(b, s - sites->first[block], i);

            if (w && importance_round(w, sites->site[s].linear[i].rows, sites->site[s].inputs,
                                      (int)l->o->bits, l->o->group, e) < 0)
                return -1;
        }
    return block_written(b, e);
}

static int run_block(struct run *r, struct err *e)
{
    struct block *b = block_open(r->l->m, r->block, e);
    int rc = b ? block_load_all(b, e) : -1;

    for (r->chunk = 0; rc == 0 && r->chunk < r->l->n; r->chunk++)
        rc = local_chunk(r, b, e);
    if (rc == 0)
        rc = forward(r, b, r->full, e) < 0 || round_block(r->l, b, r->block, e) < 0 ||
                     forward(r, b, r->rounded, e) < 0
                 ? -1
                 : 0;
    block_close(&b);
    return rc;
}

static int start(struct run *r, struct err *e)
{
    const size_t d = model_config(r->l->m)->d;

    for (size_t i = 0; i < r->l->n; i++) {
        const struct importance_held *h = r->l->held[i];

        if (!(r->full[i] = mem_raw(h->T * d, sizeof(float), e)) ||
            !(r->rounded[i] = mem_raw(h->T * d, sizeof(float), e)) ||
            model_embed(r->l->m, h->view.ids, h->T, r->full[i], e) < 0)
            return -1;
        seen_embed(&h->seen, h->T, r->full[i]);
        memcpy(r->rounded[i], r->full[i], h->T * d * sizeof(float));
        for (size_t s = 0; s < h->nseq; s++)
            h->loss[s] = 0;
    }
    return 0;
}

int importance_local_run(const struct importance_local *l, struct err *e)
{
    struct run r = {.l = l,
                    .full = mem_array(l->n ? l->n : 1, sizeof *r.full, e),
                    .rounded = mem_array(l->n ? l->n : 1, sizeof *r.rounded, e)};
    int rc = r.full && r.rounded ? start(&r, e) : -1;

    for (; rc == 0 && r.block < model_config(l->m)->layers; r.block++)
        rc = run_block(&r, e);
    for (size_t i = 0; r.full && r.rounded && i < l->n; i++) {
        free(r.full[i]);
        free(r.rounded[i]);
    }
    free(r.full);
    free(r.rounded);
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* eval - the forward pass over batches of windows, block by block, so that each weight is read
 * once per batch; then logits in tiles of rows, of both models side by side. Sums of NLL and KL
 * are f64. Leaves out: strided and overlapping windows. */
#include "eval.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/base/sig.h"
#include "../../common/base/status.h"
#include "../../common/model/cost.h"
#include "../../common/model/vec.h"
#include "../../common/text/role.h"
#include "eval_images.h"
#include "eval_states.h"

enum { HEAD_ROWS = 128, FIRST_BATCH = 8192 /* tokens */ };

struct pass {
    struct model *model[2]; /* the model, the reference or NULL */
    struct par *par;
    const struct windows *w;
    const struct eval_opts *o;
    struct eval *out;
    float *hidden[2]; /* of the batch, [tokens, d] */
    float *logits[2]; /* one tile of rows, or a whole window when they are kept */
    struct st_writer *file;
    size_t kept;   /* predictions whose KL is stored */
    size_t scored; /* windows that are done */
    /* flops of a token: in a block, in the head; of all the work, of what is done */
    double block_cost[2], head_cost[2], work, spent;
};

static size_t width(const struct model *m)
{
    return m ? model_config(m)->d : 0;
}

/* Between two blocks. */
static size_t row_width(const struct model *m)
{
    return m ? config_row(model_config(m)) : 0;
}

static size_t window_length(const struct windows *w, size_t i)
{
    return w->start[i + 1] - w->start[i];
}

/* ---- progress over the whole job ---- */

static int work_count(struct pass *p, struct err *e)
{
    const double tokens = (double)p->w->tokens;
    size_t longest = 0;

    for (size_t i = 0; i < p->w->count; i++)
        longest = window_length(p->w, i) > longest ? window_length(p->w, i) : longest;
    for (int k = 0; k < 2 && p->model[k]; k++) {
        const struct config *c = model_config(p->model[k]);
        struct cost cost;

        if (cost_of(c, tokens, tokens / (double)p->w->count, longest, DT_F32, &cost, e) < 0)
            return -1;
        p->block_cost[k] = cost.flops / tokens / (double)c->layers;
        p->head_cost[k] = 2.0 * (double)c->d * (double)c->vocab;
        p->work +=
            tokens * p->head_cost[k] + (k == 1 && states_kept(p->o->states) ? 0.0 : cost.flops);
    }
    return 0;
}

static void work_done(struct pass *p, double flops)
{
    char note[64] = "";

    p->spent += flops;
    if (!status_due())
        return;
    if (p->scored) {
        const struct estimate ppl = eval_perplexity(p->out, p->scored);

        snprintf(note, sizeof note, isnan(ppl.se) ? "perplexity %.5g" : "perplexity %.5g +- %.2g",
                 ppl.value, ppl.se);
    }
    status_job("eval", p->spent / p->work, p->scored, p->w->count, "windows", note);
}

/* ---- hidden states ---- */

/* The embeddings of a batch; features of images in place of those of their tokens. seen: [last -
 * first] */
static int embed(struct pass *p, int which, size_t first, size_t last, struct window_seen *seen,
                 struct err *e)
{
    struct model *m = p->model[which];
    const size_t base = p->w->start[first];
    float *h = p->hidden[which];

    for (size_t i = first; i < last; i++) {
        struct seen *s = &seen[i - first].seen;
        float *at = h + (p->w->start[i] - base) * row_width(m);

        if (model_embed(m, p->w->ids + p->w->start[i], window_length(p->w, i), at, e) < 0 ||
            window_look(m, p->w->pictures, i, p->w->ids + p->w->start[i], window_length(p->w, i),
                        &seen[i - first], e) < 0)
            return -1;
        seen_embed(s, window_length(p->w, i), at);
        seen_drop_features(s);
    }
    return 0;
}

/* What blocks hand on beside the stream is of no use behind the last one: the streams of the
 * windows close up. */
static void stream_alone(struct pass *p, int which, size_t first, size_t last)
{
    const size_t d = width(p->model[which]), row = row_width(p->model[which]),
                 base = p->w->start[first];
    float *h = p->hidden[which];

    for (size_t i = first; row > d && i < last; i++)
        memmove(h + (p->w->start[i] - base) * d, h + (p->w->start[i] - base) * row,
                window_length(p->w, i) * d * sizeof *h);
}

/* 1: a signal asks to stop. */
static int run_blocks(struct pass *p, int which, size_t first, size_t last,
                      const struct window_seen *seen, struct err *e)
{
    struct model *m = p->model[which];
    const size_t row = row_width(m), base = p->w->start[first], layers = model_config(m)->layers;
    float *h = p->hidden[which];

    for (size_t l = 0; l < layers; l++) {
        struct block *b = block_open(m, l, e);
        int rc = b ? block_load_all(b, e) : -1;

        for (size_t i = first; rc == 0 && i < last; i++) {
            const int32_t length = (int32_t)window_length(p->w, i);
            const struct rows r = {.T = (size_t)length,
                                   .nseq = 1,
                                   .lengths = &length,
                                   .seen = seen_rows(&seen[i - first].seen)};

            rc = sig_draining() ? 1 : block_forward(b, &r, h + (p->w->start[i] - base) * row, e);
            work_done(p, (double)length * p->block_cost[which]);
        }
        block_close(&b);
        if (rc != 0)
            return rc;
    }
    stream_alone(p, which, first, last);
    return model_final_norm(m, p->w->start[last] - base, h, e);
}

/* 1: a signal asks to stop. */
static int forward(struct pass *p, int which, size_t first, size_t last, struct err *e)
{
    struct window_seen *seen = mem_array(last - first, sizeof *seen, e);
    int rc = seen ? embed(p, which, first, last, seen, e) : -1;

    if (rc == 0)
        rc = run_blocks(p, which, first, last, seen, e);
    for (size_t i = 0; seen && i < last - first; i++)
        window_seen_release(&seen[i]);
    free(seen);
    return rc;
}

/* Those of the reference may be kept from another time, or are to be kept for one. */
static int reference(struct pass *p, size_t first, size_t last, struct err *e)
{
    struct states *const kept = p->o->states;
    const size_t base = p->w->start[first], tokens = p->w->start[last] - base;
    int rc;

    if (states_kept(kept))
        return states_get(kept, base, tokens, p->hidden[1], e);
    rc = forward(p, 1, first, last, e);
    return rc == 0 && kept ? states_put(kept, base, tokens, p->hidden[1], e) : rc;
}

/* ---- predictions ---- */

struct row_result {
    double nll, ref_nll, kld;
    int agree, missed;
};

struct tile {
    const int32_t *next; /* of each row; rows without one are not asked for */
    const uint8_t *role; /* of those; NULL: all count */
    size_t vocab;
    const float *logits[2];
    struct row_result row[HEAD_ROWS];
};

static size_t argmax(const float *x, size_t n, float top)
{
    size_t i = 0;

    while (i < n && x[i] < top)
        i++;
    return i;
}

/* One prediction. KL(ref || model) = sum p (log p - log q), with both shifted by their maxima
 * before they are subtracted. */
static int row_score(struct tile *t, size_t i, struct err *e)
{
    const size_t V = t->vocab, id = (size_t)t->next[i];
    const float *q = t->logits[0] + i * V, *p = t->logits[1] ? t->logits[1] + i * V : NULL;
    struct row_result *r = &t->row[i];
    const float top = vec_max(q, V);
    const double logsum = log(vec_exp_total(q, V, top));

    r->nll = logsum - ((double)q[id] - (double)top);
    if (!isfinite(r->nll))
        return err_set(e, ERR_DATA, "the model's logits are not finite");
    r->missed = t->role && argmax(q, V, top) != id;
    if (p) {
        const float ref_top = vec_max(p, V);
        double total, moment = vec_exp_moment(p, q, V, ref_top, top, &total);

        r->ref_nll = log(total) - ((double)p[id] - (double)ref_top);
        r->kld = moment / total - (log(total) - logsum);
        if (!isfinite(r->kld) || !isfinite(r->ref_nll))
            return err_set(e, ERR_DATA, "the reference's logits are not finite");
        r->kld = r->kld > 0.0 ? r->kld : 0.0; /* a distance; rounding alone makes it negative */
        r->agree = argmax(p, V, ref_top) == argmax(q, V, top);
    }
    return 0;
}

static int is_scored(const struct tile *t, size_t i)
{
    return !t->role || t->role[i] == ROLE_ANSWER;
}

static int tile_row(void *ctx, size_t i, size_t worker, struct err *e)
{
    struct tile *t = ctx;

    (void)worker;
    return is_scored(t, i) ? row_score(t, i, e) : 0;
}

static int score_tile(struct pass *p, size_t window, size_t first, size_t rows,
                      const float *const logits[2], struct err *e)
{
    struct window_sums *sum = &p->out->window[window];
    const size_t next = p->w->start[window] + first + 1;
    struct tile t = {.next = p->w->ids + next,
                     .role = p->w->role ? p->w->role + next : NULL,
                     .vocab = model_config(p->model[0])->vocab,
                     .logits = {logits[0], logits[1]}};

    if (par_for(p->par, rows, tile_row, &t, e) < 0)
        return err_prefix(e, "window %zu", window);
    for (size_t i = 0; i < rows; i++) {
        if (!is_scored(&t, i))
            continue;
        sum->predictions++;
        sum->missed += (size_t)t.row[i].missed;
        sum->nll += t.row[i].nll;
        sum->ref_nll += t.row[i].ref_nll;
        sum->kld += t.row[i].kld;
        sum->agree += (size_t)t.row[i].agree;
        if (p->out->kld)
            p->out->kld[p->kept++] = (float)t.row[i].kld;
    }
    return 0;
}

static int score_window(struct pass *p, size_t window, size_t base, struct err *e)
{
    const size_t length = window_length(p->w, window), V = model_config(p->model[0])->vocab;
    char name[32];

    for (size_t t = 0; t < length; t += HEAD_ROWS) {
        const size_t rows = length - t < HEAD_ROWS ? length - t : HEAD_ROWS;
        const float *tile[2] = {NULL, NULL};

        for (int k = 0; k < 2 && p->model[k]; k++) {
            float *to = p->logits[k] + (k == 0 && p->file ? t * V : 0);

            if (model_logits(p->model[k], rows,
                             p->hidden[k] + (p->w->start[window] - base + t) * width(p->model[k]),
                             to, e) < 0)
                return -1;
            tile[k] = to;
        }
        if (score_tile(p, window, t, t + rows == length ? rows - 1 : rows, tile, e) < 0)
            return -1;
    }
    if (!p->file)
        return 0;
    snprintf(name, sizeof name, "logits.%zu", window);
    return st_put(p->file, name, p->logits[0], length * V * sizeof(float), e);
}

/* ---- batches ---- */

/* As many windows as fit into the memory allowed, at least one; and each batch twice as large as
 * the one before, so that the first figures come early. *room: tokens of the batch, FIRST_BATCH
 * for the first one. */
static size_t batch_end(const struct pass *p, size_t first, size_t *room)
{
    const uint64_t per_token = (row_width(p->model[0]) + row_width(p->model[1])) * sizeof(float);
    size_t last = first + 1, tokens;

    for (; last < p->w->count; last++) {
        tokens = p->w->start[last + 1] - p->w->start[first];
        if (tokens > *room || tokens * per_token > p->o->mem)
            break;
    }
    *room *= 2;
    return last;
}

static int hidden_alloc(struct pass *p, struct err *e)
{
    size_t tokens = 0, last, room = FIRST_BATCH;

    for (size_t first = 0; first < p->w->count; first = last) {
        last = batch_end(p, first, &room);
        if (p->w->start[last] - p->w->start[first] > tokens)
            tokens = p->w->start[last] - p->w->start[first];
    }
    for (int k = 0; k < 2 && p->model[k]; k++)
        if (!(p->hidden[k] = mem_raw(tokens * row_width(p->model[k]), sizeof(float), e)))
            return -1;
    return 0;
}

static int logits_alloc(struct pass *p, struct err *e)
{
    const size_t V = model_config(p->model[0])->vocab;
    size_t longest = HEAD_ROWS;

    for (size_t i = 0; p->o->logits && i < p->w->count; i++)
        longest = window_length(p->w, i) > longest ? window_length(p->w, i) : longest;
    if (!(p->logits[0] = mem_raw(longest * V, sizeof(float), e)))
        return -1;
    return p->model[1] && !(p->logits[1] = mem_raw(HEAD_ROWS * V, sizeof(float), e)) ? -1 : 0;
}

static int file_open(struct pass *p, struct err *e)
{
    const size_t V = model_config(p->model[0])->vocab;
    char name[32];

    if (!p->o->logits)
        return 0;
    p->file = st_create(p->o->logits, e);
    if (!p->file)
        return -1;
    for (size_t i = 0; i < p->w->count; i++) {
        snprintf(name, sizeof name, "logits.%zu", i);
        if (st_declare(p->file, name, DT_F32, 2, (const uint64_t[]){window_length(p->w, i), V}, e) <
            0)
            return -1;
    }
    return st_begin(p->file, e);
}

static int score_batch(struct pass *p, size_t first, size_t last, struct err *e)
{
    for (size_t i = first; i < last; i++) {
        if (sig_draining())
            return 1;
        if (score_window(p, i, p->w->start[first], e) < 0)
            return -1;
        p->scored = i + 1;
        work_done(p, (double)window_length(p->w, i) * (p->head_cost[0] + p->head_cost[1]));
    }
    return 0;
}

/* 1: a signal asks to stop. */
static int run_batches(struct pass *p, struct err *e)
{
    size_t last, room = FIRST_BATCH;
    int rc = 0;

    for (size_t first = 0; rc == 0 && first < p->w->count; first = last) {
        last = batch_end(p, first, &room);
        rc = forward(p, 0, first, last, e);
        if (rc == 0 && p->model[1])
            rc = reference(p, first, last, e);
        if (rc == 0)
            rc = score_batch(p, first, last, e);
    }
    return rc;
}

static int finish(struct pass *p, struct err *e)
{
    if (states_finish(p->o->states, e) < 0)
        return -1;
    return p->file ? st_publish(&p->file, e) : 0;
}

/* What is known is that of the windows that are done. */
static void cut_short(struct pass *p)
{
    p->out->stopped = 1;
    p->out->windows = p->scored;
    p->out->tokens = p->w->start[p->scored];
    p->out->predictions = 0;
    for (size_t i = 0; i < p->scored; i++)
        p->out->predictions += p->out->window[i].predictions;
}

/* The first token of a window is not predicted. */
static size_t predictions_of(const struct windows *w)
{
    size_t n = 0;

    for (size_t i = 0; w->role && i < w->count; i++)
        for (size_t t = w->start[i] + 1; t < w->start[i + 1]; t++)
            n += w->role[t] == ROLE_ANSWER;
    return w->role ? n : w->tokens - w->count;
}

int eval_run(struct model *m, struct model *ref, struct par *par, const struct windows *w,
             const struct eval_opts *o, struct eval *out, struct err *e)
{
    struct pass p = {.model = {m, ref}, .par = par, .w = w, .o = o, .out = out};
    int rc = -1;

    memset(out, 0, sizeof *out);
    if (ref && model_config(ref)->vocab != model_config(m)->vocab)
        return err_set(e, ERR_USE, "the model has a vocabulary of %zu, the reference of %zu",
                       model_config(m)->vocab, model_config(ref)->vocab);
    out->windows = w->count;
    out->tokens = w->tokens;
    out->predictions = predictions_of(w);
    out->answers = w->role != NULL;
    out->window = mem_array(w->count, sizeof *out->window, e);
    if (!out->window || (ref && !(out->kld = mem_raw(out->predictions + 1, sizeof *out->kld, e))))
        goto out;
    if (work_count(&p, e) < 0 || hidden_alloc(&p, e) < 0 || logits_alloc(&p, e) < 0 ||
        file_open(&p, e) < 0 || (rc = run_batches(&p, e)) < 0)
        goto out;
    if (rc == 0)
        rc = finish(&p, e);
    else
        cut_short(&p);
    rc = rc < 0 ? -1 : 0;
out:
    if (p.file)
        st_abort(&p.file);
    for (int k = 0; k < 2; k++) {
        free(p.hidden[k]);
        free(p.logits[k]);
    }
    if (rc != 0)
        eval_release(out);
    return rc;
}

void eval_release(struct eval *v)
{
    free(v->window);
    free(v->kld);
    memset(v, 0, sizeof *v);
}

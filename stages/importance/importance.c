/* SPDX-License-Identifier: Apache-2.0 */
/* importance - see importance.h. */
#include "importance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/base/sig.h"
#include "../../common/model/fingerprint.h"
#include "../../common/model/model_back.h"
#include "../../common/text/role.h"
#include "../../common/wire/lanes.h"
#include "../../common/wire/run_id.h"
#include "importance_fisher.h"
#include "importance_keep.h"
#include "importance_local.h"
#include "importance_message.h"
#include "importance_weights.h"

struct importance {
    struct model *m;
    struct par *par;
    struct importance_opts o;
    const struct config *c;
    const struct sites *sites;
    struct importance_held **held; /* in the order that they came */
    size_t count, cap;
    size_t measured; /* those before were */
    uint64_t waiting, print;
    struct weights_mbq mbq;
    struct fisher *fisher; /* NULL: not asked for */
    uint64_t uniform;
    double loss;
    size_t voiced; /* sequences that have one */
    const struct importance_io *io;
};

static void held_free(struct importance_held **hp)
{
    struct importance_held *h = *hp;

    if (!h)
        return;
    for (size_t i = 0; i < h->nraw; i++) {
        free(h->raw[i].name);
        free(h->raw[i].g);
    }
    free(h->raw);
    free(h->predicted);
    free(h->loss);
    free(h->g);
    seen_release(&h->seen);
    msg_destroy(&h->msg);
    free(h);
    *hp = NULL;
}

/* The rounded weights are to be like those of the run: what its solver would refuse, this does. */
static int check_group(const struct importance *f, struct err *e)
{
    const int64_t group = f->o.method == IMPORTANCE_VLMQ ? f->o.group : -1;

    for (size_t i = 0; group > 0 && i < f->sites->count; i++)
        if (f->sites->site[i].inputs % (size_t)group != 0)
            return err_set(e, ERR_USE,
                           "--group %lld does not divide the %zu inputs of b%zu.%s: give the group "
                           "of the solver",
                           (long long)group, f->sites->site[i].inputs, f->sites->site[i].block,
                           f->sites->site[i].name);
    return 0;
}

struct importance *importance_open(struct model *m, struct par *par,
                                   const struct importance_opts *o, struct err *e)
{
    struct importance *f = mem_array(1, sizeof *f, e);

    if (!f)
        return NULL;
    f->m = m;
    f->par = par;
    f->o = *o;
    f->c = model_config(m);
    f->sites = model_sites(m);
    if (model_back_check(m, e) == 0 && message_check_sites(f->sites, e) == 0 &&
        check_group(f, e) == 0 && (!o->fisher || (f->fisher = fisher_open(f->sites, e))) &&
        weights_mbq_init(&f->mbq, f->c->layers, e) == 0 &&
        fingerprint_model(f->c->file, model_tensors(m), &f->print, e) == 0)
        return f;
    importance_close(&f);
    return NULL;
}

void importance_close(struct importance **fp)
{
    struct importance *f = *fp;

    if (!f)
        return;
    for (size_t i = 0; i < f->count; i++)
        held_free(&f->held[i]);
    free(f->held);
    weights_mbq_release(&f->mbq);
    fisher_close(&f->fisher);
    free(f);
    *fp = NULL;
}

/* ---- chunks ---- */

static int check_chunk(const struct importance *f, const struct msg *m, const struct chunk_view *v,
                       struct err *e)
{
    if (v->vocab > f->c->vocab)
        return err_set(e, ERR_USE,
                       "chunk %llu: ids of a vocabulary of %llu, but the model has %zu; sample "
                       "with the tokenizer of this model",
                       (unsigned long long)v->chunk, (unsigned long long)v->vocab, f->c->vocab);
    if (v->site_weights)
        return err_set(e, ERR_USE,
                       "chunk %llu has weights of sites already: give ptq-sample no file that has "
                       "them",
                       (unsigned long long)v->chunk);
    if (f->o.fisher && v->nseq != 1)
        return err_set(e, ERR_USE,
                       "chunk %llu has %zu sequences, and --fisher takes the squares of one: give "
                       "ptq-sample the --chunk-tokens of one sequence",
                       (unsigned long long)v->chunk, v->nseq);
    if (f->o.method == IMPORTANCE_MBQ && !v->modality)
        return err_set(e, ERR_USE,
                       "chunk %llu: no tensor 'modality' says which of its tokens are image, and "
                       "--method mbq goes by that",
                       (unsigned long long)v->chunk);
    for (size_t i = 0; i < f->count; i++)
        if (f->held[i]->number == v->chunk)
            return err_set(e, ERR_USE, "chunk %llu came before", (unsigned long long)v->chunk);
    return run_id_check_model(m->run, f->print, model_tensors(f->m)->paths[0], e);
}

/* Plain text is all answer. */
static void mark_predicted(struct importance_held *h, enum importance_loss loss)
{
    for (size_t t = 0; t < h->T; t++)
        h->predicted[t] = loss == IMPORTANCE_ALL || !h->view.role || h->view.role[t] != ROLE_PROMPT;
}

static struct importance_held *held_make(const struct importance *f, struct msg **chunk,
                                         struct err *e)
{
    struct importance_held *h = mem_array(1, sizeof *h, e);

    if (!h)
        return NULL;
    h->msg = *chunk;
    *chunk = NULL;
    if (chunk_read(h->msg, &h->view, e) == 0 && seen_chunk(f->m, &h->view, &h->seen, e) == 0) {
        h->T = h->view.T;
        h->nseq = h->view.nseq;
        h->number = h->view.chunk;
        if ((h->predicted = mem_array(h->T, 1, e)) &&
            (h->loss = mem_array(h->nseq, sizeof *h->loss, e)) &&
            (h->g = mem_array(f->sites->count * h->T, sizeof *h->g, e))) {
            mark_predicted(h, f->o.loss);
            for (size_t s = 0; s < f->sites->count; s++)
                for (size_t t = 0; f->sites->site[s].expert >= 0 && t < h->T; t++)
                    h->g[s * h->T + t] = NAN;
            return h;
        }
    }
    held_free(&h);
    return NULL;
}

static uint64_t kept_bytes(const struct importance *f)
{
    return f->o.method == IMPORTANCE_VLMQ ? 2 * f->c->d * sizeof(float) : model_back_kept(f->c);
}

int importance_add(struct importance *f, struct msg **chunk, struct err *e)
{
    const size_t bytes = msg_bytes(*chunk);
    struct chunk_view v;
    struct importance_held *h;

    if (chunk_read(*chunk, &v, e) < 0 || check_chunk(f, *chunk, &v, e) < 0 ||
        !(h = held_make(f, chunk, e)))
        return -1;
    if (mem_grow((void **)&f->held, &f->cap, f->count + 1, sizeof *f->held, e) < 0) {
        held_free(&h);
        return -1;
    }
    f->held[f->count++] = h;
    f->waiting += h->T * kept_bytes(f) + (h->view.images.n ? bytes : 0); /* the pixels go on */
    return 0;
}

int importance_full(const struct importance *f)
{
    return f->waiting >= f->o.mem;
}

int importance_lanes(const struct importance *f, char *out, size_t size)
{
    uint64_t *lane = mem_array(f->count ? f->count : 1, sizeof *lane, NULL);
    int rc;

    for (size_t i = 0; lane && i < f->count; i++)
        lane[i] = f->held[i]->view.lane;
    rc = lane ? lanes_print(lane, f->count, out, size) : -1;
    free(lane);
    return rc;
}

/* ---- measuring ---- */

struct sums {
    const struct block_back_rows *x;
    float *sum; /* [count] of |g| over the channels */
};

static int sum_row(void *ctx, size_t t, size_t worker, struct err *e)
{
    const struct sums *s = ctx;
    const float *g = s->x->g + t * s->x->N;
    double sum = 0;

    (void)worker;
    (void)e;
    for (size_t c = 0; c < s->x->N; c++)
        sum += fabs((double)g[c]);
    s->sum[t] = (float)sum;
    return 0;
}

static size_t channels(const struct site *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->count; i++)
        n += s->linear[i].rows;
    return n;
}

static void add_to_site(const struct importance *f, struct importance_held *h, size_t block,
                        const struct block_back_rows *x, const float *sum)
{
    const size_t at = f->sites->first[block] + (size_t)x->site;
    const double n = (double)channels(&f->sites->site[at]);
    float *g = h->g + at * h->T;

    for (size_t i = 0; i < x->count; i++) {
        float *to = g + (x->token ? x->token[i] : i);

        *to = (isnan(*to) ? 0 : *to) + (float)((double)sum[i] / n);
    }
}

static int each_linear(void *ctx, size_t chunk, size_t block, const struct block_back_rows *x,
                       struct err *e)
{
    const struct importance *f = ctx;
    struct importance_held *h = f->held[f->measured + chunk];
    struct sums s = {.x = x, .sum = mem_array(x->count ? x->count : 1, sizeof *s.sum, e)};
    int rc = -1;

    if (s.sum && par_for(f->par, x->count, sum_row, &s, e) == 0) {
        if (x->site >= 0)
            add_to_site(f, h, block, x, s.sum);
        rc = f->o.keep ? keep_add(h, x, s.sum, e) : 0;
    }
    free(s.sum);
    return rc;
}

static int each_block(void *ctx, size_t chunk, size_t block, const struct block_back *k,
                      const float *g, struct err *e)
{
    const struct importance *f = ctx;

    (void)chunk;
    (void)g;
    (void)e;
    fisher_add(f->fisher, block, k);
    return 0;
}

static void step(void *ctx, size_t done, size_t all)
{
    const struct importance *f = ctx;

    f->io->progress(f->io->ctx, done, all);
}

static int stop(void *ctx)
{
    (void)ctx;
    return sig_draining();
}

static int measure_loss(struct importance *f, size_t n, struct err *e)
{
    const struct model_back_ask ask = {.linear = each_linear,
                                       .block = f->fisher ? each_block : NULL,
                                       .tensors = f->fisher != NULL,
                                       .stop = stop,
                                       .step = step,
                                       .ctx = f};
    struct model_back_chunk *c = mem_array(n, sizeof *c, e);
    struct rows *rows = mem_array(n, sizeof *rows, e);
    int rc = -1;

    for (size_t i = 0; c && rows && i < n; i++) {
        struct importance_held *h = f->held[f->measured + i];

        rows[i] = (struct rows){
            .T = h->T, .nseq = h->nseq, .lengths = h->view.lengths, .seen = seen_rows(&h->seen)};
        c[i] = (struct model_back_chunk){.rows = &rows[i],
                                         .seen = &h->seen,
                                         .ids = h->view.ids,
                                         .predicted = h->predicted,
                                         .loss = h->loss};
    }
    if (c && rows)
        rc = model_back_run(f->m, c, n, &ask, e);
    free(c);
    free(rows);
    return rc;
}

static int measure(struct importance *f, size_t n, struct err *e)
{
    if (f->o.method != IMPORTANCE_VLMQ)
        return measure_loss(f, n, e);
    return importance_local_run(&(struct importance_local){.m = f->m,
                                                           .o = &f->o,
                                                           .held = f->held + f->measured,
                                                           .n = n,
                                                           .linear = each_linear,
                                                           .step = step,
                                                           .stop = stop,
                                                           .ctx = f},
                                e);
}

/* ---- weights ---- */

static int is_of(const struct site *s, const char *part)
{
    return strncmp(s->name, part, strlen(part)) == 0;
}

static int is_measured(const struct importance *f, const struct site *s)
{
    return f->o.method != IMPORTANCE_VLMQ || is_of(s, "attn.");
}

static int weigh_tokens(struct importance *f, struct importance_held *h, struct err *e)
{
    for (size_t i = 0; i < f->sites->count; i++) {
        float *g = h->g + i * h->T;

        for (size_t s = 0; is_measured(f, &f->sites->site[i]) && s < h->nseq; s++) {
            const size_t n = (size_t)h->view.lengths[s];
            const int told = weights_of_tokens(g, n, &f->o, e);

            if (told < 0)
                return -1;
            f->uniform += !told;
            g += n;
        }
    }
    return 0;
}

/* The ratios are those of what attention and MLP give to the stream. */
static void count_modalities(struct importance *f, const struct importance_held *h)
{
    for (size_t i = 0; i < f->sites->count; i++) {
        const struct site *x = &f->sites->site[i];
        const char *last = strrchr(x->name, '.');
        const int attention = strcmp(x->name, "attn.o") == 0;
        size_t t = 0;

        for (size_t s = 0; (attention || strcmp(last ? last : "", ".down") == 0) && s < h->nseq;
             t += (size_t)h->view.lengths[s++])
            weights_mbq_add(&f->mbq, x->block, attention ? MBQ_ATTENTION : MBQ_MLP,
                            h->g + i * h->T + t, h->view.modality + t, h->predicted + t,
                            (size_t)h->view.lengths[s]);
    }
}

static double ratio_of(const struct importance *f, const struct site *x)
{
    const int part = is_of(x, "attn.") ? MBQ_ATTENTION : MBQ_MLP;

    return f->mbq.rho[x->block * MBQ_PARTS + (size_t)part];
}

static void weigh_modalities(const struct importance *f, struct importance_held *h)
{
    static const struct weigh_clip none = {0, 0};

    for (size_t i = 0; i < f->sites->count; i++) {
        const double ratio = ratio_of(f, &f->sites->site[i]);
        float *g = h->g + i * h->T;

        for (size_t t = 0; t < h->T; t++)
            g[t] = h->view.modality[t] ? (float)ratio : 1;
        for (size_t s = 0; s < h->nseq; g += h->view.lengths[s++])
            weigh_normal(g, (size_t)h->view.lengths[s], &none);
    }
}

static int hand_on(struct importance *f, struct importance_held *h, const double *ratio,
                   struct err *e)
{
    struct msg *m = message_make(f->m, &f->o, f->print, h, ratio, e);
    const uint64_t lane = h->view.lane;
    int rc;

    msg_destroy(&h->msg);
    free(h->g);
    h->g = NULL;
    rc = m ? f->io->emit(f->io->ctx, lane, &m, e) : -1;
    msg_destroy(&m);
    return rc;
}

static void note_losses(struct importance *f, const struct importance_held *h)
{
    for (size_t s = 0; s < h->nseq; s++)
        if (!isnan(h->loss[s])) {
            f->loss += h->loss[s];
            f->voiced++;
        }
}

int importance_work(struct importance *f, const struct importance_io *io, struct err *e)
{
    const size_t n = f->count - f->measured;

    f->io = io;
    if (n == 0)
        return 0;
    if (measure(f, n, e) < 0)
        return -1;
    for (size_t i = f->measured; i < f->count; i++) {
        struct importance_held *h = f->held[i];

        note_losses(f, h);
        seen_release(&h->seen);
        if (f->o.method == IMPORTANCE_MBQ)
            count_modalities(f, h);
        else if (weigh_tokens(f, h, e) < 0 || hand_on(f, h, NULL, e) < 0)
            return -1;
    }
    f->measured = f->count;
    f->waiting = 0;
    return 0;
}

/* ---- the end ---- */

static int by_number(const void *a, const void *b)
{
    const struct importance_held *x = *(struct importance_held *const *)a,
                                 *y = *(struct importance_held *const *)b;

    return x->number < y->number ? -1 : x->number > y->number;
}

/* The ratios are known once all chunks were measured: weights by them, or themselves. */
static int hand_on_ratios(struct importance *f, struct err *e)
{
    double *ratio = NULL;
    int rc = -1;

    if (weights_mbq_end(&f->mbq, e) < 0 || !(ratio = mem_array(f->sites->count, sizeof *ratio, e)))
        return -1;
    for (size_t i = 0; i < f->sites->count; i++)
        ratio[i] = ratio_of(f, &f->sites->site[i]);
    for (size_t i = 0; i < f->count; i++) {
        if (!f->o.ratios)
            weigh_modalities(f, f->held[i]);
        if (hand_on(f, f->held[i], ratio, e) < 0)
            goto out;
    }
    rc = 0;
out:
    free(ratio);
    return rc;
}

/* What goes by all chunks of the run needs them here. */
static int check_all(const struct importance *f, uint64_t chunks, struct err *e)
{
    if (f->count == chunks)
        return 0;
    return err_set(e, ERR_USE,
                   "%s goes by all chunks of the run, but %zu of %llu came here: run one process "
                   "of this stage",
                   f->o.keep     ? "--keep"
                   : f->o.fisher ? "--fisher"
                                 : "--method mbq",
                   f->count, (unsigned long long)chunks);
}

int importance_end(struct importance *f, const struct importance_io *io, struct err *e)
{
    const int whole = f->o.keep || f->o.fisher || f->o.method == IMPORTANCE_MBQ;
    const uint64_t chunks = f->count ? f->held[0]->view.chunks : 0;

    if (whole && check_all(f, chunks, e) < 0)
        return -1;
    if (importance_work(f, io, e) < 0)
        return -1;
    if (f->o.method == IMPORTANCE_MBQ && f->count && hand_on_ratios(f, e) < 0)
        return -1;
    if (f->fisher && fisher_write(f->fisher, f->o.fisher, f->voiced, e) < 0)
        return -1;
    if (!f->o.keep)
        return 0;
    qsort(f->held, f->count, sizeof *f->held, by_number);
    return keep_write(f->o.keep, f->held, f->count, f->loss / (double)f->voiced, e);
}

void importance_tally(const struct importance *f, struct importance_tally *t)
{
    *t = (struct importance_tally){.chunks = f->count,
                                   .uniform = f->uniform,
                                   .loss = f->voiced ? f->loss / (double)f->voiced : NAN};
    for (size_t i = 0; i < f->count; i++) {
        t->sequences += f->held[i]->nseq;
        t->tokens += f->held[i]->T;
    }
    t->silent = t->sequences - f->voiced;
}

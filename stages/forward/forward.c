/* SPDX-License-Identifier: Apache-2.0 */
/* forward - see forward.h. */
#include "forward.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/model/fingerprint.h"
#include "../../common/wire/lanes.h"
#include "../../common/wire/run_id.h"
#include "forward_begin.h"
#include "forward_check.h"
#include "forward_emit.h"
#include "forward_impl.h"
#include "forward_rows.h"
#include "forward_site.h"
#include "forward_state.h"
#include "forward_tower.h"
#include "forward_weights.h"

struct forward *forward_open(struct model *m, const struct forward_opts *o, struct err *e)
{
    struct forward *f = mem_array(1, sizeof *f, e);

    if (!f)
        return NULL;
    if (forward_check(o, model_config(m), model_sites(m), e) < 0) {
        free(f);
        return NULL;
    }
    f->model = m;
    f->o = *o;
    f->c = model_config(m);
    if (fingerprint_model(f->c->file, model_tensors(m), &f->print, e) < 0) {
        free(f);
        return NULL;
    }
    f->ways = o->dual ? 2 : 1;
    f->way[0].full = o->order == FORWARD_FULL;
    f->way[1].full = 1;
    f->sites = model_sites(m);
    f->kept = model_kept(m, o->acts);
    return f;
}

void forward_close(struct forward **fp)
{
    struct forward *f = fp ? *fp : NULL;

    if (!f)
        return;
    for (size_t i = 0; i < f->count; i++)
        held_release(&f->held[i]);
    free(f->held);
    for (int w = 0; w < 2; w++) {
        block_close(&f->way[w].block);
        store_close(&f->way[w].store);
    }
    free(f->site_w);
    free(f->gathered);
    free(f->commits);
    json_destroy(&f->prov);
    free(f);
    *fp = NULL;
}

size_t forward_chunks(const struct forward *f)
{
    return f->count;
}

uint64_t forward_tokens(const struct forward *f)
{
    return f->tokens;
}

int forward_lanes(const struct forward *f, char *out, size_t size)
{
    uint64_t *lane = mem_array(f->count ? f->count : 1, sizeof *lane, NULL);
    int rc;

    for (size_t i = 0; lane && i < f->count; i++)
        lane[i] = f->held[i].view.lane;
    rc = lane ? lanes_print(lane, f->count, out, size) : -1;
    free(lane);
    return rc;
}

uint64_t forward_uniform(const struct forward *f)
{
    return f->uniform;
}

uint64_t forward_zero(const struct forward *f)
{
    return f->zero;
}

const struct first_found *forward_first(const struct forward *f)
{
    return &f->first;
}

int forward_one_modality(const struct forward *f)
{
    return f->o.by_modality && (f->images == 0 || f->images == f->tokens);
}

static int check_chunk(const struct forward *f, const struct chunk_view *v, struct err *e)
{
    if (v->vocab > f->c->vocab)
        return err_set(
            e, ERR_USE,
            "chunk %llu: ids of a vocabulary of %llu, but the model has %zu; sample with the "
            "tokenizer of this model",
            (unsigned long long)v->chunk, (unsigned long long)v->vocab, f->c->vocab);
    if (f->o.by_modality && !v->modality)
        return err_set(
            e, ERR_USE,
            "chunk %llu: no tensor 'modality' says which of its tokens are text and which are "
            "image, and "
            "--modality-weights goes by that (ptq-sample makes text only: leave the option out)",
            (unsigned long long)v->chunk);
    if (v->block_weights && v->blocks != f->c->layers)
        return err_set(
            e, ERR_USE,
            "chunk %llu: its sequences have weights in %zu blocks, but the model has %zu",
            (unsigned long long)v->chunk, v->blocks, f->c->layers);
    for (size_t s = 0; s < v->nseq; s++)
        if (f->c->context && (size_t)v->lengths[s] > f->c->context)
            return err_set(e, ERR_USE,
                           "chunk %llu: a sequence of %d tokens, but the model's context is %zu",
                           (unsigned long long)v->chunk, v->lengths[s], f->c->context);
    if (f->count && (v->chunks != f->held[0].view.chunks || v->lanes != f->held[0].view.lanes))
        return err_set(
            e, ERR_USE,
            "chunk %llu: %llu chunks in %llu lanes, but an earlier one said %llu in %llu",
            (unsigned long long)v->chunk, (unsigned long long)v->chunks,
            (unsigned long long)v->lanes, (unsigned long long)f->held[0].view.chunks,
            (unsigned long long)f->held[0].view.lanes);
    return 0;
}

int forward_add(struct forward *f, struct msg **mp, struct err *e)
{
    const struct msg *chunk = *mp;
    struct chunk_view v;
    struct held held;
    size_t at = f->count;

    if (chunk_read(chunk, &v, e) < 0 || check_chunk(f, &v, e) < 0 ||
        run_id_check_model(chunk->run, f->print, model_tensors(f->model)->paths[0], e) < 0 ||
        rows_check(chunk, &v, f->sites, e) < 0)
        return -1;
    for (size_t i = 0; i < f->count; i++)
        if (f->held[i].view.chunk == v.chunk)
            return f->held[i].sum == msg_checksum(chunk)
                       ? 0
                       : err_set(e, ERR_USE, "chunk %llu came before with other contents",
                                 (unsigned long long)v.chunk);
    if (mem_grow((void **)&f->held, &f->cap, f->count + 1, sizeof *f->held, e) < 0)
        return -1;
    if (held_make(&held, f->model, mp, f->o.tower, e) < 0) {
        held_release(&held);
        return -1;
    }
    while (at > 0 && f->held[at - 1].view.chunk > v.chunk)
        at--;
    memmove(f->held + at + 1, f->held + at, (f->count - at) * sizeof *f->held);
    f->held[at] = held;
    f->count++;
    f->tokens += v.T;
    for (size_t t = 0; v.modality && t < v.T; t++)
        f->images += v.modality[t] == 1;
    return 0;
}

int forward_check_commit(struct forward *f, const struct solution_view *v, uint64_t sum,
                         struct err *e)
{
    const struct site *s;

    if (v->sites != f->sites->count)
        return err_set(e, ERR_USE, "field 'sites' is %llu, but the model has %zu",
                       (unsigned long long)v->sites, f->sites->count);
    s = &f->sites->site[v->order];
    if (v->block != s->block || strcmp(v->site, s->name) != 0)
        return err_set(e, ERR_USE,
                       "field 'order' is %llu: there the model has %s of block %zu, not %s of "
                       "block %llu",
                       (unsigned long long)v->order, s->name, s->block, v->site,
                       (unsigned long long)v->block);
    if (site_check_commit(s, v, e) < 0)
        return -1;
    if (!f->commits && !(f->commits = mem_array(f->sites->count, sizeof *f->commits, e)))
        return -1;
    if (f->commits[v->order] && f->commits[v->order] != sum)
        return err_set(e, ERR_USE, "came before with other contents");
    if (f->commits[v->order])
        return 1;
    f->commits[v->order] = sum;
    return 0;
}

/* One chunk on one way to the stop of s[0 .. count). *kept: what the store keeps of it there beside
 * *h, the rows of the sites as they travel among it. */
static int way_step(struct forward *f, struct way *w, size_t i, const struct site *s, size_t count,
                    void **h, char **kept, struct err *e)
{
    const struct rows r = held_rows(&f->held[i]);
    const size_t stop = s->stop;
    const size_t before = stop ? block_kept(w->block, stop - 1, r.T, f->o.acts) : 0,
                 after = block_kept(w->block, stop, r.T, f->o.acts);
    void *x;

    if (store_load(w->store, f->held[i].place, before, h, &x, e) < 0 ||
        block_step(w->block, stop, &r, *h, f->o.acts, x, e) < 0 ||
        emit_gather_before(f, i, s, count, x, e) < 0)
        return -1;
    block_keep(w->block, stop, &r, f->o.acts, x);
    if (emit_gather(f, i, s, count, x, e) < 0)
        return -1;
    *kept = x;
    return store_save(w->store, f->held[i].place, block_step_writes(w->block, stop), after, e);
}

/* Those of the sequences in this block. */
static void weigh_sequences(const struct chunk_view *v, uint64_t block, float *w)
{
    const float *each = v->block_weights + block * v->nseq;
    size_t t = 0;

    for (size_t s = 0; s < v->nseq; s++)
        for (size_t end = t + (size_t)v->lengths[s]; t < end; t++)
            w[t] *= each[s];
}

/* Weights of a chunk for the block that begins; with attention the checkpoint's own q and k are
 * loaded. */
static int weigh_chunk(struct forward *f, size_t i, uint64_t block, struct err *e)
{
    struct held *c = &f->held[i];
    struct rows r = held_rows(c);
    void *h, *x;
    size_t uniform = 0;

    if (!c->w && !(c->w = mem_raw(r.T, sizeof *c->w, e)))
        return -1;
    for (size_t t = 0; t < r.T; t++)
        c->w[t] = 1;
    if (f->o.attention_weights &&
        (store_load(f->way[0].store, f->held[i].place, 0, &h, &x, e) < 0 ||
         forward_weights_make(f->way[0].block, &r, h, f->o.weight_min, c->w, &uniform, e) < 0))
        return -1;
    if (f->o.by_modality || f->o.clip.high > 0)
        f->zero += forward_weights_share(&r, f->o.by_modality ? c->view.modality : NULL,
                                         f->o.modality, &f->o.clip, c->w);
    for (size_t t = 0; c->view.weights && t < r.T; t++)
        c->w[t] *= c->view.weights[t];
    if (c->view.block_weights)
        weigh_sequences(&c->view, block, c->w);
    f->uniform += uniform;
    return 0;
}

/* ---- one stop of one chunk ---- */

static int stop_chunk(struct forward *f, size_t i, const struct site *s, size_t count,
                      const struct forward_io *io, struct err *e)
{
    const struct chunk_view *v = &f->held[i].view;
    char *kept[2] = {NULL, NULL};
    void *h[2] = {NULL, NULL};

    if (held_place(&f->held[i], s) == 0)
        return emit_chunk_again(f, i, s->order, io, e);
    if (s->stop == 0 &&
        (f->o.attention_weights || v->block_weights || (f->o.by_modality && !f->held[i].w)) &&
        weigh_chunk(f, i, s->block, e) < 0)
        return -1;
    for (int w = f->ways; w-- > 0;) /* what is emitted last: its groups are those of its rows */
        if (way_step(f, &f->way[w], i, s, count, &h[w], &kept[w], e) < 0)
            return -1;
    for (size_t k = 0; k < count && s->order >= f->o.from_site; k++)
        if (emit_site(f, i, &s[k], kept, io, e) < 0)
            return -1;
    return state_keep(f, i, s, h, kept, e);
}

/* ---- the run ---- */

/* The end of a block for all chunks. */
static int finish_block(struct forward *f, struct way *w, size_t index, struct err *e)
{
    const size_t stop = block_stops(w->block);

    for (size_t i = 0; i < f->count && index >= f->c->layers; i++)
        if (tower_finish(f, i, index - f->c->layers, e) < 0)
            return -1;
    for (size_t i = 0; i < f->count && index < f->c->layers; i++) {
        const struct rows r = held_rows(&f->held[i]);

        if (f->held[i].from > index)
            continue;
        const size_t kept = stop ? block_kept(w->block, stop - 1, r.T, f->o.acts) : 0;
        void *h, *x;

        if (store_load(w->store, f->held[i].place, kept, &h, &x, e) < 0 ||
            block_step(w->block, stop, &r, h, f->o.acts, x, e) < 0 ||
            store_save(w->store, f->held[i].place, 1, 0, e) < 0)
            return -1;
    }
    return 0;
}

/* After the last site nothing follows that anybody asks for. */
static int is_last(const struct forward *f, size_t order)
{
    return order + 1 == f->sites->count;
}

/* What an earlier run has committed comes of the same rows. */
static int check_earlier(const struct forward *f, const struct site *s, const struct msg *m,
                         struct err *e)
{
    if (s->order >= f->o.from_site || strcmp(m->run, f->run) == 0)
        return 0;
    return err_set(e, ERR_USE,
                   "the run to go on with is %s, these chunks and options make run %s: the text, "
                   "the model or an option is another now (ptq run --overwrite starts again)",
                   m->run, f->run);
}

/* *m: the commit of a site, the caller's. last: of the last stop. */
static int await_commit(struct forward *f, const struct site *s, int last,
                        const struct forward_io *io, struct msg **m, struct err *e)
{
    int rc;

    *m = NULL;
    while ((rc = io->commit(io->ctx, s->order, m, e)) == 1)
        if (emit_again(f, s->order, io, e) < 0 || (last && io->last(io->ctx, e) < 0))
            return -1;
    if (rc == 0 && check_earlier(f, s, *m, e) == 0) {
        state_pass(f, *m);
        return 0;
    }
    msg_destroy(m);
    return -1;
}

/* What the last stop emitted may be asked for again until its sites are committed. */
static int await_last(struct forward *f, const struct forward_io *io, struct err *e)
{
    struct msg *m;

    if (io->last(io->ctx, e) < 0)
        return -1;
    for (size_t k = 0; k < f->stop_count; k++) {
        if (await_commit(f, &f->stop[k], 1, io, &m, e) < 0)
            return -1;
        msg_destroy(&m);
    }
    return 0;
}

/* The weights of a site for what follows: those of its commit, or the checkpoint's own. */
static int load_weights(struct forward *f, struct way *w, const struct site *s,
                        const struct forward_io *io, struct err *e)
{
    const size_t at = s->order - f->sites->first[s->block];
    struct msg *m;
    int rc;

    if (w->full)
        return block_load_site(w->block, at, e);
    if (await_commit(f, s, 0, io, &m, e) < 0)
        return -1;
    rc = site_set_commit(w->block, s, at, m, e);
    msg_destroy(&m);
    return rc;
}

/* A block that all chunks have passed already. */
static int pass_block(struct forward *f, size_t index, const struct forward_io *io, struct err *e)
{
    const struct site *s = &f->sites->site[f->sites->first[index]],
                      *end = &f->sites->site[f->sites->end[index]];
    struct msg *m;

    for (; s < end; s++) {
        if (await_commit(f, s, 0, io, &m, e) < 0)
            return -1;
        msg_destroy(&m);
    }
    return 0;
}

static int run_chunk(struct forward *f, size_t i, const struct site *s, size_t count,
                     const struct forward_io *io, struct err *e)
{
    const int rc = s->block < f->c->layers ? stop_chunk(f, i, s, count, io, e)
                                           : tower_stop(f, i, s, count, io, e);

    return rc < 0 ? err_prefix(e, "block %zu, %s, chunk %llu", s->block, s->name,
                               (unsigned long long)f->held[i].view.chunk)
                  : 0;
}

/* The first stop, while chunks still come: each as it is there. Weights go out with chunk 0. */
static int run_as_they_come(struct forward *f, const struct site *s, size_t count,
                            const struct forward_io *io, struct err *e)
{
    for (int more = 1; more;) {
        size_t i = 0;

        while (i < f->count && f->held[i].begun)
            i++;
        if (i == f->count) {
            if ((more = io->more(io->ctx, e)) < 0)
                return -1;
            continue;
        }
        if (io->progress)
            io->progress(io->ctx, s->block, s->name, i, f->count);
        if (begin_chunk(f, i, e) < 0 ||
            (f->held[i].view.chunk == 0 && emit_weights(f, 0, io, e) < 0) ||
            run_chunk(f, i, s, count, io, e) < 0)
            return -1;
    }
    f->come = 1;
    return 0;
}

static int run_all(struct forward *f, const struct site *s, size_t count,
                   const struct forward_io *io, struct err *e)
{
    if (emit_weights(f, 0, io, e) < 0)
        return -1;
    for (size_t i = 0; i < f->count; i++) {
        const int place = held_place(&f->held[i], s);

        if (place > 0 || (place == 0 && s->order < f->o.from_site))
            continue;
        if (io->progress)
            io->progress(io->ctx, s->block, s->name, i, f->count);
        if (run_chunk(f, i, s, count, io, e) < 0)
            return -1;
    }
    return 0;
}

/* The sites of one stop: s[0 .. count). */
static int run_stop(struct forward *f, const struct site *s, size_t count,
                    const struct forward_io *io, struct err *e)
{
    f->stop = s;
    f->stop_count = count;
    if ((s->stop && state_check(f, s->block, s->stop, e) < 0) ||
        (f->come ? run_all(f, s, count, io, e) : run_as_they_come(f, s, count, io, e)) < 0)
        return -1;
    if (is_last(f, s[count - 1].order))
        return io->last ? await_last(f, io, e) : 0;
    /* the full way first: it need not wait, and others are still solving */
    for (int w = f->ways; w-- > 0;) {
        block_drop_done(f->way[w].block, s->stop);
        for (size_t k = 0; k < count; k++)
            if (load_weights(f, &f->way[w], &s[k], io, e) < 0)
                return -1;
    }
    return 0;
}

static int run_block(struct forward *f, size_t index, const struct forward_io *io, struct err *e)
{
    const struct site *s = &f->sites->site[f->sites->first[index]],
                      *end = &f->sites->site[f->sites->end[index]];

    if (state_check(f, index, 0, e) < 0)
        return -1;
    for (int w = 0; w < f->ways; w++)
        if (!(f->way[w].block = block_open(f->model, index, e)))
            return -1;
    if (f->ways > 1)
        block_set_exact(f->way[1].block);
    if (f->o.attention_weights && index < f->c->layers &&
        block_load_received(f->way[0].block, e) < 0)
        return -1;
    while (s < end) {
        size_t count = 1;

        while (s + count < end && s[count].stop == s->stop)
            count++;
        if (run_stop(f, s, count, io, e) < 0)
            return -1;
        s += count;
    }
    for (int w = f->sites->end[index] == f->sites->count ? 0 : f->ways; w-- > 0;)
        if (finish_block(f, &f->way[w], index, e) < 0)
            return -1;
    if (index < f->c->layers && f->sites->end[index] < f->sites->count &&
        state_save(f, index + 1, e) < 0)
        return -1;
    for (int w = f->ways; w-- > 0;)
        block_close(&f->way[w].block);
    for (size_t i = 0; i < f->count && index + 1 == f->c->deepstack; i++)
        seen_drop_deep(&f->held[i].seen);
    return 0;
}

/* An earlier run ended where all sites of a stop were committed. */
static int check_from(const struct forward *f, struct err *e)
{
    const uint64_t from = f->o.from_site;
    const struct site *s = from < f->sites->count ? &f->sites->site[from] : NULL;

    if (from > f->sites->count)
        return err_set(e, ERR_USE, "--from-site %llu: the model has %zu sites",
                       (unsigned long long)from, f->sites->count);
    if (s && from && s[-1].block == s->block && s[-1].stop == s->stop)
        return err_set(e, ERR_USE,
                       "--from-site %llu: %s of block %zu is ready together with sites before it",
                       (unsigned long long)from, s->name, s->block);
    return 0;
}

/* The run of the rows: that of the chunks, and what this stage makes of them. Not the kernel: hosts
 * that differ in it may share a run. */
static int run_make(struct forward *f, struct err *e)
{
    struct json *rec = site_record(f->model, &f->o);
    char *own = json_print(rec, 0, e), *all = NULL;

    if (own)
        all = mem_printf(e, "%s dual %d", own, f->o.dual);
    if (all)
        run_id_make(f->run, f->print, f->held[0].msg->run, all);
    json_destroy(&rec);
    free(own);
    free(all);
    return all ? 0 : -1;
}

int forward_run(struct forward *f, const struct forward_io *io, struct err *e)
{
    int first;

    if (!f->count)
        return err_set(e, ERR_DATA, "no chunk came: nothing to run");
    f->prov = site_prov(f->held[0].view.prov, f->model, &f->o, e);
    if (check_from(f, e) < 0 || !f->prov || run_make(f, e) < 0)
        return -1;
    if (f->o.from_site == f->sites->count)
        return 0;
    f->come = !io->more; /* a tower, which runs first, has need of them all */
    for (size_t i = 0; i < f->sites->tower; i++)
        if (run_block(f, sites_block(f->sites, i), io, e) < 0)
            return -1;
    if (tower_join(f, e) < 0 || begin_stores(f, e) < 0 || (f->come && begin_all(f, e) < 0) ||
        (first = state_load(f, io, e)) < 0)
        return -1;
    for (size_t i = 0; i < f->count; i++)
        seen_drop_features(&f->held[i].seen);
    for (size_t i = 0; i < f->c->layers; i++)
        if ((i < (size_t)first ? pass_block(f, i, io, e) : run_block(f, i, io, e)) < 0)
            return -1;
    return 0;
}

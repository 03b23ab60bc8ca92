/* SPDX-License-Identifier: Apache-2.0 */
/* reduce - see reduce.h. One struct job per open site; sites are independent of each other. */
#include "reduce.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/wire/modality.h"
#include "../../common/wire/msg_chunk.h"
#include "../../common/wire/msg_partial.h"
#include "reduce_job.h"
#include "reduce_pick.h"

#define SITES_MAX 1000000u

struct reduce {
    struct reduce_opts o;
    struct par *par;
    reduce_emit emit;
    void *ctx;
    struct slabs *slabs;
    struct job *jobs;
    struct sums_scratch scratch;
    unsigned char *done; /* by order: 1 emitted */
    uint64_t sites, emitted;
    struct reduce_sink sink;
};

struct reduce *reduce_open(const struct reduce_opts *o, struct par *par, reduce_emit emit,
                           void *ctx, struct err *e)
{
    struct reduce *r;

    if (o->how.holdout == 1) {
        err_set(e, ERR_USE,
                "--holdout 1 holds every chunk out and leaves none to solve with: use 2 or more, "
                "or 0");
        return NULL;
    }
    if (!(r = mem_array(1, sizeof *r, e)))
        return NULL;
    r->o = *o;
    r->par = par;
    r->emit = emit;
    r->ctx = ctx;
    if (!(r->slabs = slabs_open(o->mem, o->tmp, e)))
        reduce_close(&r);
    return r;
}

void reduce_close(struct reduce **rp)
{
    struct reduce *r = rp ? *rp : NULL;

    if (!r)
        return;
    while (r->jobs) {
        struct job *j = r->jobs;
        r->jobs = j->next;
        job_destroy(j);
    }
    sums_scratch_release(&r->scratch);
    slabs_close(&r->slabs);
    free(r->done);
    free(r);
    *rp = NULL;
}

void reduce_progress(const struct reduce *r, uint64_t *emitted, uint64_t *sites)
{
    *emitted = r->emitted;
    *sites = r->sites;
}

const struct reduce_sink *reduce_sink(const struct reduce *r)
{
    return r->sink.share > 0 ? &r->sink : NULL;
}

void reduce_memory(const struct reduce *r, uint64_t *held, uint64_t *spilled)
{
    *held = slabs_held(r->slabs);
    *spilled = slabs_spilled(r->slabs);
}

/* The first message says how many sites the run has; all others must say the same. */
static int check_sites(struct reduce *r, const struct msg *m, uint64_t order, uint64_t sites,
                       struct err *e)
{
    if (!r->sites) {
        if (!sites || sites > SITES_MAX)
            return err_set(e, ERR_USE, "message '%s': field 'sites' is %llu, not 1 to %u", m->id,
                           (unsigned long long)sites, SITES_MAX);
        if (r->o.from_site >= sites)
            return err_set(e, ERR_USE, "message '%s': --from-site %llu, but there are %llu sites",
                           m->id, (unsigned long long)r->o.from_site, (unsigned long long)sites);
        r->done = mem_array((size_t)sites, 1, e);
        if (!r->done)
            return -1;
        memset(r->done, 1, (size_t)r->o.from_site);
        r->emitted = r->o.from_site;
        r->sites = sites;
    }
    if (sites != r->sites || order >= sites)
        return err_set(e, ERR_USE,
                       "message '%s': site %llu of %llu does not belong to this run of %llu sites",
                       m->id, (unsigned long long)order, (unsigned long long)sites,
                       (unsigned long long)r->sites);
    return 0;
}

/* Finds or opens the job of a site. */
static struct job *job_of(struct reduce *r, uint64_t order, struct err *e)
{
    struct job *j;

    for (j = r->jobs; j; j = j->next)
        if (j->order == order)
            return j;
    j = mem_array(1, sizeof *j, e);
    if (!j)
        return NULL;
    j->order = order;
    j->next = r->jobs;
    r->jobs = j;
    return j;
}

/* The job that a message belongs to; NULL with *e untouched: its site is done. */
static int job_for(struct reduce *r, const struct msg *m, uint64_t order, const struct place *p,
                   struct job **out, struct err *e)
{
    struct job *j;

    *out = NULL;
    if (check_sites(r, m, order, p->sites, e) < 0)
        return -1;
    if (r->done[order])
        return 0;
    if (!(j = job_of(r, order, e)) || (!j->nlanes && job_start(j, r->slabs, m, p, e) < 0) ||
        job_check_place(j, m, p, e) < 0 || job_check_weights(j, e) < 0)
        return -1;
    *out = j;
    return 0;
}

/* A lane that is done goes out by itself. */
static int emit_lane(struct reduce *r, struct job *j, uint64_t lane, struct err *e)
{
    struct lane *l = &j->lanes[lane];
    struct partial_view v = {
        .lane = lane,
        .lanes = j->nlanes,
        .chunks = j->chunks,
        .holdout = j->how.holdout,
        .plain = j->how.plain,
        .diagonals = j->how.length_diagonals,
        .expert = j->expert,
        .sums = {
            .block = j->block, .order = j->order, .sites = j->sites, .site = j->site, .K = j->K}};
    struct json *lengths = NULL, *kinds = class_kinds_list(j->how.classes);
    struct msg *m = NULL;
    int rc = -1;

    v.kinds = kinds;
    v.sums.has_routed = j->expert.known;
    for (size_t i = 0; i < MODALITIES; i++)
        if (r->o.apart & 1u << i)
            v.modality = modality_name(i);
    if (kept_describe(&l->kept, &v.sums, &lengths, e) < 0 || !(m = partial_create(&v, "reduce", e)))
        goto out;
    snprintf(m->run, sizeof m->run, "%s", j->run);
    if (kept_move(&l->kept, j->K, m, e) < 0)
        goto out;
    kept_release(&l->kept);
    r->emitted++;
    rc = r->emit(r->ctx, &m, e);
out:
    msg_destroy(&m);
    json_destroy(&lengths);
    json_destroy(&kinds);
    return rc;
}

/* Merges finished lanes, in lane order. */
static int merge_lanes(const struct reduce *r, struct job *j, struct err *e)
{
    for (; j->merged < j->nlanes; j->merged++) {
        struct lane *l = &j->lanes[j->merged];

        if (!lane_is_whole(l, r->o.apart))
            return 0;
        if (kept_merge(&j->total, &l->kept, &j->home, j->K, e) < 0)
            return -1;
    }
    return 0;
}

static int lane_done(struct reduce *r, struct job *j, uint64_t lane, struct err *e)
{
    if (!r->o.partial && !lane_is_whole(&j->lanes[lane], r->o.apart))
        return 0;
    j->lanes[lane].home.rank += RANK_DONE;
    return r->o.partial ? emit_lane(r, j, lane, e) : merge_lanes(r, j, e);
}

static int add_to(struct reduce *r, struct lane *l, enum set set, const struct acts_view *a,
                  struct err *e)
{
    return sums_add_rows(&l->kept.sums[set], &l->home, a, &r->scratch, r->par, e);
}

/* The one row of an expert that no token of the chunk goes to stands for none. */
static int has_rows(const struct acts_view *a)
{
    return !(a->T == 1 && a->w && a->w[0] == 0);
}

/* A problem has the main sums in any case. */
static int add_none(struct reduce *r, struct lane *l, int held, const struct acts_view *a,
                    struct err *e)
{
    (void)r;
    return held ? 0 : sums_add_none(&l->kept.sums[SET_MAIN], &l->home, a, e);
}

static int add_rows(struct reduce *r, struct lane *l, int held, const struct acts_view *a,
                    struct err *e)
{
    struct acts_view plain = *a;

    plain.w = NULL;
    if (class_check_only(r->o.partial ? r->o.apart : 0, a, e) < 0 ||
        add_to(r, l, held ? SET_HOLD : SET_MAIN, a, e) < 0)
        return -1;
    if (held)
        return 0;
    sink_add(&l->sink, &r->scratch);
    if ((r->o.how.length_diagonals &&
         sums_add_squares(&l->kept.sums[SET_MAIN], a, r->par, e) < 0) ||
        class_sums_add(&l->kept.classes, &l->home, r->o.how.classes, r->o.apart, a, &r->scratch,
                       r->par, e) < 0)
        return -1;
    return r->o.how.plain ? add_to(r, l, SET_PLAIN, &plain, e) : 0;
}

/* All tokens beside those of the expert, in case that it is starved. */
static int add_every(struct reduce *r, struct lane *l, const struct acts_view *a, struct err *e)
{
    struct acts_view plain = *a;

    plain.w = NULL;
    if (add_to(r, l, SET_EVERY, a, e) < 0 ||
        (r->o.how.length_diagonals && sums_add_squares(&l->kept.sums[SET_EVERY], a, r->par, e) < 0))
        return -1;
    return r->o.how.plain ? add_to(r, l, SET_EVERY_PLAIN, &plain, e) : 0;
}

static int add_routed(struct reduce *r, struct lane *l, int held, const struct acts_view *a,
                      struct err *e)
{
    struct picked some;

    if (!held && !l->kept.fed && add_every(r, l, a, e) < 0)
        return -1;
    if (pick_rows(&some, a, a->routed, 1, &r->scratch, e) < 0)
        return -1;
    return (some.view.T ? add_rows : add_none)(r, l, held, &some.view, e);
}

/* The rows of a chunk at a site; where it is an expert's, which of them count. */
static int add_acts(struct reduce *r, struct lane *l, int held, const struct acts_view *a,
                    struct err *e)
{
    if (!has_rows(a))
        return add_none(r, l, held, a, e);
    if (a->expert.known && !held)
        l->kept.routed += pick_count(a);
    if (a->routed && !a->expert.every)
        return add_routed(r, l, held, a, e);
    if (a->expert.starved == STARVED_ALL_TOKENS && !held)
        kept_feed(&l->kept);
    return add_rows(r, l, held, a, e);
}

static int add_chunk(struct reduce *r, struct job *j, const struct msg *m,
                     const struct acts_view *a, struct err *e)
{
    struct lane *l = &j->lanes[a->lane];
    int held = r->o.how.holdout && a->chunk % r->o.how.holdout == r->o.how.holdout - 1;

    if (lane_note_digest(l, m, (size_t)(a->chunk - l->first), e) < 0)
        return -1;
    if (add_acts(r, l, held, a, e) < 0)
        return err_prefix(e, "%s of block %llu, chunk %llu", j->site, (unsigned long long)j->block,
                          (unsigned long long)a->chunk);
    return ++l->next == l->first + l->count ? lane_done(r, j, a->lane, e) : 0;
}

/* Adds early chunks whose turn has come; starts over after each, until none fits. */
static int add_early(struct reduce *r, struct job *j, struct err *e)
{
    struct acts_view a;

    for (size_t i = 0; i < j->nearly;) {
        if (acts_read(j->early[i], &a, e) < 0)
            return -1;
        if (a.chunk > j->lanes[a.lane].next) {
            i++;
            continue;
        }
        if (a.chunk == j->lanes[a.lane].next && add_chunk(r, j, j->early[i], &a, e) < 0)
            return -1;
        msg_destroy(&j->early[i]);
        j->early[i] = j->early[--j->nearly];
        i = 0;
    }
    return 0;
}

/* The finished problem: the sums move out of the job, the weights out of their message. */
static struct msg *job_problem(struct job *j, struct err *e)
{
    struct weights_view w;
    struct problem_view v = {
        .block = j->block, .order = j->order, .sites = j->sites, .site = j->site, .K = j->K};
    struct json *lengths = NULL;
    struct msg *m = NULL;

    if (weights_read(j->weights, &w, e) < 0)
        return NULL;
    v.has_routed = j->expert.known;
    v.starved = kept_settle(&j->total, &j->expert);
    if (kept_describe(&j->total, &v, &lengths, e) < 0)
        goto out;
    v.prov = w.prov;
    v.nlinears = w.nlinears;
    memcpy(v.linear, w.linear, sizeof v.linear);
    m = problem_create(&v, "reduce", e);
    if (!m)
        goto out;
    if (msg_hand_on(m, j->weights, weights_known, 0, e) < 0)
        goto fail;
    snprintf(m->run, sizeof m->run, "%s", j->weights->run);
    if (kept_move(&j->total, j->K, m, e) < 0 || job_move_weights(j, m, e) < 0)
        goto fail;
    goto out;
fail:
    msg_destroy(&m);
out:
    json_destroy(&lengths);
    return m;
}

static void job_take_out(struct reduce *r, struct job *j)
{
    struct job **at = &r->jobs;

    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    r->done[j->order] = 1;
    r->emitted++;
    job_destroy(j);
}

static int job_emit(struct reduce *r, struct job *j, struct err *e)
{
    struct reduce_sink all = {0};
    struct msg *m;

    if (r->o.partial || !j->weights || !j->nlanes || j->merged < j->nlanes)
        return 0;
    m = job_problem(j, e);
    if (!m)
        return -1;
    for (uint64_t l = 0; l < j->nlanes; l++)
        sink_join(&all, &j->lanes[l].sink);
    sink_note(&r->sink, &all, j->block, j->site);
    job_take_out(r, j);
    if (r->emit(r->ctx, &m, e) < 0) {
        msg_destroy(&m);
        return -1;
    }
    return 0;
}

int reduce_skip(struct reduce *r, const struct msg *commit, uint64_t order, uint64_t sites,
                struct err *e)
{
    struct job *j;

    if (check_sites(r, commit, order, sites, e) < 0)
        return -1;
    if (r->done[order] || !(j = job_of(r, order, e)))
        return r->done[order] ? 0 : -1;
    job_take_out(r, j);
    return 0;
}

static int push_weights(struct reduce *r, struct msg **m, struct err *e)
{
    struct weights_view w;
    struct job *j;

    if (weights_read(*m, &w, e) < 0 || check_sites(r, *m, w.order, w.sites, e) < 0)
        return -1;
    if (r->o.partial)
        return r->emit(r->ctx, m, e);
    if (r->done[w.order])
        return 0;
    j = job_of(r, w.order, e);
    if (!j)
        return -1;
    if (j->weights)
        return msg_checksum(j->weights) == msg_checksum(*m) ? 0 : job_differs(*m, e);
    j->weights = *m;
    j->weights_k = w.K;
    *m = NULL;
    if (job_check_weights(j, e) < 0)
        return -1;
    return job_emit(r, j, e);
}

static int push_acts(struct reduce *r, struct msg **m, struct err *e)
{
    struct acts_view a;
    struct place p;
    struct job *j;

    if (acts_read(*m, &a, e) < 0)
        return -1;
    p = (struct place){.site = a.site,
                       .block = a.block,
                       .sites = a.sites,
                       .chunks = a.chunks,
                       .lanes = a.lanes,
                       .K = a.K,
                       .with_d = a.xf != NULL,
                       .how = r->o.how,
                       .expert = a.expert};
    if (job_check_expert(*m, &a.expert, &r->o.how, r->o.partial, e) < 0 ||
        job_for(r, *m, a.order, &p, &j, e) < 0)
        return -1;
    if (!j)
        return 0;
    if (a.chunk < j->lanes[a.lane].next)
        return lane_check_repeat(&j->lanes[a.lane], *m, a.chunk, e);
    if (a.chunk > j->lanes[a.lane].next)
        return job_keep_early(j, m, e);
    if (add_chunk(r, j, *m, &a, e) < 0 || add_early(r, j, e) < 0)
        return -1;
    return job_emit(r, j, e);
}

/* The sums of one modality over a lane, of which the rows come too. */
static int push_class(struct reduce *r, const struct msg *m, const struct partial_view *v,
                      struct err *e)
{
    struct place p = {v->sums.site,
                      v->sums.block,
                      v->sums.sites,
                      v->chunks,
                      v->lanes,
                      v->sums.K,
                      v->sums.D || v->sums.hold.D,
                      r->o.how,
                      v->expert};
    struct job *j;
    struct lane *l;
    unsigned bit;
    size_t i = 0;

    while (strcmp(modality_name(i), v->modality) != 0)
        i++;
    bit = 1u << i;
    if (!(r->o.apart & bit))
        return err_set(e, ERR_USE,
                       "message '%s': sums of the rows of %ss alone, which this reducer has too: "
                       "give it --apart %s",
                       m->id, v->modality, v->modality);
    p.how.holdout = v->holdout;
    if (job_for(r, m, v->sums.order, &p, &j, e) < 0)
        return -1;
    if (!j)
        return 0;
    l = &j->lanes[v->lane];
    if (l->apart & bit)
        return l->apart_digest == msg_checksum(m) ? 0 : job_differs(m, e);
    if (kept_take_class(&l->kept, &l->home, v->modality, &v->sums, e) < 0)
        return err_prefix(e, "message '%s'", m->id);
    l->apart |= bit;
    l->apart_digest = msg_checksum(m);
    if (!lane_is_whole(l, r->o.apart))
        return 0;
    return lane_done(r, j, v->lane, e) < 0 ? -1 : job_emit(r, j, e);
}

/* The sums of a whole lane, made by another reducer. */
static int push_partial(struct reduce *r, struct msg **m, struct err *e)
{
    struct partial_view v;
    struct place p;
    struct job *j;
    struct lane *l;

    if (r->o.partial)
        return err_set(e, ERR_USE, "message '%s': with --partial a reducer takes rows", (*m)->id);
    if (partial_read(*m, &v, e) < 0)
        return -1;
    if (v.modality)
        return push_class(r, *m, &v, e);
    p = (struct place){v.sums.site,
                       v.sums.block,
                       v.sums.sites,
                       v.chunks,
                       v.lanes,
                       v.sums.K,
                       v.sums.D || v.sums.hold.D,
                       {v.holdout, v.plain, v.diagonals, 0},
                       v.expert};
    if (class_kinds_parse(v.kinds, &p.how.classes, e) < 0)
        return err_prefix(e, "message '%s'", (*m)->id);
    if (job_for(r, *m, v.sums.order, &p, &j, e) < 0)
        return -1;
    if (!j)
        return 0;
    l = &j->lanes[v.lane];
    if (l->next == l->first + l->count)
        return !l->whole || l->digest[0] == msg_checksum(*m) ? 0 : job_differs(*m, e);
    if (job_has_rows(j, v.lane))
        return err_set(e, ERR_USE,
                       "message '%s': rows of this lane came already: a lane comes as "
                       "rows or as a partial sum",
                       (*m)->id);
    if (kept_take(&l->kept, &l->home, &v.sums, e) < 0 || lane_note_digest(l, *m, 0, e) < 0)
        return err_prefix(e, "message '%s'", (*m)->id);
    l->whole = 1;
    l->next = l->first + l->count;
    return lane_done(r, j, v.lane, e) < 0 ? -1 : job_emit(r, j, e);
}

int reduce_push(struct reduce *r, struct msg **m, struct err *e)
{
    int rc;

    switch ((*m)->kind) {
    case MSG_WEIGHTS:
        rc = push_weights(r, m, e);
        break;
    case MSG_ACTS:
        rc = push_acts(r, m, e);
        break;
    case MSG_PARTIAL:
        rc = push_partial(r, m, e);
        break;
    default:
        rc = err_set(e, ERR_USE, "message '%s' is a %s; a reducer takes acts, partials and weights",
                     (*m)->id, msg_kind_name((*m)->kind));
    }
    msg_destroy(m);
    return rc;
}

static int tell_missing(const struct reduce *r, uint64_t order, const struct job *j, struct err *e)
{
    const struct lane *open = j && !r->o.partial ? j->lanes : NULL;

    while (open && open < j->lanes + j->nlanes && lane_is_whole(open, r->o.apart))
        open++;
    return err_set(e, ERR_DATA, "the stream ended early: site %llu of %llu%s%s is not complete%s",
                   (unsigned long long)order + 1, (unsigned long long)r->sites, j ? " " : "",
                   j ? j->site : "",
                   j && !j->weights && !r->o.partial ? " (no weights came)"
                   : open && open < j->lanes + j->nlanes && lane_is_whole(open, 0)
                       ? " (its class of images did not come)"
                       : "");
}

int reduce_finish(struct reduce *r, struct err *e)
{
    /* all were committed, or the writer misses the rest; the lanes went to others */
    if (!r->sites && (r->o.from_site || r->o.partial))
        return 0;
    if (!r->sites)
        return err_set(e, ERR_DATA,
                       "the stream ended without a single row; did the stage before fail?");
    for (const struct job *j = r->jobs; j; j = j->next)
        if (!r->o.partial || !job_is_whole(j))
            return tell_missing(r, j->order, j, e);
    for (uint64_t i = 0; !r->o.partial && !r->o.share && i < r->sites; i++)
        if (!r->done[i])
            return tell_missing(r, i, NULL, e);
    return 0;
}

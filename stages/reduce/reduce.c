/* SPDX-License-Identifier: Apache-2.0 */
/* reduce - see reduce.h. One struct job per open site; sites are independent of each other. */
#include "reduce.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/wire/msg_chunk.h"
#include "../../common/wire/msg_partial.h"
#include "reduce_kept.h"

#define SITES_MAX 1000000u
#define CHUNKS_MAX 100000000u

/* Of the sums of lanes while they are open: the number of the lane. */
#define RANK_TOTAL ((uint64_t)1 << 62)
#define RANK_DONE ((uint64_t)1 << 63)

struct lane {
    uint64_t next; /* the chunk that is added next; first + count: all in */
    uint64_t first, count;
    struct slab_home home;
    struct kept kept; /* empty when merged, or sent as a partial */
};

struct job {
    uint64_t order, block, sites, chunks;
    uint64_t nlanes, merged; /* merged: lanes in the total */
    struct kept_how how;     /* how all lanes are summed */
    char site[64];
    size_t K;
    struct lane *lanes;
    struct slab_home home; /* of the total */
    struct kept total;
    int with_d;
    char run[40];
    struct msg *weights;
    struct msg **early; /* acts that came before their turn in the lane */
    size_t nearly, early_cap;
    struct job *next;
};

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

static void job_destroy(struct job *j)
{
    if (!j)
        return;
    for (uint64_t l = 0; j->lanes && l < j->nlanes; l++)
        kept_release(&j->lanes[l].kept);
    free(j->lanes);
    kept_release(&j->total);
    for (size_t i = 0; i < j->nearly; i++)
        msg_destroy(&j->early[i]);
    free(j->early);
    msg_destroy(&j->weights);
    free(j);
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
        r->done = mem_array((size_t)sites, 1, e);
        if (!r->done)
            return -1;
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

/* What acts and partials say alike of the site and the division into lanes. */
struct place {
    const char *site;
    uint64_t block, sites, chunks, lanes;
    size_t K;
    int with_d;
    struct kept_how how;
};

static int job_start(struct reduce *r, struct job *j, const struct msg *m, const struct place *p,
                     struct err *e)
{
    if (!p->chunks || p->chunks > CHUNKS_MAX || !p->lanes || p->lanes > p->chunks)
        return err_set(e, ERR_USE, "message '%s': %llu chunks in %llu lanes is impossible", m->id,
                       (unsigned long long)p->chunks, (unsigned long long)p->lanes);
    if (p->how.holdout > p->chunks)
        return err_set(e, ERR_USE,
                       "every %lluth chunk is to be held out, but there are only %llu: use a "
                       "smaller number, smaller "
                       "chunks or more tokens",
                       (unsigned long long)p->how.holdout, (unsigned long long)p->chunks);
    j->with_d = p->with_d;
    j->how = p->how;
    j->home = (struct slab_home){r->slabs, RANK_TOTAL};
    j->lanes = mem_array((size_t)p->lanes, sizeof *j->lanes, e);
    if (!j->lanes)
        return -1;
    j->nlanes = p->lanes;
    j->chunks = p->chunks;
    j->K = p->K;
    j->block = p->block;
    j->sites = p->sites;
    snprintf(j->site, sizeof j->site, "%s", p->site);
    snprintf(j->run, sizeof j->run, "%s", m->run);
    for (uint64_t l = 0; l < p->lanes; l++) {
        j->lanes[l].first = l * p->chunks / p->lanes;
        j->lanes[l].count = (l + 1) * p->chunks / p->lanes - j->lanes[l].first;
        j->lanes[l].next = j->lanes[l].first;
        j->lanes[l].home = (struct slab_home){r->slabs, l};
    }
    return 0;
}

static int check_place(const struct job *j, const struct msg *m, const struct place *p,
                       struct err *e)
{
    if (p->K != j->K || p->chunks != j->chunks || p->lanes != j->nlanes || p->block != j->block ||
        strcmp(p->site, j->site) != 0)
        return err_set(e, ERR_USE,
                       "message '%s': %s of block %llu (%zu inputs, %llu chunks, %llu lanes) does "
                       "not match %s of block "
                       "%llu (%zu, %llu, %llu) that came before",
                       m->id, p->site, (unsigned long long)p->block, p->K,
                       (unsigned long long)p->chunks, (unsigned long long)p->lanes, j->site,
                       (unsigned long long)j->block, j->K, (unsigned long long)j->chunks,
                       (unsigned long long)j->nlanes);
    if (j->with_d != p->with_d)
        return err_set(
            e, ERR_USE,
            "message '%s': some chunks have the rows of the full-precision model, others not",
            m->id);
    if (j->how.holdout != p->how.holdout || j->how.plain != p->how.plain ||
        j->how.length_diagonals != p->how.length_diagonals || j->how.classes != p->how.classes)
        return err_set(e, ERR_USE,
                       "message '%s': reducers whose sums meet need the same --holdout, "
                       "--plain-sums, --length-diagonals and --classes",
                       m->id);
    return 0;
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
    if (!(j = job_of(r, order, e)) || (!j->nlanes && job_start(r, j, m, p, e) < 0) ||
        check_place(j, m, p, e) < 0)
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
        .sums = {
            .block = j->block, .order = j->order, .sites = j->sites, .site = j->site, .K = j->K}};
    struct json *lengths = NULL, *kinds = class_kinds_list(j->how.classes);
    struct msg *m = NULL;
    int rc = -1;

    v.kinds = kinds;
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
static int merge_lanes(struct job *j, struct err *e)
{
    for (; j->merged < j->nlanes; j->merged++) {
        struct lane *l = &j->lanes[j->merged];

        if (l->next < l->first + l->count)
            return 0;
        if (kept_merge(&j->total, &l->kept, &j->home, j->K, e) < 0)
            return -1;
    }
    return 0;
}

static int lane_done(struct reduce *r, struct job *j, uint64_t lane, struct err *e)
{
    j->lanes[lane].home.rank += RANK_DONE;
    return r->o.partial ? emit_lane(r, j, lane, e) : merge_lanes(j, e);
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
    if (add_to(r, l, held ? SET_HOLD : SET_MAIN, a, e) < 0)
        return -1;
    if (held)
        return 0;
    if ((r->o.how.length_diagonals &&
         sums_add_squares(&l->kept.sums[SET_MAIN], a, &r->scratch, r->par, e) < 0) ||
        class_sums_add(&l->kept.classes, &l->home, r->o.how.classes, a, &r->scratch, r->par, e) < 0)
        return -1;
    return r->o.how.plain ? add_to(r, l, SET_PLAIN, &plain, e) : 0;
}

static int add_chunk(struct reduce *r, struct job *j, const struct acts_view *a, struct err *e)
{
    struct lane *l = &j->lanes[a->lane];
    int held = r->o.how.holdout && a->chunk % r->o.how.holdout == r->o.how.holdout - 1;

    if ((has_rows(a) ? add_rows : add_none)(r, l, held, a, e) < 0)
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
        if (a.chunk == j->lanes[a.lane].next && add_chunk(r, j, &a, e) < 0)
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
    if (w.K != j->K) {
        err_set(e, ERR_USE, "message '%s': weights have %zu inputs, the rows %zu", j->weights->id,
                w.K, j->K);
        return NULL;
    }
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
    if (kept_move(&j->total, j->K, m, e) < 0)
        goto fail;
    for (size_t i = 0; i < j->weights->ntensors; i++)
        if (msg_add(m, &j->weights->tensors[i], e) < 0)
            goto fail;
    goto out;
fail:
    msg_destroy(&m);
out:
    json_destroy(&lengths);
    return m;
}

static int job_emit(struct reduce *r, struct job *j, struct err *e)
{
    struct job **at = &r->jobs;
    struct msg *m;

    if (r->o.partial || !j->weights || !j->nlanes || j->merged < j->nlanes)
        return 0;
    m = job_problem(j, e);
    if (!m)
        return -1;
    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    r->done[j->order] = 1;
    r->emitted++;
    job_destroy(j);
    if (r->emit(r->ctx, &m, e) < 0) {
        msg_destroy(&m);
        return -1;
    }
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
        return 0;
    j->weights = *m;
    *m = NULL;
    return job_emit(r, j, e);
}

static int push_acts(struct reduce *r, struct msg **m, struct err *e)
{
    struct acts_view a;
    struct place p;
    struct job *j;

    if (acts_read(*m, &a, e) < 0)
        return -1;
    p = (struct place){a.site, a.block, a.sites, a.chunks, a.lanes, a.K, a.xf != NULL, r->o.how};
    if (job_for(r, *m, a.order, &p, &j, e) < 0)
        return -1;
    if (!j || a.chunk < j->lanes[a.lane].next)
        return 0;
    if (a.chunk > j->lanes[a.lane].next) {
        if (mem_grow((void **)&j->early, &j->early_cap, j->nearly + 1, sizeof *j->early, e) < 0)
            return -1;
        j->early[j->nearly++] = *m;
        *m = NULL;
        return 0;
    }
    if (add_chunk(r, j, &a, e) < 0 || add_early(r, j, e) < 0)
        return -1;
    return job_emit(r, j, e);
}

/* Have chunks of the lane come as rows? */
static int lane_has_rows(const struct job *j, uint64_t lane)
{
    const struct lane *l = &j->lanes[lane];
    struct acts_view a;
    struct err e;

    for (size_t i = 0; i < j->nearly; i++)
        if (acts_read(j->early[i], &a, &e) == 0 && a.lane == lane)
            return 1;
    return l->next > l->first;
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
    p = (struct place){v.sums.site,
                       v.sums.block,
                       v.sums.sites,
                       v.chunks,
                       v.lanes,
                       v.sums.K,
                       v.sums.D || v.sums.hold.D,
                       {v.holdout, v.plain, v.diagonals, 0}};
    if (class_kinds_parse(v.kinds, &p.how.classes, e) < 0)
        return err_prefix(e, "message '%s'", (*m)->id);
    if (job_for(r, *m, v.sums.order, &p, &j, e) < 0)
        return -1;
    if (!j || j->lanes[v.lane].next == j->lanes[v.lane].first + j->lanes[v.lane].count)
        return 0;
    if (lane_has_rows(j, v.lane))
        return err_set(e, ERR_USE,
                       "message '%s': rows of this lane came already: a lane comes as "
                       "rows or as a partial sum",
                       (*m)->id);
    l = &j->lanes[v.lane];
    if (kept_take(&l->kept, &l->home, &v.sums, e) < 0)
        return err_prefix(e, "message '%s'", (*m)->id);
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

/* Nothing of a lane, or all of it. */
static int lanes_are_whole(const struct job *j)
{
    for (uint64_t l = 0; l < j->nlanes; l++)
        if (j->lanes[l].next > j->lanes[l].first &&
            j->lanes[l].next < j->lanes[l].first + j->lanes[l].count)
            return 0;
    return j->nearly == 0;
}

static int tell_missing(const struct reduce *r, uint64_t order, const struct job *j, struct err *e)
{
    return err_set(e, ERR_DATA, "the stream ended early: site %llu of %llu%s%s is not complete%s",
                   (unsigned long long)order + 1, (unsigned long long)r->sites, j ? " " : "",
                   j ? j->site : "", j && !j->weights && !r->o.partial ? " (no weights came)" : "");
}

int reduce_finish(struct reduce *r, struct err *e)
{
    if (!r->sites)
        return err_set(e, ERR_DATA,
                       "the stream ended without a single row; did the stage before fail?");
    for (const struct job *j = r->jobs; j; j = j->next)
        if (!r->o.partial || !lanes_are_whole(j))
            return tell_missing(r, j->order, j, e);
    for (uint64_t i = 0; !r->o.partial && !r->o.share && i < r->sites; i++)
        if (!r->done[i])
            return tell_missing(r, i, NULL, e);
    return 0;
}

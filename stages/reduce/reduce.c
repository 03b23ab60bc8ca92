/* SPDX-License-Identifier: Apache-2.0 */
/* reduce - see reduce.h. One struct job per open site; sites are independent of each other. */
#include "reduce.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/wire/msg_chunk.h"
#include "../../common/wire/msg_problem.h"

#define SITES_MAX 1000000u
#define CHUNKS_MAX 100000000u

/* Of the sums of lanes while they are open: the number of the lane. */
#define RANK_TOTAL ((uint64_t)1 << 62)
#define RANK_DONE ((uint64_t)1 << 63)

enum set { SET_MAIN, SET_HOLD, SET_PLAIN, SETS };

struct lane {
    uint64_t next; /* the chunk that is added next; first + count: all in */
    uint64_t first, count;
    struct slab_home home;
    struct sums sums[SETS];
    struct class_sums classes;
};

struct job {
    uint64_t order, block, sites, chunks;
    uint64_t nlanes, merged; /* merged: lanes in the total */
    char site[64];
    size_t K;
    struct lane *lanes;
    struct slab_home home; /* of the total */
    struct sums total[SETS];
    struct class_sums classes;
    int with_d;
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

    if (o->holdout == 1) {
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

static void sets_release(struct sums *sets)
{
    for (int s = 0; s < SETS; s++)
        sums_release(&sets[s]);
}

static void job_destroy(struct job *j)
{
    if (!j)
        return;
    for (uint64_t l = 0; j->lanes && l < j->nlanes; l++) {
        sets_release(j->lanes[l].sums);
        class_sums_release(&j->lanes[l].classes);
    }
    free(j->lanes);
    sets_release(j->total);
    class_sums_release(&j->classes);
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

static int job_start(struct reduce *r, struct job *j, const struct msg *m,
                     const struct acts_view *a, struct err *e)
{
    if (!a->chunks || a->chunks > CHUNKS_MAX || !a->lanes || a->lanes > a->chunks)
        return err_set(e, ERR_USE, "message '%s': %llu chunks in %llu lanes is impossible", m->id,
                       (unsigned long long)a->chunks, (unsigned long long)a->lanes);
    if (r->o.holdout > a->chunks)
        return err_set(e, ERR_USE,
                       "every %lluth chunk is to be held out, but there are only %llu: use a "
                       "smaller number, smaller "
                       "chunks or more tokens",
                       (unsigned long long)r->o.holdout, (unsigned long long)a->chunks);
    j->with_d = a->xf != NULL;
    j->home = (struct slab_home){r->slabs, RANK_TOTAL};
    j->lanes = mem_array((size_t)a->lanes, sizeof *j->lanes, e);
    if (!j->lanes)
        return -1;
    j->nlanes = a->lanes;
    j->chunks = a->chunks;
    j->K = a->K;
    j->block = a->block;
    j->sites = a->sites;
    snprintf(j->site, sizeof j->site, "%s", a->site);
    for (uint64_t l = 0; l < a->lanes; l++) {
        j->lanes[l].first = l * a->chunks / a->lanes;
        j->lanes[l].count = (l + 1) * a->chunks / a->lanes - j->lanes[l].first;
        j->lanes[l].next = j->lanes[l].first;
        j->lanes[l].home = (struct slab_home){r->slabs, l};
    }
    return 0;
}

static int check_acts(const struct job *j, const struct msg *m, const struct acts_view *a,
                      struct err *e)
{
    if (a->K != j->K || a->chunks != j->chunks || a->lanes != j->nlanes || a->block != j->block ||
        strcmp(a->site, j->site) != 0)
        return err_set(e, ERR_USE,
                       "message '%s': %s of block %llu (%zu inputs, %llu chunks, %llu lanes) does "
                       "not match %s of block "
                       "%llu (%zu, %llu, %llu) that came before",
                       m->id, a->site, (unsigned long long)a->block, a->K,
                       (unsigned long long)a->chunks, (unsigned long long)a->lanes, j->site,
                       (unsigned long long)j->block, j->K, (unsigned long long)j->chunks,
                       (unsigned long long)j->nlanes);
    if (j->with_d != (a->xf != NULL))
        return err_set(
            e, ERR_USE,
            "message '%s': some chunks have the rows of the full-precision model, others not",
            m->id);
    if (a->lane >= j->nlanes || a->chunk < j->lanes[a->lane].first ||
        a->chunk - j->lanes[a->lane].first >= j->lanes[a->lane].count)
        return err_set(e, ERR_USE, "message '%s': chunk %llu is not in lane %llu", m->id,
                       (unsigned long long)a->chunk, (unsigned long long)a->lane);
    return 0;
}

/* Merges finished lanes, in lane order. */
static int merge_lanes(struct job *j, struct err *e)
{
    while (j->merged < j->nlanes) {
        struct lane *l = &j->lanes[j->merged];
        if (l->next < l->first + l->count)
            return 0;
        for (int s = 0; s < SETS; s++)
            if (sums_merge(&j->total[s], &l->sums[s], &j->home, j->K, e) < 0)
                return -1;
        if (class_sums_merge(&j->classes, &l->classes, &j->home, j->K, e) < 0)
            return -1;
        j->merged++;
    }
    return 0;
}

static int add_to(struct reduce *r, struct lane *l, enum set set, const struct acts_view *a,
                  struct err *e)
{
    return sums_add_rows(&l->sums[set], &l->home, a, &r->scratch, r->par, e);
}

static int add_chunk(struct reduce *r, struct job *j, const struct acts_view *a, struct err *e)
{
    struct lane *l = &j->lanes[a->lane];
    struct acts_view plain = *a;
    int held = r->o.holdout && a->chunk % r->o.holdout == r->o.holdout - 1;

    plain.w = NULL;
    if (add_to(r, l, held ? SET_HOLD : SET_MAIN, a, e) < 0 ||
        (r->o.length_diagonals && !held &&
         sums_add_squares(&l->sums[SET_MAIN], a, &r->scratch, r->par, e) < 0) ||
        (!held &&
         class_sums_add(&l->classes, &l->home, r->o.classes, a, &r->scratch, r->par, e) < 0) ||
        (r->o.plain && !held && add_to(r, l, SET_PLAIN, &plain, e) < 0))
        return err_prefix(e, "%s of block %llu, chunk %llu", j->site, (unsigned long long)j->block,
                          (unsigned long long)a->chunk);
    if (++l->next == l->first + l->count)
        l->home.rank += RANK_DONE;
    return merge_lanes(j, e);
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

static struct json *length_table(const struct sums *s)
{
    struct json *all = json_new_array();

    for (size_t i = 0; all && i < s->nbins; i++) {
        struct json *row = json_new_array();
        json_push(row, json_new_int((int64_t)s->bins[i].length));
        json_push(row, json_new_int((int64_t)s->bins[i].sequences));
        json_push(row, json_new_real(s->bins[i].sum_w));
        if (json_push(all, row) < 0)
            json_destroy(&all);
    }
    return all;
}

/* A slab in use moves into the message as tensor name; nothing when it is NULL. */
static int move_slab(struct msg *m, const char *name, int ndim, const uint64_t *shape,
                     struct slab **x, struct err *e)
{
    struct tensor t;

    if (!*x)
        return 0;
    if (tensor_borrow(&t, name, DT_F64, ndim, shape, (*x)->at, e) < 0)
        return -1;
    t.release = free;
    t.owner = slab_take(x);
    if (msg_add(m, &t, e) == 0)
        return 0;
    tensor_release(&t);
    return -1;
}

/* "diag": for each length of the main set its sum over rows of x_k^2. Nothing when they were not
 * collected. */
static int add_squares(const struct job *j, struct msg *m, struct err *e)
{
    const struct sums *s = &j->total[SET_MAIN];
    const uint64_t shape[2] = {s->nbins, j->K};
    double *to;

    if (!s->nbins || !s->bins[0].squares)
        return 0;
    if (!(to = msg_add_new(m, "diag", DT_F64, 2, shape, e)))
        return -1;
    for (size_t i = 0; i < s->nbins; i++)
        memcpy(to + i * j->K, s->bins[i].squares, j->K * sizeof *to);
    return 0;
}

static int sums_use(const struct sums *x, struct err *e)
{
    return (x->s && slab_use(x->s, e) < 0) || (x->d && slab_use(x->d, e) < 0) ? -1 : 0;
}

/* All that goes into the problem: in memory together, before the first of it leaves the budget. */
static int total_use(struct job *j, struct err *e)
{
    for (int s = 0; s < SETS; s++)
        if (sums_use(&j->total[s], e) < 0)
            return -1;
    for (size_t i = 0; i < j->classes.count; i++)
        if (sums_use(&j->classes.at[i].sums, e) < 0)
            return -1;
    return 0;
}

/* The sums move out of the job. */
static int move_sums(struct job *j, struct msg *m, struct err *e)
{
    static const char *const name[SETS][2] = {
        {"S", "D"}, {"S.hold", "D.hold"}, {"S.plain", "D.plain"}};
    const uint64_t triangle = (uint64_t)j->K * (j->K + 1) / 2, square[2] = {j->K, j->K};

    for (int s = 0; s < SETS; s++)
        if (move_slab(m, name[s][0], 1, &triangle, &j->total[s].s, e) < 0 ||
            move_slab(m, name[s][1], 2, square, &j->total[s].d, e) < 0)
            return -1;
    return 0;
}

/* "S.class.0", "D.class.0" ... move out of the job, their names and counts into the metadata. */
static int move_classes(struct job *j, struct msg *m, struct err *e)
{
    const uint64_t triangle = (uint64_t)j->K * (j->K + 1) / 2, square[2] = {j->K, j->K};
    struct problem_class list[PROBLEM_CLASSES];
    char name[PROBLEM_CLASSES][CLASS_NAME], tensor[32];

    for (size_t i = 0; i < j->classes.count; i++) {
        struct class_sum *c = &j->classes.at[i];

        class_name(c, name[i], sizeof name[i]);
        list[i] = (struct problem_class){.kind = class_kind(c),
                                         .name = name[i],
                                         .tokens = c->sums.tokens,
                                         .sequences = c->sums.sequences,
                                         .sum_w = c->sums.sum_w,
                                         .sum_w2 = c->sums.sum_w2};
        snprintf(tensor, sizeof tensor, "S.class.%zu", i);
        if (move_slab(m, tensor, 1, &triangle, &c->sums.s, e) < 0)
            return -1;
        *tensor = 'D';
        if (move_slab(m, tensor, 2, square, &c->sums.d, e) < 0)
            return -1;
    }
    return problem_put_classes(m, list, j->classes.count, e);
}

static struct problem_sums counts_of(const struct sums *s)
{
    return (struct problem_sums){
        .tokens = s->tokens, .sequences = s->sequences, .sum_w = s->sum_w, .sum_w2 = s->sum_w2};
}

/* The finished problem: S moves out of the job, the weights out of their message. */
static struct msg *job_problem(struct job *j, struct err *e)
{
    struct weights_view w;
    struct problem_view v;
    struct msg *m = NULL;
    const struct sums *s = &j->total[SET_MAIN];
    struct json *lengths = length_table(s);

    if (weights_read(j->weights, &w, e) < 0)
        goto out;
    if (w.K != j->K) {
        err_set(e, ERR_USE, "message '%s': weights have %zu inputs, the rows %zu", j->weights->id,
                w.K, j->K);
        goto out;
    }
    v = (struct problem_view){.block = j->block,
                              .order = j->order,
                              .sites = j->sites,
                              .site = j->site,
                              .K = j->K,
                              .tokens = s->tokens,
                              .sequences = s->sequences,
                              .sum_w = s->sum_w,
                              .sum_w2 = s->sum_w2,
                              .hold = counts_of(&j->total[SET_HOLD]),
                              .plain = counts_of(&j->total[SET_PLAIN]),
                              .lengths = lengths,
                              .prov = w.prov,
                              .bytes_in = s->bytes + j->total[SET_HOLD].bytes};
    v.nlinears = j->weights->ntensors;
    for (size_t i = 0; i < v.nlinears; i++)
        v.linear[i] = &j->weights->tensors[i];
    m = problem_create(&v, "reduce", e);
    if (!m)
        goto out;
    snprintf(m->run, sizeof m->run, "%s", j->weights->run);
    if (total_use(j, e) < 0 || move_sums(j, m, e) < 0 || move_classes(j, m, e) < 0 ||
        add_squares(j, m, e) < 0)
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

    if (!j->weights || !j->nlanes || j->merged < j->nlanes)
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
    struct job *j;

    if (acts_read(*m, &a, e) < 0 || check_sites(r, *m, a.order, a.sites, e) < 0)
        return -1;
    if (r->done[a.order])
        return 0;
    j = job_of(r, a.order, e);
    if (!j || (!j->nlanes && job_start(r, j, *m, &a, e) < 0) || check_acts(j, *m, &a, e) < 0)
        return -1;
    if (a.chunk < j->lanes[a.lane].next)
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
    default:
        rc = err_set(e, ERR_USE, "message '%s' is a %s; a reducer takes acts and weights", (*m)->id,
                     msg_kind_name((*m)->kind));
    }
    msg_destroy(m);
    return rc;
}

int reduce_finish(struct reduce *r, struct err *e)
{
    if (!r->sites)
        return err_set(e, ERR_DATA,
                       "the stream ended without a single row; did the stage before fail?");
    for (uint64_t i = 0; i < r->sites; i++)
        if (!r->done[i]) {
            const struct job *j = r->jobs;
            while (j && j->order != i)
                j = j->next;
            return err_set(e, ERR_DATA,
                           "the stream ended early: site %llu of %llu%s%s is not complete%s",
                           (unsigned long long)i + 1, (unsigned long long)r->sites, j ? " " : "",
                           j ? j->site : "", j && !j->weights ? " (no weights came)" : "");
        }
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* solve - from a problem message to a solution message: checks, normalises, runs the solver or
 * lets several compete, measures (the messages: INTERFACES.md).
 *
 * Linears that overrides make different from each other are solved in parts: each part has its
 * own options, its own factorisation, and its own contest where its solver is one. Without
 * overrides a site is one part. A contest (best:A,B) keeps per site the contender with the
 * smallest loss summed over its linears, on the held-out sums when the problem has them: a loss
 * under the H that a solver worked with flatters it. With --refit the winner then solves the
 * site again, with the held-out sums added to the others: all data, as if it had been alone.
 * Memory: S is freed once H is expanded, so with K inputs about 2 K^2 doubles are alive while a
 * solver works (one more with D, another with GPTAQ's term; a contest has two more); half of that
 * where of H and its factor only triangles are read (expand_for). */
#include "solve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/clock.h"
#include "../../common/base/mem.h"
#include "classes.h"
#include "solve_equal.h"
#include "solve_mix.h"
#include "solve_permute.h"
#include "work.h"

/* ---- what came in ---- */

/* Rows that weigh nothing add nothing: an expert may have seen no others. */
static int is_empty(const struct problem_sums *s, size_t K)
{
    const size_t size = dtype_size(s->S->dtype);
    double diag;

    for (size_t k = 0; k < K; k++) {
        dtype_to_f64(s->S->dtype, (const char *)s->S->data + k * (k + 3) / 2 * size, 1, &diag);
        if (diag != 0)
            return 0;
    }
    return 1;
}

static int check_sums(const struct work *w, const struct problem_sums *s, struct par *p,
                      struct err *e)
{
    const int odd = s->tokens == 0 ? s->sum_w > 0 : s->sum_w == 0 && !is_empty(s, w->v.K);

    if (!isfinite(s->sum_w) || s->sum_w < 0.0 || odd)
        return err_set(e, ERR_DATA, "%s: sum_w is %g with %llu tokens", w->problem->id, s->sum_w,
                       (unsigned long long)s->tokens);
    if (!isfinite(s->sum_w2) || s->sum_w2 < 0.0)
        return err_set(e, ERR_DATA, "%s: sum_w2 is %g", w->problem->id, s->sum_w2);
    return expand_check(w->problem, s->S, p, e) || expand_check(w->problem, s->D, p, e) ? -1 : 0;
}

static struct solve_part *part_of(struct work *w, const struct solve_opts *o, struct err *e)
{
    struct solve_part *x;

    for (size_t i = 0; i < w->nparts; i++)
        if (solve_opts_same(&w->part[i].o, o))
            return &w->part[i];
    x = &w->part[w->nparts];
    if (contenders_parse(o->solver, &x->list, e) || !(x->best = mem_array(1, sizeof *x->best, e)))
        return NULL;
    x->o = *o;
    if (o->desc_act) /* the problem itself is put into that order */
        x->o.order = ORDER_NONE;
    w->contest |= x->list.contest;
    w->nparts++;
    return x;
}

/* Which linears are solved how. */
static int divide(struct work *w, struct err *e)
{
    const struct problem_view *v = &w->v;

    if (!(w->part = mem_array(v->nlinears, sizeof *w->part, e)))
        return -1;
    for (size_t i = 0; i < v->nlinears; i++) {
        struct solve_opts o;
        struct solve_part *x;
        const int kept = solve_opts_for(w->o, (size_t)v->block, v->site, v->linear[i]->name, &o, e);

        if (kept < 0)
            return -1;
        w->note->kept += (size_t)kept;
        if (kept)
            continue;
        if (!(x = part_of(w, &o, e)))
            return -1;
        x->linear[x->count++] = i;
    }
    return 0;
}

static int check_part(const struct work *w, const struct solve_part *x, struct err *e)
{
    const struct problem_view *v = &w->v;
    const int64_t group = x->o.group;

    if (group > 0 && v->K % (size_t)group)
        return err_set(
            e, ERR_USE,
            "%s: '%s' has %zu inputs, which --group %lld does not divide; use a divisor or -1",
            w->problem->id, v->linear[x->linear[0]]->name, v->K, (long long)group);
    for (size_t i = 0; i < x->list.count; i++)
        if ((contender_needs(x->list.name[i]) & SOLVER_NEEDS_D) && !w->sums.D)
            return err_set(e, ERR_USE,
                           "%s: solver %s needs D, which this problem does not hold: run "
                           "ptq-forward --dual (problems on file: record them anew with ptq run "
                           "gptaq --record)",
                           w->problem->id, x->list.name[i]);
    return 0;
}

static int check_problem(const struct work *w, struct par *p, struct err *e)
{
    const struct problem_view *v = &w->v;

    for (size_t i = 0; i < w->nparts; i++)
        if (check_part(w, &w->part[i], e))
            return -1;
    if (w->o->mixed && w->contest && v->hold.S)
        return err_set(e, ERR_USE,
                       "%s: --mix: held-out sums are not kept by modality, so solvers cannot be "
                       "compared on such a mix: name one solver, or leave --holdout out",
                       w->problem->id);
    if (check_sums(w, &w->sums, p, e) || (w->contest && check_sums(w, &v->hold, p, e)))
        return -1;
    return classes_check(w, p, e);
}

static int choose_sums(struct work *w, struct err *e)
{
    const struct problem_view *v = &w->v;

    if (w->o->mixed)
        return solve_mix_choose(w, e);
    w->sums = (struct problem_sums){.S = v->S,
                                    .D = v->D,
                                    .tokens = v->tokens,
                                    .sequences = v->sequences,
                                    .sum_w = v->sum_w,
                                    .sum_w2 = v->sum_w2};
    if (w->o->sums == SUMS_WEIGHTED || v->tokens == 0)
        return 0;
    if (!v->plain.S)
        return err_set(
            e, ERR_USE,
            "%s: --sums plain: this problem holds no plain sums; run ptq-reduce --plain-sums",
            w->problem->id);
    w->sums = v->plain;
    return 0;
}

/* Sums that nobody will read. */
static void drop_rest(struct work *w)
{
    const struct problem_view *v = &w->v;
    const struct tensor *rest[] = {v->S, v->D, v->plain.S, v->plain.D, v->hold.S, v->hold.D};

    for (size_t i = 0; i < v->nclasses; i++)
        if (v->classes[i].D)
            expand_drop(w->problem, v->classes[i].D);

    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++)
        if (rest[i])
            expand_drop(w->problem, rest[i]);
}

/* How much of H is read, by these solvers and by what else they were asked for. */
static enum expand_how expand_for(const struct work *w)
{
    int whole = w->contest;

    for (size_t i = 0; i < w->nparts; i++)
        whole |= !solver_half(&w->part[i].o, w->part[i].list.name[0]);
    return whole ? EXPAND_WHOLE : EXPAND_HALF;
}

static int expand_main(struct work *w, struct par *p, struct err *e)
{
    if (w->nmix)
        return expand_mix(w->problem, w->v.K, w->mix, w->nmix, w->sums.sum_w, p, &w->H, &w->D, e);
    return expand_sums(w->problem, w->v.K, &w->sums, expand_for(w), p, &w->H, &w->D, e);
}

static int expand(struct work *w, struct par *p, struct err *e)
{
    if (w->nparts && expand_main(w, p, e))
        return -1;
    if (w->contest && w->v.hold.S && w->v.hold.sum_w > 0 &&
        expand_sums(w->problem, w->v.K, &w->v.hold, EXPAND_WHOLE, p, &w->hold_H, &w->hold_D, e))
        return -1;
    drop_rest(w);
    return permute_problem(w, e);
}

/* ---- the contest ---- */

static struct json *describe(const struct work *w, const struct answer *a)
{
    struct json *x = json_new_object();
    int bad = json_set_text(x, "solver", a->o.solver);

    bad |= json_set_real(x, "loss", a->loss);
    bad |= json_set_real(x, "asym_loss", a->asym_loss);
    bad |= json_set_real(x, "hold_loss", w->hold_H ? a->judged : NAN);
    if (a->stats.fallback)
        bad |= json_set_text(x, "fallback", a->stats.fallback);
    if (bad)
        json_destroy(&x);
    return x;
}

/* The first of equals stays. */
static int solve_contest(struct work *w, struct solve_part *x, struct par *p, struct err *e)
{
    for (size_t i = 0; i < x->list.count; i++) {
        if (work_solve(w, x, w->now, x->list.name[i], p, e))
            return -1;
        if (x->list.contest && json_push(w->contenders, describe(w, w->now)))
            return err_set(e, ERR_SYS, "%s: out of memory", w->problem->id);
        if (i == 0 || w->now->judged < x->best->judged) {
            struct answer *last = x->best;
            x->best = w->now;
            w->now = last;
        }
        answer_clear(w->now);
    }
    return 0;
}

/* X = (sum_w X + hold_w Y) / (sum_w + hold_w), what H and D of all chunks are. */
static void merge(double *X, const double *Y, size_t n, double sum_w, double hold_w)
{
    for (size_t i = 0; sum_w + hold_w > 0 && i < n; i++)
        X[i] = (sum_w * X[i] + hold_w * Y[i]) / (sum_w + hold_w);
}

/* The winners again, and solvers that were alone, from all chunks. */
static int refit(struct work *w, struct par *p, struct err *e)
{
    const struct problem_sums *hold = &w->v.hold;
    const size_t cells = w->v.K * w->v.K;

    if (w->D && !w->hold_D)
        return err_set(e, ERR_USE, "%s: --refit: the held-out sums hold no D", w->problem->id);
    merge(w->H, w->hold_H, cells, w->sums.sum_w, hold->sum_w);
    if (w->D)
        merge(w->D, w->hold_D, cells, w->sums.sum_w, hold->sum_w);
    w->sums.tokens += hold->tokens;
    w->sums.sequences += hold->sequences;
    w->sums.sum_w += hold->sum_w;
    w->sums.sum_w2 += hold->sum_w2;
    w->refitting = 1;
    for (size_t i = 0; i < w->nparts; i++) {
        struct solve_part *x = &w->part[i];
        struct answer *last = x->best;

        if (work_solve(w, x, w->now, x->best->o.solver, p, e))
            return -1;
        x->best = w->now;
        w->now = last;
        answer_clear(last);
    }
    return 0;
}

static int solve_parts(struct work *w, struct par *p, struct err *e)
{
    w->contenders = json_new_array();
    for (size_t i = 0; i < w->nparts; i++)
        if (solve_contest(w, &w->part[i], p, e))
            return -1;
    return w->o->refit && w->hold_H ? refit(w, p, e) : 0;
}

/* ---- what goes out ---- */

/* What all parts needed. solver: the one of all, "mixed", or "none". */
static void sum_up(const struct work *w, struct solve_note *n)
{
    snprintf(n->solver, sizeof n->solver, "none");
    for (size_t i = 0; i < w->nparts; i++) {
        const struct answer *a = w->part[i].best;

        n->damp = a->stats.damp > n->damp ? a->stats.damp : n->damp;
        n->attempts = a->stats.attempts > n->attempts ? a->stats.attempts : n->attempts;
        n->fallback = n->fallback ? n->fallback : a->stats.fallback;
        n->dead = a->stats.dead > n->dead ? a->stats.dead : n->dead;
        n->raised += a->raised;
        if (i == 0 || strcmp(n->solver, a->o.solver) == 0)
            snprintf(n->solver, sizeof n->solver, "%s", a->o.solver);
        else
            snprintf(n->solver, sizeof n->solver, "mixed");
    }
    n->blind = w->contest && !w->hold_H;
}

/* Engines fuse the linears of a site where they fuse any: those that are stored differently come
 * apart. */
static int is_split(const struct work *w)
{
    if (w->nparts && w->note->kept)
        return 1;
    for (size_t i = 1; i < w->nparts; i++) {
        const struct solve_opts *x = &w->part[i].o, *first = &w->part[0].o;

        if (x->bits != first->bits || x->group != first->group || x->grid != first->grid)
            return 1;
    }
    return 0;
}

static int put_meta(struct work *w, struct msg *m)
{
    const double w2 = w->sums.sum_w2;
    int bad =
        json_set_real(m->meta, "effective", w2 > 0.0 ? w->sums.sum_w * w->sums.sum_w / w2 : 0.0);
    bad |= json_set_real(m->meta, "coverage", w->note->coverage);
    bad |= json_set_int(m->meta, "dead", (int64_t)w->note->dead);
    bad |= json_set_int(m->meta, "raised", (int64_t)w->note->raised);
    bad |= json_set_int(m->meta, "bytes_in", (int64_t)w->v.bytes_in);
    bad |= json_set(m->meta, "lengths", json_clone(w->v.lengths));
    if (w->o->mixed)
        bad |= json_set(m->meta, "mix", solve_mix_record(w->ratio));
    if (w->classes)
        bad |= json_set(m->meta, "classes", json_clone(w->classes));
    if (!w->contest)
        return bad;
    bad |= json_set_text(m->meta, "criterion", work_is_asym(w) ? "asym" : "plain");
    bad |= json_set_text(m->meta, "judged_on", w->hold_H ? "hold" : "main");
    bad |= json_set(m->meta, "contenders", json_clone(w->contenders));
    return bad;
}

/* The options as given; of a contest that all linears were in, the winner. */
static struct json *record(const struct work *w)
{
    const struct solve_part *x = NULL;
    struct contenders list;
    struct solve_opts o = *w->o;

    for (size_t i = 0; i < w->nparts && !x; i++)
        if (strcmp(w->part[i].o.solver, w->o->solver) == 0)
            x = &w->part[i];
    if (contenders_parse(w->o->solver, &list, NULL))
        return NULL;
    o.solver = x ? x->best->o.solver : list.name[0];
    return solve_record(&o, w->D != NULL, list.contest ? w->o->solver : NULL);
}

/* Every linear in the order of the problem. */
static void collect(const struct work *w, struct solution_view *s)
{
    s->nlinears = w->v.nlinears;
    for (size_t i = 0; i < s->nlinears; i++)
        s->linear[i] = (struct solution_linear){.name = w->v.linear[i]->name,
                                                .N = (size_t)w->v.linear[i]->shape[0],
                                                .K = w->v.K,
                                                .kept = 1};
    for (size_t k = 0; k < w->nparts; k++) {
        const struct solve_part *x = &w->part[k];

        for (size_t i = 0; i < x->count; i++) {
            s->linear[x->linear[i]] = x->best->linear[x->linear[i]];
            if (strcmp(w->note->solver, "mixed") == 0)
                s->linear[x->linear[i]].solver = x->best->o.solver;
        }
    }
}

static int add_results(struct work *w, struct msg *m, struct err *e)
{
    int bad = 0;

    for (size_t i = 0; i < ANSWER_PARTS * w->v.nlinears && !bad; i++)
        for (size_t k = 0; k < w->nparts && !bad; k++)
            if (w->part[k].best->results[i].data)
                bad = msg_add(m, &w->part[k].best->results[i], e);
    return bad;
}

/* The message: what the problem said about itself, what was done, the results. */
static struct msg *compose(struct work *w, double seconds, struct err *e)
{
    const struct problem_view *v = &w->v;
    const struct solve_note *n = w->note;
    struct solution_view *s = mem_array(1, sizeof *s, e);
    struct json *prov = v->prov ? json_clone(v->prov) : json_new_array();
    int bad = json_push(prov, record(w));
    struct msg *m = NULL;

    if (s) {
        *s = (struct solution_view){.block = v->block,
                                    .order = v->order,
                                    .sites = v->sites,
                                    .site = v->site,
                                    .K = v->K,
                                    .tokens = w->sums.tokens,
                                    .sequences = w->sums.sequences,
                                    .sum_w = w->sums.sum_w,
                                    .sum_w2 = w->sums.sum_w2,
                                    .solver = n->solver,
                                    .damp = n->damp,
                                    .attempts = n->attempts,
                                    .fallback = n->fallback,
                                    .seconds = seconds,
                                    .prov = prov};
        collect(w, s);
        m = bad ? NULL : solution_create(s, "solve", e);
    }
    free(s);
    json_destroy(&prov);
    if (!m)
        return bad ? (err_set(e, ERR_SYS, "%s: out of memory", w->problem->id), NULL) : NULL;
    memcpy(m->run, w->problem->run, sizeof m->run);
    if (put_meta(w, m)) {
        err_set(e, ERR_SYS, "%s: out of memory", w->problem->id);
        msg_destroy(&m);
    } else if (msg_hand_on(m, w->problem, problem_known, 0, e) || add_results(w, m, e)) {
        msg_destroy(&m);
    }
    return m;
}

static void tell(const struct work *w)
{
    struct solve_note *n = w->note;
    int first = 1;

    n->starved = !w->v.starved ? NULL : strcmp(w->v.starved, "rtn") == 0 ? "rtn" : "all-tokens";
    n->routed = w->v.routed;
    sum_up(w, n);
    n->split = is_split(w);
    for (size_t k = 0; k < w->nparts; k++)
        for (size_t i = 0; i < w->part[k].count; i++) {
            const struct solution_linear *x = &w->part[k].best->linear[w->part[k].linear[i]];

            if (!first && !(x->rel_loss > n->worst))
                continue;
            first = 0;
            n->worst = x->rel_loss;
            snprintf(n->worst_name, sizeof n->worst_name, "%s", x->name);
        }
}

/* What is asked for, of what, and whether that can be. */
static int begin(struct work *w, const struct solve_opts *o, struct msg *problem,
                 struct solve_note *note, struct par *p, struct err *e)
{
    w->o = o;
    w->problem = problem;
    w->note = note;
    return solve_check_opts(o, e) || problem_read(problem, &w->v, e) || choose_sums(w, e) ||
                   divide(w, e) || check_problem(w, p, e)
               ? -1
               : 0;
}

int solve_check_problem(const struct solve_opts *o, struct msg *problem, struct err *e)
{
    struct solve_note note = {.coverage = 0.0};
    struct work *w = mem_array(1, sizeof *w, e);
    int rc = w ? begin(w, o, problem, &note, NULL, e) : -1;

    if (rc == 0 && o->equalise)
        rc = solve_equal_check(w, e);
    work_destroy(w);
    return rc;
}

struct msg *solve_problem(const struct solve_opts *o, struct msg **problem, struct par *p,
                          struct solve_note *note, struct err *e)
{
    const double start = clock_wall();
    struct work *w = mem_array(1, sizeof *w, e);
    struct msg *solution = NULL;

    *note = (struct solve_note){.coverage = 0.0};
    if (!w || !(w->now = mem_array(1, sizeof *w->now, e)) || begin(w, o, *problem, note, p, e) < 0)
        goto out;
    if (o->equalise && solve_equal_choose(w, p, e))
        goto out;
    if (expand(w, p, e) || solve_parts(w, p, e) || classes_measure(w, p, e))
        goto out;
    for (size_t i = 0; i < w->nparts; i++)
        if (permute_back(w, w->part[i].best, e))
            goto out;
    note->coverage = (double)w->sums.tokens / (double)w->v.K;
    tell(w);
    solution = compose(w, clock_wall() - start, e);
out:
    work_destroy(w);
    msg_destroy(problem);
    return solution;
}

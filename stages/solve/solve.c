/* solve - from a problem message to a solution message: checks, normalises, runs the solver,
 * measures (DESIGN 3.5, 3.6).
 *
 * Memory: S is freed once H is expanded, so with K inputs about 2 K^2 doubles are alive while a
 * solver works (3 with D). */
#include "solve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/clock.h"
#include "../../common/base/mem.h"
#include "../../common/base/version.h"
#include "../../common/tensor/blas.h"
#include "../../common/wire/msg_problem.h"
#include "solve_loss.h"

#define MIRROR 32

struct work {
    const struct solve_opts *o;
    const struct solver *solver;
    struct problem_view v;
    struct solution_view s;
    struct msg *problem;
    struct tensor results[3 * PROBLEM_LINEARS]; /* codes, scales, zeros of each linear */
    double *H, *D;
    struct solve_stats stats;
    struct solve_note *note;
};

static const char *const fit_names[] = {"minmax", "mse"};
static const char *const order_names[] = {"none", "act", "group"};
static const char *const groups_names[] = {"static", "dynamic"};
static const char *const dead_names[] = {"keep", "zero"};

/* An option that the solver does not look at may be given only as what it is anyway, so that a
 * recipe can name them all. */
static int check_unused(const struct solve_opts *o, const struct solver *s, struct err *e)
{
    const struct solve_opts def = SOLVE_OPTS_DEFAULT;
    const struct {
        const char *name;
        int changed;
    } list[] = {
        {"order", o->order != def.order},
        {"groups", o->groups != def.groups},
        {"damp", o->damp < def.damp || o->damp > def.damp},
        {"dead", o->dead != def.dead},
        {"block", o->block != def.block},
    };

    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        if (list[i].changed && !solver_takes(s, list[i].name))
            return err_set(
                e, ERR_USE,
                "--%s means nothing to solver %s: leave it out, or choose another solver",
                list[i].name, s->name);
    return 0;
}

int solve_check_opts(const struct solve_opts *o, struct err *e)
{
    const struct solver *s = solver_find(o->solver);

    if (!s)
        return err_set(e, ERR_USE, "there is no solver '%s'; ptq-solve --list shows them",
                       o->solver ? o->solver : "");
    if (o->bits != 2 && o->bits != 3 && o->bits != 4 && o->bits != 8)
        return err_set(e, ERR_USE, "--bits must be 2, 3, 4 or 8, not %d", o->bits);
    if (o->group != -1 && o->group < 1)
        return err_set(e, ERR_USE, "--group must be -1 or at least 1, not %lld",
                       (long long)o->group);
    if (o->block < 1)
        return err_set(e, ERR_USE, "--block must be at least 1");
    if (!(o->damp >= 0.0 && o->damp <= 10.0))
        return err_set(e, ERR_USE, "--damp must be from 0 to 10");
    if (!dtype_is_float(o->scale_type))
        return err_set(e, ERR_USE, "--scale-type must be f16, bf16, f32 or f64");
    if (o->zero_min != 0 && o->zero_min != 1)
        return err_set(e, ERR_USE, "--zero-min must be 0 or 1");
    return check_unused(o, s, e);
}

/* ---- what came in
 * --------------------------------------------------------------------------------------------- */

static int check_finite(const struct tensor *t, const struct work *w, struct err *e)
{
    const size_t bad = tensor_count_bad(t);

    if (bad)
        return err_set(e, ERR_DATA, "%s: tensor '%s' holds %zu NaN or infinite values",
                       w->problem->id, t->name, bad);
    return 0;
}

static int check_problem(const struct work *w, struct err *e)
{
    const struct problem_view *v = &w->v;
    const int64_t group = w->o->group;

    if (group > 0 && v->K % (size_t)group)
        return err_set(
            e, ERR_USE,
            "%s: '%s' has %zu inputs, which --group %lld does not divide; use a divisor or -1",
            w->problem->id, v->linear[0]->name, v->K, (long long)group);
    if (!isfinite(v->sum_w) || v->sum_w < 0.0 || (v->tokens > 0) != (v->sum_w > 0.0))
        return err_set(e, ERR_DATA, "%s: sum_w is %g with %llu tokens", w->problem->id, v->sum_w,
                       (unsigned long long)v->tokens);
    if (!isfinite(v->sum_w2) || v->sum_w2 < 0.0)
        return err_set(e, ERR_DATA, "%s: sum_w2 is %g", w->problem->id, v->sum_w2);
    if ((w->solver->needs & SOLVER_NEEDS_D) && !v->D)
        return err_set(e, ERR_USE, "%s: solver %s needs D, which this problem does not hold",
                       w->problem->id, w->solver->name);
    if (check_finite(v->S, w, e) || (v->D && check_finite(v->D, w, e)))
        return -1;
    for (size_t i = 0; i < v->nlinears; i++)
        if (check_finite(v->linear[i], w, e))
            return -1;
    return 0;
}

/* Frees the data of one tensor of the problem; the view's pointer to it stays, without data. */
static void drop(struct msg *m, const struct tensor *t)
{
    for (size_t i = 0; i < m->ntensors; i++)
        if (&m->tensors[i] == t && t->release) {
            m->tensors[i].release(m->tensors[i].owner);
            m->tensors[i].release = NULL;
            m->tensors[i].data = NULL;
            m->tensors[i].bytes = 0;
        }
}

static void mirror(size_t K, double *H)
{
    for (size_t i0 = 0; i0 < K; i0 += MIRROR)
        for (size_t j0 = 0; j0 <= i0; j0 += MIRROR)
            for (size_t i = i0; i < K && i < i0 + MIRROR; i++)
                for (size_t j = j0; j < i && j < j0 + MIRROR; j++)
                    H[j * K + i] = H[i * K + j];
}

/* H = S / sum w, from one triangle to the full matrix. */
static int expand(struct work *w, struct err *e)
{
    const struct tensor *S = w->v.S;
    const size_t K = w->v.K, size = dtype_size(S->dtype);
    const double scale = w->v.sum_w > 0.0 ? 1.0 / w->v.sum_w : 1.0;
    size_t cells, at = 0;

    if (mem_mul(K, K, &cells))
        return err_set(e, ERR_SYS, "%s: a %zu x %zu matrix does not fit into memory",
                       w->problem->id, K, K);
    w->H = mem_raw(cells, sizeof *w->H, e);
    if (!w->H)
        return -1;
    for (size_t i = 0; i < K; at += ++i) {
        double *row = w->H + i * K;

        dtype_to_f64(S->dtype, (const char *)S->data + at * size, i + 1, row);
        for (size_t j = 0; j <= i; j++)
            row[j] *= scale;
        if (row[i] < 0.0)
            return err_set(e, ERR_DATA, "%s: S[%zu,%zu] is negative: not a sum of squares",
                           w->problem->id, i, i);
    }
    drop(w->problem, S);
    mirror(K, w->H);
    return 0;
}

static int expand_d(struct work *w, struct err *e)
{
    const size_t cells = w->v.K * w->v.K;

    if (!w->v.D || w->v.tokens == 0)
        return 0;
    w->D = mem_raw(cells, sizeof *w->D, e);
    if (!w->D)
        return -1;
    dtype_to_f64(w->v.D->dtype, w->v.D->data, cells, w->D);
    for (size_t i = 0; i < cells; i++)
        w->D[i] /= w->v.sum_w;
    drop(w->problem, w->v.D);
    return 0;
}

/* ---- what goes out
 * -------------------------------------------------------------------------------------------- */

static struct json *record(const struct work *w)
{
    const struct solve_opts *o = w->o;
    const struct solver *s = w->solver;
    struct json *r = json_object();
    int bad = 0;

    bad |= json_set_text(r, "stage", "solve");
    bad |= json_set_text(r, "version", PTQ_VERSION);
    bad |= json_set_text(r, "solver", s->name);
    bad |= json_set_int(r, "bits", o->bits);
    bad |= json_set_int(r, "group", o->group);
    bad |= json_set_text(r, "grid", grid_name(o->grid));
    bad |= json_set_text(r, "fit", fit_names[o->fit]);
    bad |= json_set_text(r, "scale_type", dtype_name(o->scale_type));
    bad |= json_set_int(r, "zero_min", o->zero_min);
    if (solver_takes(s, "order"))
        bad |= json_set_text(r, "order", order_names[o->order]);
    if (solver_takes(s, "groups"))
        bad |= json_set_text(r, "groups", groups_names[o->groups]);
    if (solver_takes(s, "damp"))
        bad |= json_set_real(r, "damp", o->damp);
    if (solver_takes(s, "dead"))
        bad |= json_set_text(r, "dead", dead_names[o->dead]);
    if (solver_takes(s, "block"))
        bad |= json_set_int(r, "block", (int64_t)o->block);
    bad |= json_set_text(r, "kernel", blas_kernel());
    if (bad)
        json_destroy(&r);
    return r;
}

/* Room for a result, named after its linear. */
static void *result_alloc(struct tensor *t, const char *name, const char *part, enum dtype type,
                          size_t rows, size_t columns, struct err *e)
{
    const uint64_t shape[2] = {rows, columns};
    char full[TENSOR_NAME];

    if (snprintf(full, sizeof full, "%s.%s", name, part) >= (int)sizeof full) {
        err_set(e, ERR_USE, "tensor name '%s' is too long", name);
        return NULL;
    }
    return tensor_alloc(t, full, type, 2, shape, e) ? NULL : t->data;
}

static int solve_linear(struct work *w, size_t i, void *state, struct par *p, struct err *e)
{
    const struct tensor *t = w->v.linear[i];
    const size_t N = (size_t)t->shape[0], K = w->v.K, G = grid_groups(K, w->o->group);
    struct solve_job j = {.name = t->name,
                          .N = N,
                          .K = K,
                          .G = G,
                          .w_type = t->dtype,
                          .W = t->data,
                          .H = w->H,
                          .D = w->D};
    struct tensor *out = &w->results[3 * i];
    struct solve_loss loss = {0.0, 0.0, 0.0};
    void *stored;
    int rc = -1;

    j.scales = mem_raw(N * G, sizeof *j.scales, e);
    j.codes = result_alloc(&out[0], t->name, "codes", DT_U8, N, K, e);
    stored = result_alloc(&out[1], t->name, "scales", w->o->scale_type, N, G, e);
    j.zeros = result_alloc(&out[2], t->name, "zeros", DT_U8, N, G, e);
    if (!j.scales || !j.codes || !stored || !j.zeros || w->solver->solve(w->o, state, &j, p, e) ||
        solve_loss(w->o, &j, p, &loss, e))
        goto out;
    if (!isfinite(loss.loss)) {
        err_set(e, ERR_DATA, "%s: the loss of '%s' is not finite", w->problem->id, t->name);
        goto out;
    }
    dtype_from_f64(w->o->scale_type, j.scales, N * G, stored);
    w->s.linear[i] = (struct solution_linear){.name = t->name,
                                              .N = N,
                                              .K = K,
                                              .G = G,
                                              .bits = w->o->bits,
                                              .group = w->o->group,
                                              .grid = grid_name(w->o->grid),
                                              .loss = loss.loss,
                                              .rel_loss = loss.rel_loss,
                                              .asym_loss = loss.asym_loss};
    w->note->raised += atomic_load(&j.raised);
    if (!*w->note->worst_name || loss.rel_loss > w->note->worst) {
        w->note->worst = loss.rel_loss;
        memcpy(w->note->worst_name, t->name, sizeof t->name);
    }
    drop(w->problem, t);
    rc = 0;
out:
    free(j.scales);
    return rc;
}

static int solve_all(struct work *w, struct par *p, struct err *e)
{
    void *state = NULL;
    int rc = -1;

    if (w->solver->prepare(w->o, w->v.K, w->H, w->D, p, &state, &w->stats, e)) {
        err_prefix(e, "%s", w->problem->id);
        goto out;
    }
    for (size_t i = 0; i < w->v.nlinears; i++)
        if (solve_linear(w, i, state, p, e))
            goto out;
    rc = 0;
out:
    w->solver->release(state);
    return rc;
}

/* The message: what the problem said about itself, what was done, the results. */
static struct msg *compose(struct work *w, double seconds, struct err *e)
{
    const struct problem_view *v = &w->v;
    struct json *prov = v->prov ? json_copy(v->prov) : json_array();
    struct msg *m = NULL;
    int bad = json_push(prov, record(w));

    w->s.block = v->block;
    w->s.order = v->order;
    w->s.sites = v->sites;
    w->s.site = v->site;
    w->s.K = v->K;
    w->s.tokens = v->tokens;
    w->s.sequences = v->sequences;
    w->s.sum_w = v->sum_w;
    w->s.sum_w2 = v->sum_w2;
    w->s.solver = w->o->solver;
    w->s.damp = w->stats.damp;
    w->s.attempts = w->stats.attempts;
    w->s.fallback = w->stats.fallback;
    w->s.seconds = seconds;
    w->s.nlinears = v->nlinears;
    w->s.prov = prov;
    m = bad ? NULL : solution_create(&w->s, "solve", e);
    json_destroy(&prov);
    if (!m)
        return bad ? (err_set(e, ERR_SYS, "%s: out of memory", w->problem->id), NULL) : NULL;
    memcpy(m->run, w->problem->run, sizeof m->run);
    bad |= json_set_text(m->meta, "modality", v->modality);
    bad |= json_set_real(m->meta, "effective",
                         v->sum_w2 > 0.0 ? v->sum_w * v->sum_w / v->sum_w2 : 0.0);
    bad |= json_set_real(m->meta, "coverage", w->note->coverage);
    bad |= json_set_int(m->meta, "dead", (int64_t)w->stats.dead);
    bad |= json_set_int(m->meta, "raised", (int64_t)w->note->raised);
    if (bad)
        err_set(e, ERR_SYS, "%s: out of memory", w->problem->id);
    for (size_t i = 0; !bad && i < 3 * v->nlinears; i++)
        bad = msg_add(m, &w->results[i], e);
    if (bad)
        msg_destroy(&m);
    return m;
}

struct msg *solve_problem(const struct solve_opts *o, struct msg **problem, struct par *p,
                          struct solve_note *note, struct err *e)
{
    const double start = clock_wall();
    struct work *w = mem_array(1, sizeof *w, e);
    struct msg *solution = NULL;

    *note = (struct solve_note){.coverage = 0.0};
    if (!w)
        goto out;
    w->o = o;
    w->solver = solver_find(o->solver);
    w->problem = *problem;
    w->note = note;
    if (solve_check_opts(o, e) || problem_read(w->problem, &w->v, e) || check_problem(w, e))
        goto out;
    note->coverage = (double)w->v.tokens / (double)w->v.K;
    if (expand(w, e) || expand_d(w, e))
        goto out;
    if (w->v.tokens == 0) {
        w->solver = solver_find("rtn");
        w->stats.fallback = "rtn";
    }
    if (solve_all(w, p, e))
        goto out;
    note->damp = w->stats.damp;
    note->attempts = w->stats.attempts;
    note->fallback = w->stats.fallback;
    note->dead = w->stats.dead;
    solution = compose(w, clock_wall() - start, e);
out:
    for (size_t i = 0; w && i < 3 * PROBLEM_LINEARS; i++)
        tensor_release(&w->results[i]);
    if (w) {
        free(w->H);
        free(w->D);
    }
    free(w);
    msg_destroy(problem);
    return solution;
}

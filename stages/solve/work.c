/* SPDX-License-Identifier: Apache-2.0 */
/* work - see work.h: one solver on the linears of a part, and what it cost. */
#include "work.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/wire/share.h"
#include "solve_loss.h"
#include "solve_refine.h"

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
    return share_tensor(t, full, type, 2, shape, e) ? NULL : t->data;
}

int work_is_asym(const struct work *w)
{
    return w->o->criterion == CRITERION_ASYM && (w->hold_H ? w->hold_D : w->D);
}

/* Adds the linear's losses to the answer's. */
static int measure(struct work *w, struct answer *a, struct solve_job *j, struct par *p,
                   struct solve_loss *own, struct err *e)
{
    struct solve_loss hold;

    if (solve_loss(&a->o, j, p, own, e))
        return -1;
    if (!isfinite(own->loss))
        return err_set(e, ERR_DATA, "%s: the loss of '%s' is not finite", w->problem->id, j->name);
    hold = *own;
    if (w->contest && !w->refitting && (w->hold_H || j->told)) {
        j->told = 0; /* contenders are compared by the same sums: equals are equal */
        j->H = w->hold_H ? w->hold_H : w->H;
        j->D = w->hold_H ? w->hold_D : w->D;
        if (solve_loss(&a->o, j, p, &hold, e))
            return -1;
    }
    a->loss += own->loss;
    a->asym_loss += own->asym_loss;
    a->judged += work_is_asym(w) ? hold.asym_loss : hold.loss;
    return 0;
}

/* The largest of the weights of a part: they are in memory, and of a float type. */
static int largest(const struct work *w, const struct solve_part *x, double *most, struct err *e)
{
    double *row = mem_raw(w->v.K, sizeof *row, e);
    int rc = row ? 0 : -1;

    *most = 0.0;
    for (size_t i = 0; rc == 0 && i < x->count; i++) {
        const struct tensor *t = w->v.linear[x->linear[i]];
        const size_t bytes = w->v.K * dtype_size(t->dtype);

        for (size_t n = 0; rc == 0 && n < t->shape[0]; n++) {
            if (dtype_to_f64(t->dtype, (const char *)t->data + n * bytes, w->v.K, row) < 0)
                rc = err_set(e, ERR_USE, "%s: weights are %s, not a float type", t->name,
                             dtype_name(t->dtype));
            for (size_t k = 0; rc == 0 && k < w->v.K; k++)
                *most = fmax(*most, fabs(row[k]));
        }
    }
    free(row);
    return rc;
}

static int put_tensor_scale(const struct answer *a, struct tensor *t, const char *name,
                            double *scale, struct err *e)
{
    const uint64_t shape[1] = {1};
    char full[TENSOR_NAME];

    *scale = a->tensor_scale;
    if (!a->o.grid->tensor_scale)
        return 0;
    if (snprintf(full, sizeof full, "%s.tensor_scale", name) >= (int)sizeof full)
        return err_set(e, ERR_USE, "tensor name '%s' is too long", name);
    return tensor_alloc(t, full, DT_F32, 1, shape, e) || dtype_from_f64(DT_F32, scale, 1, t->data)
               ? -1
               : 0;
}

static int solve_linear(struct work *w, const struct solve_part *x, struct answer *a, size_t i,
                        void *state, struct par *p, struct err *e)
{
    const struct tensor *t = w->v.linear[i];
    const size_t N = (size_t)t->shape[0], K = w->v.K, G = grid_groups(K, a->o.group);
    struct solve_job j = {.name = t->name,
                          .N = N,
                          .K = K,
                          .G = G,
                          .w_type = t->dtype,
                          .W = t->data,
                          .H = w->H,
                          .D = w->D,
                          .beside = &a->results[ANSWER_PARTS * i + ANSWER_BESIDE]};
    struct tensor *out = &a->results[ANSWER_PARTS * i];
    const enum dtype type = grid_scale_type(a->o.grid, a->o.scale_type);
    const int zeros = a->o.grid->zeros, table = a->o.grid->table;
    struct solve_loss loss = {.loss = 0.0};
    void *stored;
    int rc = -1;

    j.scales = mem_raw(N * G, sizeof *j.scales, e);
    j.codes = result_alloc(&out[0], t->name, "codes", DT_U8, N, K, e);
    stored = result_alloc(&out[1], t->name, "scales", type, N, G, e);
    j.zeros = zeros ? result_alloc(&out[2], t->name, "zeros", DT_U8, N, G, e) : NULL;
    j.table = table ? result_alloc(&out[ANSWER_TABLE], t->name, "table", DT_F32, N,
                                   (size_t)1 << a->o.bits, e)
                    : NULL;
    if (!j.scales || !j.codes || !stored || (zeros && !j.zeros) || (table && !j.table) ||
        put_tensor_scale(a, &out[3], t->name, &j.tensor_scale, e) ||
        a->solver->solve(&a->o, state, &j, p, e) || solve_refine(&a->o, &j, p, e) ||
        measure(w, a, &j, p, &loss, e))
        goto out;
    for (size_t k = 0; a->o.grid->tensor_scale && k < N * G; k++)
        j.scales[k] /= j.tensor_scale;
    dtype_from_f64(type, j.scales, N * G, stored);
    a->linear[i] = (struct solution_linear){.name = t->name,
                                            .N = N,
                                            .K = K,
                                            .G = G,
                                            .bits = a->o.bits,
                                            .group = a->o.group,
                                            .grid = a->o.grid->name,
                                            .loss = loss.loss,
                                            .rel_loss = loss.rel_loss,
                                            .round_off = loss.round_off,
                                            .trace = loss.trace,
                                            .asym_loss = loss.asym_loss,
                                            .bound = isfinite(j.bound) ? j.bound : 0.0};
    a->raised += atomic_load(&j.raised);
    if (x->list.count == 1 && !w->v.nclasses && !w->o->refit)
        expand_drop(w->problem, t);
    rc = 0;
out:
    free(j.scales);
    return rc;
}

/* A problem without calibration rows, or with none that weigh anything, or with too few of them, is
 * rounded to nearest whatever was asked for: an expert that no token goes to, or next to none. Not
 * so by solvers that keep weights beside the codes or make tables: these need no rows. */
int work_solve(struct work *w, const struct solve_part *x, struct answer *a, const char *name,
               struct par *p, struct err *e)
{
    void *state = NULL;
    double most;
    int rc = -1;

    a->tensor_scale = 1.0;
    if (x->o.grid->tensor_scale) {
        if (largest(w, x, &most, e))
            return -1;
        a->tensor_scale = x->o.grid->tensor_scale(most);
    }
    a->o = x->o;
    a->o.solver = name;
    a->solver = solver_find(name);
    if (!a->solver->beside &&
        (w->sums.sum_w == 0 || (w->v.starved && strcmp(w->v.starved, "rtn") == 0))) {
        a->solver = solver_find("rtn");
        a->stats.fallback = "rtn";
    }
    if (a->solver->prepare(&a->o, w->v.K, w->H, w->D, p, &state, &a->stats, e)) {
        err_prefix(e, "%s", w->problem->id);
        goto out;
    }
    for (size_t i = 0; i < x->count; i++)
        if (solve_linear(w, x, a, x->linear[i], state, p, e))
            goto out;
    rc = 0;
out:
    a->solver->release(state);
    return rc;
}

void answer_clear(struct answer *a)
{
    for (size_t i = 0; a && i < ANSWER_PARTS * PROBLEM_LINEARS; i++)
        tensor_release(&a->results[i]);
    if (a)
        memset(a, 0, sizeof *a);
}

void work_destroy(struct work *w)
{
    if (!w)
        return;
    for (size_t i = 0; w->part && i < w->nparts; i++) {
        answer_clear(w->part[i].best);
        free(w->part[i].best);
    }
    free(w->part);
    answer_clear(w->now);
    free(w->now);
    json_destroy(&w->contenders);
    json_destroy(&w->classes);
    free(w->order);
    free(w->H);
    free(w->D);
    free(w->hold_H);
    free(w->hold_D);
    free(w);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* classes - see classes.h. H of one class is expanded at a time; the solutions of --cross are
 * kept as codes. */
#include "classes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "solve_beside.h"
#include "solve_loss.h"
#include "solve_permute.h"

struct class_cost {
    double loss, energy; /* energy NAN: not known, the loss is 0 */
};

static int is_length(const struct work *w, size_t c)
{
    return strcmp(w->v.classes[c].kind, "length") == 0;
}

int classes_check(const struct work *w, struct par *p, struct err *e)
{
    size_t lengths = 0;

    for (size_t c = 0; c < w->v.nclasses; c++)
        lengths += is_length(w, c) != 0;
    for (size_t c = 0; c < w->v.nclasses; c++)
        if (expand_check(w->problem, w->v.classes[c].S, p, e))
            return -1;
    if (!w->o->cross)
        return 0;
    if (!lengths && w->v.tokens > 0)
        return err_set(e, ERR_USE,
                       "%s: --cross length: this problem holds no sums by length; run ptq-reduce "
                       "--classes length",
                       w->problem->id);
    for (size_t i = 0; i < w->nparts; i++)
        if (w->part[i].list.contest || (contender_needs(w->part[i].list.name[0]) & SOLVER_NEEDS_D))
            return err_set(e, ERR_USE,
                           "--cross length: solver %s cannot be tried on single lengths, which "
                           "have no D: use one that needs "
                           "none, as gptq (ptq resolve does so without a new run)",
                           w->part[i].o.solver);
    return 0;
}

/* The H of a class; the sums stay for later. */
static double *class_h(struct work *w, size_t c, struct par *p, struct err *e)
{
    /* another descriptor: expand_sums does not free what it is given by */
    const struct tensor kept = *w->v.classes[c].S;
    const struct problem_sums s = {
        .S = &kept, .tokens = w->v.classes[c].tokens, .sum_w = w->v.classes[c].sum_w};
    double *H = NULL, *D = NULL;

    if (expand_sums(w->problem, w->v.K, &s, EXPAND_WHOLE, p, &H, &D, e) == 0 &&
        permute_square(w, H, e) == 0)
        return H;
    free(H);
    return NULL;
}

/* Adds the cost of one linear, under H. */
static int cost_linear(const struct work *w, const struct answer *a, size_t i, const double *H,
                       struct class_cost *sum, struct par *p, struct err *e)
{
    const struct tensor *t = w->v.linear[i], *out = &a->results[ANSWER_PARTS * i];
    struct solve_job j = {.name = t->name,
                          .N = (size_t)t->shape[0],
                          .K = w->v.K,
                          .G = (size_t)out[1].shape[1],
                          .w_type = t->dtype,
                          .W = t->data,
                          .H = H,
                          .codes = out[0].data,
                          .zeros = out[2].data,
                          .table = out[ANSWER_TABLE].data,
                          .apart = beside_of(&out[ANSWER_BESIDE])};
    struct solve_loss loss;
    int rc = -1;

    if (!(j.scales = mem_raw(j.N * j.G, sizeof *j.scales, e)))
        return -1;
    if (dtype_to_f64(out[1].dtype, out[1].data, j.N * j.G, j.scales) < 0)
        err_set(e, ERR_USE, "%s: scales are %s, not a float type", t->name,
                dtype_name(out[1].dtype));
    else {
        for (size_t k = 0; k < j.N * j.G; k++)
            j.scales[k] *= a->tensor_scale;
        rc = solve_loss(&a->o, &j, p, &loss, e);
    }
    if (rc == 0) {
        sum->loss += loss.loss;
        sum->energy += loss.rel_loss > 0 ? loss.loss / loss.rel_loss : NAN;
    }
    free(j.scales);
    return rc;
}

/* A solution is one answer for each part; by: their first. */
static int cost_of(const struct work *w, const struct answer *const *by, const double *H,
                   struct class_cost *sum, struct par *p, struct err *e)
{
    *sum = (struct class_cost){0.0, 0.0};
    for (size_t k = 0; k < w->nparts; k++)
        for (size_t i = 0; i < w->part[k].count; i++)
            if (cost_linear(w, by[k], w->part[k].linear[i], H, sum, p, e))
                return -1;
    return 0;
}

int classes_cost(struct work *w, size_t c, const struct answer *const *by, double *loss,
                 double *energy, struct par *p, struct err *e)
{
    double *H = class_h(w, c, p, e);
    struct class_cost cost;
    const int rc = H ? cost_of(w, by, H, &cost, p, e) : -1;

    free(H);
    if (rc == 0) {
        *loss = cost.loss;
        *energy = cost.energy;
    }
    return rc;
}

/* ---- solutions from one length alone ---- */

struct crossing {
    size_t count;       /* lengths */
    size_t *class;      /* [count] */
    struct answer **by; /* [count][nparts]; NULL: the class has no rows */
};

static void crossing_release(struct crossing *x, size_t nparts)
{
    for (size_t i = 0; x->by && i < x->count * nparts; i++) {
        answer_clear(x->by[i]);
        free(x->by[i]);
    }
    free(x->by);
    free(x->class);
}

static int cross_solve(struct work *w, size_t c, struct answer **by, struct par *p, struct err *e)
{
    double *const H = w->H, *const D = w->D;
    int rc = -1;

    if (!(w->H = class_h(w, c, p, e)))
        goto out;
    w->D = NULL;
    for (size_t k = 0; k < w->nparts; k++)
        if (!(by[k] = mem_array(1, sizeof *by[k], e)) ||
            work_solve(w, &w->part[k], by[k], w->part[k].list.name[0], p, e))
            goto out;
    rc = 0;
out:
    free(w->H);
    w->H = H;
    w->D = D;
    return rc;
}

static int cross_all(struct work *w, struct crossing *x, struct par *p, struct err *e)
{
    if (!w->o->cross || !w->nparts || !w->sums.tokens)
        return 0;
    if (!(x->class = mem_array(w->v.nclasses, sizeof *x->class, e)) ||
        !(x->by = mem_array(w->v.nclasses * w->nparts, sizeof *x->by, e)))
        return -1;
    for (size_t c = 0; c < w->v.nclasses; c++)
        if (is_length(w, c))
            x->class[x->count++] = c;
    for (size_t i = 0; i < x->count; i++)
        if (w->v.classes[x->class[i]].sum_w > 0 &&
            cross_solve(w, x->class[i], x -> by + i * w -> nparts, p, e))
            return -1;
    return 0;
}

/* ---- what is told ---- */

/* equal: its factor of --equalise; 0: none */
static struct json *describe(const struct problem_class *c, double equal,
                             const struct class_cost *cost)
{
    struct json *x = json_new_object();

    if (json_set_text(x, "kind", c->kind) || json_set_text(x, "name", c->name) ||
        json_set_int(x, "tokens", (int64_t)c->tokens) || json_set_real(x, "sum_w", c->sum_w) ||
        json_set_real(x, "energy", cost->energy) || json_set_real(x, "loss", cost->loss) ||
        (c->sum_w2 > 0 && json_set_real(x, "effective", c->sum_w * c->sum_w / c->sum_w2)) ||
        (equal > 0 && json_set_real(x, "factor", equal)))
        json_destroy(&x);
    return x;
}

static struct json *crossed(struct work *w, const struct crossing *x, const double *H,
                            struct par *p, struct err *e)
{
    struct json *list = json_new_array();
    struct class_cost cost;

    for (size_t i = 0; list && i < x->count; i++) {
        struct answer **by = x->by + i * w->nparts;
        int none = !by[0];

        if ((!none && cost_of(w, (const struct answer *const *)by, H, &cost, p, e)) ||
            json_push(list, none ? json_new_null() : json_new_real(cost.loss)))
            json_destroy(&list);
    }
    return list;
}

static int class_measure(struct work *w, size_t c, const struct answer *const *best,
                         const struct crossing *x, struct par *p, struct err *e)
{
    struct json *entry = NULL;
    double *H = class_h(w, c, p, e);
    struct class_cost cost;
    int rc = -1;

    if (!H || cost_of(w, best, H, &cost, p, e) ||
        !(entry = describe(&w->v.classes[c], w->equal[c], &cost)))
        goto out;
    if (x->count && json_set(entry, "cross", crossed(w, x, H, p, e)))
        goto out;
    rc = json_push(w->classes, entry);
    entry = NULL;
out:
    json_destroy(&entry);
    free(H);
    return rc < 0 && !e->text[0] ? err_set(e, ERR_SYS, "%s: out of memory", w->problem->id) : rc;
}

int classes_measure(struct work *w, struct par *p, struct err *e)
{
    const struct answer *best[PROBLEM_LINEARS];
    struct crossing x = {0};
    int rc = 0;

    if (!w->v.nclasses || !w->nparts)
        return 0;
    for (size_t k = 0; k < w->nparts; k++)
        best[k] = w->part[k].best;
    if (!(w->classes = json_new_array()))
        return err_set(e, ERR_SYS, "%s: out of memory", w->problem->id);
    rc = cross_all(w, &x, p, e);
    for (size_t c = 0; c < w->v.nclasses && rc == 0; c++)
        if (w->v.classes[c].sum_w > 0)
            rc = class_measure(w, c, best, &x, p, e);
    crossing_release(&x, w->nparts);
    return rc;
}

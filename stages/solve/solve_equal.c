/* SPDX-License-Identifier: Apache-2.0 */
/* solve_equal - see solve_equal.h. */
#include "solve_equal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "classes.h"

#define WEIGHT_MAX 256.0 /* and 1 over it: of a class against the others */

/* Classes whose rows get one weight. */
struct row_group {
    size_t count, at[PROBLEM_CLASSES]; /* of the problem */
    double weight, share;
};

struct row_groups {
    size_t count;
    struct row_group at[PROBLEM_CLASSES];
};

static const char *const kinds[] = {
    [EQUALISE_FIRST] = "position",
    [EQUALISE_POSITION] = "position",
    [EQUALISE_LENGTH] = "length",
    [EQUALISE_MODALITY] = "modality",
};

/* The first token and all others; or each class by itself. Classes without weight stay out. */
static int groups_make(const struct work *w, struct row_groups *g, struct err *e)
{
    const struct problem_view *v = &w->v;
    uint64_t tokens = 0;

    *g = (struct row_groups){.count = 0};
    for (size_t i = 0; i < v->nclasses; i++) {
        const struct problem_class *c = &v->classes[i];
        size_t k = g->count;

        if (strcmp(c->kind, kinds[w->o->equalise]) != 0)
            continue;
        tokens += c->tokens;
        if (!(c->sum_w > 0))
            continue;
        if (w->o->equalise == EQUALISE_FIRST)
            k = strcmp(c->name, "0") == 0 ? 0 : 1;
        g->count = k + 1 > g->count ? k + 1 : g->count;
        g->at[k].at[g->at[k].count++] = i;
        g->at[k].weight = 1;
    }
    if (tokens != v->tokens)
        return err_set(e, ERR_USE,
                       "%s: --equalise: the classes by %s have %" PRIu64 " rows of %" PRIu64
                       "; run ptq-reduce --classes %s",
                       w->problem->id, kinds[w->o->equalise], tokens, v->tokens,
                       kinds[w->o->equalise]);
    return 0;
}

/* Solvers that aim at the outputs of the full-precision model shift by D, which must be mixed
 * alike. */
static int check(const struct work *w, const struct row_groups *g, int *need_d, struct err *e)
{
    *need_d = 0;
    for (size_t k = 0; k < w->nparts; k++)
        *need_d |= (contender_needs(w->part[k].list.name[0]) & SOLVER_NEEDS_D) != 0;
    for (size_t k = 0; k < g->count && *need_d; k++)
        for (size_t i = 0; i < g->at[k].count; i++)
            if (!w->v.classes[g->at[k].at[i]].D)
                return err_set(e, ERR_USE,
                               "%s: --equalise: classes by %s have no D, which this solver needs: "
                               "use one that needs none, as gptq",
                               w->problem->id, kinds[w->o->equalise]);
    return 0;
}

/* The sums with these weights, whose mean over the rows is 1. */
static void mix(struct work *w, const struct row_groups *g, int need_d)
{
    const struct problem_view *v = &w->v;
    double weighed = 0.0, plain = 0.0;

    for (size_t k = 0; k < g->count; k++)
        for (size_t i = 0; i < g->at[k].count; i++) {
            weighed += g->at[k].weight * v->classes[g->at[k].at[i]].sum_w;
            plain += v->classes[g->at[k].at[i]].sum_w;
        }
    w->nmix = 0;
    w->sums = (struct problem_sums){.S = v->S,
                                    .D = need_d ? v->D : NULL,
                                    .tokens = v->tokens,
                                    .sequences = v->sequences,
                                    .sum_w = plain,
                                    .sum_w2 = v->sum_w2};
    for (size_t k = 0; k < g->count; k++)
        for (size_t i = 0; i < g->at[k].count; i++) {
            const struct problem_class *c = &v->classes[g->at[k].at[i]];
            const double factor = g->at[k].weight * plain / weighed;

            w->equal[g->at[k].at[i]] = factor;
            w->mix[w->nmix++] = (struct expand_part){c->S, need_d ? c->D : NULL, factor};
        }
}

/* What each class loses of its own, with the solution from these weights. */
static int measure(struct work *w, struct row_groups *g, struct par *p, struct err *e)
{
    const struct answer *by[PROBLEM_LINEARS];
    int rc = expand_mix(w->problem, w->v.K, w->mix, w->nmix, w->sums.sum_w, p, &w->H, &w->D, e);

    for (size_t k = 0; k < w->nparts && rc == 0; k++) {
        rc = work_solve(w, &w->part[k], w->part[k].best, w->part[k].list.name[0], p, e);
        by[k] = w->part[k].best;
    }
    for (size_t k = 0; k < g->count && rc == 0; k++) {
        double loss = 0.0, energy = 0.0, one_loss, one_energy;

        for (size_t i = 0; i < g->at[k].count && rc == 0; i++) {
            rc = classes_cost(w, g->at[k].at[i], by, &one_loss, &one_energy, p, e);
            loss += one_loss * w->v.classes[g->at[k].at[i]].sum_w;
            energy += one_energy * w->v.classes[g->at[k].at[i]].sum_w;
        }
        g->at[k].share = rc == 0 && energy > 0 ? loss / energy : NAN;
    }
    for (size_t k = 0; k < w->nparts; k++)
        answer_clear(w->part[k].best);
    free(w->H);
    free(w->D);
    w->H = w->D = NULL;
    return rc;
}

/* A class that loses more than the others counts more from now on. */
static void adjust(struct row_groups *g)
{
    double mean = 0.0;
    size_t n = 0;

    for (size_t k = 0; k < g->count; k++)
        if (g->at[k].share > 0) {
            mean += log(g->at[k].share);
            n++;
        }
    for (size_t k = 0; k < g->count && n; k++)
        if (g->at[k].share > 0) {
            const double x = g->at[k].weight * g->at[k].share / exp(mean / (double)n);

            g->at[k].weight = fmin(fmax(x, 1 / WEIGHT_MAX), WEIGHT_MAX);
        }
}

/* An expert that no token goes to. */
static int is_empty(const struct work *w)
{
    return w->v.tokens == 0 || !w->nparts;
}

/* The groups, the caller's; NULL: they cannot be had, as e says. */
static struct row_groups *groups_checked(const struct work *w, int *need_d, struct err *e)
{
    struct row_groups *g = mem_array(1, sizeof *g, e);

    if (g && groups_make(w, g, e) == 0 && check(w, g, need_d, e) == 0)
        return g;
    free(g);
    return NULL;
}

int solve_equal_check(const struct work *w, struct err *e)
{
    int need_d;
    struct row_groups *g = is_empty(w) ? NULL : groups_checked(w, &need_d, e);
    const int rc = g || is_empty(w) ? 0 : -1;

    free(g);
    return rc;
}

int solve_equal_choose(struct work *w, struct par *p, struct err *e)
{
    struct row_groups *g;
    int need_d, rc = 0;

    if (is_empty(w))
        return 0;
    if (!(g = groups_checked(w, &need_d, e)))
        return -1;
    mix(w, g, need_d);
    for (int64_t i = 0; i < w->o->equalise_passes && g->count > 1 && rc == 0; i++)
        if ((rc = measure(w, g, p, e)) == 0) {
            adjust(g);
            mix(w, g, need_d);
        }
    free(g);
    return rc;
}

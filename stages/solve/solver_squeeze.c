/* SPDX-License-Identifier: Apache-2.0 */
/* solver_squeeze - SqueezeLLM (Kim et al., arXiv 2306.07629): the weights of a row become the means
 * of 2^bits clusters, each weight counting by how much the loss of the model is sensitive to it,
 * the diagonal of its Fisher information (the mean of the squares of its gradient). Without that
 * diagonal all count alike: plain k-means.
 *
 * Differs from the authors' code on purpose: the best clusters (solve_cluster.h) instead of 50
 * rounds from random ones; no weights kept apart (their sparse part). */
#include "solver.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "../../common/base/mem.h"
#include "../../common/tensor/safetensors.h"
#include "solve_cluster.h"

enum { ROWS = 16 };

static int prepare(const struct solve_opts *o, size_t K, const double *H, const double *D,
                   struct par *p, void **state, struct solve_stats *st, struct err *e)
{
    struct st_set *s = NULL;

    (void)K;
    (void)H;
    (void)D;
    (void)p;
    (void)st;
    if (o->fisher && !(s = st_open(o->fisher, e)))
        return err_prefix(e, "--fisher");
    *state = s;
    return 0;
}

static void release(void *state)
{
    struct st_set *s = state;

    st_close(&s);
}

/* ---- the diagonal ---- */

/* [N,K]; *all NULL: plain. */
static int fisher_load(const struct st_set *s, const struct solve_job *j, float **all,
                       struct err *e)
{
    const uint64_t shape[2] = {j->N, j->K};
    char name[TENSOR_NAME + 8];
    const struct st_entry *x;

    *all = NULL;
    if (!s)
        return 0;
    snprintf(name, sizeof name, "%s.weight", j->name);
    if (!(x = st_find(s, name)))
        return err_set(e, ERR_USE, "--fisher: '%s' has no tensor '%s'", s->paths[0], name);
    if (x->ndim != 2 || x->shape[0] != shape[0] || x->shape[1] != shape[1] ||
        !dtype_is_float(x->dtype))
        return err_set(e, ERR_USE, "--fisher: '%s': tensor '%s' must be of floats, [%zu, %zu]",
                       s->paths[0], name, j->N, j->K);
    if (!(*all = mem_raw(j->N * j->K, sizeof **all, e)))
        return -1;
    if (st_load_finite_f32(s, x, 0, j->N, *all, e) < 0)
        return err_prefix(e, "--fisher");
    for (size_t i = 0; i < j->N * j->K; i++)
        if ((*all)[i] < 0)
            return err_set(e, ERR_USE,
                           "--fisher: '%s': tensor '%s' has %g, but squares are not below 0",
                           s->paths[0], name, (double)(*all)[i]);
    return 0;
}

/* ---- rows ---- */

struct run {
    const struct solve_opts *o;
    const struct solve_job *j;
    const float *fisher;
    struct cluster_room **room; /* [threads] */
    double *row;                /* [threads, 2, K] */
};

/* The table as it is stored, then the level next to each weight. */
static void code_row(const struct run *r, size_t n, const double *x, const double *centre)
{
    const struct solve_job *j = r->j;
    const size_t levels = (size_t)1 << r->o->bits;
    float *table = j->table + n * levels;

    for (size_t i = 0; i < levels; i++)
        table[i] = (float)centre[i];
    j->scales[n] = 1;
    for (size_t k = 0; k < j->K; k++) {
        size_t best = 0;

        for (size_t i = 1; i < levels; i++)
            if (fabs(x[k] - (double)table[i]) < fabs(x[k] - (double)table[best]))
                best = i;
        j->codes[n * j->K + k] = (uint8_t)best;
    }
}

static int each_tile(void *ctx, size_t tile, size_t worker, struct err *e)
{
    const struct run *r = ctx;
    const struct solve_job *j = r->j;
    const size_t end = (tile + 1) * ROWS < j->N ? (tile + 1) * ROWS : j->N;
    double *x = r->row + worker * 2 * j->K, *w = x + j->K, centre[16];

    if (!r->room[worker] && !(r->room[worker] = cluster_open(j->K, (size_t)1 << r->o->bits, e)))
        return -1;
    for (size_t n = tile * ROWS; n < end; n++) {
        if (dtype_to_f64(j->w_type, (const char *)j->W + n * j->K * dtype_size(j->w_type), j->K, x))
            return err_set(e, ERR_USE, "%s: weights are %s, not a float type", j->name,
                           dtype_name(j->w_type));
        for (size_t k = 0; r->fisher && k < j->K; k++)
            w[k] = (double)r->fisher[n * j->K + k];
        cluster_find(r->room[worker], x, r->fisher ? w : NULL, centre);
        code_row(r, n, x, centre);
    }
    return 0;
}

static int solve(const struct solve_opts *o, void *state, struct solve_job *j, struct par *p,
                 struct err *e)
{
    const size_t threads = par_threads(p);
    struct run r = {.o = o, .j = j};
    float *fisher;
    int rc = -1;

    j->bound = NAN;
    if (fisher_load(state, j, &fisher, e) < 0)
        goto out;
    r.fisher = fisher;
    r.room = mem_array(threads, sizeof(struct cluster_room *), e);
    r.row = mem_raw(threads * 2 * j->K, sizeof *r.row, e);
    if (r.room && r.row)
        rc = par_for(p, (j->N + ROWS - 1) / ROWS, each_tile, &r, e);
    for (size_t i = 0; r.room && i < threads; i++)
        cluster_close(&r.room[i]);
out:
    free(r.room);
    free(r.row);
    free(fisher);
    return rc;
}

#define AT(field) offsetof(struct solve_opts, field)
static const struct opt rows[] = {
    {"fisher", OPT_TEXT, AT(fisher), "FILE",
     .help = "the diagonal of the Fisher information: a safetensors file with a tensor of the name "
             "and\nshape of each weight, the means of the squares of its gradient; none: all count "
             "alike",
     .file = OPT_READS},
    {.name = NULL},
};

extern const struct solver solver_squeeze;
const struct solver solver_squeeze = {
    .name = "squeeze",
    .about = "SqueezeLLM (arXiv 2306.07629): clusters of each row, --grid kmeans; no Hessian",
    .rows = rows,
    .needs = SOLVER_MAKES_TABLE,
    .prepare = prepare,
    .solve = solve,
    .release = release,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* solver_squeeze - SqueezeLLM (Kim et al., arXiv 2306.07629): the weights of a row become the means
 * of 2^bits clusters, each weight counting by how much the loss of the model is sensitive to it,
 * the diagonal of its Fisher information (the mean of the squares of its gradient). Without that
 * diagonal all count alike: plain k-means. The sparse part of the paper: the weights that the
 * loss is most sensitive to, and of the others the largest, stand beside the codes and count in no
 * cluster.
 *
 * Differs from the authors' code on purpose: the best clusters (solve_cluster.h) instead of 50
 * rounds from random ones; the largest weights are a share, not what lies beyond a threshold. */
#include "solver.h"

#include <math.h>
#include <stdlib.h>
#include "../../common/base/mem.h"
#include "solve_beside.h"
#include "solve_cluster.h"
#include "solve_fisher.h"

enum { ROWS = 16 };

/* ---- rows ---- */

struct run {
    const struct solve_opts *o;
    const struct solve_job *j;
    const float *fisher;
    const uint8_t *apart;       /* [N,K] 1: it stands beside the codes; NULL: none does */
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

/* How much each weight of a row counts; NULL: all alike. Where those that count weigh nothing they
 * are alike. */
static const double *weigh_row(const struct run *r, size_t n, double *w)
{
    const size_t K = r->j->K;
    const float *fisher = r->fisher ? r->fisher + n * K : NULL;
    const uint8_t *apart = r->apart ? r->apart + n * K : NULL;
    double sum = 0;

    if (!fisher && !apart)
        return NULL;
    for (size_t k = 0; k < K; k++)
        sum += w[k] = apart && apart[k] ? 0 : fisher ? (double)fisher[k] : 1;
    for (size_t k = 0; apart && !(sum > 0) && k < K; k++)
        w[k] = !apart[k];
    return w;
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
        cluster_find(r->room[worker], x, weigh_row(r, n, w), centre);
        code_row(r, n, x, centre);
    }
    return 0;
}

static double beside(const struct solve_opts *o)
{
    return fmin(o->sensitive + o->outliers, 1.0);
}

/* The most sensitive ones, then of the others the largest. */
static int choose(const struct solve_opts *o, const struct solve_job *j, const float *fisher,
                  uint8_t **apart, struct err *e)
{
    const size_t n = j->N * j->K, all = beside_count(beside(o), n),
                 sensitive = beside_count(o->sensitive, n);
    float *size = NULL;
    int rc = -1;

    *apart = NULL;
    if (!all)
        return 0;
    if (!(*apart = mem_array(n, 1, e)) ||
        (sensitive && beside_mark(fisher, n, sensitive, *apart, e) < 0) ||
        (all > sensitive && !(size = beside_sizes(j, e))))
        goto out;
    rc = all > sensitive ? beside_mark(size, n, all - sensitive, *apart, e) : 0;
out:
    free(size);
    return rc;
}

static int solve(const struct solve_opts *o, void *state, struct solve_job *j, struct par *p,
                 struct err *e)
{
    const size_t threads = par_threads(p);
    struct run r = {.o = o, .j = j};
    uint8_t *apart = NULL;
    float *fisher;
    int rc = -1;

    j->bound = NAN;
    if (fisher_load(state, j, &fisher, e) < 0 || choose(o, j, fisher, &apart, e) < 0)
        goto out;
    r.fisher = fisher;
    r.apart = apart;
    r.room = mem_array(threads, sizeof(struct cluster_room *), e);
    r.row = mem_raw(threads * 2 * j->K, sizeof *r.row, e);
    if (r.room && r.row)
        rc = par_for(p, (j->N + ROWS - 1) / ROWS, each_tile, &r, e);
    for (size_t i = 0; r.room && i < threads; i++)
        cluster_close(&r.room[i]);
    if (rc == 0 && apart)
        rc = beside_take(j, apart, e);
out:
    free(r.room);
    free(r.row);
    free(apart);
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
    {"sensitive", OPT_REAL, AT(sensitive), "X",
     .help = "share of the weights of a linear, those of the largest --fisher, that stand beside "
             "the codes\nas they are (0.0005 in the paper)",
     .def = "0", .min = 0, .max = 1},
    {"outliers", OPT_REAL, AT(outliers), "X",
     .help = "the same of the largest weights among the others (0.004 in the paper)", .def = "0",
     .min = 0, .max = 1},
    {.name = NULL},
};

extern const struct solver solver_squeeze;
const struct solver solver_squeeze = {
    .name = "squeeze",
    .about = "SqueezeLLM (arXiv 2306.07629): clusters of each row, --grid kmeans; no Hessian",
    .rows = rows,
    .needs = SOLVER_MAKES_TABLE,
    .beside = beside,
    .prepare = fisher_prepare,
    .solve = solve,
    .release = fisher_release,
};

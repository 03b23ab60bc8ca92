/* SPDX-License-Identifier: Apache-2.0 */
/* solver_run - for tests: one solver on one linear, and the loss of what came out by plain loops.
 * Include cmocka first. */
#ifndef PTQ_TEST_SOLVER_RUN_H
#define PTQ_TEST_SOLVER_RUN_H

#include <stdlib.h>
#include "../../common/base/mem.h"
#include "../../stages/solve/solve_refine.h"
#include "../../stages/solve/solver.h"

struct result {
    uint8_t *codes, *zeros;
    double *scales;
    struct solve_stats stats;
    double bound;
};

static inline void result_release(struct result *r)
{
    free(r->codes);
    free(r->zeros);
    free(r->scales);
    *r = (struct result){0};
}

static inline int solve_drift(const struct solve_opts *o, size_t N, size_t K, enum dtype type,
                              const void *W, const double *H, const double *D, size_t threads,
                              struct result *out, struct err *e)
{
    const struct solver *s = solver_find(o->solver);
    struct solve_job j = {.name = "w",
                          .N = N,
                          .K = K,
                          .G = grid_groups(K, o->group),
                          .w_type = type,
                          .W = W,
                          .H = H,
                          .D = D};
    struct par *p = par_open(threads, e);
    void *state = NULL;
    int rc;

    assert_non_null(s);
    assert_non_null(p);
    *out = (struct result){.codes = mem_array(N * K, 1, e),
                           .zeros = mem_array(N * j.G, 1, e),
                           .scales = mem_array(N * j.G, sizeof(double), e)};
    j.codes = out->codes;
    j.zeros = out->zeros;
    j.scales = out->scales;
    rc = s->prepare(o, K, H, D, p, &state, &out->stats, e);
    if (rc == 0)
        rc = s->solve(o, state, &j, p, e) || solve_refine(o, &j, p, e) ? -1 : 0;
    out->bound = j.bound;
    s->release(state);
    par_close(&p);
    return rc;
}

static inline int solve_threads(const struct solve_opts *o, size_t N, size_t K, enum dtype type,
                                const void *W, const double *H, size_t threads, struct result *out,
                                struct err *e)
{
    return solve_drift(o, N, K, type, W, H, NULL, threads, out, e);
}

static inline void solve_ok(const struct solve_opts *o, size_t N, size_t K, const float *W,
                            const double *H, struct result *out)
{
    struct err e = {0};

    if (solve_threads(o, N, K, DT_F32, W, H, 1, out, &e))
        fail_msg("%s", e.text);
}

static inline double row_loss(const struct solve_opts *o, size_t K, const float *w, const double *H,
                              const struct result *r, size_t n)
{
    const size_t group = o->group > 0 ? (size_t)o->group : K, G = K / group;
    double *d = malloc(K * sizeof *d), loss = 0.0;

    for (size_t k = 0; k < K; k++) {
        const size_t g = n * G + k / group;
        d[k] = (double)w[n * K + k] -
               r->scales[g] * ((double)r->codes[n * K + k] - (double)r->zeros[g]);
    }
    for (size_t i = 0; i < K; i++)
        for (size_t k = 0; k < K; k++)
            loss += d[i] * H[i * K + k] * d[k];
    free(d);
    return loss;
}

static inline double total_loss(const struct solve_opts *o, size_t N, size_t K, const float *w,
                                const double *H, const struct result *r)
{
    double loss = 0.0;

    for (size_t n = 0; n < N; n++)
        loss += row_loss(o, K, w, H, r, n);
    return loss;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* solve_damp - factoring a Hessian that may not be definite: see solve_damp.h.
 *
 * One factorisation is enough: with J the reversal of rows and columns, J H J = L L' gives H = R R'
 * with R = J L J upper, so U = R^-1 = J L^-1 J (potrf and trtri, half the work of factoring,
 * inverting and factoring again). */
#include "solve_damp.h"

#include <math.h>
#include "../../common/tensor/blas.h"

#define FLOOR_STEPS 6

static const double ladder[] = {0.01, 0.02, 0.05, 0.1, 0.2, 0.5};

size_t damp_dead(const struct solve_opts *o, size_t K, const double *H, double *diag, uint8_t *dead)
{
    size_t count = 0;
    double sum = 0.0, fill = 1.0;

    for (size_t k = 0; k < K; k++) {
        diag[k] = H[k * K + k];
        dead[k] = !(diag[k] > 0.0) && !(diag[k] < 0.0);
        count += dead[k];
        sum += diag[k];
    }
    if (o->dead == DEAD_KEEP && count < K)
        fill = sum / (double)(K - count);
    for (size_t k = 0; k < K; k++)
        if (dead[k])
            diag[k] = fill;
    return count;
}

void damp_diag(const struct solve_opts *o, size_t K, const double *H, double *diag, uint8_t *dead)
{
    double mean = 0.0;

    damp_dead(o, K, H, diag, dead);
    for (size_t k = 0; k < K; k++)
        mean += diag[k] / (double)K;
    for (size_t k = 0; k < K; k++)
        diag[k] += o->damp * mean;
}

/* The reversed, ordered, damped lower triangle; its inverse factor reversed back. 1: done, 0: not
 * definite, -1: error. */
static int try_factor(size_t K, const double *H, const double *diag, const size_t *order,
                      double add, double least, double *U, struct err *e)
{
    int rc;

    for (size_t a = 0; a < K; a++) {
        const double *row = H + order[K - 1 - a] * K;
        double *out = U + a * K;
        for (size_t b = 0; b < a; b++)
            out[b] = row[order[K - 1 - b]];
        out[a] = fmax(diag[order[K - 1 - a]], least) + add;
    }
    rc = blas_potrf(K, U, K);
    if (rc < 0)
        return err_set(e, ERR_SYS, "the factorisation of a %zu x %zu matrix failed", K, K);
    if (rc > 0)
        return 0;
    if (blas_trtri(K, U, K))
        return 0;
    for (size_t a = 0; a < K; a++)
        for (size_t b = 0; b <= a; b++)
            if (!isfinite(U[a * K + b]))
                return 0;
    for (size_t i = 0, n = K * K; i < n / 2; i++) {
        const double t = U[i];
        U[i] = U[n - 1 - i];
        U[n - 1 - i] = t;
    }
    return 1;
}

int damp_factor(const struct solve_opts *o, size_t K, const double *H, const double *diag,
                const size_t *order, double *U, struct solve_stats *st, struct err *e)
{
    double mean = 0.0, largest = 0.0, least = 1e-6;
    int rc;

    for (size_t k = 0; k < K; k++) {
        mean += diag[k];
        largest = fmax(largest, fabs(diag[k]));
    }
    mean /= (double)K;
    st->damp = o->damp;
    for (size_t i = 0; i <= sizeof ladder / sizeof ladder[0]; i++) {
        if (i > 0 && ladder[i - 1] <= o->damp)
            continue;
        st->damp = i > 0 ? ladder[i - 1] : o->damp;
        st->attempts++;
        rc = try_factor(K, H, diag, order, st->damp * mean, -INFINITY, U, e);
        if (rc)
            return rc < 0 ? -1 : 0;
    }
    st->fallback = "floor";
    for (size_t i = 0; i < FLOOR_STEPS; i++, least *= 10.0) {
        st->attempts++;
        rc = try_factor(K, H, diag, order, st->damp * mean, least * largest, U, e);
        if (rc)
            return rc < 0 ? -1 : 0;
    }
    st->fallback = "rtn";
    return 0;
}

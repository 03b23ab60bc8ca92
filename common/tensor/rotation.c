/* SPDX-License-Identifier: Apache-2.0 */
/* rotation - seeded orthogonal matrices.
 *
 * The dense one: a matrix A of normal numbers, A A' = L L', Q = L^-1 A; done again on Q until it
 * is orthogonal to rounding (Cholesky QR: Yamamoto et al., 2015). L has a positive diagonal, so
 * Q is the one that Gram-Schmidt gives. */
#include "rotation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "../base/rng.h"
#include "blas.h"
#include "hadamard.h"

enum { PASSES = 4 };

struct rotation {
    size_t n;
    double *signs; /* [n]: D / sqrt n; not for orthogonal */
    struct hadamard *h;
    double *dense; /* [n,n] */
};

const char *rotation_name(enum rotation_kind kind)
{
    static const char *const names[] = {"random-hadamard", "hadamard", "orthogonal"};

    return names[kind];
}

static int signs_make(struct rotation *r, enum rotation_kind kind, struct rng *g, struct err *e)
{
    double scale = 1 / sqrt((double)r->n);

    r->signs = mem_array(r->n, sizeof *r->signs, e);
    if (!r->signs)
        return -1;
    for (size_t i = 0; i < r->n; i++)
        r->signs[i] = kind == ROTATION_RANDOM_HADAMARD && rng_next(g) >> 63 ? -scale : scale;
    return 0;
}

/* Largest entry of |G - I|, G = Q Q' below and on the diagonal. */
static double gram_error(const double *g, size_t n)
{
    double worst = 0;

    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            double d = fabs(g[i * n + j] - (i == j));

            if (!(d <= worst)) /* NaN too */
                worst = d;
        }
    return worst;
}

/* q becomes inv(L) q; g is Q Q' and then scratch. */
static int orthogonalize(size_t n, double *q, double *g, double *scratch, struct par *par,
                         struct err *e)
{
    if (blas_potrf(par, n, g, n) != 0 || blas_trtri(par, n, g, n) != 0)
        return err_set(e, ERR_DATA,
                       "the drawn matrix of order %zu is singular to rounding; take another seed",
                       n);
    for (size_t i = 0; i < n; i++)
        memset(g + i * n + i + 1, 0, (n - i - 1) * sizeof *g);
    if (blas_dgemm(par, 0, 0, n, n, n, 1, g, n, q, n, 0, scratch, n, e))
        return -1;
    memcpy(q, scratch, n * n * sizeof *q);
    return 0;
}

static int dense_make(struct rotation *r, struct rng *rng, struct par *par, struct err *e)
{
    const size_t n = r->n;
    const double enough = 1e-15 * (double)n + 1e-14;
    double *g = NULL, *scratch = NULL, off = 1;
    size_t all;
    int rc = -1;

    if (mem_mul(n, n, &all))
        return err_set(e, ERR_USE, "order %zu is too large", n);
    r->dense = mem_raw(all, sizeof *r->dense, e);
    g = r->dense ? mem_raw(all, sizeof *g, e) : NULL;
    scratch = g ? mem_raw(all, sizeof *scratch, e) : NULL;
    if (!scratch)
        goto out;
    for (size_t i = 0; i < all; i++)
        r->dense[i] = rng_normal(rng);
    for (int pass = 0; pass <= PASSES; pass++) {
        if (blas_dgemm(par, 0, 1, n, n, n, 1, r->dense, n, r->dense, n, 0, g, n, e))
            goto out;
        off = gram_error(g, n);
        if (off <= enough)
            break;
        if (pass < PASSES && orthogonalize(n, r->dense, g, scratch, par, e))
            goto out;
    }
    rc = off <= enough
             ? 0
             : err_set(e, ERR_DATA,
                       "the drawn matrix of order %zu stays %g from orthogonal; take another seed",
                       n, off);
out:
    free(scratch);
    free(g);
    return rc;
}

struct rotation *rotation_create(enum rotation_kind kind, size_t n, uint64_t seed, struct par *par,
                                 struct err *e)
{
    struct rotation *r = mem_array(1, sizeof *r, e);
    struct rng rng;
    int rc;

    if (!r)
        return NULL;
    r->n = n;
    rng_seed(&rng, seed, 0);
    if (n == 0)
        rc = err_set(e, ERR_USE, "a rotation of order 0");
    else if (kind == ROTATION_ORTHOGONAL)
        rc = dense_make(r, &rng, par, e);
    else
        rc = !(r->h = hadamard_create(n, e)) || signs_make(r, kind, &rng, e);
    if (rc)
        rotation_destroy(&r);
    return r;
}

void rotation_destroy(struct rotation **r)
{
    if (!r || !*r)
        return;
    hadamard_destroy(&(*r)->h);
    free((*r)->signs);
    free((*r)->dense);
    free(*r);
    *r = NULL;
}

int rotation_apply(const struct rotation *r, size_t rows, double *x, double *scratch, struct err *e)
{
    const size_t n = r->n;

    if (r->dense) {
        if (blas_dgemm(NULL, 0, 0, rows, n, n, 1, x, n, r->dense, n, 0, scratch, n, e))
            return -1;
        memcpy(x, scratch, rows * n * sizeof *x);
        return 0;
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < n; j++)
            x[i * n + j] *= r->signs[j];
    hadamard_apply(r->h, rows, x, scratch);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* inverse - see inverse.h.
 *
 * One factorisation is enough: with J the reversal of rows and columns, J H J = L L' gives H = R R'
 * with R = J L J upper, so U = R^-1 = J L^-1 J (potrf and trtri, half the work of factoring,
 * inverting and factoring again). The direct factor stops at L. */
#include "inverse.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "../base/mem.h"
#include "blas.h"

#define FLOOR_STEPS 6
#define LARGE ((size_t)16 << 10)
#define ROWS 32 /* of a tile */
#define NEAR 8  /* doubles of a line */

static const double ladder[] = {0.01, 0.02, 0.05, 0.1, 0.2, 0.5};

/* n bytes become 0. Whole pages of a large piece go back to the system. */
static void clear(void *p, size_t n)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *at = p;
    size_t before = (page - (uintptr_t)at % page) % page, whole;

    if (n < LARGE) {
        memset(at, 0, n);
        return;
    }
    before = before < n ? before : n;
    whole = (n - before) / page * page;
    if (whole && madvise(at + before, whole, MADV_DONTNEED) != 0)
        memset(at + before, 0, whole);
    memset(at, 0, before);
    memset(at + before + whole, 0, n - before - whole);
}

/* What is factored: column i of H has place at[i] in the reversed order. */
struct source {
    struct par *p;
    size_t K;
    const double *H, *diag;
    const size_t *order;
    size_t *at;
    double *root;      /* [K] of the direct factor: one over its diagonal; NULL: it is inverted */
    double add, least; /* the diagonal is max(diag, least) + add */
    double *U;
};

/* Some rows of the lower triangle of U, reversed, become the upper one: two rows at a time, which
 * change places and let go of what they had. */
static int reverse(void *ctx, size_t tile, size_t worker, struct err *e)
{
    const struct source *s = ctx;
    const size_t K = s->K, half = (K + 1) / 2,
                 end = half - tile * ROWS < ROWS ? half : (tile + 1) * ROWS;

    (void)worker;
    (void)e;
    for (size_t a = tile * ROWS; a < end; a++) {
        const size_t z = K - 1 - a;
        double *first = s->U + a * K, *last = s->U + z * K;
        const double corner = first[a];

        first[a] = last[z];
        last[z] = corner;
        for (size_t b = 0; b < a; b++)
            last[K - 1 - b] = first[b];
        for (size_t b = 0; b < z && a < z; b++)
            first[K - 1 - b] = last[b];
        clear(first, a * sizeof *first);
        clear(last, z * sizeof *last);
    }
    return 0;
}

/* Some rows of the reversed, ordered, damped lower triangle, and what they are to others. Rows of H
 * are read where they lie, NEAR that will be neighbours at a time: what they write into another row
 * is one line of memory, not NEAR. */
static int fill(void *ctx, size_t tile, size_t worker, struct err *e)
{
    const struct source *s = ctx;
    const size_t K = s->K, a0 = tile * NEAR, n = K - a0 < NEAR ? K - a0 : NEAR;
    const size_t *from = s->order + (K - a0 - n);

    (void)worker;
    (void)e;
    for (size_t j = 0; j < K; j++) {
        const size_t b = s->at[j];
        for (size_t a = a0; a < a0 + n; a++) {
            const size_t i = from[a0 + n - 1 - a];
            if (j < i)
                s->U[b < a ? a * K + b : b * K + a] = s->H[i * K + j];
        }
    }
    for (size_t a = a0; a < a0 + n; a++)
        s->U[a * K + a] = fmax(s->diag[s->order[K - 1 - a]], s->least) + s->add;
    return 0;
}

/* Some rows of L; of the direct factor columns over what stands on the diagonal, and there one over
 * it. -1: not finite. */
static int finish(void *ctx, size_t tile, size_t worker, struct err *e)
{
    const struct source *s = ctx;
    const size_t K = s->K, end = K - tile * ROWS < ROWS ? K : (tile + 1) * ROWS;

    (void)worker;
    (void)e;
    for (size_t a = tile * ROWS; a < end; a++) {
        double *row = s->U + a * K;
        int bad = 0;

        for (size_t b = 0; s->root && b < a; b++)
            row[b] *= s->root[b];
        if (s->root)
            row[a] = s->root[a];
        for (size_t b = 0; b <= a; b++)
            bad |= !isfinite(row[b]);
        if (bad)
            return -1;
    }
    return 0;
}

/* That triangle; its factor, or the inverse of that, reversed back. 1: done, 0: not definite,
 * -1: error. */
static int try_factor(struct source *s, struct err *e)
{
    const size_t K = s->K;
    int rc;

    if (par_for(s->p, (K + NEAR - 1) / NEAR, fill, s, e) < 0)
        return -1;
    rc = blas_potrf(s->p, K, s->U, K);
    if (rc < 0)
        return err_set(e, ERR_SYS, "the factorisation of a %zu x %zu matrix failed", K, K);
    if (rc > 0)
        return 0;
    for (size_t a = 0; s->root && a < K; a++)
        s->root[a] = 1.0 / s->U[a * K + a];
    if (!s->root && blas_trtri(s->p, K, s->U, K))
        return 0;
    if (par_for(s->p, (K + ROWS - 1) / ROWS, finish, s, NULL) < 0)
        return 0;
    return par_for(s->p, ((K + 1) / 2 + ROWS - 1) / ROWS, reverse, s, e) < 0 ? -1 : 1;
}

static int climb(struct source *s, double damp, struct inverse_used *used, struct err *e)
{
    const size_t K = s->K;
    double mean = 0.0, largest = 0.0, least = 1e-6;
    int rc;

    *used = (struct inverse_used){.damp = damp};
    s->least = -INFINITY;
    for (size_t k = 0; k < K; k++) {
        mean += s->diag[k];
        largest = fmax(largest, fabs(s->diag[k]));
    }
    mean /= (double)K;
    for (size_t i = 0; i <= sizeof ladder / sizeof ladder[0]; i++) {
        if (i > 0 && ladder[i - 1] <= damp)
            continue;
        used->damp = i > 0 ? ladder[i - 1] : damp;
        used->attempts++;
        s->add = used->damp * mean;
        rc = try_factor(s, e);
        if (rc)
            return rc < 0 ? -1 : 0;
    }
    used->fallback = "floor";
    for (size_t i = 0; i < FLOOR_STEPS; i++, least *= 10.0) {
        used->attempts++;
        s->least = least * largest;
        rc = try_factor(s, e);
        if (rc)
            return rc < 0 ? -1 : 0;
    }
    used->fallback = "rtn";
    return 0;
}

static int run(struct source s, int direct, double damp, struct inverse_used *used, struct err *e)
{
    int rc = -1;

    s.at = mem_array(s.K, sizeof *s.at, e);
    if (!s.at || (direct && !(s.root = mem_array(s.K, sizeof *s.root, e))))
        goto out;
    for (size_t a = 0; a < s.K; a++)
        s.at[s.order[s.K - 1 - a]] = a;
    rc = climb(&s, damp, used, e);
    used->add = s.add;
    used->least = s.least;
out:
    free(s.at);
    free(s.root);
    return rc;
}

int inverse_factor(double damp, size_t K, const double *H, const double *diag, const size_t *order,
                   double *U, struct inverse_used *used, struct par *p, struct err *e)
{
    return run((struct source){.p = p, .K = K, .H = H, .diag = diag, .order = order, .U = U}, 0,
               damp, used, e);
}

int direct_factor(double damp, size_t K, const double *H, const double *diag, const size_t *order,
                  double *V, struct inverse_used *used, struct par *p, struct err *e)
{
    return run((struct source){.p = p, .K = K, .H = H, .diag = diag, .order = order, .U = V}, 1,
               damp, used, e);
}

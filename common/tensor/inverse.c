/* SPDX-License-Identifier: Apache-2.0 */
/* inverse - see inverse.h.
 *
 * One factorisation is enough: with J the reversal of rows and columns, J H J = L L' gives H = R R'
 * with R = J L J upper, so U = R^-1 = J L^-1 J (potrf and trtri, half the work of factoring,
 * inverting and factoring again). */
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
#define NEAR 8 /* doubles of a line */

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

/* The lower triangle of U, reversed, becomes the upper one: two rows at a time, which change places
 * and let go of what they had. */
static void reverse(size_t K, double *U)
{
    for (size_t a = 0; a < (K + 1) / 2; a++) {
        const size_t z = K - 1 - a;
        double *first = U + a * K, *last = U + z * K;
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
}

/* What is factored: column i of H has place at[i] in the reversed order. */
struct source {
    size_t K;
    const double *H, *diag;
    size_t *at;
};

/* The reversed, ordered, damped lower triangle. Rows of H are read where they lie, NEAR that will
 * be neighbours at a time: what they write into another row is one line of memory, not NEAR. */
static void fill(const struct source *s, const size_t *order, double add, double least, double *U)
{
    const size_t K = s->K;

    for (size_t a0 = 0; a0 < K; a0 += NEAR) {
        const size_t n = K - a0 < NEAR ? K - a0 : NEAR, *from = order + (K - a0 - n);

        for (size_t j = 0; j < K; j++) {
            const size_t b = s->at[j];
            for (size_t a = a0; a < a0 + n; a++) {
                const size_t i = from[a0 + n - 1 - a];
                if (j < i)
                    U[b < a ? a * K + b : b * K + a] = s->H[i * K + j];
            }
        }
        for (size_t a = a0; a < a0 + n; a++)
            U[a * K + a] = fmax(s->diag[order[K - 1 - a]], least) + add;
    }
}

/* That triangle; its inverse factor reversed back. 1: done, 0: not definite, -1: error. */
static int try_factor(const struct source *s, const size_t *order, double add, double least,
                      double *U, struct err *e)
{
    const size_t K = s->K;
    int rc;

    fill(s, order, add, least, U);
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
    reverse(K, U);
    return 1;
}

static int climb(const struct source *s, double damp, const size_t *order, double *U,
                 struct inverse_used *used, struct err *e)
{
    const size_t K = s->K;
    const double *diag = s->diag;
    double mean = 0.0, largest = 0.0, least = 1e-6;
    int rc;

    *used = (struct inverse_used){.damp = damp};
    for (size_t k = 0; k < K; k++) {
        mean += diag[k];
        largest = fmax(largest, fabs(diag[k]));
    }
    mean /= (double)K;
    for (size_t i = 0; i <= sizeof ladder / sizeof ladder[0]; i++) {
        if (i > 0 && ladder[i - 1] <= damp)
            continue;
        used->damp = i > 0 ? ladder[i - 1] : damp;
        used->attempts++;
        rc = try_factor(s, order, used->damp * mean, -INFINITY, U, e);
        if (rc)
            return rc < 0 ? -1 : 0;
    }
    used->fallback = "floor";
    for (size_t i = 0; i < FLOOR_STEPS; i++, least *= 10.0) {
        used->attempts++;
        rc = try_factor(s, order, used->damp * mean, least * largest, U, e);
        if (rc)
            return rc < 0 ? -1 : 0;
    }
    used->fallback = "rtn";
    return 0;
}

int inverse_factor(double damp, size_t K, const double *H, const double *diag, const size_t *order,
                   double *U, struct inverse_used *used, struct err *e)
{
    struct source s = {K, H, diag, mem_array(K, sizeof *s.at, e)};
    int rc;

    if (!s.at)
        return -1;
    for (size_t a = 0; a < K; a++)
        s.at[order[K - 1 - a]] = a;
    rc = climb(&s, damp, order, U, used, e);
    free(s.at);
    return rc;
}

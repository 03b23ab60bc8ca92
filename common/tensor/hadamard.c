/* SPDX-License-Identifier: Apache-2.0 */
/* hadamard - Paley's matrices over any finite field, times Sylvester's.
 *
 * The field of q = p^k elements is the polynomials over the integers mod p, modulo a primitive
 * polynomial: the powers of x then run through all elements but 0, squares and others in turn,
 * which is all that Paley's construction asks (the quadratic character). An element is its
 * coefficients as digits in base p. */
#include "hadamard.h"

#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"

enum { DEGREE_MAX = 24 };

struct hadamard {
    size_t n, m;    /* order of the whole and of the core; n / m is a power of two */
    signed char *c; /* [m,m] */
};

struct galois_field {
    size_t p, k, q;
    signed char *chi; /* [q]: 0 for 0, 1 for squares, -1 for the others */
};

/* q = p^k of a prime p; 0 when it is none. */
static size_t prime_power(size_t q, size_t *k)
{
    size_t p = 2;

    if (q < 2)
        return 0;
    while (q % p && p * p <= q)
        p++;
    if (q % p)
        p = q;
    for (*k = 0; q % p == 0; q /= p)
        ++*k;
    return q == 1 ? p : 0;
}

static size_t paley_one(size_t m)
{
    size_t k;

    return m >= 4 && (m - 1) % 4 == 3 && prime_power(m - 1, &k) ? m - 1 : 0;
}

static size_t paley_two(size_t m)
{
    size_t k;

    return m >= 4 && m % 2 == 0 && (m / 2 - 1) % 4 == 1 && prime_power(m / 2 - 1, &k) ? m / 2 - 1
                                                                                      : 0;
}

size_t hadamard_core(size_t n)
{
    size_t m = n;

    if (n == 0 || n > HADAMARD_ORDER_MAX)
        return 0;
    while (m % 2 == 0)
        m /= 2;
    if (m == 1)
        return 1;
    for (m *= 4; m <= n && n % m == 0; m *= 2)
        if (paley_one(m) || paley_two(m))
            return m;
    return 0;
}

/* ---- the field ---- */

/* a * x, where x^k = sum of c_i x^i; the digits of c are the c_i. */
static size_t times_x(const struct galois_field *f, size_t a, size_t c)
{
    size_t top = a / (f->q / f->p), out = 0, place = 1;

    a = a % (f->q / f->p) * f->p;
    for (size_t i = 0; i < f->k; i++) {
        out += (a % f->p + top * (c % f->p)) % f->p * place;
        a /= f->p;
        c /= f->p;
        place *= f->p;
    }
    return out;
}

/* Powers of x until they come back to 1: all q - 1 elements when the polynomial is primitive. */
static int character_try(struct galois_field *f, size_t c)
{
    size_t a = 1, seen = 0;

    memset(f->chi, 0, f->q);
    do {
        if (a == 0 || f->chi[a])
            return 0;
        f->chi[a] = seen++ % 2 ? -1 : 1;
        a = f->k == 1 ? a * c % f->p : times_x(f, a, c);
    } while (a != 1);
    return seen == f->q - 1;
}

static int field_make(struct galois_field *f, size_t q, struct err *e)
{
    f->q = q;
    f->p = prime_power(q, &f->k);
    f->chi = mem_array(q, 1, e);
    if (!f->chi)
        return -1;
    for (size_t c = 1; c < q; c++) /* there always is one */
        if (character_try(f, c))
            return 0;
    free(f->chi);
    return err_set(e, ERR_SYS, "no primitive polynomial over the field of %zu elements", q);
}

static size_t difference(const struct galois_field *f, size_t a, size_t b)
{
    size_t out = 0, place = 1;

    if (f->k == 1)
        return a < b ? a + f->p - b : a - b;
    for (size_t i = 0; i < f->k; i++) {
        out += (a % f->p + f->p - b % f->p) % f->p * place;
        a /= f->p;
        b /= f->p;
        place *= f->p;
    }
    return out;
}

/* ---- the matrices ---- */

/* Entry of Paley's matrix bordered by ones: the corner 0; below a sign, so that it is symmetric
 * (q = 1 mod 4) or skew (3 mod 4). */
static signed char bordered(const struct galois_field *f, size_t i, size_t j)
{
    if (i == 0 || j == 0)
        return i == j ? 0 : i == 0 || f->q % 4 == 1 ? 1 : -1;
    return f->chi[difference(f, i - 1, j - 1)];
}

static void core_fill(const struct galois_field *f, size_t m, signed char *c)
{
    static const signed char whole[2][2] = {{1, 1}, {1, -1}}, corner[2][2] = {{1, -1}, {-1, -1}};
    const size_t step = m / (f->q + 1); /* 1: Paley I, 2: Paley II */

    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < m; j++) {
            signed char s = bordered(f, i / step, j / step);

            if (step == 1)
                c[i * m + j] = i == j ? 1 : s;
            else
                c[i * m + j] =
                    i / 2 == j / 2 ? corner[i % 2][j % 2] : (signed char)(s * whole[i % 2][j % 2]);
        }
}

static int core_make(struct hadamard *h, struct err *e)
{
    size_t q = paley_one(h->m);
    struct galois_field f;

    h->c = mem_array(h->m * h->m, 1, e);
    if (!h->c)
        return -1;
    h->c[0] = 1;
    if (h->m == 1)
        return 0;
    if (field_make(&f, q ? q : paley_two(h->m), e))
        return -1;
    core_fill(&f, h->m, h->c);
    free(f.chi);
    return 0;
}

struct hadamard *hadamard_create(size_t n, struct err *e)
{
    size_t m = hadamard_core(n);
    struct hadamard *h;

    if (!m) {
        err_set(e, ERR_USE, "no Hadamard matrix of order %zu is known here", n);
        return NULL;
    }
    h = mem_array(1, sizeof *h, e);
    if (!h)
        return NULL;
    h->n = n;
    h->m = m;
    if (core_make(h, e))
        hadamard_destroy(&h);
    return h;
}

void hadamard_destroy(struct hadamard **h)
{
    if (!h || !*h)
        return;
    free((*h)->c);
    free(*h);
    *h = NULL;
}

/* x [n] becomes x S, n a power of two. */
static void walsh(size_t n, double *x)
{
    for (size_t half = 1; half < n; half *= 2)
        for (size_t i = 0; i < n; i += 2 * half)
            for (size_t j = i; j < i + half; j++) {
                double a = x[j], b = x[j + half];

                x[j] = a + b;
                x[j + half] = a - b;
            }
}

void hadamard_apply(const struct hadamard *h, size_t rows, double *x, double *scratch)
{
    const size_t m = h->m, w = h->n / m;

    for (size_t r = 0; r < rows; r++, x += h->n) {
        for (size_t i = 0; i < m; i++)
            walsh(w, x + i * w);
        if (m == 1)
            continue;
        memset(scratch, 0, h->n * sizeof *scratch);
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < m; j++) {
                const double sign = h->c[i * m + j], *from = x + i * w;
                double *to = scratch + j * w;

                for (size_t b = 0; b < w; b++)
                    to[b] += sign * from[b];
            }
        memcpy(x, scratch, h->n * sizeof *x);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* reduce_sum - see reduce_sum.h.
 *
 * Rows that all bear one weight c are summed unweighted and scaled once: weights of 1 then give
 * the very bytes of no weights. Rows of different weight are multiplied by sqrt(w) first (f32).
 * D bears the same weights, on the drift x~ - x. */
#include "reduce_sum.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/each_cpu.h"
#include "../../common/base/mem.h"
#include "../../common/tensor/blas.h"
#include "../../common/tensor/blas_cpu.h"

EACH_BODY add_times_body(double *restrict to, const float *restrict x, size_t n, double c)
{
    for (size_t k = 0; k < n; k++)
        to[k] += c * (double)x[k];
}

static void add_times(double *restrict to, const float *restrict x, size_t n, double c);
EACH_CPU(add_times, (double *restrict to, const float *restrict x, size_t n, double c),
         (to, x, n, c))

/* Rows, ld apart, are added one after the other; some at a time, while sums are in registers. */
EACH_BODY add_squares_body(double *restrict to, const float *restrict x, size_t ld, size_t T,
                           size_t n)
{
    size_t t = 0;

    for (; t + 8 <= T; t += 8, x += 8 * ld)
        for (size_t k = 0; k < n; k++) {
            double sum = to[k];

            for (size_t i = 0; i < 8; i++)
                sum += (double)x[i * ld + k] * (double)x[i * ld + k];
            to[k] = sum;
        }
    for (; t < T; t++, x += ld)
        for (size_t k = 0; k < n; k++)
            to[k] += (double)x[k] * (double)x[k];
}

static void add_squares(double *restrict to, const float *restrict x, size_t ld, size_t T,
                        size_t n);
EACH_CPU(add_squares, (double *restrict to, const float *restrict x, size_t ld, size_t T, size_t n),
         (to, x, ld, T, n))

static void bins_release(struct sums *x)
{
    for (size_t i = 0; i < x->nbins; i++)
        free(x->bins[i].squares);
    free(x->bins);
}

void sums_release(struct sums *x)
{
    slab_destroy(&x->s);
    slab_destroy(&x->d);
    bins_release(x);
    memset(x, 0, sizeof *x);
}

void sums_scratch_release(struct sums_scratch *t)
{
    free(t->tile);
    free(t->diagonal);
    free(t->rows);
    free(t->drift);
    free(t->picked);
    free(t->picked_full);
    free(t->w);
    free(t->lengths);
    memset(t, 0, sizeof *t);
}

/* The bin of a length, made where it is new; NULL: no memory. */
static struct length_bin *bin_of(struct sums *x, uint64_t length, struct err *e)
{
    size_t i = 0;

    while (i < x->nbins && x->bins[i].length < length)
        i++;
    if (i == x->nbins || x->bins[i].length != length) {
        if (mem_grow((void **)&x->bins, &x->bins_cap, x->nbins + 1, sizeof *x->bins, e) < 0)
            return NULL;
        memmove(x->bins + i + 1, x->bins + i, (x->nbins - i) * sizeof *x->bins);
        x->nbins++;
        x->bins[i] = (struct length_bin){.length = length};
    }
    return &x->bins[i];
}

static int count_length(struct sums *x, uint64_t length, uint64_t sequences, double sum_w,
                        struct err *e)
{
    struct length_bin *b = bin_of(x, length, e);

    if (!b)
        return -1;
    b->sequences += sequences;
    b->sum_w += sum_w;
    return 0;
}

/* One weight for all rows? *c is it. */
static int weight_is_constant(const float *w, size_t T, double *c)
{
    *c = w ? (double)w[0] : 1;
    for (size_t t = 1; w && t < T; t++)
        if (w[t] != w[0])
            return 0;
    return 1;
}

static int count_rows(struct sums *x, const struct acts_view *a, struct err *e)
{
    size_t t = 0;

    for (size_t s = 0; s < a->nseq; s++) {
        double sum = 0;
        size_t end = t + (size_t)a->lengths[s];
        for (; t < end; t++) {
            double w = a->w ? (double)a->w[t] : 1;
            if (!(w >= 0) || !isfinite(w))
                return err_set(e, ERR_USE, "token weight %g is not a number from 0 up", w);
            sum += w;
            x->sum_w2 += w * w;
        }
        x->sum_w += sum;
        if (count_length(x, (uint64_t)a->lengths[s], 1, sum, e) < 0)
            return -1;
    }
    x->tokens += a->T;
    x->sequences += a->nseq;
    x->bytes += a->x->bytes + (a->xf ? a->xf->bytes : 0);
    return 0;
}

/* *to = rows in f32, blas_row(K) apart */
static int widen(const struct acts_view *a, const struct tensor *x, float **to, size_t *cap,
                 struct err *e)
{
    const size_t ld = blas_row(a->K), row = a->K * dtype_size(x->dtype);
    size_t n;

    if (mem_mul(a->T, ld, &n) < 0 || mem_grow((void **)to, cap, n, sizeof **to, e) < 0)
        return -1;
    for (size_t t = 0; t < a->T; t++)
        if (dtype_to_f32(x->dtype, (const char *)x->data + t * row, a->K, *to + t * ld) < 0)
            return err_set(e, ERR_USE, "rows are %s, not a float type", dtype_name(x->dtype));
    return 0;
}

int sums_weigh_rows(const struct acts_view *a, struct sums_scratch *t, struct err *e)
{
    const size_t ld = blas_row(a->K);

    t->plain = 0;
    if (widen(a, a->x, &t->rows, &t->rows_cap, e) < 0)
        return -1;
    for (size_t i = 0; a->w && i < a->T; i++) {
        float r = sqrtf(a->w[i]);
        for (size_t k = 0; k < a->K; k++)
            t->rows[i * ld + k] *= r;
    }
    return 0;
}

struct add_job {
    double *s;
    const float *tile;
    size_t K;
    double c;
};

/* A band of rows of the triangle; bands are fixed, each element is written once. */
#define BAND 64
static int add_band(void *ctx, size_t band, size_t worker, struct err *e)
{
    struct add_job *j = ctx;
    size_t end = (band + 1) * BAND < j->K ? (band + 1) * BAND : j->K;

    (void)worker;
    for (size_t i = band * BAND; i < end; i++) {
        double *s = j->s + i * (i + 1) / 2;

        add_times(s, j->tile + i * j->K, i + 1, j->c);
        if (!isfinite(s[i]))
            return err_set(e, ERR_DATA, "input channel %zu has infinite or NaN activations", i);
    }
    return 0;
}

int sums_add_tile(double *s, const float *tile, size_t K, double c, struct par *p, struct err *e)
{
    struct add_job j = {s, tile, K, c};

    return par_for(p, (K + BAND - 1) / BAND, add_band, &j, e);
}

/* A band of rows of D. */
static int add_drift_band(void *ctx, size_t band, size_t worker, struct err *e)
{
    struct add_job *j = ctx;
    const size_t from = band * BAND, rows = from + BAND < j->K ? BAND : j->K - from;

    (void)worker;
    (void)e;
    add_times(j->s + from * j->K, j->tile + from * j->K, rows * j->K, j->c);
    return 0;
}

/* D += sum_t w_t (x~_t - x_t) x_t'; c: the weight of all rows when constant. */
static int add_drift(struct sums *x, const struct acts_view *a, int constant, double c,
                     struct sums_scratch *t, struct par *p, struct err *e)
{
    struct add_job j = {x->d->at, NULL, a->K, constant ? c : 1};
    const size_t ld = blas_row(a->K);
    size_t n;

    if (mem_mul(a->K, a->K, &n) < 0 ||
        mem_grow((void **)&t->tile, &t->tile_cap, n, sizeof *t->tile, e) < 0)
        return -1;
    if ((!t->plain && widen(a, a->x, &t->rows, &t->rows_cap, e) < 0) ||
        widen(a, a->xf, &t->drift, &t->drift_cap, e) < 0)
        return -1;
    t->plain = 1;
    for (size_t i = 0; i < a->T; i++)
        for (size_t k = 0; k < a->K; k++) {
            float d = t->drift[i * ld + k] - t->rows[i * ld + k];
            t->drift[i * ld + k] = constant ? d : d * a->w[i];
        }
    if (blas_cross(p, a->T, a->K, a->K, t->drift, ld, t->rows, ld, t->tile, a->K, e) < 0)
        return -1;
    j.tile = t->tile;
    return par_for(p, (a->K + BAND - 1) / BAND, add_drift_band, &j, e);
}

static double row_energy(const struct tensor *x, size_t row, size_t K)
{
    const char *at = (const char *)x->data + row * K * dtype_size(x->dtype);
    float part[256];
    double sum = 0;

    for (size_t k = 0, n; k < K; k += n) {
        n = K - k < 256 ? K - k : 256;
        dtype_to_f32(x->dtype, at + k * dtype_size(x->dtype), n, part);
        for (size_t i = 0; i < n; i++)
            sum += (double)part[i] * (double)part[i];
    }
    return sum;
}

/* The diagonal of the products has all rows already; only the first ones are looked at again. */
static void note_energy(const struct acts_view *a, int constant, struct sums_scratch *t)
{
    size_t row = 0;

    t->energy = t->first_energy = 0;
    for (size_t i = 0; i < a->K; i++)
        t->energy += (double)t->diagonal[i];
    for (size_t s = 0; s < a->nseq && row < a->T; row += (size_t)a->lengths[s++])
        t->first_energy += (constant ? 1 : (double)a->w[row]) * row_energy(a->x, row, a->K);
    if (row != a->T) /* of an expert: nobody knows which row was the first of a sequence */
        t->first_energy = 0;
}

struct panel_job {
    double *s, c;
    float *diagonal;
};

/* Each row is written once. */
static int add_panel(void *ctx, size_t row, size_t rows, const float *panel, size_t ld,
                     struct err *e)
{
    const struct panel_job *j = ctx;

    for (size_t i = row; i < row + rows; i++, panel += ld) {
        double *s = j->s + i * (i + 1) / 2;

        add_times(s, panel, i + 1, j->c);
        j->diagonal[i] = panel[i];
        if (!isfinite(s[i]))
            return err_set(e, ERR_DATA, "input channel %zu has infinite or NaN activations", i);
    }
    return 0;
}

/* The products of the rows, into arrays that are in memory. */
static int add_products(struct sums *x, const struct acts_view *a, struct sums_scratch *t,
                        struct par *p, struct err *e)
{
    double c;
    const int constant = weight_is_constant(a->w, a->T, &c),
              as_is = constant && a->x->dtype == DT_BF16 && blas_cpu().bf16;
    struct panel_job j;

    if (mem_grow((void **)&t->diagonal, &t->diagonal_cap, a->K, sizeof *t->diagonal, e) < 0)
        return -1;
    /* what the products do not take as it is lies in t->rows, which stays from chunk to chunk */
    t->plain = 0;
    if (!as_is &&
        (constant ? widen(a, a->x, &t->rows, &t->rows_cap, e) : sums_weigh_rows(a, t, e)) < 0)
        return -1;
    t->plain = !as_is && constant;
    j = (struct panel_job){x->s->at, constant ? c : 1, t->diagonal};
    if (blas_gram_each(p, a->T, a->K, as_is ? a->x->data : NULL, as_is ? NULL : t->rows,
                       as_is ? a->K : blas_row(a->K), add_panel, &j, e) < 0)
        return -1;
    note_energy(a, constant, t);
    return x->d ? add_drift(x, a, constant, c, t, p, e) : 0;
}

int sums_add_rows(struct sums *x, const struct slab_home *home, const struct acts_view *a,
                  struct sums_scratch *t, struct par *p, struct err *e)
{
    size_t n;
    int rc;

    if (mem_mul(a->K, a->K + 1, &n) < 0)
        return err_set(e, ERR_USE, "a site of %zu inputs is too wide", a->K);
    if (count_rows(x, a, e) < 0 || slab_ready(&x->s, home, n / 2, e) < 0)
        return -1;
    rc = a->xf ? slab_ready(&x->d, home, a->K * a->K, e) : 0;
    if (rc == 0) {
        rc = add_products(x, a, t, p, e);
        if (x->d)
            slab_leave(x->d);
    }
    slab_leave(x->s);
    return rc;
}

int sums_add_none(struct sums *x, const struct slab_home *home, const struct acts_view *a,
                  struct err *e)
{
    size_t n;

    if (mem_mul(a->K, a->K + 1, &n) < 0)
        return err_set(e, ERR_USE, "a site of %zu inputs is too wide", a->K);
    x->bytes += a->x->bytes;
    if (slab_ready(&x->s, home, n / 2, e) < 0)
        return -1;
    slab_leave(x->s);
    if (a->xf && slab_ready(&x->d, home, a->K * a->K, e) < 0)
        return -1;
    if (a->xf)
        slab_leave(x->d);
    return 0;
}

/* Columns and rows of a piece in f32: it stays in the first-level cache. */
enum { PIECE_COLUMNS = 256, PIECE_ROWS = 8 };

struct square_job {
    double *to;
    const char *rows; /* as they travel, one behind the other */
    enum dtype dtype;
    size_t T, K;
};

/* A band of columns of one sequence: each sum is one thread's, its rows in order. */
static int add_square_band(void *ctx, size_t band, size_t worker, struct err *e)
{
    const struct square_job *j = ctx;
    const size_t from = band * PIECE_COLUMNS,
                 n = from + PIECE_COLUMNS < j->K ? PIECE_COLUMNS : j->K - from;
    float piece[PIECE_ROWS * PIECE_COLUMNS];

    (void)worker;
    for (size_t t = 0; t < j->T; t += PIECE_ROWS) {
        const size_t rows = t + PIECE_ROWS < j->T ? PIECE_ROWS : j->T - t;

        for (size_t i = 0; i < rows; i++)
            if (dtype_to_f32(j->dtype, j->rows + ((t + i) * j->K + from) * dtype_size(j->dtype), n,
                             piece + i * n) < 0)
                return err_set(e, ERR_USE, "rows are %s, not a float type", dtype_name(j->dtype));
        add_squares(j->to + from, piece, n, rows, n);
    }
    return 0;
}

int sums_add_squares(struct sums *x, const struct acts_view *a, struct par *p, struct err *e)
{
    struct square_job j = {.rows = a->x->data, .dtype = a->x->dtype, .K = a->K};

    for (size_t s = 0; s < a->nseq; s++) {
        struct length_bin *b = bin_of(x, (uint64_t)a->lengths[s], e);

        if (!b || (!b->squares && !(b->squares = mem_array(a->K, sizeof *b->squares, e))))
            return -1;
        j.to = b->squares;
        j.T = (size_t)a->lengths[s];
        if (par_for(p, (a->K + PIECE_COLUMNS - 1) / PIECE_COLUMNS, add_square_band, &j, e) < 0)
            return -1;
        j.rows += j.T * a->K * dtype_size(j.dtype);
    }
    return 0;
}

static int merge_bin(struct sums *x, const struct length_bin *from, size_t K, struct err *e)
{
    struct length_bin *b;

    if (count_length(x, from->length, from->sequences, from->sum_w, e) < 0)
        return -1;
    b = bin_of(x, from->length, e);
    if (!from->squares)
        return 0;
    if (!b->squares && !(b->squares = mem_array(K, sizeof *b->squares, e)))
        return -1;
    for (size_t k = 0; k < K; k++)
        b->squares[k] += from->squares[k];
    return 0;
}

int sums_merge(struct sums *x, struct sums *y, const struct slab_home *home, size_t K,
               struct err *e)
{
    if (slab_merge(&x->s, &y->s, home, e) < 0 || slab_merge(&x->d, &y->d, home, e) < 0)
        return -1;
    x->sum_w += y->sum_w;
    x->sum_w2 += y->sum_w2;
    x->tokens += y->tokens;
    x->sequences += y->sequences;
    x->bytes += y->bytes;
    for (size_t i = 0; i < y->nbins; i++)
        if (merge_bin(x, &y->bins[i], K, e) < 0)
            return -1;
    sums_release(y);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* law_fit - see law_fit.h. Columns are made orthogonal one after the other (modified Gram-Schmidt,
 * twice): there are five at most, and what hangs on the others shows by its norm. */
#include "law_fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/mem.h"

enum {
    COLUMNS = LAW_D, /* ln C, A, gN, gc: d has none */
    TERMS = COLUMNS + 1,
    STEPS = 4 * LAW_D_MAX + 1,
    FEWEST = 2 /* points more than constants */
};
#define DEPENDENT 1e-9 /* a column that is so little of what it was is one of the others */

/* y = X b, solved: b, the inverse of R (X = Q R) and what is left of y. */
struct solved {
    size_t n;
    double b[TERMS], inverse[TERMS][TERMS], rss;
};

struct law {
    const struct law_points *p;
    unsigned char use[COLUMNS]; /* which columns there are */
    size_t column[COLUMNS], columns;
    double *work; /* [TERMS + 1, points] */
    struct solved *at;
    double *d; /* [steps] */
    size_t steps, best;
    double bound; /* of rss, for 95% */
    double freedom;
    struct law_fit fit;
};

/* ---- Student's t ---- */

/* P(|T| < t): the density, by Simpson's rule over the angle whose tangent is t / sqrt v. */
static double inside(double t, double v)
{
    const double end = atan(t / sqrt(v)),
                 scale = exp(lgamma((v + 1) / 2) - lgamma(v / 2)) / sqrt(acos(-1.0));
    double sum = 0.0;
    enum { PARTS = 400 };

    for (int i = 0; i <= PARTS; i++)
        sum += pow(cos(end * i / PARTS), v - 1.0) * (i == 0 || i == PARTS ? 1 : i % 2 ? 4 : 2);
    return 2.0 * scale * sum * end / (3.0 * PARTS);
}

double law_t95(double freedom)
{
    double low = 1.9, high = 13.0;

    for (int i = 0; i < 60; i++) {
        const double t = (low + high) / 2;

        *(inside(t, freedom) < .95 ? &low : &high) = t;
    }
    return (low + high) / 2;
}

/* ---- least squares ---- */

static double dot(const double *a, const double *b, size_t n)
{
    double s = 0.0;

    for (size_t i = 0; i < n; i++)
        s += a[i] * b[i];
    return s;
}

/* x [columns + 1, n]: the columns, then y; they are overwritten. -1: a column depends on those
 * before it, *which of them. */
static int solve(double *x, size_t columns, size_t n, struct solved *s, size_t *which)
{
    double r[TERMS][TERMS] = {{0}}, qy[TERMS];
    double *y = x + columns * n;

    for (size_t j = 0; j < columns; j++) {
        double *xj = x + j * n;
        const double before = sqrt(dot(xj, xj, n));
        double norm;

        for (int again = 0; again < 2; again++)
            for (size_t i = 0; i < j; i++) {
                const double c = dot(x + i * n, xj, n);

                r[i][j] += c;
                for (size_t k = 0; k < n; k++)
                    xj[k] -= c * x[i * n + k];
            }
        norm = sqrt(dot(xj, xj, n));
        *which = j;
        if (!(norm > DEPENDENT * before))
            return -1;
        r[j][j] = norm;
        for (size_t k = 0; k < n; k++)
            xj[k] /= norm;
        qy[j] = dot(xj, y, n);
        for (size_t k = 0; k < n; k++)
            y[k] -= qy[j] * xj[k];
    }
    s->n = columns;
    s->rss = dot(y, y, n);
    for (size_t j = columns; j-- > 0;) { /* R^-1, then b = R^-1 Q'y */
        for (size_t i = 0; i < columns; i++)
            s->inverse[j][i] = 0.0;
        for (size_t i = j; i < columns; i++) {
            double v = i == j ? 1.0 : 0.0;

            for (size_t k = j + 1; k <= i; k++)
                v -= r[j][k] * s->inverse[k][i];
            s->inverse[j][i] = v / r[j][j];
        }
        s->b[j] = 0.0;
        for (size_t i = j; i < columns; i++)
            s->b[j] += s->inverse[j][i] * qy[i];
    }
    return 0;
}

/* x' (X'X)^-1 x */
static double leverage(const struct solved *s, const double *x)
{
    double sum = 0.0;

    for (size_t i = 0; i < s->n; i++) {
        double v = 0.0;

        for (size_t j = 0; j <= i; j++)
            v += x[j] * s->inverse[j][i];
        sum += v * v;
    }
    return sum;
}

static double term(const struct law_point *x, size_t constant, double d)
{
    switch (constant) {
    case LAW_A:
        return x->qr;
    case LAW_GN:
        return -log(x->params);
    case LAW_GC:
        return log(x->qb + d);
    default:
        return 1.0;
    }
}

/* ---- points, perhaps without those of one model ---- */

/* The columns of the points into l->work, y behind them; how many points. */
static size_t fill(const struct law *l, const char *without, double d, int interaction)
{
    const struct law_points *p = l->p;
    const size_t columns = l->columns + (size_t)interaction;
    size_t n = 0, i = 0;

    for (size_t k = 0; k < p->count; k++)
        n += !without || strcmp(p->at[k].model, without) != 0;
    for (size_t k = 0; k < p->count; k++) {
        const struct law_point *x = &p->at[k];

        if (without && strcmp(x->model, without) == 0)
            continue;
        for (size_t j = 0; j < l->columns; j++)
            l->work[j * n + i] = term(x, l->column[j], d);
        if (interaction)
            l->work[l->columns * n + i] = x->qr * log(x->params);
        l->work[columns * n + i++] = log(x->delta);
    }
    return n;
}

/* The best d of those in the table for the points without a model: its solution. */
static int best_without(const struct law *l, const char *without, struct solved *best, double *d)
{
    best->rss = INFINITY;
    for (size_t i = 0; i < l->steps; i++) {
        struct solved s;
        size_t which;
        const size_t n = fill(l, without, l->d[i], 0);

        if (n < l->columns + 1 || solve(l->work, l->columns, n, &s, &which) < 0)
            return -1;
        if (s.rss < best->rss) {
            *best = s;
            *d = l->d[i];
        }
    }
    return 0;
}

static double value_at(const struct law *l, const struct solved *s, const struct law_point *x,
                       double d)
{
    double v = 0.0;

    for (size_t j = 0; j < l->columns; j++)
        v += s->b[j] * term(x, l->column[j], d);
    return v;
}

static void leave_out(struct law *l)
{
    const struct law_points *p = l->p;
    double sum = 0.0;
    size_t count = 0;

    l->fit.left_out = l->fit.left_out_worst = NAN;
    for (size_t k = 0; k < p->count; k++) {
        const char *model = p->at[k].model;
        struct solved s;
        double d = 0.0, own = 0.0;
        size_t n = 0, first = 0;

        while (strcmp(p->at[first].model, model) != 0)
            first++;
        if (first < k)
            continue;
        if (l->fit.models < 2 || best_without(l, model, &s, &d) < 0) {
            l->fit.left_out = l->fit.left_out_worst = NAN;
            l->fit.left_out_model = NULL;
            return;
        }
        for (size_t i = k; i < p->count; i++)
            if (strcmp(p->at[i].model, model) == 0) {
                own += pow(value_at(l, &s, &p->at[i], d) - log(p->at[i].delta), 2);
                n++;
            }
        sum += own;
        count += n;
        if (!(sqrt(own / (double)n) <= l->fit.left_out_worst)) {
            l->fit.left_out_worst = sqrt(own / (double)n);
            l->fit.left_out_model = model;
        }
    }
    l->fit.left_out = sqrt(sum / (double)count);
}

/* ---- the fit ---- */

/* The values of a linear form x that fit: at each d an interval about its best. extra: what one
 * more measurement adds to its variance, 0 or 1. */
static struct law_value profile(const struct law *l, const struct law_point *point,
                                const double *fixed, double extra)
{
    struct law_value v = {NAN, INFINITY, -INFINITY};

    for (size_t i = 0; i < l->steps; i++) {
        const struct solved *s = &l->at[i];
        double x[TERMS], mean = 0.0, half;

        for (size_t j = 0; j < s->n; j++) {
            x[j] = fixed ? fixed[j] : term(point, l->column[j], l->d[i]);
            mean += x[j] * s->b[j];
        }
        if (i == l->best)
            v.value = mean;
        if (s->rss > l->bound)
            continue;
        half = sqrt((leverage(s, x) + extra) * (l->bound - s->rss));
        v.low = fmin(v.low, mean - half);
        v.high = fmax(v.high, mean + half);
    }
    return v;
}

static void constants(struct law *l)
{
    struct law_value *d = &l->fit.constant[LAW_D];

    for (size_t j = 0; j < LAW_CONSTANTS; j++)
        l->fit.constant[j] = (struct law_value){NAN, NAN, NAN};
    for (size_t j = 0; j < l->columns; j++) {
        double x[TERMS] = {0};

        x[j] = 1.0;
        l->fit.constant[l->column[j]] = profile(l, NULL, x, 0.0);
    }
    if (l->steps == 1)
        return;
    d->value = l->d[l->best];
    for (size_t i = 0; i < l->steps; i++)
        if (l->at[i].rss <= l->bound) {
            d->low = isnan(d->low) ? l->d[i] : d->low;
            d->high = l->d[i];
        }
}

static void interaction(struct law *l)
{
    struct law_value *v = &l->fit.interaction;
    struct solved s;
    size_t which, n;
    double x[TERMS] = {0}, freedom;

    *v = (struct law_value){NAN, NAN, NAN};
    if (!l->use[LAW_A] || !l->use[LAW_GN])
        return;
    n = fill(l, NULL, l->d[l->best], 1);
    freedom = l->freedom - 1.0;
    if (freedom < 1.0 || solve(l->work, l->columns + 1, n, &s, &which) < 0)
        return;
    x[l->columns] = 1.0;
    v->value = s.b[l->columns];
    v->high = law_t95(freedom) * sqrt(leverage(&s, x) * s.rss / freedom);
    v->low = v->value - v->high;
    v->high += v->value;
}

static size_t count_models(const struct law_points *p)
{
    size_t n = 0;

    for (size_t k = 0; k < p->count; k++) {
        size_t first = 0;

        while (strcmp(p->at[first].model, p->at[k].model) != 0)
            first++;
        n += first == k;
    }
    return n;
}

/* Columns that say something of their own: of what does not vary, or varies as others do, the
 * later one goes. */
static void choose_columns(struct law *l)
{
    for (size_t c = 0; c < COLUMNS; c++) {
        struct solved s;
        size_t which;

        l->column[l->columns++] = c;
        l->use[c] = 1;
        if (solve(l->work, l->columns, fill(l, NULL, 0.0, 0), &s, &which) < 0) {
            l->columns--;
            l->use[c] = 0;
        }
    }
}

static int fit(struct law *l, struct err *e)
{
    const struct law_points *p = l->p;
    struct law_fit *f = &l->fit;
    double mean = 0.0, all = 0.0;
    size_t which;

    choose_columns(l);
    l->steps = l->use[LAW_GC] ? STEPS : 1;
    f->points = p->count;
    f->models = count_models(p);
    f->constants = l->columns + (l->steps > 1);
    if (l->columns == 1 || p->count < f->constants + FEWEST)
        return err_set(e, ERR_USE,
                       "%zu points with a loss (%zu lost nothing) are too few for a law: it needs "
                       "different shares, block sizes or models, and %zu points more than the %zu "
                       "constants of what varies",
                       p->count, p->dropped, (size_t)FEWEST, f->constants);
    for (size_t i = 0; i < l->steps; i++) {
        l->d[i] = (double)LAW_D_MAX * (double)i / (STEPS - 1);
        if (solve(l->work, l->columns, fill(l, NULL, l->d[i], 0), &l->at[i], &which) < 0)
            return err_set(e, ERR_DATA, "the points do not tell the constants apart");
        if (l->at[i].rss < l->at[l->best].rss)
            l->best = i;
    }
    l->freedom = (double)(p->count - f->constants);
    l->bound = l->at[l->best].rss * (1.0 + pow(law_t95(l->freedom), 2) / l->freedom);
    for (size_t k = 0; k < p->count; k++)
        mean += log(p->at[k].delta) / (double)p->count;
    for (size_t k = 0; k < p->count; k++)
        all += pow(log(p->at[k].delta) - mean, 2);
    f->r2 = all > 0.0 ? 1.0 - l->at[l->best].rss / all : NAN;
    f->residual = sqrt(l->at[l->best].rss / l->freedom);
    constants(l);
    interaction(l);
    leave_out(l);
    return 0;
}

struct law *law_open(const struct law_points *p, struct err *e)
{
    struct law *l = mem_array(1, sizeof *l, e);

    if (!l)
        return NULL;
    l->p = p;
    if (!(l->work = mem_array((TERMS + 1) * (p->count + 1), sizeof *l->work, e)) ||
        !(l->at = mem_array(STEPS, sizeof *l->at, e)) ||
        !(l->d = mem_array(STEPS, sizeof *l->d, e)) || fit(l, e) < 0)
        law_close(&l);
    return l;
}

void law_close(struct law **l)
{
    if (!*l)
        return;
    free((*l)->work);
    free((*l)->at);
    free((*l)->d);
    free(*l);
    *l = NULL;
}

const struct law_fit *law_fitted(const struct law *l)
{
    return &l->fit;
}

const char *law_constant_name(size_t constant)
{
    static const char *const name[LAW_CONSTANTS] = {"ln C", "A", "gN", "gc", "d"};

    return name[constant];
}

int law_has(const struct law *l, enum law_constant constant)
{
    return constant == LAW_D ? l->steps > 1 : l->use[constant];
}

struct law_value law_predict(const struct law *l, double params, double qr, double qb)
{
    const struct law_point x = {.params = params, .qr = qr, .qb = qb};
    struct law_value v = profile(l, &x, NULL, 1.0);

    return (struct law_value){exp(v.value), exp(v.low), exp(v.high)};
}

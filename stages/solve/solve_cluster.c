/* SPDX-License-Identifier: Apache-2.0 */
/* solve_cluster - see solve_cluster.h. */
#include "solve_cluster.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include "../../common/base/mem.h"

struct point {
    double x, w;
};

struct cluster_room {
    size_t n, k, m; /* m: different numbers */
    struct point *p;
    double *w, *wx, *wxx; /* [n + 1] sums before each point */
    double *now, *last;   /* [n + 1] the least loss of the first points */
    uint32_t *from;       /* [k, n + 1] where the last of the clusters begins then */
};

struct cluster_room *cluster_open(size_t n, size_t k, struct err *e)
{
    struct cluster_room *r = mem_array(1, sizeof *r, e);

    if (!r)
        return NULL;
    r->n = n;
    r->k = k;
    if ((r->p = mem_array(n + 1, sizeof *r->p, e)) && (r->w = mem_array(n + 1, sizeof *r->w, e)) &&
        (r->wx = mem_array(n + 1, sizeof *r->wx, e)) &&
        (r->wxx = mem_array(n + 1, sizeof *r->wxx, e)) &&
        (r->now = mem_array(n + 1, sizeof *r->now, e)) &&
        (r->last = mem_array(n + 1, sizeof *r->last, e)) &&
        (r->from = mem_array(k * (n + 1), sizeof *r->from, e)))
        return r;
    cluster_close(&r);
    return NULL;
}

void cluster_close(struct cluster_room **rp)
{
    struct cluster_room *r = *rp;

    if (!r)
        return;
    free(r->p);
    free(r->w);
    free(r->wx);
    free(r->wxx);
    free(r->now);
    free(r->last);
    free(r->from);
    free(r);
    *rp = NULL;
}

static int by_number(const void *a, const void *b)
{
    const double x = ((const struct point *)a)->x, y = ((const struct point *)b)->x;

    return (x > y) - (x < y);
}

/* Sorted, equal ones together, and their sums. */
static void sort(struct cluster_room *r, const double *x, const double *w)
{
    double all = 0;

    for (size_t i = 0; w && i < r->n; i++)
        all += w[i];
    for (size_t i = 0; i < r->n; i++)
        r->p[i] = (struct point){x[i], all > 0 ? w[i] : 1};
    qsort(r->p, r->n, sizeof *r->p, by_number);
    r->m = 0;
    for (size_t i = 0; i < r->n; i++)
        if (r->m && !(r->p[i].x > r->p[r->m - 1].x))
            r->p[r->m - 1].w += r->p[i].w;
        else
            r->p[r->m++] = r->p[i];
    for (size_t i = 0; i < r->m; i++) {
        const struct point *p = &r->p[i];

        r->w[i + 1] = r->w[i] + p->w;
        r->wx[i + 1] = r->wx[i] + p->w * p->x;
        r->wxx[i + 1] = r->wxx[i] + p->w * p->x * p->x;
    }
}

/* Of points [a, b) as one cluster. */
static double loss(const struct cluster_room *r, size_t a, size_t b)
{
    const double w = r->w[b] - r->w[a], x = r->wx[b] - r->wx[a], xx = r->wxx[b] - r->wxx[a];

    return w > 0 ? fmax(xx - x * x / w, 0) : 0;
}

/* now[b] for b in [low, high], whose last cluster begins in [from, to]. */
static void fill(struct cluster_room *r, size_t k, size_t low, size_t high, size_t from, size_t to)
{
    while (low <= high) {
        const size_t b = low + (high - low) / 2;
        const size_t end = to < b - 1 ? to : b - 1;
        size_t best = from;
        double least = INFINITY;

        for (size_t a = from; a <= end; a++) {
            const double l = r->last[a] + loss(r, a, b);

            if (l < least) {
                least = l;
                best = a;
            }
        }
        r->now[b] = least;
        r->from[k * (r->n + 1) + b] = (uint32_t)best;
        if (b > low)
            fill(r, k, low, b - 1, from, best);
        low = b + 1;
        from = best;
    }
}

static double mean(const struct cluster_room *r, size_t a, size_t b)
{
    const double w = r->w[b] - r->w[a];
    double sum = 0;

    if (w > 0)
        return (r->wx[b] - r->wx[a]) / w;
    for (size_t i = a; i < b; i++)
        sum += r->p[i].x;
    return sum / (double)(b - a);
}

void cluster_find(struct cluster_room *r, const double *x, const double *w, double *centre)
{
    size_t k, end;

    sort(r, x, w);
    k = r->m < r->k ? r->m : r->k;
    for (size_t b = 1; b <= r->m; b++)
        r->now[b] = loss(r, 0, b);
    for (size_t i = 1; i < k; i++) {
        double *t = r->last;

        r->last = r->now;
        r->now = t;
        fill(r, i, i + 1, r->m, i, r->m - 1);
    }
    end = r->m;
    for (size_t i = k; i-- > 0;) {
        const size_t a = i ? r->from[i * (r->n + 1) + end] : 0;

        centre[i] = mean(r, a, end);
        end = a;
    }
    for (size_t i = k; i < r->k; i++)
        centre[i] = centre[k - 1];
}

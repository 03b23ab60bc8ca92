/* SPDX-License-Identifier: Apache-2.0 */
/* allocate_learn - what a loss at a site means for the model, learned from choices that were
 * measured.
 *
 * The divergence of a choice is taken for the sum over its units of w x, x the loss of the unit in
 * it. Before anything is measured the w are alike but for what units of one name, those of one
 * block and each alone deviate by, all normal; each measured choice then says something of their
 * sum (Kalman's update, one at a time). The w that are expected serve a choice that is to be the
 * best; those of a draw from what is still open (Thompson 1933), a choice that is to be measured
 * next: it is good if the draw is right, and teaches much where it is not. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/mem.h"
#include "../../../common/base/rng.h"
#include "allocate_impl.h"

/* Deviations as shares of the mean: measured one site at a time, units of one kind differ from
 * another by more than those of one block do (ops/studies/allocate.md). */
#define BY_NAME .7
#define BY_BLOCK .5
#define BY_UNIT .5
#define NOISE .05 /* of a divergence: what the sum leaves out */
#define LEAST .05 /* of the mean: no loss is for nothing */

struct belief {
    size_t units;
    double mean;    /* divergence for a loss of 1 */
    double *w;      /* [units], owned like the others: what is expected, or a draw */
    double *cover;  /* [units, units] */
    double *x, *px; /* [units] */
};

static void release(struct belief *b)
{
    free(b->w);
    free(b->cover);
    free(b->x);
    free(b->px);
}

static double square(double x)
{
    return x * x;
}

/* The first unit that shares the name (or the block) of unit i. */
static size_t first_like(const struct allocate *a, size_t i, int by_name)
{
    size_t k = 0;

    while (by_name ? strcmp(a->unit[k].name, a->unit[i].name) != 0
                   : a->unit[k].block != a->unit[i].block)
        k++;
    return k;
}

static void believe_alike(const struct allocate *a, struct belief *b)
{
    for (size_t i = 0; i < b->units; i++) {
        b->w[i] = b->mean;
        for (size_t k = 0; k < b->units; k++)
            b->cover[i * b->units + k] =
                square(b->mean) *
                ((i == k ? square(BY_UNIT) : 0.0) +
                 (strcmp(a->unit[i].name, a->unit[k].name) == 0 ? square(BY_NAME) : 0.0) +
                 (a->unit[i].block == a->unit[k].block ? square(BY_BLOCK) : 0.0));
    }
}

/* A draw of what was believed before anything was measured; b->x, b->px: for the time being the
 * deviations of names and blocks, at the first unit that has them. */
static void draw_alike(const struct allocate *a, struct belief *b, struct rng *rng)
{
    for (size_t i = 0; i < b->units; i++) {
        b->x[i] = BY_NAME * rng_normal(rng);
        b->px[i] = BY_BLOCK * rng_normal(rng);
        b->w[i] = b->mean * (1.0 + b->x[first_like(a, i, 1)] + b->px[first_like(a, i, 0)] +
                             BY_UNIT * rng_normal(rng));
    }
}

/* A divergence of kl, of the losses x; rng NULL: what is expected. */
static void believe(struct belief *b, double kl, struct rng *rng)
{
    const size_t U = b->units;
    double scatter = square(NOISE * kl), foreseen = 0.0, off;

    for (size_t i = 0; i < U; i++) {
        b->px[i] = 0.0;
        for (size_t k = 0; k < U; k++)
            b->px[i] += b->cover[i * U + k] * b->x[k];
        scatter += b->x[i] * b->px[i];
        foreseen += b->x[i] * b->w[i];
    }
    off = kl + (rng ? NOISE * kl * rng_normal(rng) : 0.0) - foreseen;
    for (size_t i = 0; i < U && scatter > 0.0; i++) {
        b->w[i] += b->px[i] * off / scatter;
        for (size_t k = 0; k < U; k++)
            b->cover[i * U + k] -= b->px[i] * b->px[k] / scatter;
    }
}

/* The divergence for a loss of 1 that serves all measured choices best, each by its share. */
static double mean_of(const struct allocate *a)
{
    double up = 0.0, down = 0.0;

    for (size_t r = a->offered; r < a->runs; r++) {
        const double ratio = allocate_run_loss(a, r) / a->kl[r];

        up += ratio;
        down += square(ratio);
    }
    return down > 0.0 ? up / down : 0.0;
}

static int open_belief(const struct allocate *a, struct belief *b, struct err *e)
{
    b->units = a->units;
    b->mean = mean_of(a);
    return (b->w = mem_array(a->units, sizeof *b->w, e)) &&
                   (b->cover = mem_array(a->units * a->units, sizeof *b->cover, e)) &&
                   (b->x = mem_array(a->units, sizeof *b->x, e)) &&
                   (b->px = mem_array(a->units, sizeof *b->px, e))
               ? 0
               : -1;
}

int allocate_learn(const struct allocate *a, struct rng *rng, double *weight, struct err *e)
{
    struct belief b = {.units = 0};
    int rc = open_belief(a, &b, e);

    if (rc == 0 && !(b.mean > 0.0))
        rc = err_set(e, ERR_USE, "--measured: the choices there lost nothing: nothing to learn");
    if (rc == 0) {
        believe_alike(a, &b);
        if (rng)
            draw_alike(a, &b, rng);
        for (size_t r = a->offered; r < a->runs; r++) {
            for (size_t i = 0; i < a->units; i++)
                b.x[i] = a->unit[i].candidate[r].loss;
            believe(&b, a->kl[r], rng);
        }
        for (size_t i = 0; i < a->units; i++)
            weight[i] = fmax(b.w[i], LEAST * b.mean);
    }
    release(&b);
    return rc;
}

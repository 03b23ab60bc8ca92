/* SPDX-License-Identifier: Apache-2.0 */
/* importance_weights - see importance_weights.h. */
#include "importance_weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"

/* ---- of single tokens ---- */

struct ranked {
    float g;
    size_t t;
};

static int by_value(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->g != y->g)
        return x->g > y->g ? -1 : 1;
    return x->t < y->t ? -1 : x->t > y->t;
}

/* w [n]: the weights of x [n], which with select become sorted before. */
static int weigh_ranked(float *w, struct ranked *x, size_t n, const struct importance_opts *o)
{
    static const struct weigh_clip none = {0, 0};
    int told;

    if (o->select < 1)
        qsort(x, n, sizeof *x, by_value);
    for (size_t i = 0; i < n; i++)
        w[i] = x[i].g;
    told = weigh_normal(w, n, &o->clip);
    if (told && o->select < 1) {
        for (size_t i = (size_t)ceil(o->select * (double)n); i < n; i++)
            w[i] = 0;
        weigh_normal(w, n, &none);
    }
    return told;
}

int weights_of_tokens(float *g, size_t n, const struct importance_opts *o, struct err *e)
{
    struct ranked *x = mem_array(n ? n : 1, sizeof *x, e);
    float *w = mem_array(n ? n : 1, sizeof *w, e);
    size_t count = 0;
    int told = -1;

    if (x && w) {
        for (size_t t = 0; t < n; t++) {
            if (!isnan(g[t]))
                x[count++] = (struct ranked){o->squared ? g[t] * g[t] : g[t], t};
            g[t] = 1;
        }
        told = count ? weigh_ranked(w, x, count, o) : 0;
        for (size_t i = 0; i < count; i++)
            g[x[i].t] = w[i];
    }
    free(x);
    free(w);
    return told;
}

/* ---- of modalities ---- */

int weights_mbq_init(struct weights_mbq *q, size_t blocks, struct err *e)
{
    const size_t n = blocks * MBQ_PARTS;

    *q = (struct weights_mbq){.blocks = blocks};
    return (q->vision = mem_array(n, sizeof *q->vision, e)) &&
                   (q->answer = mem_array(n, sizeof *q->answer, e)) &&
                   (q->samples = mem_array(n, sizeof *q->samples, e)) &&
                   (q->rho = mem_array(n, sizeof *q->rho, e))
               ? 0
               : -1;
}

void weights_mbq_release(struct weights_mbq *q)
{
    free(q->vision);
    free(q->answer);
    free(q->samples);
    free(q->rho);
    *q = (struct weights_mbq){0};
}

void weights_mbq_add(struct weights_mbq *q, size_t block, int part, const float *g,
                     const uint8_t *modality, const uint8_t *answer, size_t n)
{
    double vision = 0, said = 0;
    size_t images = 0, answers = 0, at = block * MBQ_PARTS + (size_t)part;

    for (size_t t = 0; t < n; t++) {
        if (isnan(g[t]))
            continue;
        if (modality[t]) {
            vision += (double)g[t];
            images++;
        } else if (answer[t]) {
            said += (double)g[t];
            answers++;
        }
    }
    if (!images || !answers)
        return;
    q->vision[at] += vision / (double)images;
    q->answer[at] += said / (double)answers;
    q->samples[at]++;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* Of the ratios of one part, those of blocks that have it; r [blocks] is room. */
static double median_of(const struct weights_mbq *q, int part, double *r)
{
    size_t n = 0;

    for (size_t b = 0; b < q->blocks; b++)
        if (q->samples[b * MBQ_PARTS + (size_t)part])
            r[n++] = q->rho[b * MBQ_PARTS + (size_t)part];
    qsort(r, n, sizeof *r, ascending);
    return n == 0 ? 1 : n % 2 ? r[n / 2] : (r[n / 2 - 1] + r[n / 2]) / 2;
}

int weights_mbq_end(struct weights_mbq *q, struct err *e)
{
    double *room = mem_array(q->blocks, sizeof *room, e);
    size_t any = 0;

    if (!room)
        return -1;
    for (size_t i = 0; i < q->blocks * MBQ_PARTS; i++) {
        any += q->samples[i];
        q->rho[i] = q->answer[i] > 0 ? q->vision[i] / q->answer[i] : 1;
    }
    for (int part = 0; part < MBQ_PARTS; part++) {
        const double floor_at = median_of(q, part, room);

        for (size_t b = 0; b < q->blocks; b++)
            q->rho[b * MBQ_PARTS + (size_t)part] =
                fmax(q->rho[b * MBQ_PARTS + (size_t)part], floor_at);
    }
    free(room);
    return any ? 0
               : err_set(e, ERR_DATA,
                         "--method mbq: no sequence has both image tokens and answers: its ratios "
                         "need image-text data (tensors 'modality' and 'role' of the chunks)");
}

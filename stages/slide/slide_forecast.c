/* SPDX-License-Identifier: Apache-2.0 */
/* slide_forecast - see slide_forecast.h. What is allocated follows from shapes: two hidden states
 * of each token, the weights of a window's blocks as they were and rounded, what is learned of
 * them, values of a step in all blocks, gradients in one. The constants were measured on a model
 * of 5M weights. */
#include "slide_forecast.h"

#include <math.h>
#include <stdlib.h>
#include "../../common/base/mem.h"
#include "../../common/model/attention.h"
#include "../../common/model/cost.h"
#include "../../common/model/model_back.h"

#define OF_PARAM (4.0 * sizeof(float)) /* its value, its gradient, two means */
#define OF_GROUP 9.0 /* bytes of a scale and a zero point while they are learned */
#define ROWS 4.0     /* times the stream of a step: what products have beside their rows */
#define KEPT 1.3     /* of a window: what is freed is kept for the next step, with holes (mem.h) */
#define LARGE (2 << 20) /* the heap ends with a large page */
#define ROUNDING 6e-9   /* seconds of a core: a weight is rounded, and its gradient goes back */

/* Of one block. */
struct load {
    double weights, widest; /* of its linears; of the largest */
    double learned;         /* bytes */
    double values;          /* bytes, of a step */
    double squares, square; /* inputs of sites squared, of all and of the widest */
    double cubes;           /* outputs times that */
    double sides;           /* bytes, of both sides of a product of a step, rounded */
};

static int load_of(const struct slide_opts *o, const struct config *c, const struct sites *s,
                   size_t block, size_t step, struct load *x, struct err *e)
{
    *x = (struct load){0};
    for (size_t i = s->first[block]; i < s->end[block]; i++) {
        const double square = (double)s->site[i].inputs * (double)s->site[i].inputs;

        x->squares += square;
        x->square = fmax(x->square, square);
        for (size_t k = 0; k < s->site[i].count; k++) {
            const double N = (double)s->site[i].linear[k].rows, K = (double)s->site[i].inputs,
                         groups = N * (double)grid_groups(s->site[i].inputs, o->shape.group);

            x->weights += N * K;
            x->cubes += N * K * K;
            x->widest = fmax(x->widest, N * K);
            if (o->products != PRODUCTS_F32)
                x->sides = fmax(x->sides, sizeof(uint16_t) * (double)step * (N + K));
            x->learned += OF_PARAM * (double)o->shape.rank * (N + K) +
                          (OF_GROUP + (o->shape.clips ? 2 * OF_PARAM : 0)) * groups;
        }
    }
    return block_back_room(c, block, step, &x->values, e);
}

static double most(double a, double b)
{
    return a > b ? a : b;
}

/* Bytes of a weight that is multiplied, beside that in f32. */
static double narrow_bytes(enum products p)
{
    return p == PRODUCTS_F32 ? 0 : p == PRODUCTS_BF16 ? 2 : 4;
}

/* As it was, rounded; the gradients of one block, the room of its largest linear. Before it the
 * full-precision stream goes through its last block; behind it codes and differences of one, or
 * its codes and Hessians, the factor of one of these. shared: others make the gradients, and what
 * is learned and its gradients are in messages of each part. */
static double window_bytes(const struct slide_opts *o, const struct load *x, size_t count,
                           int shared)
{
    double held = 0, values = 0, one = 0, block = 0, messages = 0;

    for (size_t i = 0; i < count; i++) {
        held += (2 * sizeof(float) + narrow_bytes(o->products)) * x[i].weights + x[i].learned;
        values = shared ? most(values, x[i].values) : values + x[i].values;
        messages += 2 * (double)o->parts * x[i].learned * sizeof(float) / OF_PARAM;
        block = most(block, (sizeof(float) + 1) * x[i].weights);
        if (o->gptq)
            block = most(block, x[i].weights + sizeof(double) * (x[i].squares + x[i].square));
        one = most(one, sizeof(float) * (x[i].weights + x[i].widest) + x[i].sides);
    }
    values += shared ? messages : one;
    /* what steps leave is too small for Hessians */
    return held + (o->gptq ? values + block : most(values, block));
}

static double sequences_of(const struct forecast *f)
{
    return ceil((double)f->tokens / (double)f->length);
}

/* Sequences: --batch, or all that there are. */
static double in_a_step(const struct slide_opts *o, const struct forecast *f)
{
    return fmin((double)o->batch, sequences_of(f));
}

/* Of a process that makes the gradients of one part after the other; x is written over. */
static int slope_bytes(const struct slide_opts *o, const struct config *c,
                       const struct sites *sites, const struct forecast *f,
                       const struct slide_span *span, size_t spans, struct load *x, double *bytes,
                       struct err *e)
{
    const double length = (double)f->length, threads = forecast_threads(f, f->sharers),
                 rows = ceil(in_a_step(o, f) / (double)o->parts) * length;
    double window = 0;

    for (size_t b = 0; b < c->layers; b++)
        if (load_of(o, c, sites, b, (size_t)rows, &x[b], e) < 0)
            return -1;
    for (size_t w = 0; w < spans; w++)
        window = most(window,
                      window_bytes(&(struct slide_opts){.shape = o->shape, .products = o->products},
                                   x + span[w].first, span[w].count, 0));
    /* two parts are in hand, each with the streams before and behind the window */
    *bytes = forecast_blocks(threads) + KEPT * window + LARGE +
             3 * sizeof(float) * threads * fmin(length, ATTENTION_QUERIES) * length +
             rows * (double)c->d * sizeof(float) * (ROWS + 4);
    return 0;
}

/* sweep: flops of all tokens through a block; steps: of an epoch. */
static void add_work(const struct slide_opts *o, const struct slide_span *span, size_t spans,
                     const struct load *x, double sweep, double steps, struct slide_forecast *out)
{
    double rounded = 0;

    out->windows = spans * (size_t)o->sweeps;
    for (size_t w = 0; w < spans; w++) {
        /* steps are there, there again and back; a loss before the first and behind the last */
        out->flops += (3 * (double)o->epochs + 2) * sweep * (double)span[w].count;
        for (size_t i = 0; i < span[w].count; i++)
            rounded += x[span[w].first + i].weights;
    }
    out->seconds = out->flops / forecast_back_rate(o->products) +
                   ROUNDING * rounded * (double)o->epochs * steps;
}

int slide_forecast_make(const struct slide_opts *o, const struct config *c,
                        const struct sites *sites, const struct forecast *f,
                        struct slide_forecast *out, struct err *e)
{
    const double length = (double)f->length, threads = (double)(f->cores ? f->cores : 1),
                 scores = sizeof(float) * threads * fmin(length, ATTENTION_QUERIES) * length;
    const size_t step = (size_t)in_a_step(o, f) * (size_t)f->length;
    struct load *x = NULL;
    struct slide_span *span = NULL;
    struct cost cost;
    size_t spans = 0;
    double window = 0, slope = 0;
    int rc = -1;

    *out = (struct slide_forecast){0};
    if (cost_of(c, (double)f->tokens, length, step, DT_F32, &cost, e) < 0 ||
        slide_schedule_make(c->layers, &o->zones, &span, &spans, e) < 0 ||
        !(x = mem_array(c->layers, sizeof *x, e)))
        goto out;
    for (size_t b = 0; b < c->layers; b++)
        if (load_of(o, c, sites, b, step, &x[b], e) < 0)
            goto out;
    for (size_t w = 0; w < spans; w++)
        window = most(window, window_bytes(o, x + span[w].first, span[w].count, f->sharers > 0));
    out->flops = 3 * cost.flops; /* both streams, and the losses of linears */
    if (o->gptq) {
        out->flops += cost.flops;
        for (size_t b = 0; b < c->layers; b++)
            out->flops += (double)f->tokens * x[b].squares + x[b].cubes;
    }
    add_work(o, span, spans, x, cost.flops / (double)c->layers,
             ceil(sequences_of(f) / (double)o->batch), out);
    out->seconds /= threads;
    out->bytes = (uint64_t)(forecast_blocks(threads) + 3 * scores +
                            (f->sharers ? window
                                        : KEPT * window + LARGE +
                                              (double)step * (double)c->d * sizeof(float) * ROWS) +
                            (double)f->tokens * (2 * (double)c->d + 2) * sizeof(float));
    if (f->sharers && slope_bytes(o, c, sites, f, span, spans, x, &slope, e) < 0)
        goto out;
    out->slope = (uint64_t)slope;
    rc = 0;
out:
    free(x);
    free(span);
    return rc;
}

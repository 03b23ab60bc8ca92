/* SPDX-License-Identifier: Apache-2.0 */
/* pick - see pick.h. Candidates come off a heap one by one, so that a nucleus of a few tokens
 * costs no sort of the vocabulary. */
#include "pick.h"

#include <math.h>

static int before(const struct pick_item *a, const struct pick_item *b)
{
    return a->logit != b->logit ? a->logit > b->logit : a->id < b->id;
}

static void sift(struct pick_item *h, size_t n, size_t at)
{
    const struct pick_item x = h[at];

    for (size_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        if (child + 1 < n && before(&h[child + 1], &h[child]))
            child++;
        if (!before(&h[child], &x))
            break;
        h[at] = h[child];
        at = child;
    }
    h[at] = x;
}

/* The first one goes behind the heap, which gets shorter: after k calls the k first stand at the
 * end, the very first last. */
static const struct pick_item *heap_take(struct pick_item *h, size_t *n)
{
    const struct pick_item x = h[0];

    h[0] = h[--*n];
    if (*n)
        sift(h, *n, 0);
    h[*n] = x;
    return &h[*n];
}

static size_t largest(const float *logits, size_t V)
{
    size_t best = 0;

    for (size_t i = 1; i < V; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

static double share(float logit, float top, double temperature)
{
    return exp(((double)logit - (double)top) / temperature);
}

/* All of the vocabulary, in the order of ids. */
static int32_t pick_any(const float *logits, size_t V, float top, const struct pick_opts *o,
                        double draw)
{
    double total = 0, sum = 0;
    size_t last = 0;

    for (size_t i = 0; i < V; i++)
        total += share(logits[i], top, o->temperature);
    for (size_t i = 0; i < V; i++) {
        double s = share(logits[i], top, o->temperature);

        sum += s;
        if (s > 0)
            last = i;
        if (sum > draw * total)
            return (int32_t)i;
    }
    return (int32_t)last;
}

static int32_t pick_among(const float *logits, size_t V, float top, const struct pick_opts *o,
                          double draw, struct pick_item *h)
{
    const size_t most = o->top_k && (uint64_t)o->top_k < V ? (size_t)o->top_k : V;
    double total = 0, kept = 0, sum = 0;
    size_t n = V;

    for (size_t i = 0; i < V; i++)
        h[i] = (struct pick_item){logits[i], (int32_t)i};
    for (size_t i = V / 2; i-- > 0;)
        sift(h, V, i);
    if (most < V)
        for (size_t i = 0; i < most; i++)
            total += share(heap_take(h, &n)->logit, top, o->temperature);
    else
        for (size_t i = 0; i < V; i++)
            total += share(logits[i], top, o->temperature);
    /* the nucleus: as few as reach top_p of the total, that is h[V - count .. V) from the end */
    size_t count = 0;
    do {
        if (V - count == n)
            heap_take(h, &n);
        kept += share(h[V - ++count].logit, top, o->temperature);
    } while (count < most && kept < o->top_p * total);
    for (size_t i = 1; i <= count; i++) {
        sum += share(h[V - i].logit, top, o->temperature);
        if (sum > draw * kept)
            return h[V - i].id;
    }
    return h[V - count].id;
}

int32_t pick_token(const float *logits, size_t V, const struct pick_opts *o, struct rng *r,
                   struct pick_item *work)
{
    const size_t best = largest(logits, V);
    double draw;

    if (o->temperature <= 0)
        return (int32_t)best;
    draw = rng_unit(r);
    if (o->top_p >= 1 && (o->top_k == 0 || (uint64_t)o->top_k >= V))
        return pick_any(logits, V, logits[best], o, draw);
    return pick_among(logits, V, logits[best], o, draw, work);
}

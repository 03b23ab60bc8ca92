/* SPDX-License-Identifier: Apache-2.0 */
/* tensor_values - elements as doubles, a block at a time. 64-bit integers lose bits beyond 2^53:
 * for looking, that will do. */
#include "tensor_values.h"

#include <math.h>
#include <string.h>

#define BLOCK 1024

/* Elements [at, at + n) of a tensor that is not float. */
static void widen(const struct tensor *t, size_t at, size_t n, double *out)
{
    const char *p = (const char *)t->data + at * dtype_size(t->dtype);

    for (size_t i = 0; i < n; i++, p += dtype_size(t->dtype)) {
        int64_t s = 0;
        uint64_t u = 0;

        switch (t->dtype) {
        case DT_I8: {
            int8_t x;
            memcpy(&x, p, 1);
            s = x;
            break;
        }
        case DT_I16: {
            int16_t x;
            memcpy(&x, p, 2);
            s = x;
            break;
        }
        case DT_I32: {
            int32_t x;
            memcpy(&x, p, 4);
            s = x;
            break;
        }
        case DT_I64:
            memcpy(&s, p, 8);
            break;
        default:
            memcpy(&u, p, dtype_size(t->dtype));
            break; /* unsigned, little-endian */
        }
        out[i] = (double)s + (double)u;
    }
}

static size_t load(const struct tensor *t, size_t at, double *out)
{
    size_t n = tensor_elements(t) - at;

    if (n > BLOCK)
        n = BLOCK;
    if (dtype_to_f64(t->dtype, (const char *)t->data + at * dtype_size(t->dtype), n, out) < 0)
        widen(t, at, n, out);
    return n;
}

void values_stats(const struct tensor *t, struct value_stats *s)
{
    double x[BLOCK], sum = 0, squares = 0;
    size_t good = 0;

    memset(s, 0, sizeof *s);
    s->n = tensor_elements(t);
    for (size_t at = 0, n; at < s->n; at += n) {
        n = load(t, at, x);
        for (size_t i = 0; i < n; i++) {
            if (!isfinite(x[i])) {
                s->bad++;
                continue;
            }
            s->min = !good || x[i] < s->min ? x[i] : s->min;
            s->max = !good || x[i] > s->max ? x[i] : s->max;
            good++;
            sum += x[i];
            squares += x[i] * x[i];
        }
    }
    s->mean = good ? sum / (double)good : 0;
    s->norm = sqrt(squares);
}

static void add(struct value_diff *d, double x, double y)
{
    const double gap = fabs(x - y);

    if (isfinite(gap) && gap > d->max_abs)
        d->max_abs = gap;
    if (!isfinite(gap))
        return;
    d->gap2 += gap * gap;
    d->a2 += x * x;
    d->b2 += y * y;
    d->dot += x * y;
}

void values_compare(const struct tensor *a, const struct tensor *b, struct value_diff *d)
{
    double x[BLOCK], y[BLOCK];
    const size_t size = dtype_size(a->dtype);
    const int same = a->dtype == b->dtype;

    memset(d, 0, sizeof *d);
    d->n = tensor_elements(a);
    if (!d->n || (same && !memcmp(a->data, b->data, a->bytes)))
        return;
    for (size_t at = 0, n; at < d->n; at += n) {
        n = load(a, at, x);
        load(b, at, y);
        for (size_t i = 0; i < n; i++) {
            d->different += same ? memcmp((const char *)a->data + (at + i) * size,
                                          (const char *)b->data + (at + i) * size, size) != 0
                                 : !(x[i] <= y[i] && x[i] >= y[i]);
            add(d, x[i], y[i]);
        }
    }
}

double values_error(const struct value_diff *d)
{
    return d->a2 > 0 ? sqrt(d->gap2 / d->a2) : d->gap2 > 0 ? INFINITY : 0;
}

double values_cosine(const struct value_diff *d)
{
    const double norms = sqrt(d->a2) * sqrt(d->b2);

    return norms > 0 ? d->dot / norms : d->a2 > 0 || d->b2 > 0 ? 0 : 1;
}

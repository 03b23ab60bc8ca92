/* SPDX-License-Identifier: Apache-2.0 */
/* resize - see resize.h. */
#include "resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"

#define PI 3.14159265358979323846
#define CUBIC (-0.5) /* the parameter of the bicubic filter */

static double bilinear(double x)
{
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

static double bicubic(double x)
{
    x = fabs(x);
    if (x < 1)
        return ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * CUBIC : 0;
}

static double sinc(double x)
{
    return x == 0.0 ? 1 : sin(x * PI) / (x * PI);
}

static double lanczos(double x)
{
    return x > -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

static const struct {
    double (*at)(double x);
    double support; /* beyond it the filter is 0 */
} filters[] = {
    [RESIZE_BILINEAR] = {bilinear, 1},
    [RESIZE_BICUBIC] = {bicubic, 2},
    [RESIZE_LANCZOS] = {lanczos, 3},
};

/* What each place of an axis is made of. */
struct taps {
    size_t room;     /* weights of each place */
    size_t *first;   /* [out] */
    size_t *count;   /* [out] */
    int16_t *weight; /* [out, room] */
    unsigned bits;   /* behind the point */
};

static void taps_release(struct taps *t)
{
    free(t->first);
    free(t->count);
    free(t->weight);
}

/* The weights of place i as reals into w; returns the largest. */
static double taps_fill(struct taps *t, size_t i, size_t in, double scale, enum resize_filter f,
                        double *w)
{
    const double support = filters[f].support * (scale >= 1 ? scale : 1);
    const double center = scale * ((double)i + 0.5), inverse = scale >= 1 ? 1 / scale : 1;
    const double low = center - support + 0.5;
    double sum = 0, most = 0;
    size_t end = (size_t)(center + support + 0.5), k;

    t->first[i] = low > 0 ? (size_t)low : 0;
    end = end < in ? end : in;
    t->count[i] = end > t->first[i] ? end - t->first[i] : 0;
    if (t->count[i] > t->room)
        t->count[i] = t->room;
    for (k = 0; k < t->count[i]; k++) {
        w[k] = filters[f].at(((double)(k + t->first[i]) - center + 0.5) * inverse);
        sum += w[k];
    }
    for (k = 0; k < t->count[i]; k++) {
        w[k] /= sum > 0 || sum < 0 ? sum : 1;
        most = w[k] > most ? w[k] : most;
    }
    return most;
}

static int taps_make(struct taps *t, size_t in, size_t out, enum resize_filter f, struct err *e)
{
    const double scale = (double)in / (double)out;
    const double support = filters[f].support * (scale >= 1 ? scale : 1);
    double most = 0, *w = NULL, one;

    *t = (struct taps){.room = (size_t)ceil(support) * 2 + 1};
    if (!(t->first = mem_array(out, sizeof *t->first, e)) ||
        !(t->count = mem_array(out, sizeof *t->count, e)) ||
        !(t->weight = mem_array(out * t->room, sizeof *t->weight, e)) ||
        !(w = mem_array(out * t->room, sizeof *w, e)))
        return -1;
    for (size_t i = 0; i < out; i++) {
        const double m = taps_fill(t, i, in, scale, f, w + i * t->room);

        most = m > most ? m : most;
    }
    while (t->bits < 22 && (int)(0.5 + most * (double)(1 << (t->bits + 1))) < 1 << 15)
        t->bits++;
    one = (double)(1 << t->bits);
    for (size_t i = 0; i < out * t->room; i++)
        t->weight[i] = (int16_t)(w[i] < 0 ? -0.5 + w[i] * one : 0.5 + w[i] * one);
    free(w);
    return 0;
}

static uint8_t rounded(int32_t sum, unsigned bits)
{
    const int32_t v = sum >> bits;

    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* One row of `width` pixels out of one row. */
static void row_across(const struct taps *t, const uint8_t *from, size_t width, uint8_t *to)
{
    const int32_t half = t->bits ? 1 << (t->bits - 1) : 0;

    for (size_t i = 0; i < width; i++) {
        const int16_t *w = t->weight + i * t->room;
        const uint8_t *p = from + 3 * t->first[i];
        int32_t r = half, g = half, b = half;

        for (size_t k = 0; k < t->count[i]; k++, p += 3) {
            r += w[k] * p[0];
            g += w[k] * p[1];
            b += w[k] * p[2];
        }
        to[3 * i] = rounded(r, t->bits);
        to[3 * i + 1] = rounded(g, t->bits);
        to[3 * i + 2] = rounded(b, t->bits);
    }
}

/* Row i out of rows of `bytes` bytes each; sum [bytes] is scratch. */
static void row_down(const struct taps *t, size_t i, const uint8_t *from, size_t bytes,
                     int32_t *sum, uint8_t *to)
{
    const int16_t *w = t->weight + i * t->room;

    for (size_t x = 0; x < bytes; x++)
        sum[x] = t->bits ? 1 << (t->bits - 1) : 0;
    for (size_t k = 0; k < t->count[i]; k++) {
        const uint8_t *p = from + (t->first[i] + k) * bytes;

        for (size_t x = 0; x < bytes; x++)
            sum[x] += w[k] * p[x];
    }
    for (size_t x = 0; x < bytes; x++)
        to[x] = rounded(sum[x], t->bits);
}

static int across(const struct image *from, size_t width, enum resize_filter f, struct image *to,
                  struct err *e)
{
    struct taps t;
    int rc = taps_make(&t, from->width, width, f, e);

    if (rc == 0 && (rc = image_alloc(to, width, from->height, e)) == 0)
        for (size_t y = 0; y < from->height; y++)
            row_across(&t, from->rgb + 3 * y * from->width, width, to->rgb + 3 * y * width);
    taps_release(&t);
    return rc;
}

static int down(const struct image *from, size_t height, enum resize_filter f, struct image *to,
                struct err *e)
{
    const size_t bytes = 3 * from->width;
    int32_t *sum = mem_array(bytes, sizeof *sum, e);
    struct taps t = {0};
    int rc = sum ? taps_make(&t, from->height, height, f, e) : -1;

    if (rc == 0 && (rc = image_alloc(to, from->width, height, e)) == 0)
        for (size_t y = 0; y < height; y++)
            row_down(&t, y, from->rgb, bytes, sum, to->rgb + y * bytes);
    taps_release(&t);
    free(sum);
    return rc;
}

int resize_image(const struct image *from, size_t width, size_t height, enum resize_filter filter,
                 struct image *to, struct err *e)
{
    struct image middle = {0};
    const struct image *at = from;
    int rc = -1;

    *to = (struct image){0};
    if (width != from->width) {
        if (across(from, width, filter, &middle, e) < 0)
            goto out;
        at = &middle;
    }
    if (height != at->height) {
        rc = down(at, height, filter, to, e);
    } else if (at == &middle) {
        *to = middle;
        middle = (struct image){0};
        rc = 0;
    } else if ((rc = image_alloc(to, width, height, e)) == 0) {
        memcpy(to->rgb, from->rgb, 3 * width * height);
    }
out:
    image_release(&middle);
    if (rc < 0)
        image_release(to);
    return rc;
}

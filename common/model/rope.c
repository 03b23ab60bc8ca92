/* SPDX-License-Identifier: Apache-2.0 */
/* rope - default, linear and llama3 frequencies.
 *
 * The reference (transformers, modeling_rope_utils) forms frequencies and angles in f32; at
 * position 4096 one unit in the last place of a frequency is 2e-4 radians. So each step is
 * rounded to f32 where the reference rounds; only cos and sin of the f32 angle are taken in f64.
 * Leaves out: dynamic, yarn, longrope, partial and multi-axis rope. */
#include "rope.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "vec.h"

/* Long wavelengths are stretched by the factor, short ones kept, those between are blended. */
static float llama3_frequency(const struct rope_spec *c, float f)
{
    const float low = (float)c->low, high = (float)c->high, factor = (float)c->factor;
    const float original = (float)c->original;
    const float wave = (float)(2.0 * 3.14159265358979323846) / f;
    float s;

    if (wave > original / low)
        return f / factor;
    if (wave < original / high)
        return f;
    s = (original / wave - low) / (high - low);
    return (1.0f - s) * (f / factor) + s * f;
}

struct rope_spec rope_spec_of(const struct config *c)
{
    return (struct rope_spec){.type = c->rope,
                              .width = c->head_dim,
                              .theta = c->rope_theta,
                              .factor = c->rope_factor,
                              .low = c->rope_low,
                              .high = c->rope_high,
                              .original = c->rope_original};
}

int rope_spec_same(const struct rope_spec *a, const struct rope_spec *b)
{
    const double x[] = {a->theta, a->factor, a->low, a->high},
                 y[] = {b->theta, b->factor, b->low, b->high};

    return a->type == b->type && a->width == b->width && a->original == b->original &&
           memcmp(x, y, sizeof x) == 0;
}

int rope_init(struct rope *r, const struct rope_spec *c, struct err *e)
{
    memset(r, 0, sizeof *r);
    r->spec = *c;
    r->half = c->width / 2;
    r->inverse = mem_array(r->half, sizeof *r->inverse, e);
    if (!r->inverse)
        return -1;
    for (size_t i = 0; i < r->half; i++) {
        float exponent = (float)(2 * i) / (float)c->width;
        float f = 1.0f / (float)pow(c->theta, (double)exponent);

        if (c->type == ROPE_LINEAR)
            f /= (float)c->factor;
        r->inverse[i] = c->type == ROPE_LLAMA3 ? llama3_frequency(c, f) : f;
    }
    return 0;
}

int rope_reserve(struct rope *r, size_t length, struct err *e)
{
    size_t rows = r->room;
    float *both[2];

    if (length <= r->length)
        return 0;
    if (length > rows) {
        size_t want = rows * 2 > length ? rows * 2 : length, n;

        if (mem_mul(want, r->half, &n) != 0)
            return err_set(e, ERR_USE, "a sequence of %zu tokens is too long", length);
        both[0] = mem_raw(n, sizeof **both, e);
        both[1] = mem_raw(n, sizeof **both, e);
        if (!both[0] || !both[1]) {
            free(both[0]);
            free(both[1]);
            return -1;
        }
        if (r->length) {
            memcpy(both[0], r->cosine, r->length * r->half * sizeof **both);
            memcpy(both[1], r->sine, r->length * r->half * sizeof **both);
        }
        free(r->cosine);
        free(r->sine);
        r->cosine = both[0];
        r->sine = both[1];
        r->room = want;
    }
    for (; r->length < length; r->length++)
        for (size_t i = 0; i < r->half; i++) {
            float angle = (float)r->length * r->inverse[i];

            r->cosine[r->length * r->half + i] = (float)cos((double)angle);
            r->sine[r->length * r->half + i] = (float)sin((double)angle);
        }
    return 0;
}

void rope_release(struct rope *r)
{
    free(r->inverse);
    free(r->cosine);
    free(r->sine);
    memset(r, 0, sizeof *r);
}

void rope_apply(const struct rope *r, size_t position, size_t heads, float *x)
{
    const float *c = r->cosine + position * r->half, *s = r->sine + position * r->half;

    for (size_t h = 0; h < heads; h++)
        vec_rotate(x + h * 2 * r->half, c, s, r->half);
}

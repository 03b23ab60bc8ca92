/* SPDX-License-Identifier: Apache-2.0 */
/* rope - default, linear, dynamic, yarn, longrope, llama3 and proportional frequencies.
 *
 * The reference (transformers, modeling_rope_utils) forms frequencies and angles in f32; at
 * position 4096 one unit in the last place of a frequency is 2e-4 radians. So each step is
 * rounded to f32 where the reference rounds; only cos and sin of the f32 angle are taken in f64.
 * Where frequencies depend on the length, it is that of each sequence by itself; rows that come
 * behind a cache take the length so far, earlier keys stay as they are. The reference keeps the
 * longest dynamic frequencies it has seen; here nothing depends on other sequences. */
#include "rope.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "vec.h"

#define TURN (2.0 * 3.14159265358979323846)

/* ---- frequencies ---- */

/* Long wavelengths are stretched by the factor, short ones kept, those between are blended. */
static float llama3_frequency(const struct rope_spec *c, float f)
{
    const float low = (float)c->low, high = (float)c->high, factor = (float)c->factor;
    const float original = (float)c->original;
    const float wave = (float)TURN / f;
    float s;

    if (wave > original / low)
        return f / factor;
    if (wave < original / high)
        return f;
    s = (original / wave - low) / (high - low);
    return (1.0f - s) * (f / factor) + s * f;
}

/* Which frequency makes so many turns within the original length. */
static double yarn_at(const struct rope_spec *c, double turns)
{
    return (double)c->width * log((double)c->original / (turns * TURN)) / (2 * log(c->theta));
}

/* Those below the ramp are kept, those above it stretched. power: theta to the i-th exponent. */
static float yarn_frequency(const struct rope_spec *c, size_t i, float power)
{
    double low = yarn_at(c, c->high), high = yarn_at(c, c->low);
    float ramp, keep;

    if (!c->exact) {
        low = floor(low);
        high = ceil(high);
    }
    low = low > 0 ? low : 0;
    high = high < (double)c->width - 1 ? high : (double)c->width - 1;
    if (low == high)
        high += 0.001;
    ramp = ((float)i - (float)low) / (float)(high - low);
    ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
    keep = 1.0f - ramp;
    return 1.0f / ((float)c->factor * power) * (1.0f - keep) + 1.0f / power * keep;
}

/* The base grows with the length. */
static double dynamic_theta(const struct rope_spec *c, size_t length)
{
    const double n = (double)c->width;
    const float grown =
        (float)c->factor * (float)length / (float)c->original - (float)(c->factor - 1);

    return (double)((float)c->theta * (float)pow((double)grown, (double)(float)(n / (n - 2))));
}

static float frequency(const struct rope_spec *c, size_t i, size_t key)
{
    const double theta = c->type == ROPE_DYNAMIC ? dynamic_theta(c, key) : c->theta;
    const size_t width = c->axes == ROPE_GRID ? c->width / 2 : c->width;
    const float power = (float)pow(theta, (double)((float)(2 * (i % (width / 2))) / (float)width));

    switch (c->type) {
    case ROPE_PROPORTIONAL:
        return i < (size_t)(c->share * (double)c->width / 2) ? 1.0f / power / (float)c->factor : 0;
    case ROPE_LINEAR:
        return 1.0f / power / (float)c->factor;
    case ROPE_YARN:
        return yarn_frequency(c, i, power);
    case ROPE_LONGROPE:
        return 1.0f / ((float)(key ? c->extended : c->brief)[i] * power);
    case ROPE_LLAMA3:
        return llama3_frequency(c, 1.0f / power);
    default:
        return 1.0f / power;
    }
}

/* ---- tables ---- */

static size_t key_of(const struct rope_spec *c, size_t length)
{
    if (c->type == ROPE_DYNAMIC)
        return length > c->original ? length : c->original;
    return c->type == ROPE_LONGROPE && length > c->original;
}

int rope_spec_same(const struct rope_spec *a, const struct rope_spec *b)
{
    const double x[] = {a->theta, a->factor, a->low, a->high, a->scale, a->share},
                 y[] = {b->theta, b->factor, b->low, b->high, b->scale, b->share};

    return a->type == b->type && a->axes == b->axes && a->pairs == b->pairs &&
           memcmp(a->section, b->section, sizeof a->section) == 0 && a->width == b->width &&
           a->exact == b->exact && a->original == b->original && a->brief == b->brief &&
           a->extended == b->extended && memcmp(x, y, sizeof x) == 0;
}

void rope_init(struct rope *r, const struct rope_spec *spec)
{
    *r = (struct rope){.spec = *spec, .half = spec->width / 2};
}

static void table_release(struct rope_table *t)
{
    free(t->inverse);
    free(t->cosine);
    free(t->sine);
}

void rope_release(struct rope *r)
{
    for (size_t i = 0; i < r->count; i++)
        table_release(&r->table[i]);
    free(r->table);
    memset(r, 0, sizeof *r);
}

static struct rope_table *table_find(const struct rope *r, size_t key)
{
    size_t i = 0;

    while (i < r->count && r->table[i].key != key)
        i++;
    return i < r->count ? &r->table[i] : NULL;
}

static struct rope_table *table_add(struct rope *r, size_t key, struct err *e)
{
    struct rope_table *t;

    if (mem_grow((void **)&r->table, &r->room, r->count + 1, sizeof *r->table, e) < 0)
        return NULL;
    t = &r->table[r->count];
    *t = (struct rope_table){.key = key};
    if (!(t->inverse = mem_array(r->half, sizeof *t->inverse, e)))
        return NULL;
    for (size_t i = 0; i < r->half; i++)
        t->inverse[i] = frequency(&r->spec, i, key);
    r->count++;
    return t;
}

static int table_widen(struct rope_table *t, size_t half, size_t length, struct err *e)
{
    const size_t want = t->room * 2 > length ? t->room * 2 : length;
    float *both[2];
    size_t n;

    if (mem_mul(want, half, &n) != 0)
        return err_set(e, ERR_USE, "a sequence of %zu tokens is too long", length);
    both[0] = mem_raw(n, sizeof **both, e);
    both[1] = mem_raw(n, sizeof **both, e);
    if (!both[0] || !both[1]) {
        free(both[0]);
        free(both[1]);
        return -1;
    }
    if (t->length) {
        memcpy(both[0], t->cosine, t->length * half * sizeof **both);
        memcpy(both[1], t->sine, t->length * half * sizeof **both);
    }
    free(t->cosine);
    free(t->sine);
    t->cosine = both[0];
    t->sine = both[1];
    t->room = want;
    return 0;
}

static int table_reserve(struct rope_table *t, const struct rope *r, size_t length, struct err *e)
{
    const float scale = (float)r->spec.scale;

    if (length > t->room && table_widen(t, r->half, length, e) < 0)
        return -1;
    for (; t->length < length; t->length++)
        for (size_t i = 0; i < r->half; i++) {
            const float angle = (float)t->length * t->inverse[i];

            t->cosine[t->length * r->half + i] = (float)cos((double)angle) * scale;
            t->sine[t->length * r->half + i] = (float)sin((double)angle) * scale;
        }
    return 0;
}

/* Tables of single lengths are kept as long as a sequence has that length. */
static void tables_drop(struct rope *r, const size_t *lengths, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < r->count; i++) {
        size_t s = 0;

        while (s < count && key_of(&r->spec, lengths[s]) != r->table[i].key)
            s++;
        if (s < count)
            r->table[kept++] = r->table[i];
        else
            table_release(&r->table[i]);
    }
    r->count = kept;
}

int rope_reserve(struct rope *r, const size_t *lengths, size_t count, struct err *e)
{
    if (r->spec.type == ROPE_DYNAMIC)
        tables_drop(r, lengths, count);
    for (size_t s = 0; s < count; s++) {
        const size_t key = key_of(&r->spec, lengths[s]);
        struct rope_table *t = table_find(r, key);

        if ((!t && !(t = table_add(r, key, e))) || table_reserve(t, r, lengths[s], e) < 0)
            return -1;
    }
    return 0;
}

void rope_apply(const struct rope *r, size_t length, size_t position, size_t heads, size_t distance,
                float *x)
{
    const struct rope_table *t = table_find(r, key_of(&r->spec, length));
    const float *c = t->cosine + position * r->half, *s = t->sine + position * r->half;

    for (size_t h = 0; h < heads; h++)
        if (r->spec.pairs)
            vec_rotate_pairs(x + h * distance, c, s, r->half);
        else
            vec_rotate(x + h * distance, c, s, r->half);
}

static size_t axis_of(const struct rope *r, size_t i)
{
    const size_t *section = r->spec.section;

    if (r->spec.axes == ROPE_GRID)
        return i < r->half / 2 ? 1 : 2;
    if (r->spec.axes == ROPE_TURNS)
        return i < 3 * section[i % 3] ? i % 3 : 0;
    return i < section[0] ? 0 : i < section[0] + section[1] ? 1 : 2;
}

void rope_apply_axes(const struct rope *r, size_t reach, const int32_t position[3], size_t heads,
                     size_t distance, float *x)
{
    const struct rope_table *t = table_find(r, key_of(&r->spec, reach));
    float c[ROPE_AXES_WIDTH / 2], s[ROPE_AXES_WIDTH / 2];

    for (size_t i = 0; i < r->half; i++) {
        const size_t at = (size_t)position[axis_of(r, i)] * r->half + i;

        c[i] = t->cosine[at];
        s[i] = t->sine[at];
    }
    for (size_t h = 0; h < heads; h++)
        vec_rotate(x + h * distance, c, s, r->half);
}

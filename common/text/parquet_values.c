/* SPDX-License-Identifier: Apache-2.0 */
/* parquet_values - see parquet_values.h. Follows Encodings.md of
 * https://github.com/apache/parquet-format. */
#include "parquet_values.h"

#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "parquet_meta.h"
#include "parquet_thrift.h"

enum { TEXT_MAX = 128 << 20, BLOCK_MAX = 1 << 20, BLOCKS_MAX = 1 << 12 };

static int ends(const char *what, struct err *e)
{
    return err_set(e, ERR_USE, "%s: damaged data: values of a page end too early", what);
}

/* ---- bits ---- */

/* `width` bits (at most 64) from bit `bit` on; all of them are there. */
static uint64_t bits_get(const uint8_t *p, uint64_t bit, unsigned width)
{
    uint64_t v = 0;
    unsigned have = 0;

    p += bit / 8;
    bit %= 8;
    for (; have < width; p++, bit = 0) {
        v |= (uint64_t)(*p >> bit) << have;
        have += 8 - (unsigned)bit;
    }
    return width < 64 ? v & ((UINT64_C(1) << width) - 1) : v;
}

static uint32_t u32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t u64(const uint8_t *p)
{
    return u32(p) | (uint64_t)u32(p + 4) << 32;
}

/* ---- runs ---- */

void parquet_runs_start(struct parquet_runs *r, const void *data, size_t n, unsigned width)
{
    *r = (struct parquet_runs){.p = data, .end = (const uint8_t *)data + n, .width = width};
}

static int run_start(struct parquet_runs *r)
{
    struct thrift t = {.p = r->p, .end = r->end};
    const uint64_t head = thrift_varint(&t), room = (uint64_t)(t.end - t.p);
    uint64_t bytes = (r->width + 7) / 8;

    if (t.bad || head >> 1 > UINT32_MAX)
        return -1;
    r->packed = head & 1;
    r->left = r->packed ? (head >> 1) * 8 : head >> 1;
    if (r->packed) {
        bytes = (head >> 1) * r->width;
        bytes = bytes < room ? bytes : room; /* the last run may lack what nobody needs */
        r->bits = t.p;
        r->bit = 0;
        r->bits_end = bytes * 8;
    } else if (bytes > room) {
        return -1;
    } else {
        r->value = 0;
        for (unsigned i = 0; i < bytes; i++)
            r->value |= (uint32_t)t.p[i] << 8 * i;
    }
    r->p = t.p + bytes;
    return 0;
}

int parquet_runs_next(struct parquet_runs *r, uint32_t *value)
{
    while (!r->left)
        if (r->p == r->end || run_start(r) < 0)
            return -1;
    r->left--;
    if (!r->packed) {
        *value = r->value;
        return 0;
    }
    if (r->width > r->bits_end - r->bit)
        return -1;
    *value = (uint32_t)bits_get(r->bits, r->bit, r->width);
    r->bit += r->width;
    return 0;
}

/* ---- differences ---- */

static int delta_start(struct parquet_delta *d, const uint8_t *p, const uint8_t *end)
{
    struct thrift t = {.p = p, .end = end};
    const uint64_t block = thrift_varint(&t), blocks = thrift_varint(&t), count = thrift_varint(&t),
                   first = thrift_varint(&t);

    if (t.bad || !blocks || blocks > BLOCKS_MAX || block > BLOCK_MAX || block % blocks ||
        !(block / blocks) || block / blocks % 8)
        return -1;
    *d = (struct parquet_delta){.p = t.p,
                                .end = end,
                                .left = count,
                                .last = first >> 1 ^ (~(first & 1) + 1),
                                .blocks = (unsigned)blocks,
                                .part = (unsigned)blocks,
                                .parts = (unsigned)(block / blocks)};
    return 0;
}

/* The next miniblock. */
static int part_start(struct parquet_delta *d)
{
    struct thrift t = {.p = d->p, .end = d->end};
    size_t bytes;

    if (d->part == d->blocks) { /* of the next block */
        const uint64_t least = thrift_varint(&t);

        if (t.bad || (size_t)(t.end - t.p) < d->blocks)
            return -1;
        d->least = least >> 1 ^ (~(least & 1) + 1);
        d->widths = t.p;
        d->p = t.p + d->blocks;
        d->part = 0;
    }
    d->width = d->widths[d->part++];
    bytes = (size_t)d->parts / 8 * d->width;
    if (d->width > 64 || bytes > (size_t)(d->end - d->p))
        return -1;
    d->bits = d->p;
    d->p += bytes;
    d->at = 0;
    return 0;
}

static int delta_next(struct parquet_delta *d, uint64_t *v)
{
    if (!d->left)
        return -1;
    d->left--;
    if (d->begun) {
        if (!d->bits || d->at == d->parts)
            if (part_start(d) < 0)
                return -1;
        d->last += d->least + bits_get(d->bits, (uint64_t)d->at++ * d->width, d->width);
    }
    d->begun = 1;
    *v = d->last;
    return 0;
}

/* Where the bytes behind all values begin; NULL: not in the data. */
static const uint8_t *delta_end(struct parquet_delta d)
{
    for (uint64_t left = d.left ? d.left - 1 : 0; left; left -= left < d.parts ? left : d.parts)
        if (part_start(&d) < 0)
            return NULL;
    return d.p;
}

/* ---- dictionaries ---- */

static size_t plain_size(int type)
{
    return type == PARQUET_INT32 || type == PARQUET_FLOAT ? 4 : 8;
}

int parquet_dictionary_set(struct parquet_dictionary *d, int type, void *data, size_t n,
                           uint64_t count, const char *what, struct err *e)
{
    const size_t least = type == PARQUET_BYTES ? 4 : plain_size(type);
    size_t at = 0;

    parquet_dictionary_release(d);
    d->data = data;
    d->bytes = n;
    if (count > n / least)
        return ends(what, e);
    d->count = (size_t)count;
    if (type != PARQUET_BYTES)
        return 0;
    if (n > UINT32_MAX || !(d->at = mem_raw(d->count + 1, sizeof *d->at, e)))
        return n > UINT32_MAX ? ends(what, e) : -1;
    for (size_t i = 0; i < d->count; i++) {
        if (n - at < 4 || u32(d->data + at) > n - at - 4)
            return ends(what, e);
        d->at[i] = (uint32_t)at + 4;
        at += 4 + u32(d->data + at);
    }
    return 0;
}

void parquet_dictionary_release(struct parquet_dictionary *d)
{
    free(d->at);
    free(d->data);
    *d = (struct parquet_dictionary){.count = 0};
}

static void plain_number(int type, const uint8_t *p, struct parquet_value *x)
{
    float f;
    uint32_t bits;
    uint64_t wide;

    if (type == PARQUET_INT32) {
        x->i = (int32_t)u32(p);
    } else if (type == PARQUET_INT64) {
        x->i = (int64_t)u64(p);
    } else if (type == PARQUET_FLOAT) {
        bits = u32(p);
        memcpy(&f, &bits, sizeof f);
        x->d = (double)f;
    } else {
        wide = u64(p);
        memcpy(&x->d, &wide, sizeof x->d);
    }
}

/* ---- pages ---- */

static const char *encoding_name(int encoding)
{
    static const char *const names[] = {
        "PLAIN",          "GROUP_VAR_INT",       "PLAIN_DICTIONARY",        "RLE",
        "BIT_PACKED",     "DELTA_BINARY_PACKED", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY",
        "RLE_DICTIONARY", "BYTE_STREAM_SPLIT"};

    return encoding >= 0 && (size_t)encoding < sizeof names / sizeof *names ? names[encoding]
                                                                            : "unknown to it";
}

static int is_whole(int type)
{
    return type == PARQUET_INT32 || type == PARQUET_INT64;
}

/* 0, -1: they do not fit, 1: not such values. */
static int encoded_start(struct parquet_values *v, size_t n)
{
    switch (v->encoding) {
    case PARQUET_AS_PLAIN:
        return 0;
    case PARQUET_AS_PLAIN_DICTIONARY:
    case PARQUET_AS_DICTIONARY:
        if (!v->dictionary || !v->dictionary->data)
            return -1;
        if (n && *v->p > 32)
            return -1;
        parquet_runs_start(&v->runs, n ? v->p + 1 : v->p, n ? n - 1 : 0, n ? *v->p : 0);
        return 0;
    case PARQUET_AS_RLE:
        if (v->type != PARQUET_BOOLEAN)
            return 1;
        if (n < 4 || u32(v->p) > n - 4)
            return -1;
        parquet_runs_start(&v->runs, v->p + 4, u32(v->p), 1);
        return 0;
    case PARQUET_AS_DELTA:
        return is_whole(v->type) ? delta_start(&v->delta, v->p, v->end) : 1;
    case PARQUET_AS_DELTA_LENGTH:
        return v->type == PARQUET_BYTES
                   ? delta_start(&v->delta, v->p, v->end) || !(v->p = delta_end(v->delta)) ? -1 : 0
                   : 1;
    case PARQUET_AS_DELTA_BYTES:
        return v->type == PARQUET_BYTES
                   ? delta_start(&v->prefix, v->p, v->end) || !(v->p = delta_end(v->prefix)) ||
                             delta_start(&v->delta, v->p, v->end) || !(v->p = delta_end(v->delta))
                         ? -1
                         : 0
                   : 1;
    default:
        return 1;
    }
}

int parquet_values_start(struct parquet_values *v, int type, int encoding, const void *data,
                         size_t n, const struct parquet_dictionary *d, const char *what,
                         struct err *e)
{
    int rc;

    v->type = type;
    v->encoding = encoding;
    v->p = data;
    v->end = v->p + n;
    v->bit = 0;
    v->length = 0;
    v->dictionary = d;
    rc = encoded_start(v, n);
    if (rc > 0)
        return err_set(e, ERR_USE, "%s: encoding %s is not read", what, encoding_name(encoding));
    return rc == 0 ? 0
                   : err_set(e, ERR_USE, "%s: damaged data: no values of encoding %s", what,
                             encoding_name(encoding));
}

void parquet_values_release(struct parquet_values *v)
{
    free(v->text);
    *v = (struct parquet_values){.type = 0};
}

static int bytes_take(struct parquet_values *v, uint64_t n, struct parquet_value *x)
{
    if (n > (uint64_t)(v->end - v->p))
        return -1;
    x->bytes = v->p;
    x->n = (size_t)n;
    v->p += n;
    return 0;
}

static int plain_next(struct parquet_values *v, struct parquet_value *x)
{
    const size_t left = (size_t)(v->end - v->p);

    if (v->type == PARQUET_BYTES) {
        const uint64_t n = left < 4 ? 0 : u32(v->p);

        if (left < 4)
            return -1;
        v->p += 4;
        return bytes_take(v, n, x);
    }
    if (v->type == PARQUET_BOOLEAN) {
        if (!left)
            return -1;
        x->i = *v->p >> v->bit & 1;
        v->bit = (v->bit + 1) % 8;
        v->p += v->bit == 0;
        return 0;
    }
    if (left < plain_size(v->type))
        return -1;
    plain_number(v->type, v->p, x);
    v->p += plain_size(v->type);
    return 0;
}

static int dictionary_next(struct parquet_values *v, struct parquet_value *x)
{
    const struct parquet_dictionary *d = v->dictionary;
    uint32_t i;

    if (parquet_runs_next(&v->runs, &i) < 0 || i >= d->count)
        return -1;
    if (v->type == PARQUET_BYTES) {
        x->bytes = d->data + d->at[i];
        x->n = u32(x->bytes - 4);
    } else {
        plain_number(v->type, d->data + i * plain_size(v->type), x);
    }
    return 0;
}

/* The beginning of the last text, and what comes behind it. */
static int text_next(struct parquet_values *v, struct parquet_value *x, struct err *e)
{
    uint64_t keep, n;
    void *p = v->text;

    if (delta_next(&v->prefix, &keep) < 0 || delta_next(&v->delta, &n) < 0 || keep > v->length ||
        n > TEXT_MAX - keep || bytes_take(v, n, x) < 0)
        return -1;
    if (mem_grow(&p, &v->room, (size_t)(keep + n) + 1, 1, e) < 0)
        return -1;
    v->text = p;
    if (n)
        memcpy(v->text + keep, x->bytes, (size_t)n);
    v->length = (size_t)(keep + n);
    x->bytes = v->text;
    x->n = v->length;
    return 0;
}

int parquet_values_next(struct parquet_values *v, struct parquet_value *x, const char *what,
                        struct err *e)
{
    uint64_t wide;
    uint32_t one;
    int rc = -1;

    switch (v->encoding) {
    case PARQUET_AS_PLAIN:
        rc = plain_next(v, x);
        break;
    case PARQUET_AS_PLAIN_DICTIONARY:
    case PARQUET_AS_DICTIONARY:
        rc = dictionary_next(v, x);
        break;
    case PARQUET_AS_RLE:
        if ((rc = parquet_runs_next(&v->runs, &one)) == 0)
            x->i = one;
        break;
    case PARQUET_AS_DELTA:
        if ((rc = delta_next(&v->delta, &wide)) == 0)
            x->i = v->type == PARQUET_INT32 ? (int64_t)(int32_t)wide : (int64_t)wide;
        break;
    case PARQUET_AS_DELTA_LENGTH:
        if ((rc = delta_next(&v->delta, &wide)) == 0)
            rc = bytes_take(v, wide, x);
        break;
    default:
        if ((rc = text_next(v, x, e)) < 0 && e && e->kind)
            return -1;
        break;
    }
    return rc == 0 ? 0 : ends(what, e);
}

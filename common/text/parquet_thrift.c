/* SPDX-License-Identifier: Apache-2.0 */
/* parquet_thrift - see parquet_thrift.h. */
#include "parquet_thrift.h"

enum { DEPTH_MAX = 32 };

static void broken(struct thrift *t)
{
    t->bad = 1;
    t->p = t->end;
}

static unsigned byte(struct thrift *t)
{
    if (t->p < t->end)
        return *t->p++;
    broken(t);
    return 0;
}

uint64_t thrift_varint(struct thrift *t)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        const unsigned b = byte(t);

        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return v;
    }
    broken(t);
    return 0;
}

static int64_t zigzag(uint64_t v)
{
    return (int64_t)(v >> 1 ^ (~(v & 1) + 1));
}

enum thrift_type thrift_field(struct thrift *t, int *id)
{
    const unsigned b = byte(t), type = b & 15;

    if (type == THRIFT_STOP || t->bad)
        return THRIFT_STOP;
    if (b >> 4)
        *id += (int)(b >> 4);
    else
        *id = (int)(int16_t)zigzag(thrift_varint(t));
    if (type > THRIFT_STRUCT)
        broken(t);
    return t->bad ? THRIFT_STOP : (enum thrift_type)type;
}

int64_t thrift_int(struct thrift *t, enum thrift_type type)
{
    if (type == THRIFT_I8)
        return (int8_t)byte(t);
    if (type != THRIFT_I16 && type != THRIFT_I32 && type != THRIFT_I64)
        broken(t);
    return zigzag(thrift_varint(t));
}

int thrift_bool(struct thrift *t, enum thrift_type type)
{
    if (type != THRIFT_TRUE && type != THRIFT_FALSE)
        broken(t);
    return type == THRIFT_TRUE;
}

static const uint8_t *bytes(struct thrift *t, size_t *n)
{
    const uint64_t want = thrift_varint(t);
    const uint8_t *at;

    if (want > (uint64_t)(t->end - t->p))
        broken(t);
    *n = t->bad ? 0 : (size_t)want;
    at = t->p;
    t->p += *n;
    return at;
}

const uint8_t *thrift_bytes(struct thrift *t, enum thrift_type type, size_t *n)
{
    if (type != THRIFT_BYTES)
        broken(t);
    return bytes(t, n);
}

static size_t list(struct thrift *t, unsigned *of)
{
    const unsigned head = byte(t);
    const uint64_t n = head >> 4 == 15 ? thrift_varint(t) : head >> 4;

    *of = head & 15;
    if (n > (uint64_t)(t->end - t->p))
        broken(t);
    return t->bad ? 0 : (size_t)n;
}

size_t thrift_list(struct thrift *t, enum thrift_type type, enum thrift_type of)
{
    unsigned is;
    size_t n;

    if (type != THRIFT_LIST)
        broken(t);
    n = list(t, &is);
    if (n && is != of)
        broken(t);
    return t->bad ? 0 : n;
}

void thrift_struct(struct thrift *t, enum thrift_type type)
{
    if (type != THRIFT_STRUCT)
        broken(t);
}

static void skip(struct thrift *t, unsigned type, int depth);

static void skip_fields(struct thrift *t, int depth)
{
    enum thrift_type type;
    int id = 0;

    while ((type = thrift_field(t, &id)) != THRIFT_STOP)
        if (type != THRIFT_TRUE && type != THRIFT_FALSE)
            skip(t, type, depth);
}

static void skip_map(struct thrift *t, int depth)
{
    const uint64_t n = thrift_varint(t);
    unsigned types;

    if (!n)
        return;
    types = byte(t);
    for (uint64_t i = 0; i < n && !t->bad; i++) {
        skip(t, types >> 4, depth);
        skip(t, types & 15, depth);
    }
}

/* A value; a truth in a list or a map has a byte of its own, in a field it has none. */
static void skip(struct thrift *t, unsigned type, int depth)
{
    unsigned of;
    size_t n;

    if (depth == DEPTH_MAX || type == THRIFT_STOP || type > THRIFT_STRUCT) {
        broken(t);
    } else if (type <= THRIFT_I8) {
        byte(t);
    } else if (type <= THRIFT_I64) {
        thrift_varint(t);
    } else if (type == THRIFT_DOUBLE) {
        for (int i = 0; i < 8; i++)
            byte(t);
    } else if (type == THRIFT_BYTES) {
        bytes(t, &n);
    } else if (type <= THRIFT_SET) {
        n = list(t, &of);
        for (size_t i = 0; i < n && !t->bad; i++)
            skip(t, of, depth + 1);
    } else if (type == THRIFT_MAP) {
        skip_map(t, depth + 1);
    } else {
        skip_fields(t, depth + 1);
    }
}

void thrift_skip(struct thrift *t, enum thrift_type type)
{
    if (type != THRIFT_TRUE && type != THRIFT_FALSE)
        skip(t, type, 0);
}

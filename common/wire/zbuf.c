/* SPDX-License-Identifier: Apache-2.0 */
/* zbuf - codecs of tensor payloads. zstd at level 1: links are faster than higher levels. The
 * split codecs know only the width of an element (2 or 4 bytes), so bf16+zstd serves f16 too. */
#include "zbuf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "../base/mem.h"

#define LEVEL 1
#define LENGTH_FIELD sizeof(uint64_t)

static const char *const names[ZC_COUNT] = {"raw", "zstd", "bf16+zstd", "f32+zstd"};

const char *zbuf_name(enum zcodec c)
{
    return (unsigned)c < ZC_COUNT ? names[c] : "?";
}

int zbuf_parse(const char *name, enum zcodec *c)
{
    for (int i = 0; name && i < ZC_COUNT; i++)
        if (!strcmp(names[i], name)) {
            *c = (enum zcodec)i;
            return 0;
        }
    return -1;
}

enum zcodec zbuf_best(enum dtype t)
{
    switch (t) {
    case DT_BF16:
    case DT_F16:
        return ZC_BF16_ZSTD;
    case DT_F32:
        return ZC_F32_ZSTD;
    default:
        return ZC_ZSTD;
    }
}

/* Bytes of an element of a split codec; 0: the codec does not split. */
static size_t split_width(enum zcodec c)
{
    return c == ZC_BF16_ZSTD ? 2 : c == ZC_F32_ZSTD ? 4 : 0;
}

/* Byte planes, the highest first, each n bytes. */
static void planes_split(const unsigned char *raw, size_t n, size_t width, unsigned char *planes)
{
    for (size_t b = 0; b < width; b++) {
        const unsigned char *from = raw + width - 1 - b;
        unsigned char *to = planes + b * n;

        for (size_t i = 0; i < n; i++)
            to[i] = from[i * width];
    }
}

static void planes_join(const unsigned char *high, const unsigned char *low, size_t n, size_t width,
                        unsigned char *raw)
{
    for (size_t b = 0; b < width; b++) {
        const unsigned char *from = b < width / 2 ? high + b * n : low + (b - width / 2) * n;
        unsigned char *to = raw + width - 1 - b;

        for (size_t i = 0; i < n; i++)
            to[i * width] = from[i];
    }
}

static int squeeze(const void *src, size_t n, void *dst, size_t room, size_t *used, struct err *e)
{
    size_t got = ZSTD_compress(dst, room, src, n, LEVEL);

    if (ZSTD_isError(got))
        return err_set(e, ERR_SYS, "zstd cannot compress %zu bytes: %s", n, ZSTD_getErrorName(got));
    *used = got;
    return 0;
}

static int pack_split(size_t width, const void *raw, size_t raw_bytes, void **out,
                      size_t *out_bytes, struct err *e)
{
    size_t n = raw_bytes / width, half = raw_bytes / 2, room, used;
    unsigned char *planes = NULL, *packed = NULL;
    uint64_t length;
    int rc = -1;

    if (raw_bytes % width)
        return err_set(e, ERR_USE, "%zu bytes are not whole elements of %zu bytes", raw_bytes,
                       width);
    room = ZSTD_compressBound(half);
    planes = mem_raw(raw_bytes, 1, e);
    packed = mem_raw(LENGTH_FIELD + room + half, 1, e);
    if (!planes || !packed)
        goto out;
    planes_split(raw, n, width, planes);
    if (squeeze(planes, half, packed + LENGTH_FIELD, room, &used, e) < 0)
        goto out;
    length = used;
    memcpy(packed, &length, sizeof length);
    memcpy(packed + LENGTH_FIELD + used, planes + half, half);
    *out = packed;
    *out_bytes = LENGTH_FIELD + used + half;
    packed = NULL;
    rc = 0;
out:
    free(packed);
    free(planes);
    return rc;
}

int zbuf_pack(enum zcodec c, const void *raw, size_t raw_bytes, void **out, size_t *out_bytes,
              struct err *e)
{
    size_t room;
    void *packed;

    if (split_width(c))
        return pack_split(split_width(c), raw, raw_bytes, out, out_bytes, e);
    if ((unsigned)c >= ZC_COUNT)
        return err_set(e, ERR_USE, "unknown codec %d", (int)c);
    room = c == ZC_RAW ? raw_bytes : ZSTD_compressBound(raw_bytes);
    packed = mem_raw(room, 1, e);
    if (!packed)
        return -1;
    if (c == ZC_RAW) {
        if (raw_bytes)
            memcpy(packed, raw, raw_bytes);
        *out_bytes = raw_bytes;
    } else if (squeeze(raw, raw_bytes, packed, room, out_bytes, e) < 0) {
        free(packed);
        return -1;
    }
    *out = packed;
    return 0;
}

/* One frame that fills src exactly and gives exactly n bytes. */
static int unsqueeze(const void *src, size_t src_bytes, void *dst, size_t n, struct err *e)
{
    size_t frame = ZSTD_findFrameCompressedSize(src, src_bytes), got;

    if (ZSTD_isError(frame) || frame != src_bytes)
        return err_set(e, ERR_USE, "is not one whole zstd frame");
    got = ZSTD_decompress(dst, n, src, src_bytes);
    if (ZSTD_isError(got))
        return err_set(e, ERR_USE, "bad zstd data: %s", ZSTD_getErrorName(got));
    if (got != n)
        return err_set(e, ERR_USE, "zstd data unpacks to %zu bytes, must be %zu", got, n);
    return 0;
}

static int unpack_split(size_t width, const unsigned char *packed, size_t packed_bytes, void *raw,
                        size_t raw_bytes, struct err *e)
{
    size_t half = raw_bytes / 2;
    unsigned char *high;
    uint64_t length;
    int rc;

    if (raw_bytes % width)
        return err_set(e, ERR_USE, "%zu bytes are not whole elements of %zu bytes", raw_bytes,
                       width);
    if (packed_bytes < LENGTH_FIELD || packed_bytes - LENGTH_FIELD < half)
        return err_set(e, ERR_USE, "is too short for its codec");
    memcpy(&length, packed, sizeof length);
    if (length != packed_bytes - LENGTH_FIELD - half)
        return err_set(e, ERR_USE, "the length of its zstd frame does not fit its size");
    high = mem_raw(half, 1, e);
    if (!high)
        return -1;
    packed += LENGTH_FIELD;
    rc = unsqueeze(packed, (size_t)length, high, half, e);
    if (rc == 0)
        planes_join(high, packed + length, raw_bytes / width, width, raw);
    free(high);
    return rc;
}

int zbuf_unpack(enum zcodec c, const void *packed, size_t packed_bytes, void *raw, size_t raw_bytes,
                struct err *e)
{
    if (split_width(c))
        return unpack_split(split_width(c), packed, packed_bytes, raw, raw_bytes, e);
    if (c == ZC_ZSTD)
        return unsqueeze(packed, packed_bytes, raw, raw_bytes, e);
    if (c != ZC_RAW)
        return err_set(e, ERR_USE, "unknown codec %d", (int)c);
    if (packed_bytes != raw_bytes)
        return err_set(e, ERR_USE, "has %zu bytes, must have %zu", packed_bytes, raw_bytes);
    if (raw_bytes)
        memcpy(raw, packed, raw_bytes);
    return 0;
}

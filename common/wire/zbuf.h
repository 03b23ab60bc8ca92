/* SPDX-License-Identifier: Apache-2.0 */
/* zbuf - codecs of tensor payloads. The only file that includes zstd.
 *   raw         the bytes as they are
 *   zstd        one zstd frame
 *   bf16+zstd   high bytes in one zstd frame, low bytes raw behind it (the low plane does not
 *               compress)
 *   f32+zstd    the two high byte planes in one zstd frame, the two low planes raw behind it
 * Layout of the split codecs: u64 little-endian length of the zstd frame, the frame, the raw low
 * plane(s). */
#ifndef PTQ_ZBUF_H
#define PTQ_ZBUF_H

#include <stddef.h>
#include "../base/err.h"
#include "../tensor/dtype.h"

enum zcodec { ZC_RAW, ZC_ZSTD, ZC_BF16_ZSTD, ZC_F32_ZSTD, ZC_COUNT };

const char *zbuf_name(enum zcodec c);
int zbuf_parse(const char *name, enum zcodec *c);
/* the codec that pays for this dtype when compression is on */
enum zcodec zbuf_best(enum dtype t);
/* *out is malloc'd. */
int zbuf_pack(enum zcodec c, const void *raw, size_t raw_bytes, void **out, size_t *out_bytes,
              struct err *e);
/* raw has exactly raw_bytes of room; anything else than exactly that many bytes is an error. */
int zbuf_unpack(enum zcodec c, const void *packed, size_t packed_bytes, void *raw, size_t raw_bytes,
                struct err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* gptq_format - the GPTQ v1 layout on disk: packing and unpacking of codes and zeros
 * (notes/peers 5a). Golden: data/golden-pack.
 *   qweight I32 [K*b/32, N], qzeros I32 [G, N*b/32] holding zero-1, scales F16 [G, N],
 *   g_idx I32 [K] = k / group. */
#ifndef PTQ_GPTQ_FORMAT_H
#define PTQ_GPTQ_FORMAT_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"

/* 0, or -1 with the reason why this shape cannot be stored (K*b, N*b multiples of 32; 3 bits: K,
 * N multiples of 32). */
int gptq_check(size_t N, size_t K, int bits, int64_t group, const char *name, struct err *e);
int gptq_pack_codes(size_t N, size_t K, int bits, const uint8_t *codes /*[N,K]*/,
                    uint32_t *qweight);
int gptq_unpack_codes(size_t N, size_t K, int bits, const uint32_t *qweight, uint8_t *codes);
/* zeros U8 [N,G], each in 1 .. 2^b (v1 cannot store 0: -1, the caller's error). */
int gptq_pack_zeros(size_t N, size_t G, int bits, const uint8_t *zeros, uint32_t *qzeros,
                    const char *name, struct err *e);
int gptq_unpack_zeros(size_t N, size_t G, int bits, const uint32_t *qzeros, uint8_t *zeros);

#endif

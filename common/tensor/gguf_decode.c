/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_decode - blocks of GGUF's element types to f32: Q8_0, Q4_0, Q4_1 and the plain floats.
 *
 * A block is 32 elements of a row: f16 step d (Q4_1: and minimum m), then bytes; of a nibble
 * pair the low one is element j, the high one j + 16. Left out: the k-, i- and other quants. */
#include <string.h>
#include "gguf.h"

#define BLOCK 32

static float half_at(const unsigned char *p)
{
    uint16_t h;

    memcpy(&h, p, sizeof h);
    return f16_to_f32(h);
}

static void decode_q8_0(const unsigned char *p, size_t blocks, float *dst)
{
    for (; blocks--; p += 34, dst += BLOCK) {
        float d = half_at(p);

        for (int i = 0; i < BLOCK; i++)
            dst[i] = (float)(int8_t)p[2 + i] * d;
    }
}

static void decode_q4_0(const unsigned char *p, size_t blocks, float *dst)
{
    for (; blocks--; p += 18, dst += BLOCK) {
        float d = half_at(p);

        for (int i = 0; i < BLOCK / 2; i++) {
            dst[i] = (float)((p[2 + i] & 15) - 8) * d;
            dst[i + BLOCK / 2] = (float)((p[2 + i] >> 4) - 8) * d;
        }
    }
}

static void decode_q4_1(const unsigned char *p, size_t blocks, float *dst)
{
    for (; blocks--; p += 20, dst += BLOCK) {
        float d = half_at(p), m = half_at(p + 2);

        for (int i = 0; i < BLOCK / 2; i++) {
            dst[i] = (float)(p[4 + i] & 15) * d + m;
            dst[i + BLOCK / 2] = (float)(p[4 + i] >> 4) * d + m;
        }
    }
}

int gguf_decode(uint32_t type, const void *src, size_t n, float *dst)
{
    switch (type) {
    case GGUF_F32:
        return dtype_to_f32(DT_F32, src, n, dst);
    case GGUF_F16:
        return dtype_to_f32(DT_F16, src, n, dst);
    case GGUF_BF16:
        return dtype_to_f32(DT_BF16, src, n, dst);
    case GGUF_Q8_0:
        decode_q8_0(src, n / BLOCK, dst);
        return n % BLOCK ? -1 : 0;
    case GGUF_Q4_0:
        decode_q4_0(src, n / BLOCK, dst);
        return n % BLOCK ? -1 : 0;
    case GGUF_Q4_1:
        decode_q4_1(src, n / BLOCK, dst);
        return n % BLOCK ? -1 : 0;
    default:
        return -1;
    }
}

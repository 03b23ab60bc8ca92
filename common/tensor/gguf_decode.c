/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_decode - GGUF's element types, and their blocks to f32: the plain floats, the blocks of 32
 * (Q4_0 to Q8_0, IQ4_NL) and the super-blocks of 256 (Q2_K to Q6_K, IQ4_XS).
 *
 * Layouts: ggml/src/ggml-common.h; products in the order of ggml's reference functions, so that
 * the f32 values are theirs to the bit. A block of 32 has an f16 step d (and a minimum m), then
 * codes: of a byte the low nibble is element j, the high one j + 16. A super-block has steps of
 * its parts in a few bits each, times d. Left out: the other i-quants and ternary types. */
#include <stdio.h>
#include <string.h>
#include "gguf.h"

#define BLOCK 32
#define SUPER 256

/* The levels of IQ4_NL and IQ4_XS. */
static const int8_t LEVELS[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                  1,    13,   25,  38,  53,  69,  89,  113};

static float half_at(const unsigned char *p)
{
    uint16_t h;

    memcpy(&h, p, sizeof h);
    return f16_to_f32(h);
}

/* ---- blocks of 32 ---- */

static void decode_q8_0(const unsigned char *p, float *dst)
{
    float d = half_at(p);

    for (int i = 0; i < BLOCK; i++)
        dst[i] = (float)(int8_t)p[2 + i] * d;
}

static void decode_q4_0(const unsigned char *p, float *dst)
{
    float d = half_at(p);

    for (int i = 0; i < BLOCK / 2; i++) {
        dst[i] = (float)((p[2 + i] & 15) - 8) * d;
        dst[i + BLOCK / 2] = (float)((p[2 + i] >> 4) - 8) * d;
    }
}

static void decode_q4_1(const unsigned char *p, float *dst)
{
    float d = half_at(p), m = half_at(p + 2);

    for (int i = 0; i < BLOCK / 2; i++) {
        dst[i] = (float)(p[4 + i] & 15) * d + m;
        dst[i + BLOCK / 2] = (float)(p[4 + i] >> 4) * d + m;
    }
}

/* Code i of 5 bits: a nibble of low[16], and bit i of high[4]. */
static int code5(const unsigned char *high, const unsigned char *low, int i)
{
    int nibble = i < BLOCK / 2 ? low[i] & 15 : low[i - BLOCK / 2] >> 4;

    return nibble | (high[i / 8] >> i % 8 & 1) << 4;
}

static void decode_q5_0(const unsigned char *p, float *dst)
{
    float d = half_at(p);

    for (int i = 0; i < BLOCK; i++)
        dst[i] = (float)(code5(p + 2, p + 6, i) - 16) * d;
}

static void decode_q5_1(const unsigned char *p, float *dst)
{
    float d = half_at(p), m = half_at(p + 2);

    for (int i = 0; i < BLOCK; i++)
        dst[i] = (float)code5(p + 4, p + 8, i) * d + m;
}

static void levels_decode(const unsigned char *p, float d, float *dst)
{
    for (int i = 0; i < BLOCK / 2; i++) {
        dst[i] = d * (float)LEVELS[p[i] & 15];
        dst[i + BLOCK / 2] = d * (float)LEVELS[p[i] >> 4];
    }
}

static void decode_iq4_nl(const unsigned char *p, float *dst)
{
    levels_decode(p + 2, half_at(p), dst);
}

/* ---- super-blocks: parts of 16 or 32 elements ---- */

/* Codes of 2 bits: 32 bytes hold four runs of 32 elements, one in each pair of bits. */
static int code2(const unsigned char *p, int i)
{
    return p[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
}

static void decode_q2_k(const unsigned char *p, float *dst)
{
    const unsigned char *codes = p + 16;
    float d = half_at(p + 80), m = half_at(p + 82);

    for (int i = 0; i < SUPER; i++) {
        int s = p[i / 16];

        dst[i] = d * (float)(s & 15) * (float)code2(codes, i) - m * (float)(s >> 4);
    }
}

static void decode_q3_k(const unsigned char *p, float *dst)
{
    const unsigned char *codes = p + 32, *steps = p + 96;
    float d = half_at(p + 108);

    for (int i = 0; i < SUPER; i++) {
        int k = i / 16, low = k < 8 ? steps[k] & 15 : steps[k - 8] >> 4,
            step = (low | (steps[8 + k % 4] >> k / 4 * 2 & 3) << 4) - 32,
            high = p[i % 32] >> i / 32 & 1;

        dst[i] = d * (float)step * (float)(code2(codes, i) - (high ? 0 : 4));
    }
}

/* Step and minimum of part k of Q4_K and Q5_K, 6 bits each. */
static void steps6(const unsigned char *s, int k, int *step, int *min)
{
    if (k < 4) {
        *step = s[k] & 63;
        *min = s[k + 4] & 63;
        return;
    }
    *step = (s[k + 4] & 15) | s[k - 4] >> 6 << 4;
    *min = s[k + 4] >> 4 | s[k] >> 6 << 4;
}

/* high: the fifth bits [32], NULL: there are none. */
static void decode_k45(const unsigned char *p, const unsigned char *high,
                       const unsigned char *codes, float *dst)
{
    float d = half_at(p), m = half_at(p + 2);

    for (int k = 0; k < SUPER / BLOCK; k++) {
        int step, min;
        float part, down;

        steps6(p + 4, k, &step, &min);
        part = d * (float)step;
        down = m * (float)min;
        for (int i = 0; i < BLOCK; i++) {
            int byte = codes[k / 2 * BLOCK + i], code = k % 2 ? byte >> 4 : byte & 15;

            if (high)
                code |= (high[i] >> k & 1) << 4;
            dst[k * BLOCK + i] = part * (float)code - down;
        }
    }
}

static void decode_q4_k(const unsigned char *p, float *dst)
{
    decode_k45(p, NULL, p + 16, dst);
}

static void decode_q5_k(const unsigned char *p, float *dst)
{
    decode_k45(p, p + 16, p + 48, dst);
}

static void decode_q6_k(const unsigned char *p, float *dst)
{
    const unsigned char *steps = p + 192;
    float d = half_at(p + 208);

    for (int i = 0; i < SUPER; i++) {
        int half = i / 128, byte = p[half * 64 + i % 64],
            low = i % 128 < 64 ? byte & 15 : byte >> 4, code = low | code2(p + 128, i) << 4;

        dst[i] = d * (float)(int8_t)steps[i / 16] * (float)(code - 32);
    }
}

static void decode_iq4_xs(const unsigned char *p, float *dst)
{
    float d = half_at(p);
    int high = p[2] | p[3] << 8;

    for (int k = 0; k < SUPER / BLOCK; k++) {
        int step = (p[4 + k / 2] >> k % 2 * 4 & 15) | (high >> k * 2 & 3) << 4;

        levels_decode(p + 8 + k * BLOCK / 2, d * (float)(step - 32), dst + k * BLOCK);
    }
}

/* All types that are known: one without a decoder has its size here, so that a file that holds
 * it can be listed. */
static const struct gguf_type_info TYPES[] = {{GGUF_F32, "F32", 1, 4, NULL},
                                              {GGUF_F16, "F16", 1, 2, NULL},
                                              {GGUF_BF16, "BF16", 1, 2, NULL},
                                              {GGUF_Q4_0, "Q4_0", BLOCK, 18, decode_q4_0},
                                              {GGUF_Q4_1, "Q4_1", BLOCK, 20, decode_q4_1},
                                              {GGUF_Q5_0, "Q5_0", BLOCK, 22, decode_q5_0},
                                              {GGUF_Q5_1, "Q5_1", BLOCK, 24, decode_q5_1},
                                              {GGUF_Q8_0, "Q8_0", BLOCK, 34, decode_q8_0},
                                              {GGUF_Q2_K, "Q2_K", SUPER, 84, decode_q2_k},
                                              {GGUF_Q3_K, "Q3_K", SUPER, 110, decode_q3_k},
                                              {GGUF_Q4_K, "Q4_K", SUPER, 144, decode_q4_k},
                                              {GGUF_Q5_K, "Q5_K", SUPER, 176, decode_q5_k},
                                              {GGUF_Q6_K, "Q6_K", SUPER, 210, decode_q6_k},
                                              {GGUF_IQ4_NL, "IQ4_NL", BLOCK, 18, decode_iq4_nl},
                                              {GGUF_IQ4_XS, "IQ4_XS", SUPER, 136, decode_iq4_xs},
                                              {9, "Q8_1", BLOCK, 36, NULL},
                                              {15, "Q8_K", SUPER, 292, NULL},
                                              {16, "IQ2_XXS", SUPER, 66, NULL},
                                              {17, "IQ2_XS", SUPER, 74, NULL},
                                              {18, "IQ3_XXS", SUPER, 98, NULL},
                                              {19, "IQ1_S", SUPER, 50, NULL},
                                              {21, "IQ3_S", SUPER, 110, NULL},
                                              {22, "IQ2_S", SUPER, 82, NULL},
                                              {24, "I8", 1, 1, NULL},
                                              {25, "I16", 1, 2, NULL},
                                              {26, "I32", 1, 4, NULL},
                                              {27, "I64", 1, 8, NULL},
                                              {28, "F64", 1, 8, NULL},
                                              {29, "IQ1_M", SUPER, 56, NULL},
                                              {34, "TQ1_0", SUPER, 54, NULL},
                                              {35, "TQ2_0", SUPER, 66, NULL},
                                              {39, "MXFP4", BLOCK, 17, NULL}};

#define COUNT (sizeof TYPES / sizeof TYPES[0])

const struct gguf_type_info *gguf_type_find(uint32_t type)
{
    for (size_t i = 0; i < COUNT; i++)
        if (TYPES[i].type == type)
            return &TYPES[i];
    return NULL;
}

int gguf_decode(uint32_t type, const void *src, size_t n, float *dst)
{
    const struct gguf_type_info *t = gguf_type_find(type);
    const unsigned char *p = src;

    switch (type) {
    case GGUF_F32:
        return dtype_to_f32(DT_F32, src, n, dst);
    case GGUF_F16:
        return dtype_to_f32(DT_F16, src, n, dst);
    case GGUF_BF16:
        return dtype_to_f32(DT_BF16, src, n, dst);
    default:
        break;
    }
    if (!t || !t->decode || n % t->elements)
        return -1;
    for (; n; n -= t->elements, p += t->bytes, dst += t->elements)
        t->decode(p, dst);
    return 0;
}

int gguf_check(const struct gguf *g, const struct gguf_entry *x, struct err *e)
{
    char list[256] = "";
    size_t used = 0;
    float none = 0;

    if (gguf_decode(x->type, &none, 0, &none) == 0)
        return 0;
    for (size_t i = 0; i < COUNT && used < sizeof list; i++)
        if (gguf_decode(TYPES[i].type, &none, 0, &none) == 0)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "",
                                     TYPES[i].name);
    return err_set(e, ERR_USE, "%s: tensor '%s': type %s cannot be decoded; these can: %s", g->path,
                   x->name, gguf_type_find(x->type)->name, list);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* format_gptq_pack - GPTQ words and back.
 *
 * Every width is one rule: b-bit fields stand one after the other, lowest bit first, in a stream of
 * little-endian 32-bit words; a 3-bit field may straddle two words. Codes run down the inputs (one
 * stream per output column), zeros along the outputs (one stream per group), less 1 in v1.
 * Checked against the output of the AutoGPTQ and GPTQModel packers (tests/golden/pack).
 * What it leaves out: act-order permutations of g_idx. */
#include "format_gptq.h"

#include <string.h>

#include "field.h"

static int bits_known(int bits)
{
    return bits == 2 || bits == 3 || bits == 4 || bits == 8;
}

static int refuse_bits(int bits, const char *name, struct err *e)
{
    return err_set(e, ERR_USE, "'%s': GPTQ stores 2, 3, 4 or 8 bits, not %d", name, bits);
}

static int refuse_size(size_t n, const char *what, int bits, const char *name, struct err *e)
{
    return err_set(e, ERR_USE,
                   "'%s': %zu %s at %d bits do not fill whole 32-bit words, as GPTQ "
                   "needs",
                   name, n, what, bits);
}

int gptq_check(size_t N, size_t K, int bits, int64_t group, const char *name, struct err *e)
{
    if (!bits_known(bits))
        return refuse_bits(bits, name, e);
    if (N == 0 || K == 0)
        return err_set(e, ERR_USE, "'%s': an empty matrix [%zu, %zu] cannot be stored", name, N, K);
    if (K % 32 && (bits == 3 || K * (size_t)bits % 32))
        return refuse_size(K, "inputs", bits, name, e);
    if (N % 32 && (bits == 3 || N * (size_t)bits % 32))
        return refuse_size(N, "outputs", bits, name, e);
    if (group != -1 && (group < 1 || (uint64_t)group > K || K % (size_t)group))
        return err_set(e, ERR_USE, "'%s': group %lld does not divide %zu inputs", name,
                       (long long)group, K);
    return 0;
}

/* 32 codes fill exactly b words: blocks of them keep both sides of the transposition near in
 * memory. */
#define BLOCK 32

/* Where no code lies across two words; inlined for each width. */
static inline void fill_words(const uint8_t *code, size_t words, size_t bits, uint32_t *word)
{
    const size_t each = 32 / bits;

    for (size_t j = 0; j < words; j++) {
        word[j] = 0;
        for (size_t i = 0; i < each; i++)
            word[j] |= (uint32_t)code[j * each + i] << bits * i;
    }
}

static void fill_block(const uint8_t *code, size_t count, int bits, uint32_t word[8])
{
    if (bits == 4)
        fill_words(code, count / 8, 4, word);
    else if (bits == 2)
        fill_words(code, count / 16, 2, word);
    else if (bits == 8)
        fill_words(code, count / 4, 8, word);
    else
        for (size_t i = 0; i < count; i++)
            field_put(word, i, bits, code[i]);
}

int gptq_pack_codes(size_t N, size_t K, int bits, const uint8_t *codes, uint32_t *qweight)
{
    uint32_t top;

    if (!bits_known(bits))
        return -1;
    top = (1u << bits) - 1;
    for (size_t k = 0; k < K; k += BLOCK) {
        size_t count = K - k < BLOCK ? K - k : BLOCK, words = count * (size_t)bits / 32;
        uint32_t *out = qweight + k * (size_t)bits / 32 * N;

        for (size_t n = 0; n < N; n++) {
            const uint8_t *code = codes + n * K + k;
            uint32_t word[8] = {0}, all = 0;

            for (size_t i = 0; i < count; i++)
                all |= code[i];
            if (all > top)
                return -1;
            fill_block(code, count, bits, word);
            for (size_t j = 0; j < words; j++)
                out[j * N + n] = word[j];
        }
    }
    return 0;
}

int gptq_unpack_codes(size_t N, size_t K, int bits, const uint32_t *qweight, uint8_t *codes)
{
    if (!bits_known(bits))
        return -1;
    for (size_t k = 0; k < K; k += BLOCK) {
        size_t count = K - k < BLOCK ? K - k : BLOCK, words = count * (size_t)bits / 32;
        const uint32_t *in = qweight + k * (size_t)bits / 32 * N;

        for (size_t n = 0; n < N; n++) {
            uint32_t word[8] = {0};

            for (size_t j = 0; j < words; j++)
                word[j] = in[j * N + n];
            for (size_t i = 0; i < count; i++)
                codes[n * K + k + i] = (uint8_t)field_get(word, i, bits);
        }
    }
    return 0;
}

int gptq_pack_zeros(size_t N, size_t G, int bits, int less, const uint8_t *zeros, uint32_t *qzeros,
                    const char *name, struct err *e)
{
    size_t words = N * (size_t)bits / 32;

    if (!bits_known(bits))
        return refuse_bits(bits, name, e);
    memset(qzeros, 0, G * words * sizeof *qzeros);
    for (size_t n = 0; n < N; n++) {
        for (size_t g = 0; g < G; g++) {
            unsigned zero = zeros[n * G + g];

            if (zero < (unsigned)less)
                return err_set(e, ERR_USE,
                               "'%s': zero point 0 (row %zu, group %zu) cannot be "
                               "stored in GPTQ v1; solve with zero points of 1 and more",
                               name, n, g);
            if (zero - (unsigned)less >= 1u << bits)
                return err_set(e, ERR_USE,
                               "'%s': zero point %u (row %zu, group %zu) is beyond %d "
                               "bits",
                               name, zero, n, g, bits);
            field_put(qzeros + g * words, n, bits, zero - (unsigned)less);
        }
    }
    return 0;
}

int gptq_unpack_zeros(size_t N, size_t G, int bits, int less, const uint32_t *qzeros,
                      uint8_t *zeros)
{
    size_t words = N * (size_t)bits / 32;

    if (!bits_known(bits))
        return -1;
    for (size_t n = 0; n < N; n++) {
        for (size_t g = 0; g < G; g++) {
            uint32_t zero = field_get(qzeros + g * words, n, bits) + (unsigned)less;

            if (zero > UINT8_MAX)
                return -1;
            zeros[n * G + g] = (uint8_t)zero;
        }
    }
    return 0;
}

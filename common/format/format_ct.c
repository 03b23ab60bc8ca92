/* SPDX-License-Identifier: Apache-2.0 */
/* format_ct - compressed-tensors: what llm-compressor writes and vLLM reads. Here whole numbers,
 * pack-quantized; floating-point numbers: format_ct_float.c; beside rounded activations:
 * format_ct_int.c.
 *   P.weight_packed I32 [N, ceil(K*b/32)]: the codes of a row, lowest bit first
 *   P.weight_scale F16 or BF16 [N, G]
 *   P.weight_shape I64 [2] = N, K
 *   P.weight_zero_point I32 [ceil(N*b/32), G]: packed down the rows; none where the grid has none
 * The format's numbers are signed, code - 2^(b-1), and stored with 2^(b-1) added: our codes as they
 * are. Inputs stand in their order (no weight_g_idx), whatever order the solver went by. The type
 * of the scales becomes config.json's dtype, because readers compute in it.
 * What it leaves out: groups in the order of activation ("actorder": "group"), which its library
 * has refused to read since August 2026; "actorder": "weight", which says no more than that the
 * solver went by activation, and which earlier releases refuse for groups of a whole row or take
 * for "group" in experts: it is null here whatever the solver did; 3 bits, which releases before
 * and after mid 2026 pack in two ways. Checked against the official packer in tests/golden/pack. */
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "field.h"
#include "format_ct.h"
#include "grid_affine.h"

int ct_check(size_t N, size_t K, int bits, int64_t group, const char *name, struct err *e)
{
    if (bits == 3)
        return err_set(e, ERR_USE,
                       "'%s': releases of compressed-tensors differ in how they pack 3 bits; use "
                       "2, 4 or 8 bits, or another format",
                       name);
    if (bits != 2 && bits != 4 && bits != 8)
        return err_set(e, ERR_USE, "'%s': compressed-tensors stores 2, 4 or 8 bits, not %d", name,
                       bits);
    if (N == 0 || K == 0)
        return err_set(e, ERR_USE, "'%s': an empty matrix [%zu, %zu] cannot be stored", name, N, K);
    if (group != -1 && (group < 1 || (uint64_t)group > K || K % (size_t)group))
        return err_set(e, ERR_USE, "'%s': group %lld does not divide %zu inputs", name,
                       (long long)group, K);
    return 0;
}

int ct_pack(size_t rows, size_t columns, int bits, int down, const uint8_t *values, uint32_t *words)
{
    const size_t streams = down ? columns : rows, n = down ? rows : columns,
                 length = field_words(n, bits);
    const unsigned top = (1u << bits) - 1;
    uint32_t word[2];

    for (size_t s = 0; s < streams; s++) {
        for (size_t w = 0, i = 0; w < length; w++) {
            word[0] = 0;
            for (size_t at = 0; at < 32 / (size_t)bits && i < n; at++, i++) {
                const uint8_t v = values[down ? i * columns + s : s * columns + i];

                if (v > top)
                    return -1;
                field_put(word, at, bits, v);
            }
            words[down ? w * columns + s : s * length + w] = word[0];
        }
    }
    return 0;
}

void ct_unpack(size_t rows, size_t columns, int bits, int down, const uint32_t *words,
               uint8_t *values)
{
    const size_t streams = down ? columns : rows, n = down ? rows : columns,
                 length = field_words(n, bits), each = 32 / (size_t)bits;

    for (size_t s = 0; s < streams; s++)
        for (size_t i = 0; i < n; i++) {
            const size_t w = i / each;

            values[down ? i * columns + s : s * columns + i] =
                (uint8_t)field_get(&words[down ? w * columns + s : s * length + w], i % each, bits);
        }
}

static int is_float(const struct format_linear *l)
{
    return l->grid && !affine_is(l->grid);
}

static int check(const struct format_linear *l, struct err *e)
{
    if (l->permuted)
        return err_set(e, ERR_USE,
                       "'%s': --desc-act yes: in the compressed-tensors format no reader of today "
                       "takes groups of inputs that do not follow each other (its library and vLLM "
                       "have refused \"actorder\": \"group\" since August 2026): without "
                       "--desc-act the solver goes by activation all the same, and any reader "
                       "takes that; gptq, gptq-v2 and dense hold such groups",
                       l->name);
    if (is_float(l) && l->act_bits)
        return err_set(e, ERR_USE,
                       "'%s': activations in whole numbers beside weights on grid %s: leave "
                       "--act-bits out, or say --grid sym",
                       l->name, l->grid->name);
    if (is_float(l))
        return ct_float_check(l, e);
    if (packed_check(l, CT_METHOD, e) < 0)
        return -1;
    if (l->act_bits)
        return ct_int_check(l, e);
    return l->bits && l->group ? ct_check(l->N, l->K, l->bits, l->group, l->name, e) : 0;
}

static int tensors(const struct format_linear *l, struct format_tensor t[FORMAT_TENSORS],
                   struct err *e)
{
    if (is_float(l))
        return ct_float_tensors(l, t, e);
    if (l->act_bits)
        return ct_int_tensors(l, t, e);
    if (packed_describe(&t[0], l->name, "weight_packed", DT_I32, l->N, field_words(l->K, l->bits),
                        e) ||
        packed_describe(&t[1], l->name, "weight_scale", l->scale_type, l->N, l->G, e) ||
        packed_describe(&t[2], l->name, "weight_shape", DT_I64, 2, 0, e))
        return -1;
    if (!l->grid || !l->grid->zeros)
        return 3;
    return packed_describe(&t[3], l->name, "weight_zero_point", DT_I32, field_words(l->N, l->bits),
                           l->G, e)
               ? -1
               : 4;
}

static int put(const struct format_linear *l, const struct coded *c, format_emit *emit, void *ctx,
               struct err *e)
{
    const size_t packed = l->N * field_words(l->K, l->bits),
                 zeros = field_words(l->N, l->bits) * l->G;
    const int64_t shape[2] = {(int64_t)l->N, (int64_t)l->K};
    uint32_t *words;
    int rc = -1;

    if (is_float(l))
        return ct_float_put(l, c, emit, ctx, e);
    if (l->act_bits)
        return ct_int_put(l, c, emit, ctx, e);
    if (!(words = mem_raw(packed < zeros ? zeros : packed, sizeof *words, e)))
        return -1;
    if (ct_pack(l->N, l->K, l->bits, 0, c->codes, words) < 0)
        err_set(e, ERR_USE, "'%s': codes beyond %d bits", l->name, l->bits);
    else if (packed_put(emit, ctx, l->name, "weight_packed", words, packed * sizeof *words, e) ||
             packed_put(emit, ctx, l->name, "weight_scale", c->scales,
                        l->N * l->G * sizeof(uint16_t), e) ||
             packed_put(emit, ctx, l->name, "weight_shape", shape, sizeof shape, e))
        rc = -1;
    else if (!c->zeros)
        rc = 0;
    else if (ct_pack(l->N, l->G, l->bits, 1, c->zeros, words) < 0)
        err_set(e, ERR_USE, "'%s': zero points beyond %d bits", l->name, l->bits);
    else
        rc = packed_put(emit, ctx, l->name, "weight_zero_point", words, zeros * sizeof *words, e);
    free(words);
    return rc;
}

static int vllm_group(int bits, int64_t group)
{
    (void)bits;
    return group == -1 || group == 32 || group == 64 || group == 128;
}

/* Read from the source of vLLM 0.32. Of rounded inputs it has kernels for 8 bits beside weights of
 * 8 bits, a scale a row, and, on Arm, of 4. Towers load quantized; the MLP of its SigLIP is made
 * without codes where a width is no multiple of 64 (that of Idefics3 is another class). */
static const char *vllm_refuses(const struct format_linear *l)
{
    if (l->act_bits && l->act_bits != 8)
        return "inputs of other than 8 bits";
    if (l->act_bits && l->bits == 4)
        return "4 bits with inputs of 8 bits: on Arm alone";
    if (l->act_bits && (l->bits != 8 || l->group != -1))
        return "inputs of 8 bits beside other than 8 bits, a scale a row";
    if (strstr(l->name, "vision_tower.") && strstr(l->name, ".mlp.fc") && (l->N % 64 || l->K % 64))
        return "widths of the tower's MLP, no multiples of 64";
    return NULL;
}

/* Of whole numbers alone: inputs are rounded to 8 bits beside weights of 8 bits, a scale a row. */
static const char *sglang_refuses(const struct format_linear *l)
{
    if (l->grid && !affine_is(l->grid))
        return NULL;
    if (l->act_bits)
        return l->act_bits == 8 && l->bits == 8 && l->group == -1 ? NULL
                                                                  : "inputs that are rounded";
    return engine_tiles(l);
}

#define B(n) (1u << (n))
#define CT_LOAD "AutoModelForCausalLM.from_pretrained(\"DIR\", dtype=\"auto\""
#define CT_PIP "  # pip install torch transformers accelerate compressed-tensors"
/* Tried on a CPU with transformers 5.19 to 5.24 (compressed-tensors 0.17 to 0.20) and vLLM 0.32
 * (4 bits); what vLLM does on a GPU is read from its source. transformers 5.23 and 5.24 compare
 * the shapes of packed tensors with those that the library has before it loads, where zero points
 * are not packed: they take such checkpoints, its own too, only as plain weights. */
static const struct engine engines[] = {
    {.name = "transformers",
     .bits = B(2) | B(4) | B(8),
     .floats = 1,
     .zeros = 1,
     .kept = 1,
     .mixed = 1,
     .parts = 1,
     .head = 1,
     .use = CT_LOAD ")" CT_PIP,
     .use_zeros = CT_LOAD ", quantization_config=CompressedTensorsConfig(dequantize=True))" CT_PIP},
    {.name = "vLLM",
     .bits = B(4) | B(8),
     .gpu = B(8),
     .floats = 1,
     .floats_gpu = 1,
     .zeros = 1,
     .kept = 1,
     .mixed = 1,
     .head = 1,
     .group = vllm_group,
     .refuses = vllm_refuses,
     .use = "vllm serve DIR"},
    {.name = "SGLang",
     .bits = B(4) | B(8),
     .gpu = B(4) | B(8),
     .kept = 1,
     .mixed = 1,
     .floats = 1,
     .floats_gpu = 1,
     .zeros = 1,
     .group = vllm_group,
     .refuses = sglang_refuses,
     .use = SGLANG,
     .untried = 1},
    {.name = NULL},
};

extern const struct format format_compressed_tensors;
const struct format format_compressed_tensors = {
    .name = CT_METHOD,
    .title = CT_METHOD,
    .about = "for vLLM, transformers: 2, 4 or 8 bits, zero points too; FP8, NVFP4, MXFP4",
    .fuses = 1,
    .heads = 1,
    .one_scale_type = 1,
    .towers = 1,
    .some_codes = 1,
    .check = check,
    .tensors = tensors,
    .put = put,
    .config = ct_config,
    .engines = engines,
    .mark = "weight_scale",
    .claims = ct_claims,
    .open = ct_open,
    .close = ct_close,
    .find = ct_find,
    .read = ct_read,
    .act_bits = ct_act_bits,
    .look = ct_look,
};

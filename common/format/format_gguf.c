/* SPDX-License-Identifier: Apache-2.0 */
/* format_gguf - blocks of 32 weights as llama.cpp computes with them (ggml-common.h):
 *   Q4_0  4 bits   f16 d; 16 bytes, low nibbles are weights 0..15, high ones 16..31; d * (n - 8)
 *   Q4_1  4 bits   f16 d, f16 m; 16 bytes as above; d * n + m, m = -d * zero
 *   Q8_0  8 bits   f16 d; 32 signed bytes; d * q
 * A group is a whole number of blocks, each of which repeats its scale: codes and scales are those
 * that were solved, exactly. A linear is one tensor NAME.weight of bytes [N, bytes of a row]; its
 * name and the order of its rows in the file are the writer's business (stages/write/write_gguf.c).
 * What it leaves out: other widths. Reading: format_gguf_load.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "../tensor/gguf_write.h"
#include "engine.h"
#include "format_gguf.h"
#include "packed.h"

#define BLOCK 32

uint32_t format_gguf_type(const struct format_linear *l)
{
    return l->bits == 8 ? GGUF_Q8_0 : l->grid && l->grid->zeros ? GGUF_Q4_1 : GGUF_Q4_0;
}

static int check(const struct format_linear *l, struct err *e)
{
    if (packed_check(l, "gguf", e) < 0 || packed_check_order(l, "gguf", e) < 0)
        return -1;
    if (l->bits && l->bits != 4 && l->bits != 8)
        return err_set(e, ERR_USE,
                       "'%s': the gguf format stores 4 or 8 bits (Q4_0, Q4_1, Q8_0), not %d",
                       l->name, l->bits);
    if (l->grid && l->grid->zeros && !l->grid->exact_zeros && !l->solved)
        return err_set(e, ERR_USE,
                       "'%s': GGUF keeps scale x zero point in F16, which not every one is on grid "
                       "%s: solve with --grid sym or exact-asym",
                       l->name, l->grid->name);
    if (l->K % BLOCK || (l->group > 0 && l->group % BLOCK))
        return err_set(e, ERR_USE,
                       "'%s': GGUF stores blocks of %d weights: group %lld and %zu inputs must be "
                       "multiples of that",
                       l->name, BLOCK, (long long)l->group, l->K);
    return 0;
}

static int tensors(const struct format_linear *l, struct format_tensor t[FORMAT_TENSORS],
                   struct err *e)
{
    uint64_t row;

    if (gguf_row_bytes(format_gguf_type(l), l->K, &row))
        return err_set(e, ERR_USE, "'%s': %zu inputs are no whole blocks", l->name, l->K);
    return packed_describe(t, l->name, "weight", DT_U8, l->N, row, e) ? -1 : 1;
}

/* The scales in F16: numbers that it cannot hold exactly are refused. */
static int scales_f16(const struct format_linear *l, const struct coded *c, uint16_t *out,
                      struct err *e)
{
    const size_t width = dtype_size(c->scale_type), n = c->N * c->G;

    for (size_t i = 0; i < n; i++) {
        float s, back;

        dtype_to_f32(c->scale_type, (const char *)c->scales + i * width, 1, &s);
        dtype_from_f32(DT_F16, &s, 1, out + i);
        dtype_to_f32(DT_F16, out + i, 1, &back);
        if (back != s)
            return err_set(e, ERR_USE,
                           "'%s': the scale %g of row %zu cannot be said in F16, which GGUF's "
                           "blocks have: solve with --scale-type f16",
                           l->name, (double)s, i / c->G);
    }
    return 0;
}

/* What code 0 stands for, -scale x zero, in F16: refused where it is no such number. */
static int least_f16(const struct format_linear *l, const struct coded *c, uint16_t *out,
                     struct err *e)
{
    for (size_t i = 0; i < c->N * c->G; i++) {
        const struct grid_group g = coded_group(c, i / c->G, i % c->G);
        const double least = -g.scale * g.zero;
        double back;

        dtype_from_f64(DT_F16, &least, 1, out + i);
        dtype_to_f64(DT_F16, out + i, 1, &back);
        if (back != least)
            return err_set(e, ERR_USE,
                           "'%s': the scale %g of row %zu times its zero point %g is no number of "
                           "F16, in which GGUF's blocks keep it: solve with --grid exact-asym",
                           l->name, g.scale, i / c->G, g.zero);
    }
    return 0;
}

static int check_codes(const struct format_linear *l, const struct coded *c, struct err *e)
{
    uint16_t *scales = mem_raw(c->N * c->G, sizeof *scales, e);
    uint16_t *least = scales && c->zeros ? mem_raw(c->N * c->G, sizeof *least, e) : NULL;
    const int rc = !scales || (c->zeros && !least) || scales_f16(l, c, scales, e) ||
                           (least && least_f16(l, c, least, e))
                       ? -1
                       : 0;

    free(least);
    free(scales);
    return rc;
}

static void block_q4(const uint8_t *codes, unsigned char *out)
{
    for (size_t i = 0; i < BLOCK / 2; i++)
        out[i] = (unsigned char)(codes[i] | codes[i + BLOCK / 2] << 4);
}

static void block_q8(const uint8_t *codes, unsigned char *out)
{
    for (size_t i = 0; i < BLOCK; i++)
        out[i] = codes[i] ^ 0x80; /* less 128, in two's complement */
}

/* least: NULL where blocks have none. */
static void pack(const struct coded *c, const uint16_t *scales, const uint16_t *least,
                 unsigned char *out)
{
    const size_t blocks = c->K / BLOCK, each = c->G == 1 ? blocks : (size_t)c->group / BLOCK,
                 bytes = c->bits == 4 ? BLOCK / 2 : BLOCK;

    for (size_t n = 0; n < c->N; n++)
        for (size_t b = 0; b < blocks; b++) {
            memcpy(out, &scales[n * c->G + b / each], sizeof *scales);
            out += sizeof *scales;
            if (least) {
                memcpy(out, &least[n * c->G + b / each], sizeof *least);
                out += sizeof *least;
            }
            (c->bits == 4 ? block_q4 : block_q8)(c->codes + n * c->K + b * BLOCK, out);
            out += bytes;
        }
}

/* Q4_0: the largest weight by size lies on -8, whatever its sign. */
void format_gguf_round(int bits, const float *w, size_t n, void *out)
{
    unsigned char *to = out;

    for (size_t b = 0; b < n; b += BLOCK) {
        uint8_t codes[BLOCK];
        float most = 0, d, inverse;
        uint16_t stored;

        for (size_t i = 0; i < BLOCK; i++)
            most = fabsf(w[b + i]) > fabsf(most) ? w[b + i] : most;
        d = bits == 8 ? fabsf(most) / 127 : most / -8;
        stored = f32_to_f16(d);
        inverse = d < 0 || d > 0 ? 1 / d : 0;
        for (size_t i = 0; i < BLOCK; i++) {
            const float c = w[b + i] * inverse;

            codes[i] =
                bits == 8 ? (uint8_t)((int)roundf(c) + 128) : (uint8_t)fminf(c + 8.5F, 15.0F);
        }
        memcpy(to, &stored, sizeof stored);
        (bits == 8 ? block_q8 : block_q4)(codes, to + sizeof stored);
        to += sizeof stored + (bits == 8 ? BLOCK : BLOCK / 2);
    }
}

static int put(const struct format_linear *l, const struct coded *c, format_emit *emit, void *ctx,
               struct err *e)
{
    struct format_tensor t[FORMAT_TENSORS];
    uint16_t *scales = mem_raw(c->N * c->G, sizeof *scales, e);
    uint16_t *least = c->zeros ? mem_raw(c->N * c->G, sizeof *least, e) : NULL;
    unsigned char *out = NULL;
    int rc = -1;

    if (!scales || (c->zeros && !least) || scales_f16(l, c, scales, e) ||
        (least && least_f16(l, c, least, e)) || tensors(l, t, e) < 0 ||
        !(out = mem_raw(t->shape[0], t->shape[1], e)))
        goto out;
    pack(c, scales, least, out);
    rc = emit(ctx, t->name, out, t->shape[0] * t->shape[1], e);
out:
    free(out);
    free(least);
    free(scales);
    return rc;
}

/* Tried with llama.cpp on a CPU (tests/clients). */
static const struct engine engines[] = {
    {.name = "llama.cpp",
     .bits = ~0u,
     .zeros = 1,
     .kept = 1,
     .mixed = 1,
     .parts = 1,
     .use = "llama-cli -m DIR/model.gguf"},
    {.name = NULL},
};

extern const struct format format_gguf;
const struct format format_gguf = {
    .name = "gguf",
    .title = "GGUF",
    .about = "one file for llama.cpp: blocks of 4 bits (Q4_0, Q4_1) and 8 (Q8_0)",
    .container = FORMAT_GGUF,
    .experts_alike = 1,
    .check = check,
    .check_codes = check_codes,
    .tensors = tensors,
    .put = put,
    .engines = engines,
    .mark = "weight",
    .claims = format_gguf_claims,
    .open = format_gguf_open,
    .close = format_gguf_close,
    .find = format_gguf_find,
    .read = format_gguf_read,
    .load = format_gguf_load,
    .look = format_gguf_look,
};

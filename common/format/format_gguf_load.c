/* SPDX-License-Identifier: Apache-2.0 */
/* format_gguf_load - linears of a GGUF file that is read (gguf_folder.h): NAME.weight, an entry
 * that says its blocks. Those of equal steps are codes: Q4_0, Q8_0, and Q4_1 where each m is -d
 * times a zero point of 4 bits. Of the others there are only weights. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "../tensor/gguf.h"
#include "format_gguf.h"
#include "packed.h"

#define BLOCK 32
#define GROUP_MOST 128 /* engines have kernels for no larger ones */

int format_gguf_claims(const struct json *quantization)
{
    return strcmp(json_text_or(quantization, "quant_method", ""), "gguf") == 0;
}

/* All is in the entries; something to hold. */
void *format_gguf_open(const struct json *quantization, const char *what, struct err *e)
{
    (void)quantization;
    (void)what;
    return mem_array(1, 1, e);
}

void format_gguf_close(void **spec)
{
    free(*spec);
    *spec = NULL;
}

int format_gguf_find(const void *spec, const struct format_source *s, const char *name, size_t N,
                     size_t K, struct err *e)
{
    (void)spec;
    return packed_part_check(s, name, "weight", 1, 2, (const uint64_t[]){N, K}, e);
}

int format_gguf_load(const void *spec, const struct format_source *s, const char *name, size_t N,
                     size_t K, float *w, struct err *e)
{
    (void)spec;
    (void)K;
    return st_load_finite_f32(s->set, packed_part(s, name, "weight"), 0, N, w, e);
}

int format_gguf_look(const struct st_set *set, const struct st_entry *x, struct format_linear *l)
{
    const struct gguf_type_info *t = x->blocks ? gguf_type_find(x->blocks) : NULL;

    (void)set;
    *l = (struct format_linear){.bits = 0};
    if (!t || x->ndim != 2)
        return 0;
    snprintf(l->name, sizeof l->name, "%.*s", (int)(strlen(x->name) - (sizeof ".weight" - 1)),
             x->name);
    l->N = (size_t)x->shape[0];
    l->K = (size_t)x->shape[1];
    l->bits = (int)(t->bytes * 8 / t->elements);
    l->group = t->elements;
    return 1;
}

/* ---- codes ---- */

static void codes_q4(const unsigned char *p, uint8_t *codes)
{
    for (size_t i = 0; i < BLOCK / 2; i++) {
        codes[i] = p[i] & 15;
        codes[i + BLOCK / 2] = p[i] >> 4;
    }
}

static void codes_q8(const unsigned char *p, uint8_t *codes)
{
    for (size_t i = 0; i < BLOCK; i++)
        codes[i] = p[i] ^ 0x80;
}

/* The zero point that m stands for; -1: none does. */
static int zero_of(float d, float m)
{
    const float zero = d < 0 || d > 0 ? -m / d : 0;

    if (!(zero >= 0 && zero <= 15) || zero != (float)(int)zero)
        return -1;
    return -d * zero == m ? (int)zero : -1;
}

/* Block b of all; 0, or -1: it cannot be said in codes. */
static int block_take(uint32_t type, const unsigned char *p, size_t b, struct packed *c)
{
    uint16_t half[2];
    float d, m;

    memcpy(half, p, sizeof half);
    dtype_to_f32(DT_F16, &half[0], 1, &d);
    dtype_to_f32(DT_F16, &half[1], 1, &m);
    c->scales[b] = d;
    c->zeros[b] = (uint8_t)(1 << (c->bits - 1));
    if (type == GGUF_Q8_0) {
        codes_q8(p + sizeof *half, c->codes + b * BLOCK);
        return 0;
    }
    codes_q4(p + (type == GGUF_Q4_1 ? sizeof half : sizeof *half), c->codes + b * BLOCK);
    if (type == GGUF_Q4_1) {
        const int zero = zero_of(d, m);

        c->zeros[b] = (uint8_t)zero;
        return zero < 0 ? -1 : 0;
    }
    return 0;
}

/* Scales that stand in each block of larger groups, as our own files have them. */
static int is_repeated(const struct packed *p)
{
    if (p->K % ((size_t)p->group * 2))
        return 0;
    for (size_t i = 0; i < p->N * p->G; i += 2)
        if (memcmp(&p->scales[i], &p->scales[i + 1], sizeof *p->scales) != 0 ||
            p->zeros[i] != p->zeros[i + 1])
            return 0;
    return 1;
}

static void groups_join(struct packed *p)
{
    while (p->group < GROUP_MOST && is_repeated(p)) {
        p->group *= 2;
        p->G /= 2;
        for (size_t i = 0; i < p->N * p->G; i++) {
            p->scales[i] = p->scales[2 * i];
            p->zeros[i] = p->zeros[2 * i];
        }
    }
}

static int scales_check(const struct packed *p, const struct format_source *s, const char *name,
                        struct err *e)
{
    for (size_t i = 0; i < p->N * p->G; i++)
        if (!(p->scales[i] - p->scales[i] == 0))
            return err_set(e, ERR_USE, "%s: '%s': the scale of row %zu is no number", s->dir, name,
                           i / p->G);
    return 0;
}

int format_gguf_read(const void *spec, const struct format_source *s, const char *name, size_t N,
                     size_t K, struct packed *p, struct err *e)
{
    const struct st_entry *x = packed_part(s, name, "weight");
    const struct gguf_type_info *t = gguf_type_find(x->blocks);
    const size_t blocks = K / BLOCK;
    unsigned char *raw;
    int rc = 0;

    (void)spec;
    if (x->blocks != GGUF_Q4_0 && x->blocks != GGUF_Q4_1 && x->blocks != GGUF_Q8_0)
        return 1;
    if (packed_open(p, N, K, x->blocks == GGUF_Q8_0 ? 8 : 4, BLOCK, e) < 0)
        return -1;
    p->scale_type = DT_F16;
    if (!(raw = mem_raw(N * blocks, t->bytes, e)) || st_read_blocks(s->set, x, 0, N, raw, e) < 0)
        rc = -1;
    for (size_t b = 0; rc == 0 && b < N * blocks; b++)
        rc = block_take(x->blocks, raw + b * t->bytes, b, p) < 0;
    if (rc == 0 && (rc = scales_check(p, s, name, e)) == 0)
        groups_join(p);
    free(raw);
    if (rc)
        packed_release(p);
    return rc;
}

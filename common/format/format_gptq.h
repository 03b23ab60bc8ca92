/* SPDX-License-Identifier: Apache-2.0 */
/* format_gptq - the parts of the formats GPTQ v1 and v2, as AutoGPTQ and GPTQModel write them:
 * packing and unpacking of codes and zeros, the rules of its config, reading. Private to the
 * formats.
 *   qweight I32 [K*b/32, N], qzeros I32 [G, N*b/32] holding zero-1 (v2: zero), scales F16 [G, N],
 *   g_idx I32 [K] = k / group. */
#ifndef PTQ_FORMAT_GPTQ_H
#define PTQ_FORMAT_GPTQ_H

#include "engine.h"
#include "packed.h"

/* 0, or -1 with the reason why this shape cannot be stored (K*b, N*b multiples of 32; 3 bits: K,
 * N multiples of 32). */
int gptq_check(size_t N, size_t K, int bits, int64_t group, const char *name, struct err *e);
int gptq_pack_codes(size_t N, size_t K, int bits, const uint8_t *codes /*[N,K]*/,
                    uint32_t *qweight);
int gptq_unpack_codes(size_t N, size_t K, int bits, const uint32_t *qweight, uint8_t *codes);
/* zeros U8 [N,G]. less: what is taken off each, 1 in v1 (which cannot store 0), 0 in v2. */
int gptq_pack_zeros(size_t N, size_t G, int bits, int less, const uint8_t *zeros, uint32_t *qzeros,
                    const char *name, struct err *e);
int gptq_unpack_zeros(size_t N, size_t G, int bits, int less, const uint32_t *qzeros,
                      uint8_t *zeros);

/* Bits, group and zeros of the most linears (the first of equals); one must not be kept. */
struct gptq_base {
    int bits, zeros, symmetric;
    int64_t group;
};
struct gptq_base gptq_base(const struct format_model *m);
/* The object "dynamic", empty when all linears are alike; NULL: out of memory. */
struct json *gptq_rules(const struct format_model *m, const struct gptq_base *base);
/* Into config, when linears are kept: the names of those that are not, for readers that would
 * replace all; 0, -1: out of memory. */
int gptq_names(struct json *config, const struct format_model *m);

/* As in struct format; version is 1 or 2. */
extern const struct engine gptq_engines[], gptq_v2_engines[];
int gptq_check_linear(const struct format_linear *l, struct err *e);
int gptq_tensors(const struct format_linear *l, struct format_tensor t[FORMAT_TENSORS],
                 struct err *e);
int gptq_put(int version, const struct format_linear *l, const struct coded *c, format_emit *emit,
             void *ctx, struct err *e);
struct json *gptq_config(int version, const struct format_model *m, enum dtype *dtype,
                         struct err *e);
int gptq_claims(int version, const struct json *q);
void *gptq_open(const struct json *q, const char *what, struct err *e);
void gptq_close(void **spec);
int gptq_find(const void *spec, const struct format_source *s, const char *name, size_t N, size_t K,
              struct err *e);
int gptq_read(const void *spec, const struct format_source *s, const char *name, size_t N, size_t K,
              struct packed *p, struct err *e);
int gptq_look(const struct st_set *set, const struct st_entry *x, struct format_linear *l);

#endif

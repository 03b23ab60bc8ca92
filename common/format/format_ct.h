/* SPDX-License-Identifier: Apache-2.0 */
/* format_ct - the parts of the format compressed-tensors, as its library (vllm-project) reads it:
 * packing, its config, reading. Private to the format. */
#ifndef PTQ_FORMAT_CT_H
#define PTQ_FORMAT_CT_H

#include "engine.h"
#include "packed.h"

#define CT_METHOD "compressed-tensors"
#define CT_FORMAT "pack-quantized"
#define CT_INT "int-quantized"
#define CT_MIXED "mixed-precision" /* several of these */
#define CT_FP8 "float-quantized"
#define CT_NVFP4 "nvfp4-pack-quantized"
#define CT_MXFP4 "mxfp4-pack-quantized"

/* 0, or -1 with the reason why this shape cannot be stored. */
int ct_check(size_t N, size_t K, int bits, int64_t group, const char *name, struct err *e);
/* The stream of fields along the inputs of each row (down: of each column, along the rows) of
 * values [rows, columns]: [rows, words], down: [words, columns]. -1: a value beyond its bits. */
int ct_pack(size_t rows, size_t columns, int bits, int down, const uint8_t *values,
            uint32_t *words);
void ct_unpack(size_t rows, size_t columns, int bits, int down, const uint32_t *words,
               uint8_t *values);

/* quantization_config; NULL: out of memory, or nothing was quantized. */
struct json *ct_config(const struct format_model *m, enum dtype *dtype, struct err *e);

/* ---- floating-point numbers (format_ct_float.c) ---- */

/* How one kind of linears is stored. */
struct ct_kind {
    const struct grid *grid;   /* NULL: whole numbers, of `bits`, with zero points or not */
    int bits, zeros, act_bits; /* act_bits: of activations in whole numbers; 0: as they are */
    int64_t group;
    size_t rows;      /* that share their scales; 0: each has its own */
    int whole;        /* one scale for the tensor, [1] */
    const char *part; /* NULL: the scales are NAME.weight_scale */
};
/* What config.json calls the format of linears on g. */
const char *ct_format_name(const struct grid *g);
int ct_float_check(const struct format_linear *l, struct err *e);
int ct_float_tensors(const struct format_linear *l, struct format_tensor t[FORMAT_TENSORS],
                     struct err *e);
int ct_float_put(const struct format_linear *l, const struct coded *c, format_emit *emit, void *ctx,
                 struct err *e);
int ct_float_find(const struct ct_kind *k, const struct format_source *from, const char *name,
                  size_t N, size_t K, struct err *e);
int ct_float_read(const struct ct_kind *k, const struct format_source *from, const char *name,
                  size_t N, size_t K, struct packed *p, struct err *e);
/* l->name is there already. */
int ct_float_look(const struct st_set *set, const struct st_entry *x, struct format_linear *l);

/* ---- whole numbers beside rounded activations (format_ct_int.c) ---- */

int ct_int_check(const struct format_linear *l, struct err *e);
int ct_int_tensors(const struct format_linear *l, struct format_tensor t[FORMAT_TENSORS],
                   struct err *e);
int ct_int_put(const struct format_linear *l, const struct coded *c, format_emit *emit, void *ctx,
               struct err *e);
/* The file has its numbers one a byte. */
int ct_int_is(const struct format_source *from, const char *name);
/* As ct_float_look: weight I8 [N,K], which is w, beside the scales x. */
int ct_int_look(const struct st_entry *w, const struct st_entry *x, struct format_linear *l);
int ct_int_find(const struct ct_kind *k, const struct format_source *from, const char *name,
                size_t N, size_t K, struct err *e);
int ct_int_read(const struct ct_kind *k, const struct format_source *from, const char *name,
                size_t N, size_t K, struct packed *p, struct err *e);

/* As in struct format. */
int ct_act_bits(const void *spec);
int ct_claims(const struct json *q);
void *ct_open(const struct json *q, const char *what, struct err *e);
void ct_close(void **spec);
int ct_find(const void *spec, const struct format_source *s, const char *name, size_t N, size_t K,
            struct err *e);
int ct_read(const void *spec, const struct format_source *s, const char *name, size_t N, size_t K,
            struct packed *p, struct err *e);
int ct_look(const struct st_set *set, const struct st_entry *x, struct format_linear *l);

#endif

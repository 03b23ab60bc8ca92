/* SPDX-License-Identifier: Apache-2.0 */
/* gguf - reading GGUF v2/v3 files (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md):
 * metadata and tensors. The types of enum gguf_type are decoded; others can be listed but not
 * loaded. Untrusted input: all lengths checked by subtraction before use, limits on
 * counts and strings, offsets as the format demands. */
#ifndef PTQ_GGUF_H
#define PTQ_GGUF_H

#include "../base/err.h"
#include "../base/json.h"
#include "tensor.h"

enum gguf_type {
    GGUF_F32 = 0,
    GGUF_F16 = 1,
    GGUF_Q4_0 = 2,
    GGUF_Q4_1 = 3,
    GGUF_Q5_0 = 6,
    GGUF_Q5_1 = 7,
    GGUF_Q8_0 = 8,
    GGUF_Q2_K = 10,
    GGUF_Q3_K = 11,
    GGUF_Q4_K = 12,
    GGUF_Q5_K = 13,
    GGUF_Q6_K = 14,
    GGUF_IQ4_NL = 20,
    GGUF_IQ4_XS = 23,
    GGUF_BF16 = 30
};

#define GGUF_DIMS 4

struct gguf_entry {
    char name[TENSOR_NAME];
    uint32_t type; /* a gguf_type, or another number */
    int ndim;
    uint64_t shape[GGUF_DIMS]; /* row-major order: slowest first (reversed from the file) */
    uint64_t offset, bytes;    /* in the file */
};

struct gguf {
    char *path;
    int fd;
    struct json *meta; /* object: key -> value; arrays as arrays */
    size_t count;
    struct gguf_entry *entries;
};

/* NULL: not there, or not a GGUF file as it should be. Entries and meta live as long as it. */
struct gguf *gguf_open(const char *path, struct err *e);
void gguf_close(struct gguf **g);
const struct gguf_entry *gguf_find(const struct gguf *g, const char *name);
/* whole tensor, decoded into dst [elements]; -1: a type without a decoder, or a file cut short */
int gguf_load_f32(const struct gguf *g, const struct gguf_entry *x, float *dst, struct err *e);
/* Rows [first, first+count) of all but the fastest dimension: count x shape[ndim-1] elements. */
int gguf_load_rows_f32(const struct gguf *g, const struct gguf_entry *x, uint64_t first,
                       uint64_t count, float *dst, struct err *e);
/* Decode n elements (a multiple of the block) of a type from bytes. -1: the type has no decoder
 * here (or the last block is not whole). */
int gguf_decode(uint32_t type, const void *src, size_t n, float *dst);
struct gguf_type_info {
    uint32_t type;
    const char *name;                                       /* "Q4_K" */
    unsigned elements, bytes;                               /* of a block */
    void (*decode)(const unsigned char *block, float *dst); /* NULL: listed only, or no block */
};
const struct gguf_type_info *gguf_type_find(uint32_t type); /* NULL: no such type */
/* Refuses a tensor whose type has no decoder, naming it and those that have one. */
int gguf_check(const struct gguf *g, const struct gguf_entry *x, struct err *e);
/* Parse from memory (the fuzz target). */
struct gguf *gguf_parse(const void *data, size_t length, uint64_t file_bytes, const char *what,
                        struct err *e);

#endif

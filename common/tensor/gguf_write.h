/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_write - GGUF v3 files (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): metadata
 * that are typed key by key, tensors that come in any order, a file that appears whole or not at
 * all. Where nothing else is said: 0, or -1 with e saying what could not be done. */
#ifndef PTQ_GGUF_WRITE_H
#define PTQ_GGUF_WRITE_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"
#include "gguf.h"

#define GGUF_NAME 64 /* room for the name of a tensor in a file, NUL included */

/* Keys and values as the file has them, in the order they were given. Starts as {0}. */
struct gguf_meta {
    unsigned char *bytes;
    size_t n, cap;
    uint64_t count;
};

int gguf_meta_text(struct gguf_meta *m, const char *key, const char *v, struct err *e);
int gguf_meta_u32(struct gguf_meta *m, const char *key, uint64_t v, struct err *e);
int gguf_meta_f32(struct gguf_meta *m, const char *key, double v, struct err *e);
int gguf_meta_bool(struct gguf_meta *m, const char *key, int v, struct err *e);
/* An array of n texts, which follow one by one. */
int gguf_meta_texts(struct gguf_meta *m, const char *key, size_t n, struct err *e);
int gguf_meta_item(struct gguf_meta *m, const char *v, size_t length, struct err *e);
int gguf_meta_i32s(struct gguf_meta *m, const char *key, const int32_t *v, size_t n, struct err *e);
int gguf_meta_f32s(struct gguf_meta *m, const char *key, const float *v, size_t n, struct err *e);
void gguf_meta_release(struct gguf_meta *m);

/* Bytes of a tensor whose rows have `width` numbers. -1: no such type, or the last block of a row
 * is not whole. */
int gguf_row_bytes(uint32_t type, uint64_t width, uint64_t *bytes);

struct gguf_writer;
/* NULL: no memory, or the disk. */
struct gguf_writer *gguf_create(const char *path, struct err *e);
/* shape: slowest first, as in gguf.h. Tensors stand in the file in the order of these calls. */
int gguf_declare(struct gguf_writer *w, const char *name, uint32_t type, int ndim,
                 const uint64_t *shape, struct err *e);
/* The header is fixed and written now. */
int gguf_begin(struct gguf_writer *w, const struct gguf_meta *m, struct err *e);
/* In pieces, in ascending order without gaps: `at` is the number of bytes given before. */
int gguf_put_part(struct gguf_writer *w, const char *name, uint64_t at, const void *data,
                  size_t bytes, struct err *e);
/* The same in pieces of any order that do not overlap: who gives them sees to it. */
int gguf_put_at(struct gguf_writer *w, const char *name, uint64_t at, const void *data,
                size_t bytes, struct err *e);
/* Error when a declared tensor was not given whole. The writer is gone afterwards, as is the
 * temporary file when it fails. */
int gguf_publish(struct gguf_writer **w, struct err *e);
void gguf_abort(struct gguf_writer **w); /* removes the temporary file */

#endif

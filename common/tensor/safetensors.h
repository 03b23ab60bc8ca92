/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors - reading and writing .safetensors files and sharded checkpoints.
 *
 * Format: https://github.com/huggingface/safetensors. The header is untrusted: every check
 * (length, UTF-8, duplicate keys, known dtype, shape x dtype = bytes,
 * offsets sorted, contiguous, inside the file) happens in open(); reading is pread() of what is
 * asked for, never a map of the whole file (resident memory stays what is used). */
#ifndef PTQ_SAFETENSORS_H
#define PTQ_SAFETENSORS_H

#include "../base/err.h"
#include "../base/json.h"
#include "tensor.h"

struct st_entry {
    char name[TENSOR_NAME];
    enum dtype dtype;
    int ndim;
    uint64_t shape[TENSOR_DIMS];
    uint64_t offset; /* in the file, from its start */
    uint64_t bytes;
    size_t shard;    /* index of the file in a set */
    int turned;      /* it is stored with its two dimensions exchanged (st_turn) */
    uint32_t blocks; /* the type of GGUF that its numbers are decoded from (gguf.h); 0: none */
    /* NULL, or what is stored in its place: bytes and offset are those that it is unpacked to */
    const struct st_mxfp4 *mxfp4;
};

struct st_mxfp4 { /* safetensors_mxfp4.h */
    struct st_entry blocks, scales;
};

/* Where bytes come from that lie in no file as they are read; close NULL: there are only files. */
struct st_source {
    void *ctx;
    /* n bytes at this offset, which lie in one entry */
    int (*read)(void *ctx, uint64_t at, void *dst, size_t n, struct err *e);
    /* rows [first, first + count) of an entry that says `blocks`, as these */
    int (*blocks)(void *ctx, const struct st_entry *x, uint64_t first, uint64_t count, void *dst,
                  struct err *e);
    void (*close)(void *ctx);
};

#define ST_RECORDS "ptqflow" /* the key of __metadata__ that st_records() reads: JSON text */

/* One file or a set of shards; entries are sorted by name. */
struct st_set {
    size_t nshards;
    char **paths;
    int *fds;
    size_t count;
    struct st_entry *entries;
    size_t nmxfp4;
    struct st_mxfp4 *mxfp4; /* what entries of packed tensors point to */
    struct json *metadata;  /* __metadata__ of the first file; NULL when none */
    struct st_source source;
};

/* One file. NULL: what is wrong with it is said by name. Entries live as long as the set. */
struct st_set *st_open(const char *path, struct err *e);
/* Refuses what is neither a folder nor a GGUF file, and says what it is. */
int st_folder_check(const char *dir, struct err *e);
#define ST_HINT_MAX 320
/* What a folder is that lacks a part of a model, or what else lies there, in brackets, or "":
 * hint. */
const char *st_folder_hint(const char *dir, char hint[ST_HINT_MAX]);
/* A Hugging Face folder: model.safetensors, or model.safetensors.index.json with its shards; or a
 * GGUF file as that folder (gguf_folder.h).
 * Names of shards with a path separator, tensors missing from their shard, and tensors in two
 * shards are refused; so is a single file beside an index that does not name it. What is there in
 * MXFP4 is one tensor of BF16, unpacked as it is read. */
struct st_set *st_open_folder(const char *dir, struct err *e);
void st_close(struct st_set **s);
/* What the metadata say of the making of a checkpoint that ptqflow wrote: an array of records,
 * one for each stage that changed it, the caller's. Empty when it came from elsewhere; NULL: no
 * memory. */
struct json *st_records(const struct st_set *s);
const struct st_entry *st_find(const struct st_set *s, const char *name); /* NULL when absent */
/* Bytes of x from byte `skip` on. */
int st_span(const struct st_set *s, const struct st_entry *x, void *dst, size_t n, uint64_t skip,
            struct err *e);
/* Rows of an entry that says `blocks`, as these: count x the bytes of a row. */
int st_read_blocks(const struct st_set *s, const struct st_entry *x, uint64_t first, uint64_t count,
                   void *dst, struct err *e);
/* as stored; *out is the caller's to release */
int st_load(const struct st_set *s, const struct st_entry *x, struct tensor *out, struct err *e);
/* The same into a tensor of the type and shape of x that has its memory. */
int st_load_into(const struct st_set *s, const struct st_entry *x, const struct tensor *t,
                 struct err *e);
/* Rows [first, first+count) of a 2-D (or the elements of a 1-D) float tensor as f32 into dst. */
int st_load_rows_f32(const struct st_set *s, const struct st_entry *x, uint64_t first,
                     uint64_t count, float *dst, struct err *e);
/* The same; NaN and infinity are refused, with the place and the number of the first. */
int st_load_finite_f32(const struct st_set *s, const struct st_entry *x, uint64_t first,
                       uint64_t count, float *dst, struct err *e);
/* *part: rows [first, first + rows) of x, whose dimensions before the last are taken as one, as a
 * matrix of its own, to be read as the others are. */
int st_cut(const struct st_set *s, const struct st_entry *x, uint64_t first, uint64_t rows,
           struct st_entry *part, struct err *e);
/* *part: elements [first, first + count) of x, all dimensions taken as one, as a vector. */
int st_cut_vector(const struct st_set *s, const struct st_entry *x, uint64_t first, uint64_t count,
                  struct st_entry *part, struct err *e);
/* *part: matrix `which` of x, whose last two dimensions are [columns, rows] where a reader wants
 * [rows, columns]: it is turned as it is read. */
int st_turn(const struct st_set *s, const struct st_entry *x, uint64_t which, struct st_entry *part,
            struct err *e);
/* Exchanges the dimensions of a matrix [rows, columns] of elements of `size` bytes. */
void st_turn_bytes(const void *from, size_t rows, size_t columns, size_t size, void *to);
/* Parse only (the fuzz target): header bytes of a file of file_bytes bytes. */
int st_parse_header(const char *header, size_t length, uint64_t file_bytes, const char *what,
                    struct st_entry **entries, size_t *count, struct json **metadata,
                    struct err *e);

/* Writer: declare all tensors, then give their data in any order by name; close publishes
 * (temporary name, fsync, rename). Layout is by descending element size, then name, so the same
 * tensors give the same bytes. */
struct st_writer;
/* NULL, -1: no memory, or the disk; the caller then aborts the writer. Names and shapes are
 * copied. */
struct st_writer *st_create(const char *path, struct err *e);
/* "format":"pt" is always there */
int st_meta(struct st_writer *w, const char *key, const char *value, struct err *e);
int st_declare(struct st_writer *w, const char *name, enum dtype t, int ndim, const uint64_t *shape,
               struct err *e);
/* header is fixed now */
int st_begin(struct st_writer *w, struct err *e);
int st_put(struct st_writer *w, const char *name, const void *data, size_t bytes, struct err *e);
/* The same in pieces, in ascending order without gaps: `at` is the number of bytes given before. */
int st_put_part(struct st_writer *w, const char *name, uint64_t at, const void *data, size_t bytes,
                struct err *e);
/* The same in pieces of any order that do not overlap: who gives them sees to it. */
int st_put_at(struct st_writer *w, const char *name, uint64_t at, const void *data, size_t bytes,
              struct err *e);
/* byte for byte, as it is read */
int st_copy(struct st_writer *w, const char *name, const struct st_set *from,
            const struct st_entry *x, struct err *e);
/* Error when a declared tensor was not given whole. The writer is gone afterwards, as is the
 * temporary file when it fails. */
int st_publish(struct st_writer **w, struct err *e);
void st_abort(struct st_writer **w); /* removes the temporary file */

#endif

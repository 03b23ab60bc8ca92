/* SPDX-License-Identifier: Apache-2.0 */
/* tensor - a named, typed, row-major block of memory, as it travels and as it lies in a file. At
 * most 6 dimensions. A tensor owns its data when release is set. Little-endian hosts only
 * (checked at compile time). */
#ifndef PTQ_TENSOR_H
#define PTQ_TENSOR_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"
#include "dtype.h"

#define TENSOR_DIMS 6
#define TENSOR_NAME 192

struct tensor {
    char name[TENSOR_NAME];
    enum dtype dtype;
    int ndim; /* 0: a scalar */
    uint64_t shape[TENSOR_DIMS];
    size_t bytes; /* elements x dtype_size, checked */
    void *data;
    void (*release)(void *owner); /* NULL: borrowed */
    /* CRC32C of data, where decoding, encoding or msg_checksum has computed it */
    uint32_t crc;
    /* whoever writes into data after that clears it, else the receiver refuses the message as
     * damaged, or (memory of the same host) takes it for another */
    int crc_known;
    /* what release gets (data itself for malloc'd memory, release = free) */
    void *owner;
};

/* Elements and bytes of a shape with an overflow test; -1 names the tensor. */
int tensor_measure(enum dtype t, int ndim, const uint64_t *shape, const char *name,
                   size_t *elements, size_t *bytes, struct err *e);
/* Allocates (64-byte aligned, not zeroed) and fills in the header. shape may be freed after. */
int tensor_alloc(struct tensor *t, const char *name, enum dtype dtype, int ndim,
                 const uint64_t *shape, struct err *e);
/* A header over somebody else's memory. */
int tensor_borrow(struct tensor *t, const char *name, enum dtype dtype, int ndim,
                  const uint64_t *shape, void *data, struct err *e);
void tensor_release(struct tensor *t); /* frees what it owns and zeroes the struct */
uint32_t tensor_crc(struct tensor *t); /* computed once: see crc_known */
/* All its bytes, from t->bytes of them elsewhere. The CRC is taken on the way, while a cache has
 * them. */
void tensor_copy_in(struct tensor *t, const void *from);
size_t tensor_elements(const struct tensor *t);
int tensor_has_shape(const struct tensor *t, int ndim, const uint64_t *shape);
/* "[576, 1536]" into a buffer of at least 96 bytes */
void tensor_shape_text(int ndim, const uint64_t *shape, char *out, size_t n);
/* Number of NaN or infinite elements of a float tensor; 0 for integers. */
size_t tensor_count_bad(const struct tensor *t);

#endif

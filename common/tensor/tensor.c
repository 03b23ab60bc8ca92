/* SPDX-License-Identifier: Apache-2.0 */
/* tensor - headers, sizes and ownership of tensors; no arithmetic. */
#include "tensor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/hash.h"
#include "../base/mem.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "tensors travel little-endian, as they lie in memory");

int tensor_measure(enum dtype t, int ndim, const uint64_t *shape, const char *name,
                   size_t *elements, size_t *bytes, struct err *e)
{
    size_t n = 1, total;

    if ((unsigned)t >= DT_COUNT)
        return err_set(e, ERR_USE, "tensor '%s': unknown element type", name);
    if (ndim < 0 || ndim > TENSOR_DIMS)
        return err_set(e, ERR_USE, "tensor '%s': %d dimensions, must be 0 to %d", name, ndim,
                       TENSOR_DIMS);
    for (int i = 0; i < ndim; i++)
        if (shape[i] > SIZE_MAX || mem_mul(n, (size_t)shape[i], &n) < 0)
            return err_set(e, ERR_USE,
                           "tensor '%s': its shape does not fit the memory of any machine", name);
    if (mem_mul(n, dtype_size(t), &total) < 0 || total > PTRDIFF_MAX)
        return err_set(e, ERR_USE, "tensor '%s': its shape does not fit the memory of any machine",
                       name);
    if (elements)
        *elements = n;
    if (bytes)
        *bytes = total;
    return 0;
}

static int fill(struct tensor *t, const char *name, enum dtype dtype, int ndim,
                const uint64_t *shape, struct err *e)
{
    struct tensor x = {.dtype = dtype, .ndim = ndim};

    if (strlen(name) >= sizeof x.name)
        return err_set(e, ERR_USE, "tensor '%.60s...': its name has more than %d characters", name,
                       TENSOR_NAME - 1);
    if (tensor_measure(dtype, ndim, shape, name, NULL, &x.bytes, e) < 0)
        return -1;
    memcpy(x.name, name, strlen(name));
    for (int i = 0; i < ndim; i++)
        x.shape[i] = shape[i];
    *t = x;
    return 0;
}

int tensor_alloc(struct tensor *t, const char *name, enum dtype dtype, int ndim,
                 const uint64_t *shape, struct err *e)
{
    struct tensor x;

    memset(t, 0, sizeof *t);
    if (fill(&x, name, dtype, ndim, shape, e) < 0)
        return -1;
    x.data = mem_raw(x.bytes, 1, e);
    if (!x.data)
        return err_prefix(e, "tensor '%s'", name);
    x.release = free;
    x.owner = x.data;
    *t = x;
    return 0;
}

int tensor_borrow(struct tensor *t, const char *name, enum dtype dtype, int ndim,
                  const uint64_t *shape, void *data, struct err *e)
{
    memset(t, 0, sizeof *t);
    if (fill(t, name, dtype, ndim, shape, e) < 0)
        return -1;
    t->data = data;
    return 0;
}

void tensor_release(struct tensor *t)
{
    if (!t)
        return;
    if (t->release)
        t->release(t->owner);
    memset(t, 0, sizeof *t);
}

size_t tensor_elements(const struct tensor *t)
{
    return t->bytes / dtype_size(t->dtype);
}

int tensor_has_shape(const struct tensor *t, int ndim, const uint64_t *shape)
{
    if (t->ndim != ndim)
        return 0;
    for (int i = 0; i < ndim; i++)
        if (t->shape[i] != shape[i])
            return 0;
    return 1;
}

void tensor_shape_text(int ndim, const uint64_t *shape, char *out, size_t n)
{
    size_t at = 0;

    if (!n)
        return;
    snprintf(out, n, "[");
    for (int i = 0; i < ndim && i < TENSOR_DIMS; i++) {
        at = strlen(out);
        snprintf(out + at, n - at, "%s%" PRIu64, i ? ", " : "", shape[i]);
    }
    at = strlen(out);
    snprintf(out + at, n - at, "]");
}

/* Infinite and NaN have all exponent bits set. */
static size_t count_bad16(const uint16_t *h, size_t n, uint16_t mask)
{
    size_t bad = 0;

    for (size_t i = 0; i < n; i++)
        bad += (h[i] & mask) == mask;
    return bad;
}

size_t tensor_count_bad(const struct tensor *t)
{
    size_t n = tensor_elements(t), bad = 0;
    const uint32_t *f = t->data;
    const uint64_t *d = t->data;
    const uint8_t *b = t->data;

    switch (t->dtype) {
    case DT_F8_E4M3:
        for (size_t i = 0; i < n; i++)
            bad += (b[i] & 0x7fu) == 0x7fu;
        return bad;
    case DT_F8_E8M0:
        for (size_t i = 0; i < n; i++)
            bad += b[i] == 0xffu;
        return bad;
    case DT_F16:
        return count_bad16(t->data, n, 0x7c00);
    case DT_BF16:
        return count_bad16(t->data, n, 0x7f80);
    case DT_F32:
        for (size_t i = 0; i < n; i++)
            bad += (f[i] & 0x7f800000u) == 0x7f800000u;
        return bad;
    case DT_F64:
        for (size_t i = 0; i < n; i++)
            bad += (d[i] & 0x7ff0000000000000u) == 0x7ff0000000000000u;
        return bad;
    default:
        return 0;
    }
}

uint32_t tensor_crc(struct tensor *t)
{
    if (!t->crc_known) {
        t->crc = hash_crc32c(0, t->data, t->bytes);
        t->crc_known = 1;
    }
    return t->crc;
}

void tensor_copy_in(struct tensor *t, const void *from)
{
    enum { PIECE = 32 << 10 };
    uint32_t crc = 0;

    for (size_t at = 0; at < t->bytes; at += PIECE) {
        const size_t n = t->bytes - at < PIECE ? t->bytes - at : PIECE;
        char *to = (char *)t->data + at;

        memcpy(to, (const char *)from + at, n);
        crc = hash_crc32c(crc, to, n);
    }
    t->crc = crc;
    t->crc_known = 1;
}

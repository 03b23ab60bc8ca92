/* SPDX-License-Identifier: Apache-2.0 */
/* protobuf - see protobuf.h. */
#include "protobuf.h"

#include <string.h>

/* Seven bits a byte, the lowest first. */
static int varint(struct protobuf *m, uint64_t *v)
{
    *v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        unsigned char byte;

        if (!m->n)
            return -1;
        byte = *m->p++;
        m->n--;
        *v |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return 0;
    }
    return -1;
}

static int fixed(struct protobuf *m, size_t bytes, uint64_t *v)
{
    *v = 0;
    if (m->n < bytes)
        return -1;
    for (size_t i = 0; i < bytes; i++)
        *v |= (uint64_t)m->p[i] << (8 * i);
    m->p += bytes;
    m->n -= bytes;
    return 0;
}

int protobuf_next(struct protobuf *m, struct protobuf_field *f)
{
    uint64_t tag, n;
    int rc;

    memset(f, 0, sizeof *f);
    if (!m->n)
        return 0;
    if (varint(m, &tag) < 0 || tag >> 3 == 0 || tag >> 3 > UINT32_MAX)
        return -1;
    f->number = (uint32_t)(tag >> 3);
    switch (tag & 7) {
    case 0:
        f->kind = PROTOBUF_INT;
        rc = varint(m, &f->value);
        break;
    case 1:
        f->kind = PROTOBUF_FIXED64;
        rc = fixed(m, 8, &f->value);
        break;
    case 5:
        f->kind = PROTOBUF_FIXED32;
        rc = fixed(m, 4, &f->value);
        break;
    case 2:
        f->kind = PROTOBUF_BYTES;
        if ((rc = varint(m, &n)) < 0 || n > m->n)
            return -1;
        f->data = (struct protobuf){m->p, (size_t)n};
        m->p += n;
        m->n -= (size_t)n;
        break;
    default:
        rc = -1;
    }
    return rc < 0 ? -1 : 1;
}

float protobuf_float(const struct protobuf_field *f)
{
    uint32_t bits = (uint32_t)f->value;
    float v = 0;

    if (f->kind == PROTOBUF_FIXED32)
        memcpy(&v, &bits, sizeof v);
    return v;
}

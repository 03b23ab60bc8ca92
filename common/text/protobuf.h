/* SPDX-License-Identifier: Apache-2.0 */
/* protobuf - the fields of a message in Protocol Buffers' wire format, one after the other; what
 * they mean is the caller's. Groups are not known. */
#ifndef PTQ_PROTOBUF_H
#define PTQ_PROTOBUF_H

#include <stddef.h>
#include <stdint.h>

struct protobuf { /* what is left of a message, borrowed */
    const unsigned char *p;
    size_t n;
};

struct protobuf_field {
    uint32_t number;
    enum { PROTOBUF_INT, PROTOBUF_FIXED64, PROTOBUF_BYTES, PROTOBUF_FIXED32 } kind;
    uint64_t value;       /* unless it is bytes */
    struct protobuf data; /* bytes: a text, or a message inside */
};

/* 1: the next field, 0: the end, -1: no such message. */
int protobuf_next(struct protobuf *m, struct protobuf_field *f);
/* A field as IEEE single; 0 when it is not of four bytes. */
float protobuf_float(const struct protobuf_field *f);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* parquet_thrift - the compact protocol of Thrift, in which Parquet says what is where. A reader
 * that meets something broken stands at its end from then on, so that a caller may read on and
 * look once at the end. */
#ifndef PTQ_PARQUET_THRIFT_H
#define PTQ_PARQUET_THRIFT_H

#include <stddef.h>
#include <stdint.h>

enum thrift_type {
    THRIFT_STOP,
    THRIFT_TRUE,
    THRIFT_FALSE,
    THRIFT_I8,
    THRIFT_I16,
    THRIFT_I32,
    THRIFT_I64,
    THRIFT_DOUBLE,
    THRIFT_BYTES,
    THRIFT_LIST,
    THRIFT_SET,
    THRIFT_MAP,
    THRIFT_STRUCT
};

struct thrift {
    const uint8_t *p, *end;
    int bad; /* something did not fit */
};

/* The next field of a struct: its type, and its number in *id, which is 0 in front of the first;
 * THRIFT_STOP behind the last one. Its value has to be read, or passed over, before the next. */
enum thrift_type thrift_field(struct thrift *t, int *id);
/* Values of a field or an element of that type; of another type they are broken. */
int64_t thrift_int(struct thrift *t, enum thrift_type type);
int thrift_bool(struct thrift *t, enum thrift_type type); /* of a field */
const uint8_t *thrift_bytes(struct thrift *t, enum thrift_type type, size_t *n);
/* A list whose elements have the type `of`: how many, not more than there are bytes left. */
size_t thrift_list(struct thrift *t, enum thrift_type type, enum thrift_type of);
/* A struct is to be read: nothing stands in front of its fields. */
void thrift_struct(struct thrift *t, enum thrift_type type);
void thrift_skip(struct thrift *t, enum thrift_type type);
/* Also behind the protocol: bytes of 7 bits, the lowest first. */
uint64_t thrift_varint(struct thrift *t);

#endif

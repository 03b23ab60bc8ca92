/* SPDX-License-Identifier: Apache-2.0 */
/* parquet_values - the numbers and texts of a page of a Parquet file, one after the other, in every
 * encoding but BYTE_STREAM_SPLIT and the levels of BIT_PACKED, which nobody writes for texts.
 * Nothing is unpacked ahead: memory is that of the page. Between the parquet_*.c files alone. */
#ifndef PTQ_PARQUET_VALUES_H
#define PTQ_PARQUET_VALUES_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"

enum parquet_encoding {
    PARQUET_AS_PLAIN = 0,
    PARQUET_AS_PLAIN_DICTIONARY = 2,
    PARQUET_AS_RLE = 3,
    PARQUET_AS_DELTA = 5,
    PARQUET_AS_DELTA_LENGTH = 6,
    PARQUET_AS_DELTA_BYTES = 7,
    PARQUET_AS_DICTIONARY = 8
};

/* Runs of one number, or of packed ones. */
struct parquet_runs {
    const uint8_t *p, *end;
    unsigned width;
    uint64_t left; /* of this run */
    int packed;
    uint32_t value;
    const uint8_t *bits;
    uint64_t bit, bits_end;
};

void parquet_runs_start(struct parquet_runs *r, const void *data, size_t n, unsigned width);
int parquet_runs_next(struct parquet_runs *r, uint32_t *value); /* -1: there is none */

struct parquet_delta {
    const uint8_t *p, *end;
    uint64_t left; /* values */
    uint64_t last; /* wraps, as the format wants it */
    uint64_t least;
    const uint8_t *widths, *bits;
    unsigned blocks, part, parts; /* miniblocks of a block, and numbers of one */
    unsigned width, at;
    int begun;
};

struct parquet_value {
    const uint8_t *bytes; /* until the next value is read */
    size_t n;
    int64_t i; /* of unsigned types the same bits */
    double d;
};

/* What numbers of a dictionary stand for. */
struct parquet_dictionary {
    size_t count;
    uint32_t *at; /* [count + 1] of texts: where each begins, behind its length; owned */
    uint8_t *data;
    size_t bytes;
};

struct parquet_values {
    int type; /* enum parquet_type */
    int encoding;
    const uint8_t *p, *end;
    unsigned bit; /* of truths in PLAIN */
    struct parquet_runs runs;
    struct parquet_delta delta, prefix;
    const struct parquet_dictionary *dictionary;
    uint8_t *text; /* the last one of DELTA_BYTES; owned */
    size_t room, length;
};

/* Reads `count` plain values in data, which becomes the dictionary's in any case. what: for errors.
 * *d is empty, or from an earlier call. */
int parquet_dictionary_set(struct parquet_dictionary *d, int type, void *data, size_t n,
                           uint64_t count, const char *what, struct err *e);
void parquet_dictionary_release(struct parquet_dictionary *d);

/* The values of a page; data stay the caller's. -1: an encoding that is not read, by name, or data
 * that do not fit it. */
int parquet_values_start(struct parquet_values *v, int type, int encoding, const void *data,
                         size_t n, const struct parquet_dictionary *d, const char *what,
                         struct err *e);
int parquet_values_next(struct parquet_values *v, struct parquet_value *x, const char *what,
                        struct err *e);
void parquet_values_release(struct parquet_values *v);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* parquet_column - one column of a Parquet file in one group of rows, entry by entry: its levels,
 * and its value where there is one. A page is in memory at a time, and the dictionary. */
#ifndef PTQ_PARQUET_COLUMN_H
#define PTQ_PARQUET_COLUMN_H

#include "parquet_meta.h"
#include "parquet_values.h"

struct parquet_column {
    int fd;
    const struct parquet_node *leaf;
    char *what; /* for errors; owned */
    int codec;
    uint64_t at, left; /* of the chunk: bytes */
    uint8_t *page, *packed;
    size_t page_room, packed_room;
    uint64_t entries; /* of this page that have not come */
    struct parquet_runs rep_runs, def_runs;
    struct parquet_values values;
    struct parquet_dictionary dictionary;
    int ready; /* rep and def are those of the next entry */
    unsigned rep, def;
};

/* The file and the leaf stay the caller's. Release c in any case. */
int parquet_column_open(struct parquet_column *c, int fd, const char *file,
                        const struct parquet_node *leaf, struct err *e);
/* In this group; what was before is forgotten. */
void parquet_column_start(struct parquet_column *c, const struct parquet_chunk *chunk);
/* 1: c->rep and c->def are those of the next entry, 0: there is none, -1. */
int parquet_column_peek(struct parquet_column *c, struct err *e);
/* Takes the entry that peek has found; 1: x is its value, 0: it has none, -1. */
int parquet_column_take(struct parquet_column *c, struct parquet_value *x, struct err *e);
void parquet_column_release(struct parquet_column *c);

#endif

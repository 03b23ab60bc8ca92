/* SPDX-License-Identifier: Apache-2.0 */
/* parquet_meta - what the end of a Parquet file says: its columns as a tree, and where the values
 * of those that are wanted lie, by groups of rows. Nothing of it is believed before it is held
 * against the size of the file. Between the parquet_*.c files alone. */
#ifndef PTQ_PARQUET_META_H
#define PTQ_PARQUET_META_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"

enum parquet_type {
    PARQUET_BOOLEAN,
    PARQUET_INT32,
    PARQUET_INT64,
    PARQUET_INT96,
    PARQUET_FLOAT,
    PARQUET_DOUBLE,
    PARQUET_BYTES,
    PARQUET_FIXED,
    PARQUET_TYPES,
    PARQUET_NODE = -1 /* a node that has others below it */
};

enum parquet_repetition { PARQUET_REQUIRED, PARQUET_OPTIONAL, PARQUET_REPEATED };

enum parquet_means { /* what is said of the type, as far as it matters */
                     PARQUET_PLAIN,
                     PARQUET_TEXT,
                     PARQUET_LIST,
                     PARQUET_MAP,
                     PARQUET_UNSIGNED,
                     PARQUET_DECIMAL
};

/* Depth first: those below a node follow it, `size` nodes with itself. */
struct parquet_node {
    char *name; /* NUL-terminated; owned */
    int type;
    enum parquet_repetition repetition;
    enum parquet_means means;
    unsigned def, rep; /* levels of a value that is there */
    size_t size, children;
    int wanted;
    size_t column; /* of the first wanted leaf in it, among the wanted ones */
};

/* The values of a column in a group of rows. */
struct parquet_chunk {
    uint64_t at, bytes;
    int codec;
};

struct parquet_meta {
    const char *name; /* of the file, for errors; borrowed */
    size_t nnodes;
    struct parquet_node *node; /* [0] holds all */
    size_t ncolumns;           /* leaves that are wanted */
    const struct parquet_node **leaf;
    size_t ngroups, groups_room, chunks_room;
    uint64_t *rows;              /* [ngroups] */
    struct parquet_chunk *chunk; /* [ngroups, ncolumns] */
};

/* Columns below the root whose name is in `names` (NULL-terminated) are wanted. fd is a file of
 * `bytes` bytes. Release m in any case. */
int parquet_meta_read(struct parquet_meta *m, int fd, uint64_t bytes, const char *name,
                      const char *const *names, struct err *e);
void parquet_meta_release(struct parquet_meta *m);

#endif

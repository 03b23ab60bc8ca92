/* SPDX-License-Identifier: Apache-2.0 */
/* parquet - the rows of a Parquet file, as lines of a .jsonl file would have them.
 *
 * Texts, whole numbers, truths, floating-point numbers, structs, lists and maps with texts as keys,
 * nested as they come; of columns that are not asked for, the names of those that hold texts (with
 * "" as what they hold), so that a reader can say what else is there. Pages plain, by dictionary or
 * by differences, not packed or by snappy, gzip or zstd; anything else is refused by its name. The
 * file is untrusted: what it says is checked before memory is taken for it. Memory is one page, one
 * dictionary for each column that is asked for, and one row. */
#ifndef PTQ_PARQUET_H
#define PTQ_PARQUET_H

#include <stddef.h>
#include "../base/err.h"

struct parquet;

/* path: to open; name: for errors, borrowed. names: of columns that are read; NULL ends them. */
struct parquet *parquet_open(const char *path, const char *name, const char *const *names,
                             struct err *e);
/* How many of the columns that are read are there; a struct or a list may count as several. */
size_t parquet_columns(const struct parquet *p);
/* 1: the next row, an object in JSON, there until the next call; 0 the end; -1. A text is as it
 * is stored, also where that is no UTF-8. */
int parquet_next(struct parquet *p, const char **row, size_t *n, struct err *e);
void parquet_close(struct parquet **p);

#endif

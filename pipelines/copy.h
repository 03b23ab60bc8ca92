/* SPDX-License-Identifier: Apache-2.0 */
/* copy - the copy of a model that a worker makes of what it is lent.
 *
 * It grows in DIR/DIGEST.part, file after file and each from its start, and is called DIR/DIGEST
 * when every file has the contents that the list says. DIGEST is that of the list (lent.h). What is
 * there of an earlier try is gone on with; one process at a time makes it. */
#ifndef PTQ_COPY_H
#define PTQ_COPY_H

#include "lent.h"

struct copy;

/* 1: the copy is there, *model is what ptq-forward takes; 0: it is not; -1. */
int copy_find(const char *dir, const struct lent *l, char **model, struct err *e);
/* 1: *c is begun, or gone on with; 0: another process makes it; -1, also where the disk has no room
 * for what is missing. l: borrowed. */
int copy_begin(const char *dir, const struct lent *l, struct copy **c, struct err *e);
uint64_t copy_bytes(const struct copy *c); /* that are there */
/* 1: file *number is to come next, from byte *from on; 0: all is there. */
int copy_wants(const struct copy *c, size_t *number, uint64_t *from);
/* The next bytes of the file that is wanted. A file that came whole and is not what the list says
 * is asked for once more, from its start; then ERR_DATA. ERR_USE: more than is wanted. */
int copy_take(struct copy *c, const void *data, size_t n, struct err *e);
/* All is there: it gets its name. */
int copy_finish(struct copy *c, struct err *e);
/* What came stays for the next. */
void copy_close(struct copy **c);

#endif

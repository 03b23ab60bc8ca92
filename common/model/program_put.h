/* SPDX-License-Identifier: Apache-2.0 */
/* program_put - how an operation gets into a program: what the files share that define functions
 * of program_build.h; nobody else includes this. */
#ifndef PTQ_PROGRAM_PUT_H
#define PTQ_PROGRAM_PUT_H

#include "program.h"

struct op put_op(const struct op_kind *kind, int in, int out);
size_t put_width(const struct program *p, int slot);     /* 1 where it is none */
int put_like(struct program *p, int slot, size_t width); /* a new slot with the rows of another */
/* With the prefix of the block; NULL: none, or no memory (p is bad then). */
char *put_name(struct program *p, const char *name, const char *suffix);
/* Takes over the tensors of o; its output, -1 after a mistake. */
int put(struct program *p, struct op *o);

#endif

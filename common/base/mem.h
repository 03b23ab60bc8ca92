/* SPDX-License-Identifier: Apache-2.0 */
/* mem - checked allocation. Sizes are multiplied with an overflow test; failure is an ERR_SYS
 * that names the size asked for. mem_array() gives zeroed memory, mem_raw() 64-byte aligned
 * memory that is not zeroed (for matrices). From MEM_LARGE on that lies on large pages where the
 * system gives them when asked (madvise), all of which counts once a part is touched; mem_sparse()
 * is the same on small pages, for what is touched in parts. All are freed with free(). */
#ifndef PTQ_MEM_H
#define PTQ_MEM_H

#include <stddef.h>
#include "err.h"

#define MEM_LARGE ((size_t)4 << 20)

void *mem_array(size_t count, size_t size, struct err *e);
void *mem_raw(size_t count, size_t size, struct err *e);
void *mem_sparse(size_t count, size_t size, struct err *e);
/* Grows *p to hold at least want elements (doubling); *cap is updated. Returns 0/-1; on failure
 * *p is as it was. */
int mem_grow(void **p, size_t *cap, size_t want, size_t size, struct err *e);
char *mem_text(const char *text, struct err *e); /* a copy */
char *mem_printf(struct err *e, const char *fmt, ...) ERR_PRINTF(2, 3);
#define MEM_BLOCK ((size_t)128 << 10)

/* For a process of few, large, short-lived blocks, before it takes any: those of so many bytes or
 * more (MEM_BLOCK at least, 32 MiB at most) go back to the system when they are freed. Else malloc
 * keeps up to several times the largest one, more or less as speeds make it. Costs a page fault for
 * every 4 KiB taken. */
void mem_return_freed(size_t least);
/* The contrary, for a process that takes and frees the same sizes over and over: up to 32 MiB each
 * they stay with it, and from 1 MiB on lie on large pages where the system gives them when asked
 * (madvise). Nearly no page faults, and faster matrices, for some memory more. */
void mem_keep_freed(void);
/* What malloc keeps of freed memory goes back to the system, this once. */
void mem_trim(void);
/* Bytes of memory that this machine has. */
double mem_machine(void);
/* a*b into *out; -1 when it overflows size_t. */
int mem_mul(size_t a, size_t b, size_t *out);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* mem - checked allocation. */
#include "mem.h"

#include <limits.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALIGN ((size_t)64)
#define APART (32 << 20) /* malloc takes no larger threshold */
#define GROWS (64 << 20)

static _Atomic(char *) advised; /* the heap up to here is to lie on large pages; NULL: nothing is */

int mem_mul(size_t a, size_t b, size_t *out)
{
    if (b && a > SIZE_MAX / b)
        return -1;
    *out = a * b;
    return 0;
}

static void *no_memory(size_t count, size_t size, struct err *e)
{
    err_set(e, ERR_SYS, "out of memory: cannot allocate %zu x %zu bytes", count, size);
    return NULL;
}

static char *page_of(char *p)
{
    return p - (uintptr_t)p % (uintptr_t)sysconf(_SC_PAGESIZE);
}

/* The system may have none. */
static void on_large_pages(char *p, size_t bytes)
{
    (void)madvise(page_of(p), bytes, MADV_HUGEPAGE);
}

/* The heap is advised when it has grown, before most of it is touched: a large page is given where
 * no small one is yet. */
static void *lay(void *p)
{
    char *from = advised, *end;

    if (!from || !p)
        return p;
    end = sbrk(0);
    if (end > from && atomic_compare_exchange_strong(&advised, &from, end))
        on_large_pages(from, (size_t)(end - from));
    return p;
}

void *mem_array(size_t count, size_t size, struct err *e)
{
    void *p = NULL;
    size_t bytes;

    if (mem_mul(count, size, &bytes) == 0)
        p = lay(calloc(1, bytes ? bytes : 1));
    if (p && advised && bytes >= APART)
        on_large_pages(p, bytes);
    return p ? p : no_memory(count, size, e);
}

void *mem_sparse(size_t count, size_t size, struct err *e)
{
    void *p = NULL;
    size_t bytes;

    if (mem_mul(count, size, &bytes) == 0 && bytes <= SIZE_MAX - ALIGN) {
        bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
        p = lay(aligned_alloc(ALIGN, bytes ? bytes : ALIGN));
    }
    return p ? p : no_memory(count, size, e);
}

void *mem_raw(size_t count, size_t size, struct err *e)
{
    void *p = mem_sparse(count, size, e);

    if (p && count * size >= MEM_LARGE)
        on_large_pages(p, count * size);
    return p;
}

int mem_grow(void **p, size_t *cap, size_t want, size_t size, struct err *e)
{
    size_t room = *cap < 8 ? 8 : *cap, bytes;
    void *grown;

    if (want <= *cap)
        return 0;
    while (room < want)
        room = room > SIZE_MAX / 2 ? want : room * 2;
    if (mem_mul(room, size, &bytes) < 0 || !(grown = realloc(*p, bytes ? bytes : 1))) {
        no_memory(room, size, e);
        return -1;
    }
    *p = grown;
    *cap = room;
    return 0;
}

void mem_trim(void)
{
    malloc_trim(0);
}

/* Either call also stops malloc from raising both with what it sees freed. */
void mem_return_freed(size_t least)
{
    mallopt(M_MMAP_THRESHOLD, (int)least);
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

void mem_keep_freed(void)
{
    mallopt(M_MMAP_THRESHOLD, APART);
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
    mallopt(M_TOP_PAD, GROWS);
    advised = page_of(sbrk(0));
}

double mem_machine(void)
{
    return (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
}

char *mem_text(const char *text, struct err *e)
{
    size_t n = strlen(text) + 1;
    char *copy = mem_array(n, 1, e);

    if (copy)
        memcpy(copy, text, n);
    return copy;
}

char *mem_printf(struct err *e, const char *fmt, ...)
{
    va_list ap;
    char *text;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        err_set(e, ERR_SYS, "cannot format text");
        return NULL;
    }
    text = mem_array((size_t)n + 1, 1, e);
    if (!text)
        return NULL;
    va_start(ap, fmt);
    vsnprintf(text, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return text;
}

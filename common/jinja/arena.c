/* SPDX-License-Identifier: Apache-2.0 */
/* arena - pages, the newest first; see arena.h. */
#include "arena.h"

#include <stdlib.h>

#include "../base/mem.h"

struct arena_page {
    struct arena_page *next;
    size_t used, size;
};

enum { PAGE_BYTES = 16384, ALIGN = 16 };

void *arena_get(struct arena *a, size_t n, struct err *e)
{
    size_t head = (sizeof(struct arena_page) + ALIGN - 1) & ~(size_t)(ALIGN - 1), size;
    struct arena_page *p = a->page;
    char *at;

    if (n > a->max || a->used > a->max - n) {
        err_set(e, ERR_USE, "chat template: more than %zu bytes of memory", a->max);
        return NULL;
    }
    n = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (!p || p->size - p->used < n) {
        size = head + n > PAGE_BYTES ? head + n : PAGE_BYTES;
        if (!(p = mem_array(1, size, e)))
            return NULL;
        p->next = a->page;
        p->size = size;
        p->used = head;
        a->page = p;
    }
    at = (char *)p + p->used;
    p->used += n;
    a->used += n;
    return at;
}

void arena_release(struct arena *a)
{
    while (a->page) {
        struct arena_page *next = a->page->next;

        free(a->page);
        a->page = next;
    }
}

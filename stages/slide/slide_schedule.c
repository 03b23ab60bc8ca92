/* SPDX-License-Identifier: Apache-2.0 */
/* slide_schedule - see slide_schedule.h. */
#include "slide_schedule.h"

#include "../../common/base/mem.h"

static size_t at_most(size_t x, size_t most)
{
    return x < most ? x : most;
}

static size_t less(size_t x, size_t by)
{
    return x > by ? x - by : 0;
}

struct list {
    struct slide_span *span;
    size_t count;
};

/* The same window twice would only be a longer one. */
static void push(struct list *l, size_t first, size_t count)
{
    const struct slide_span *last = l->count ? &l->span[l->count - 1] : NULL;

    if (!last || last->first != first || last->count != count)
        l->span[l->count++] = (struct slide_span){first, count};
}

/* They share as many blocks with their neighbours at both ends as with each other. */
static void push_fixed(struct list *l, size_t blocks, const struct slide_zones *z, size_t shallow,
                       size_t deep)
{
    const size_t size = at_most(z->window, blocks);
    const size_t first = shallow ? less(shallow + z->stride, size) : 0;
    size_t last = at_most(deep ? less(blocks - deep, z->stride) : blocks, blocks - size);

    if (last < first && shallow + deep >= blocks)
        return;
    last = at_most(last < first ? first : last, blocks - size);
    for (size_t at = at_most(first, last); at < last; at += z->stride)
        push(l, at, size);
    push(l, last, size);
}

int slide_schedule_make(size_t blocks, const struct slide_zones *z, struct slide_span **span,
                        size_t *count, struct err *e)
{
    const size_t shallow = at_most(z->shallow, blocks), deep = at_most(z->deep, blocks);
    struct list l = {.span = mem_array(shallow + blocks + deep + 1, sizeof *l.span, e)};

    if (!l.span)
        return -1;
    for (size_t n = 1; n <= shallow; n++)
        push(&l, 0, n);
    push_fixed(&l, blocks, z, shallow, deep);
    for (size_t n = deep; n > 0; n--)
        push(&l, blocks - n, n);
    *span = l.span;
    *count = l.count;
    return 0;
}

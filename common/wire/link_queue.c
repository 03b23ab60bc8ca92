/* SPDX-License-Identifier: Apache-2.0 */
/* link_queue - messages that are on their way through a socket link, and queues of them. */
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "link_impl.h"

struct box *box_create(struct msg *m, struct err *e)
{
    struct box *b = mem_array(1, sizeof *b, e);

    if (!b)
        return NULL;
    atomic_init(&b->refs, 1);
    b->m = m;
    b->but = SIZE_MAX;
    b->bytes = msg_bytes(m);
    return b;
}

void box_ref(struct box *b)
{
    atomic_fetch_add(&b->refs, 1);
}

void box_unref(struct box **b)
{
    struct box *gone = *b;

    *b = NULL;
    if (!gone || atomic_fetch_sub(&gone->refs, 1) != 1)
        return;
    msg_destroy(&gone->m);
    box_unref(&gone->base);
    free(gone);
}

int queue_push(struct queue *q, struct box *b, struct err *e)
{
    if (q->count == 0)
        q->head = 0;
    if (q->head > 64 && q->head > q->count) {
        memmove(q->at, q->at + q->head, q->count * sizeof *q->at);
        q->head = 0;
    }
    if (mem_grow((void **)&q->at, &q->room, q->head + q->count + 1, sizeof *q->at, e) < 0)
        return -1;
    q->at[q->head + q->count++] = b;
    return 0;
}

struct box *queue_pop(struct queue *q)
{
    if (!q->count)
        return NULL;
    q->count--;
    return q->at[q->head++];
}

void queue_unpop(struct queue *q, struct box *b)
{
    q->count++;
    q->at[--q->head] = b;
}

struct box *queue_take(struct queue *q, size_t i)
{
    struct box **at = q->at + q->head, *b = at[i];

    q->count--;
    memmove(at + i, at + i + 1, (q->count - i) * sizeof *at);
    return b;
}

void queue_clear(struct queue *q)
{
    for (size_t i = 0; i < q->count; i++)
        box_unref(&q->at[q->head + i]);
    free(q->at);
    *q = (struct queue){0};
}

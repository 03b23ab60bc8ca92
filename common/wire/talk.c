/* SPDX-License-Identifier: Apache-2.0 */
/* talk - see talk.h. */
#include "talk.h"

#include <stdlib.h>
#include "../base/mem.h"
#include "frame.h"

struct said {
    struct msg *m; /* tensors lie in it */
    struct part *parts;
    size_t count, bytes;
    atomic_size_t left; /* parts that ZeroMQ still has, released on whichever thread */
    atomic_size_t *way; /* NULL: nobody counts */
};

static void said_destroy(struct said *s)
{
    if (!s)
        return;
    if (s->way)
        atomic_fetch_sub(s->way, s->bytes);
    frame_parts_free(&s->parts, &s->count);
    msg_destroy(&s->m);
    free(s);
}

static void said_release(void *owner)
{
    struct said *s = owner;

    if (atomic_fetch_sub(&s->left, 1) == 1)
        said_destroy(s);
}

int talk_send_counted(struct zsock *z, const struct zid *to, struct msg **m, atomic_size_t *way,
                      struct err *e)
{
    static const struct zid nobody = {.n = 0};
    struct said *s = *m ? mem_array(1, sizeof *s, e) : NULL;
    int r = s ? frame_encode(*m, FRAME_RAW, &s->parts, &s->count, e) : -1;

    if (r < 0) {
        msg_destroy(m);
        said_destroy(s);
        return err_set(e, ERR_SYS, "no memory for a message");
    }
    s->m = *m;
    *m = NULL;
    s->bytes = msg_bytes(s->m);
    if ((s->way = way) != NULL)
        atomic_fetch_add(way, s->bytes);
    atomic_store(&s->left, s->count);
    r = zsock_send(z, to ? to : &nobody, s->parts, s->count, said_release, s, e);
    if (r == ZS_AGAIN || r == ZS_GONE)
        said_destroy(s);
    return r;
}

int talk_send(struct zsock *z, const struct zid *to, struct msg **m, struct err *e)
{
    return talk_send_counted(z, to, m, NULL, e);
}

static int recv_within(struct zsock *z, struct zid *from, const struct frame_limits *lim,
                       struct msg **m, struct err *e)
{
    struct part *parts = NULL;
    size_t count = 0;
    int r = zsock_next(z, from, e);

    *m = NULL;
    if (r <= 0 || (r = zsock_recv(z, &parts, &count, lim, e)) <= 0)
        return r;
    *m = frame_decode(parts, count, lim, e);
    free(parts);
    return *m ? 1 : -1;
}

int talk_recv(struct zsock *z, struct zid *from, size_t max, struct msg **m, struct err *e)
{
    const struct frame_limits lim = {
        .parts = 1, .header_bytes = max, .tensor_bytes = 1, .message_bytes = max};

    return recv_within(z, from, &lim, m, e);
}

int talk_recv_piece(struct zsock *z, struct zid *from, size_t bytes, struct msg **m, struct err *e)
{
    const struct frame_limits lim = {.parts = 2,
                                     .header_bytes = TALK_BYTES,
                                     .tensor_bytes = bytes,
                                     .message_bytes = TALK_BYTES + bytes};

    return recv_within(z, from, &lim, m, e);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* talk - see talk.h. */
#include "talk.h"

#include <stdlib.h>
#include "../base/mem.h"
#include "frame.h"

struct said {
    struct part *parts;
    size_t count;
};

static void said_release(void *owner)
{
    struct said *s = owner;

    frame_parts_free(&s->parts, &s->count);
    free(s);
}

int talk_send(struct zsock *z, const struct zid *to, struct msg **m, struct err *e)
{
    static const struct zid nobody = {.n = 0};
    struct said *s = *m ? mem_array(1, sizeof *s, e) : NULL;
    int r = s ? frame_encode(*m, FRAME_RAW, &s->parts, &s->count, e) : -1;

    msg_destroy(m);
    if (r < 0) {
        free(s);
        return err_set(e, ERR_SYS, "no memory for a message");
    }
    /* one part: there are no tensors */
    r = zsock_send(z, to ? to : &nobody, s->parts, s->count, said_release, s, e);
    if (r == ZS_AGAIN || r == ZS_GONE)
        said_release(s);
    return r;
}

int talk_recv(struct zsock *z, struct zid *from, size_t max, struct msg **m, struct err *e)
{
    const struct frame_limits lim = {
        .parts = 1, .header_bytes = max, .tensor_bytes = 1, .message_bytes = max};
    struct part *parts = NULL;
    size_t count = 0;
    int r = zsock_next(z, from, e);

    *m = NULL;
    if (r <= 0 || (r = zsock_recv(z, &parts, &count, &lim, e)) <= 0)
        return r;
    *m = frame_decode(parts, count, &lim, e);
    free(parts);
    return *m ? 1 : -1;
}

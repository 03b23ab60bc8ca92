/* SPDX-License-Identifier: Apache-2.0 */
/* link_zmq_part - see link_zmq_part.h. */
#include "link_zmq_part.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"

#define COPY_BELOW 4096

struct sending {
    void (*release)(void *);
    void *owner;
};

static void release_part(void *data, void *hint)
{
    struct sending *s = hint;

    (void)data;
    if (s->release)
        s->release(s->owner);
    free(s);
}

int zpart_send(void *sock, const struct part *p, int flags, void (*release)(void *), void *owner)
{
    struct sending *s = malloc(sizeof *s);
    zmq_msg_t m;
    int error;

    if (!s)
        return ENOMEM;
    *s = (struct sending){release, owner};
    if (zmq_msg_init_data(&m, p->data, p->bytes, release_part, s) != 0) {
        free(s);
        return ENOMEM;
    }
    if (zmq_msg_send(&m, sock, flags | ZMQ_DONTWAIT) >= 0)
        return 0;
    error = zmq_errno();
    s->release = NULL;
    zmq_msg_close(&m);
    return error;
}

static void release_received(void *owner)
{
    zmq_msg_close(owner);
    free(owner);
}

int zpart_take(zmq_msg_t *m, struct part *p, struct err *e)
{
    size_t n = zmq_msg_size(m);
    zmq_msg_t *own;

    if (n < COPY_BELOW || (uintptr_t)zmq_msg_data(m) % 8) {
        if (!(p->data = mem_raw(n ? n : 1, 1, e)))
            return -1;
        memcpy(p->data, zmq_msg_data(m), n);
        *p = (struct part){p->data, n, free, p->data};
        return 0;
    }
    if (!(own = mem_array(1, sizeof *own, e)))
        return -1;
    zmq_msg_init(own);
    zmq_msg_move(own, m);
    *p = (struct part){zmq_msg_data(own), n, release_received, own};
    return 0;
}

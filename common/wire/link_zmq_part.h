/* SPDX-License-Identifier: Apache-2.0 */
/* link_zmq_part - parts of messages as messages of ZeroMQ, and back. For link_zmq.c alone. */
#ifndef PTQ_LINK_ZMQ_PART_H
#define PTQ_LINK_ZMQ_PART_H

#include <zmq.h>
#include "../base/err.h"
#include "frame_part.h"

/* Does not wait, nor copy: the data must stay until release(owner), which another thread may call.
 * 0, or the error (errno); then nothing was released. */
int zpart_send(void *sock, const struct part *p, int flags, void (*release)(void *), void *owner);
/* Moves a received part out; small ones are copied. 0, -1 no memory. */
int zpart_take(zmq_msg_t *m, struct part *p, struct err *e);

#endif

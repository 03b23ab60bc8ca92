/* SPDX-License-Identifier: Apache-2.0 */
/* talk - words of control straight over a socket, between a head and its workers, and pieces of
 * files, the only words with a tensor. One thread at a time. */
#ifndef PTQ_TALK_H
#define PTQ_TALK_H

#include <stdatomic.h>
#include <stddef.h>
#include "../base/err.h"
#include "link_zmq.h"
#include "msg.h"

#define TALK_BYTES ((size_t)1 << 20)    /* of a message from whom we have chosen to reach */
#define TALK_STRANGE ((size_t)64 << 10) /* from whoever reaches us */

/* ZS_OK, ZS_AGAIN, ZS_GONE: see zsock_send; -1. *m is consumed in any case, and NULL is memory that
 * was out. to: of a binder. */
int talk_send(struct zsock *z, const struct zid *to, struct msg **m, struct err *e);
/* The same; *way, which must outlive the socket, has the message's bytes (msg_bytes) added until
 * they have left the process. */
int talk_send_counted(struct zsock *z, const struct zid *to, struct msg **m, atomic_size_t *way,
                      struct err *e);
/* Never blocks. 1: *m is the caller's, from says who sent it; 0: none waits; -1: one came that is
 * damaged or larger than max, and was dropped. */
int talk_recv(struct zsock *z, struct zid *from, size_t max, struct msg **m, struct err *e);
/* The same of words with one tensor of at most so many bytes, or none. */
int talk_recv_piece(struct zsock *z, struct zid *from, size_t bytes, struct msg **m, struct err *e);

#endif

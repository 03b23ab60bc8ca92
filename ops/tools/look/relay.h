/* SPDX-License-Identifier: Apache-2.0 */
/* relay - copies a stream of messages from one endpoint to another: between a file, a pipe and a
 * socket, one to many, many to one; or sends messages made here, to measure a link.
 *
 * A relay is nobody of its own: in hello it says what it was told. Its receiving end takes every
 * kind; its sending end says the kinds that those it receives from have said, or, from a pipe or
 * file, the kind of the first message, so that it is refused wherever they would be. Run and
 * elastic are handed on in the same way. Chunks of one lane all go to one receiver. */
#ifndef PTQ_RELAY_H
#define PTQ_RELAY_H

#include <stddef.h>
#include <stdint.h>
#include "../../../common/base/err.h"
#include "../../../common/wire/link.h"

struct relay {
    const char *in, *out;
    const char *run;  /* that the others must belong to; NULL: what is said by who sends */
    int64_t make;     /* < 0: none */
    uint64_t size;    /* bytes of each message made here */
    size_t peers_in;  /* senders that must have come and ended */
    size_t peers_out; /* receivers to wait for */
    size_t credit;    /* messages that a sender may have on its way */
    double timeout;   /* seconds */
    int zstd;         /* compress what goes out */
    int all;          /* each message to all receivers */
    /* of both its ends; NULL: none. What it had on its way is lost with it: only where those that
     * send make it again, and those that receive go with it. */
    const struct link_lease *lease;
    const char *keys; /* for tcp, or NULL */
    int insecure;
};

/* Copies until the stream has ended, and says what was moved. 0; -1 with e set, which ERR_DATA
 * also stands for being asked to stop before the end. */
int relay_run(const struct relay *r, struct err *e);

#endif

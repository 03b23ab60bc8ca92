/* SPDX-License-Identifier: Apache-2.0 */
/* forward_state_msg - the state of one chunk as messages in a file of states. Private to the stage.
 *
 * The stream: acts of the site "stream" of the block, x in f32 the residual stream, xf that of the
 * full-precision way. Inside a block also the rest: what the stop keeps beside the stream, "kept"
 * and "kept_full" U8, and w, the weights of the tokens in this block; it says where the stream
 * that goes with it was kept, because not every step changes that. */
#ifndef PTQ_FORWARD_STATE_MSG_H
#define PTQ_FORWARD_STATE_MSG_H

#include <stddef.h>
#include <stdint.h>
#include "../../common/base/err.h"
#include "../../common/model/sites.h"
#include "../../common/wire/msg.h"

struct forward;

struct state_at {
    size_t block, stop; /* as held.from, held.stop */
    uint64_t commits;   /* digest of those before it */
};

/* Of chunk i, which stands there, from the memory of each way: h the stream, kept what the stop
 * keeps. stream: where that was kept. path: for messages. Bytes are added to *bytes. */
int state_write_stream(const struct forward *f, size_t i, const struct state_at *at,
                       void *const h[2], int fd, const char *path, uint64_t *bytes, struct err *e);
int state_write_rest(const struct forward *f, size_t i, const struct state_at *at,
                     const struct state_at *stream, char *const kept[2], int fd, const char *path,
                     uint64_t *bytes, struct err *e);
/* The next message, which must be of chunk i, of this run, and of a place that is committed up to:
 * *m, and where it stands. 1; 0: the file ends; -1. */
int state_read_stream(const struct forward *f, size_t i, int fd, const char *path, struct msg **m,
                      struct state_at *at, struct err *e);
int state_read_rest(const struct forward *f, size_t i, int fd, const char *path, struct msg **m,
                    struct state_at *at, struct state_at *stream, struct err *e);
/* Into the stores: what these have read; NULL: it stays as it is. */
int state_put(struct forward *f, size_t i, const struct msg *stream, const struct msg *rest,
              struct err *e);
/* The first site of a stop; NULL: the block has no such stop. */
const struct site *state_site(const struct forward *f, size_t block, size_t stop);

#endif

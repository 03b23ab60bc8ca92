/* SPDX-License-Identifier: Apache-2.0 */
/* forward_io - the three ends of the forward stage: chunks in, rows out, commits back (by link
 * or by the writer's folder). Private to the stage. */
#ifndef PTQ_FORWARD_IO_H
#define PTQ_FORWARD_IO_H

#include "forward.h"

struct forward_ends {
    const char *in, *out, *commits, *follow;
    int zstd, insecure;
};

struct forward_io_links;

struct forward_io_links *forward_io_open(const struct forward_ends *ends, struct err *e);
/* Takes all chunks, runs the core, ends the stream: complete when the run was, else cut short
 * with the reason. */
int forward_io_run(struct forward_io_links *l, struct forward *f, struct err *e);
void forward_io_close(struct forward_io_links **l);

#endif

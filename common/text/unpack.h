/* SPDX-License-Identifier: Apache-2.0 */
/* unpack - gzip and zstd streams of data, piece by piece: several members or frames behind each
 * other are one content. Knows no files. The frames of messages: zbuf.h. */
#ifndef PTQ_UNPACK_H
#define PTQ_UNPACK_H

#include <stddef.h>
#include "../base/err.h"

enum unpack_kind { UNPACK_NONE, UNPACK_GZIP, UNPACK_ZSTD };
#define UNPACK_HEAD 4 /* bytes that tell */

/* By the first bytes of the content. */
enum unpack_kind unpack_kind_of(const void *head, size_t n);

struct unpack;
typedef int unpack_put(void *ctx, const void *data, size_t n, struct err *e);

/* what: for errors, borrowed. kind: not UNPACK_NONE. */
struct unpack *unpack_open(enum unpack_kind kind, const char *what, struct err *e);
/* The next packed bytes; what they hold goes to put, whose -1 ends it. ERR_USE: not such a
 * stream, or damaged. */
int unpack_feed(struct unpack *u, const void *data, size_t n, unpack_put *put, void *ctx,
                struct err *e);
int unpack_end(const struct unpack *u, struct err *e); /* -1: the stream is cut short */
void unpack_close(struct unpack **u);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* chat_insert - texts in place of the marks that a chat template leaves for pictures. */
#ifndef PTQ_CHAT_INSERT_H
#define PTQ_CHAT_INSERT_H

#include "../base/err.h"
#include "chat_spans.h"

struct chat_insert {
    const char *mark;
    const char *const *text; /* [n] in the order of the marks */
    size_t n;
};

/* Replaces *text (malloc'd, *n bytes) and moves the spans with it. -1, ERR_USE: there are more or
 * fewer marks than texts; *text is as it was. */
int chat_insert(const struct chat_insert *in, char **text, size_t *n, struct chat_spans *spans,
                struct err *e);

#endif

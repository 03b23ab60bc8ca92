/* SPDX-License-Identifier: Apache-2.0 */
/* chat_spans - places in the text of a conversation, in bytes. */
#ifndef PTQ_CHAT_SPANS_H
#define PTQ_CHAT_SPANS_H

#include <stddef.h>
#include "../base/err.h"

struct chat_span {
    size_t start, end;
};
struct chat_spans { /* whoever has one frees at */
    struct chat_span *at;
    size_t n, room;
};
int chat_spans_push(struct chat_spans *s, struct chat_span one, struct err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* chat_spans - see chat_spans.h. */
#include "chat_spans.h"

#include "../base/mem.h"

int chat_spans_push(struct chat_spans *s, struct chat_span one, struct err *e)
{
    void *p = s->at;

    if (mem_grow(&p, &s->room, s->n + 1, sizeof *s->at, e) < 0)
        return -1;
    s->at = p;
    s->at[s->n++] = one;
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* forward_held - see forward_held.h. */
#include "forward_held.h"

#include <stdlib.h>

int held_make(struct held *c, struct model *m, struct msg **chunk, int tower, struct err *e)
{
    *c = (struct held){.msg = *chunk, .sum = msg_checksum(*chunk)};
    *chunk = NULL;
    if (chunk_read(c->msg, &c->view, e) < 0)
        return -1;
    if ((tower ? seen_begin(m, &c->view, &c->seen, e) : seen_chunk(m, &c->view, &c->seen, e)) < 0)
        return -1;
    msg_drop(c->msg, "pixels");
    c->view.images.pixels = NULL;
    return 0;
}

void held_release(struct held *c)
{
    msg_destroy(&c->msg);
    seen_release(&c->seen);
    free(c->w);
    free(c->kept);
}

struct rows held_rows(const struct held *c)
{
    return (struct rows){.T = c->view.T,
                         .nseq = c->view.nseq,
                         .lengths = c->view.lengths,
                         .seen = seen_rows(&c->seen)};
}

int held_place(const struct held *c, const struct site *s)
{
    if (c->from != s->block)
        return c->from < s->block ? -1 : 1;
    return !c->stop || c->stop < s->stop ? -1 : c->stop > s->stop;
}

uint64_t held_features(const struct held *c, size_t count)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++) {
        const struct features *x = &c[i].seen.f;

        sum += x->rows * x->d * sizeof(float) * (1 + x->levels);
    }
    return sum;
}

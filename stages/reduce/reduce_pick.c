/* SPDX-License-Identifier: Apache-2.0 */
/* reduce_pick - see reduce_pick.h. */
#include "reduce_pick.h"

#include <string.h>
#include "../../common/base/mem.h"

/* A tensor of the picked rows in this memory, which grows as needed. */
static int picked_init(struct tensor *t, const struct tensor *from, void **room, size_t *cap,
                       struct err *e)
{
    *t = *from;
    t->release = NULL;
    if (mem_grow(room, cap, from->bytes, 1, e) < 0)
        return -1;
    t->data = *room;
    t->shape[0] = t->bytes = 0;
    return 0;
}

static void picked_add(struct tensor *t, const struct tensor *from, size_t row)
{
    const size_t bytes = from->bytes / (size_t)from->shape[0];

    memcpy((char *)t->data + t->bytes, (const char *)from->data + row * bytes, bytes);
    t->shape[0]++;
    t->bytes += bytes;
}

static int pick_start(struct picked *to, const struct acts_view *a, struct sums_scratch *t,
                      struct err *e)
{
    to->view = *a;
    to->view.T = to->view.nseq = 0;
    to->view.x = &to->x;
    to->view.xf = a->xf ? &to->xf : NULL;
    to->view.w = NULL;
    to->view.modality = NULL;
    to->view.routed = NULL;
    if (picked_init(&to->x, a->x, &t->picked, &t->picked_cap, e) < 0 ||
        (a->xf && picked_init(&to->xf, a->xf, &t->picked_full, &t->picked_full_cap, e) < 0) ||
        mem_grow((void **)&t->lengths, &t->lengths_cap, a->nseq, sizeof *t->lengths, e) < 0 ||
        (a->w && mem_grow((void **)&t->w, &t->w_cap, a->T, sizeof *t->w, e) < 0))
        return -1;
    to->view.lengths = t->lengths;
    if (a->w)
        to->view.w = t->w;
    return 0;
}

int pick_rows(struct picked *to, const struct acts_view *a, const uint8_t *of, uint8_t which,
              struct sums_scratch *t, struct err *e)
{
    size_t row = 0;

    if (pick_start(to, a, t, e) < 0)
        return -1;
    for (size_t s = 0; s < a->nseq; s++) {
        const size_t before = to->view.T, end = row + (size_t)a->lengths[s];

        for (; row < end; row++) {
            if ((of ? of[row] : 0) != which)
                continue;
            picked_add(&to->x, a->x, row);
            if (a->xf)
                picked_add(&to->xf, a->xf, row);
            if (a->w)
                t->w[to->view.T] = a->w[row];
            to->view.T++;
        }
        if (to->view.T > before)
            t->lengths[to->view.nseq++] = (int32_t)(to->view.T - before);
    }
    return 0;
}

uint64_t pick_count(const struct acts_view *a)
{
    uint64_t n = a->routed ? 0 : a->T;

    for (size_t t = 0; a->routed && t < a->T; t++)
        n += a->routed[t];
    return n;
}

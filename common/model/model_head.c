/* SPDX-License-Identifier: Apache-2.0 */
/* model_head - which head counts where the config says tied and the file has one of its own. It
 * needs no open model: the writer asks as well, which computes nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "family.h"
#include "model.h"

/* Whether two matrices of one shape hold the same numbers; -1 on error. */
static int same_numbers(const struct st_set *st, const struct st_entry *a, const struct st_entry *b,
                        struct err *e)
{
    const uint64_t rows = a->shape[0], width = a->shape[1], step = 64;
    float *x = mem_array((size_t)(step * width), sizeof *x, e),
          *y = mem_array((size_t)(step * width), sizeof *y, e);
    int same = x && y ? 1 : -1;

    for (uint64_t r = 0; same == 1 && r < rows; r += step) {
        const uint64_t n = rows - r < step ? rows - r : step;

        if (st_load_rows_f32(st, a, r, n, x, e) < 0 || st_load_rows_f32(st, b, r, n, y, e) < 0)
            same = -1;
        for (size_t i = 0; same == 1 && i < (size_t)(n * width); i++)
            same = x[i] == y[i];
    }
    free(x);
    free(y);
    return same;
}

int model_settle_head(struct config *c, const struct st_set *st, struct err *e)
{
    const struct family *f = family_of(c);
    char embed[TENSOR_NAME], head[TENSOR_NAME];
    const struct st_entry *a, *b;
    int same;

    snprintf(embed, sizeof embed, "%s.weight", f->embed);
    snprintf(head, sizeof head, "%s.weight", f->head);
    a = st_find(st, embed);
    b = st_find(st, head);
    if (!c->tied || !a || !b)
        return 0;
    if (a->ndim != 2 || b->ndim != 2 || a->shape[0] != b->shape[0] || a->shape[1] != b->shape[1])
        return err_set(
            e, ERR_USE,
            "%s: config.json says tie_word_embeddings, but '%s' and '%s' differ in shape: remove "
            "the one that is not the model's, or say false",
            st->paths[b->shard], embed, head);
    if ((same = same_numbers(st, a, b, e)) < 0)
        return -1;
    c->own_head = !same;
    c->tied = same;
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* forward_images - see forward_images.h. */
#include "forward_images.h"

#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "forward_acts.h"
#include "forward_impl.h"
#include "forward_rows.h"
#include "forward_site.h"

/* row [n]: places among the rows of b; token [n]: in the chunk. */
static size_t pick(const struct block_rows *b, const uint8_t *modality, size_t *row, size_t *token)
{
    size_t n = 0;

    for (size_t k = 0; modality && k < b->count; k++) {
        const size_t t = b->token ? b->token[k] : k;

        if (modality[t] != MODALITY_IMAGE)
            continue;
        row[n] = k;
        token[n++] = t;
    }
    return n;
}

int forward_images_emit(const struct forward *f, size_t i, const struct site *s,
                        const struct block_rows *b, const float *w, char *const kept[2],
                        const struct forward_io *io, struct err *e)
{
    const struct rows r = held_rows(&f->held[i]);
    const size_t bytes = s->inputs * dtype_size(f->o.acts);
    size_t *row = mem_array(b->count + 1, sizeof *row, e),
           *token = mem_array(b->count + 1, sizeof *token, e);
    struct block_rows some = {.token = token};
    struct site_part part = {0};
    struct acts_view a = forward_acts(f, i, s);
    void *x[2] = {NULL, NULL};
    struct msg *m = NULL;
    int rc = -1;

    if (!row || !token)
        goto out;
    some.count = pick(b, f->held[i].view.modality, row, token);
    if (site_part_make(&part, &some, &r, w, a.modality, e) < 0)
        goto out;
    forward_acts_part(&a, &part);
    if (!(m = forward_acts_message(f, i, &a, x, e)))
        goto out;
    for (int k = 0; k < f->ways; k++) {
        memset(x[k], 0, some.count ? 0 : bytes);
        for (size_t n = 0; n < some.count; n++)
            memcpy((char *)x[k] + n * bytes, kept[k] + b->kept + row[n] * bytes, bytes);
    }
    rc = io->emit_images(io->ctx, &m, e);
out:
    msg_destroy(&m);
    site_part_release(&part);
    free(row);
    free(token);
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* fingerprint - see fingerprint.h. */
#include "fingerprint.h"

#include <stdlib.h>
#include <string.h>

#define PAGE 4096
#define PLACES 3 /* of a tensor, from its start to its end */

static int add_contents(struct hash *h, const struct st_set *w, const struct st_entry *x,
                        struct err *e)
{
    unsigned char page[PAGE];
    const uint64_t n = x->bytes < PAGE ? x->bytes : PAGE;

    if (x->mxfp4)
        return add_contents(h, w, &x->mxfp4->blocks, e) < 0
                   ? -1
                   : add_contents(h, w, &x->mxfp4->scales, e);
    for (uint64_t i = 0; i < (x->bytes > PAGE ? PLACES : 1); i++) {
        if (st_span(w, x, page, (size_t)n, (x->bytes - n) / (PLACES - 1) * i, e) < 0)
            return -1;
        hash_add(h, page, (size_t)n);
    }
    return 0;
}

int fingerprint_shapes(struct hash *h, const struct json *config, const struct st_set *weights,
                       struct err *e)
{
    char *text = json_print(config, 0, e);

    if (!text)
        return -1;
    hash_add(h, text, strlen(text));
    free(text);
    for (size_t i = 0; i < weights->count; i++) {
        const struct st_entry *x = &weights->entries[i];

        hash_add(h, x->name, strlen(x->name) + 1);
        hash_add(h, dtype_name(x->dtype), strlen(dtype_name(x->dtype)) + 1);
        hash_add(h, x->shape, (size_t)x->ndim * sizeof *x->shape);
        hash_add(h, &x->bytes, sizeof x->bytes);
    }
    return 0;
}

int fingerprint_model(const struct json *config, const struct st_set *weights, uint64_t *digest,
                      struct err *e)
{
    struct hash h;

    hash_start(&h);
    if (fingerprint_shapes(&h, config, weights, e) < 0)
        return -1;
    for (size_t i = 0; i < weights->count; i++)
        if (add_contents(&h, weights, &weights->entries[i], e) < 0)
            return -1;
    *digest = hash_end(&h);
    return 0;
}

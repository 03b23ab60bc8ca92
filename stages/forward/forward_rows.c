/* SPDX-License-Identifier: Apache-2.0 */
/* forward_rows - see forward_rows.h. */
#include "forward_rows.h"

int rows_check(const struct msg *chunk, const struct chunk_view *v, const struct sites *sites,
               struct err *e)
{
    static const char *const acts[] = {"x", "xf", "w",
                                       "routed"}; /* and those that chunks have too */

    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (msg_tensor(chunk, acts[i]))
            return err_set(e, ERR_USE,
                           "chunk %llu: its tensor '%s' cannot be handed on: acts have their own",
                           (unsigned long long)v->chunk, acts[i]);
    for (size_t i = 0; i < v->nsites; i++) {
        const struct json *x = json_at(v->sites, i);
        const char *site = json_as_text(json_get(x, "site"));
        int64_t block = 0;

        json_as_int(json_get(x, "block"), &block);
        if (!sites_find(sites, (size_t)block, site))
            return err_set(e, ERR_USE,
                           "chunk %llu: has weights for %.60s of block %lld, and the model has no "
                           "such site",
                           (unsigned long long)v->chunk, site, (long long)block);
    }
    return 0;
}

const float *rows_weigh(const struct chunk_view *v, const struct site *s, const float *w, float *to)
{
    const float *each = chunk_site_weights(v, s->block, s->name, s->order);

    if (!each)
        return w;
    for (size_t t = 0; t < v->T; t++)
        to[t] = w ? w[t] * each[t] : each[t];
    return to;
}

int rows_hand_on(const struct msg *chunk, struct msg *acts, struct err *e)
{
    return msg_hand_on(acts, chunk, chunk_known, 1, e) < 0 ? err_prefix(e, "%s", chunk->id) : 0;
}

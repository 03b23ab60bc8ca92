/* SPDX-License-Identifier: Apache-2.0 */
/* override_offer - other formats for a model whose zero points keep engines from the one that was
 * asked for. */
#include "override.h"

const struct format *overrides_offer(const struct overrides *o, const struct sites *s,
                                     const struct format_linear *all, const struct format *asked,
                                     size_t *i, char *text, size_t room)
{
    const struct format *f;
    struct engine_look look;

    engine_start(&look, asked);
    overrides_engines(o, s, all, &look);
    if (!engine_refused(&look, ENGINE_ZEROS))
        return NULL;
    while ((f = format_at((*i)++))) {
        if (f == asked || !f->mark || !f->put ||
            overrides_check_shapes(o, s, all, &f, 1, &(struct err){0}) < 0)
            continue;
        engine_start(&look, f);
        overrides_engines(o, s, all, &look);
        if (!engine_refused(&look, ENGINE_ZEROS) && engine_text(&look, text, room))
            return f;
    }
    return NULL;
}

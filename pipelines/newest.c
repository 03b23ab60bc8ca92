/* SPDX-License-Identifier: Apache-2.0 */
/* newest - see newest.h. */
#include "newest.h"

size_t newest_find(const struct supervise *s, size_t stage)
{
    size_t found = s->plan->count;

    for (size_t i = 0; i < s->plan->count; i++)
        if (s->plan->process[i].stage == stage && (found == s->plan->count || s->child[i].joined))
            found = i;
    return found;
}

size_t newest_first(const struct supervise *s, size_t i)
{
    return s->child[i].first ? s->child[i].first - 1 : i;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* way - see way.h. */
#include "way.h"

#include <string.h>

#include "../ops/tools/look/cat_opts.h"
#include "../stages/importance/importance_opts.h"
#include "../stages/sample/sample_opts.h"
#include "kind.h"
#include "newest.h"

/* Who binds this end; plan->count: nobody. */
static size_t binder_of(const struct supervise *s, const char *at)
{
    size_t i = 0;

    while (at && i < s->plan->count &&
           (s->child[i].past || !launch_binds(&s->plan->process[i], at)))
        i++;
    return at ? i : s->plan->count;
}

/* Who sends there, and was the first at its place. */
static size_t sender_to(const struct supervise *s, const char *at)
{
    for (size_t i = 0; at && *at == '@' && i < s->plan->count; i++) {
        const char *out = s->child[i].past ? NULL : launch_value(&s->plan->process[i], "--out");

        if (out && *out != '@' && strncmp(at + 1, out, strlen(out)) == 0 &&
            (!at[1 + strlen(out)] || at[1 + strlen(out)] == ','))
            return newest_first(s, i);
    }
    return s->plan->count;
}

/* It weighs each chunk by itself, and keeps nothing of all of them. */
static int weighs_alone(const struct supervise *s, size_t i)
{
    const struct stage *st = kind_of(s, i) == &importance_spec
                                 ? s->change.route->stage[s->plan->process[i].stage]
                                 : NULL;
    const struct importance_command *c = st ? st->own : NULL;

    return c && c->core.method != IMPORTANCE_MBQ && !c->core.keep && !c->core.fisher;
}

int way_find(const struct supervise *s, size_t i, struct way *w)
{
    const size_t none = s->plan->count;
    size_t at = binder_of(s, launch_value(&s->plan->process[newest_first(s, i)], "--in"));

    *w = (struct way){.sampler = none, .weigher = none};
    if (at < none && kind_of(s, at) == &cat_spec) {
        w->relayed = 1;
        at = sender_to(s, launch_value(&s->plan->process[at], "--in"));
    }
    if (at < none && weighs_alone(s, at)) {
        w->weigher = at;
        at = binder_of(s, launch_value(&s->plan->process[at], "--in"));
    } else if (w->relayed) {
        return 0;
    }
    w->sampler = at;
    return at < none && kind_of(s, at) == &sample_spec;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* replace_spread - see replace_spread.h. */
#include "replace_spread.h"

#include <signal.h>
#include <string.h>

#include "../ops/tools/look/cat_opts.h"
#include "../stages/forward/forward_opts.h"
#include "../stages/reduce/reduce_opts.h"
#include "kind.h"

struct spread {
    size_t spread, gather;       /* plan->count: not found */
    const char *rows, *in, *out; /* where workers send, where reducers connect */
    size_t reducers, workers;
};

/* The relay that binds the endpoint. */
static size_t relay_at(const struct supervise *s, const char *at)
{
    for (size_t i = 0; at && i < s->plan->count; i++)
        if (!s->child[i].past && kind_of(s, i) == &cat_spec &&
            launch_binds(&s->plan->process[i], at))
            return i;
    return s->plan->count;
}

/* The first says where, the others must say the same. */
static int same(const char **known, const char *at)
{
    *known = *known ? *known : at;
    return at && strcmp(*known, at) == 0;
}

static int add_reducer(struct spread *g, const struct launch_process *p)
{
    g->reducers++;
    return !launch_value(p, "--record") && launch_value(p, "--commits") &&
           same(&g->in, launch_value(p, "--in")) && same(&g->out, launch_value(p, "--out"));
}

static int add_worker(struct spread *g, const struct launch_process *p)
{
    g->workers++;
    return !launch_value(p, "--images-out") && launch_value(p, "--commits") &&
           same(&g->rows, launch_value(p, "--out"));
}

static int find(const struct supervise *s, struct spread *g)
{
    *g = (struct spread){0};
    for (size_t i = 0; i < s->plan->count; i++) {
        const struct launch_process *p = &s->plan->process[i];
        const struct stage_spec *spec = s->child[i].past ? NULL : kind_of(s, i);

        if ((spec == &reduce_spec && !add_reducer(g, p)) ||
            (spec == &forward_spec && !add_worker(g, p)))
            return 0;
    }
    g->spread = relay_at(s, g->in);
    g->gather = relay_at(s, g->out);
    return g->reducers && g->workers && g->spread < s->plan->count && g->gather < s->plan->count &&
           g->spread != g->gather && relay_at(s, g->rows) == g->spread;
}

int replace_spread_is(const struct supervise *s)
{
    struct spread g;

    return find(s, &g);
}

int replace_spread_has(const struct supervise *s, size_t i)
{
    struct spread g;

    return !s->child[i].past && find(s, &g) &&
           (kind_of(s, i) == &reduce_spec || i == g.spread || i == g.gather);
}

int replace_spread_end(struct supervise *s)
{
    size_t left = 0;

    for (size_t i = 0; i < s->plan->count; i++) {
        struct child *c = &s->child[i];

        if (!replace_spread_has(s, i) || c->exited)
            continue;
        left++;
        if (!c->together)
            child_signal(c, SIGKILL);
        c->together = 1;
    }
    for (size_t i = 0; left == 0 && i < s->plan->count; i++) /* some may have come to their end */
        s->child[i].together |= replace_spread_has(s, i) && s->child[i].code == 0;
    return left == 0;
}

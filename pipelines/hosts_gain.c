/* SPDX-License-Identifier: Apache-2.0 */
/* hosts_gain - see hosts_gain.h. */
#include "hosts_gain.h"

#include "../common/base/clock.h"
#include "../stages/forward/forward_opts.h"
#include "hosts_again.h"
#include "hosts_state.h"
#include "hosts_work.h"
#include "kind.h"
#include "restart.h"

#define LOOK_SECONDS 1.0
#define JOINED_SECONDS 2.0

struct load {
    int64_t lanes, most, processes; /* of the forward pass; most: of one of them */
};

static int load_add(struct load *x, int64_t lanes, int64_t most, int64_t processes)
{
    if (lanes < 0 || most < 0)
        return -1;
    x->lanes += lanes;
    x->most = most > x->most ? most : x->most;
    x->processes += processes;
    return 0;
}

/* Who has which lanes now; -1: not all have theirs. */
static int load_now(const struct supervise *s, struct load *x)
{
    const struct hosts_parts *p = &s->hosts->parts;
    char lanes[PART_LIST];

    for (size_t i = s->begun; i < s->plan->count; i++) {
        const struct child *c = &s->child[i];
        const int64_t n = lanes_count(c->lanes);

        if (!c->past && kind_of(s, i) == &forward_spec && load_add(x, n, n, !c->stands_in) < 0)
            return -1;
    }
    for (size_t i = 0; i < p->count; i++)
        if (p->at[i].host != PART_NONE &&
            (part_lanes(&p->at[i], lanes) != PART_OWES_LANES ||
             load_add(x, lanes_count(lanes), part_most(&p->at[i]), p->at[i].forwards) < 0))
            return -1;
    return 0;
}

/* Those that could take part and have been there for a moment, so that others may come with them;
 * *first: one of them. */
static int64_t spares(const struct hosts *h, const struct host **first)
{
    int64_t n = 0;

    for (size_t i = 0; i < h->count; i++) {
        if (!hosts_may_take(h, i) || parts_of(&h->parts, i))
            continue;
        if (clock_wall() - h->host[i].joined < JOINED_SECONDS)
            return 0;
        n += h->host[i].forward;
        *first = &h->host[i];
    }
    return n;
}

void hosts_gain_tick(struct supervise *s)
{
    struct hosts *h = s->hosts;
    const struct host *first = NULL;
    const double now = clock_wall();
    struct hosts_shares shares;
    struct load load = {0};
    int64_t more, most;

    if (now - h->looked < LOOK_SECONDS || s->stopping || s->watch.paused > 0 ||
        s->crew.state != CREW_IDLE)
        return;
    h->looked = now;
    if (!(more = spares(h, &first)) || hosts_shares_find(s, &shares, NULL) < 0 ||
        load_now(s, &load) < 0)
        return;
    most = (load.lanes + load.processes + more - 1) / (load.processes + more);
    if ((double)most >= (1 - watch_share(&s->watch)) * (double)load.most || !restart_may(s))
        return;
    err_set(&h->gains, ERR_SYS,
            "worker '%s' has come: %lld in place of %lld lanes for each forward process",
            first->name, (long long)most, (long long)load.most);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* hosts_again - see hosts_again.h. */
#include "hosts_again.h"

#include <stdio.h>
#include <string.h>

#include "../common/base/clock.h"
#include "../common/base/log.h"
#include "hosts_state.h"
#include "hosts_work.h"
#include "replace_begin.h"
#include "way.h"

#define LOST_SECONDS 3.0 /* one that was given up may be at its end already */

int hosts_may_take(const struct hosts *h, size_t i)
{
    const struct host *x = &h->host[i];

    return !x->gone && !x->unfit && x->forward && x->has_model &&
           clock_wall() - x->heard < HOSTS_QUIET_S;
}

void hosts_told(const struct supervise *s, size_t host, const struct json *processes)
{
    struct hosts_part *part = parts_of(&s->hosts->parts, host);

    if (part && json_kind(processes) == JSON_KIND_ARRAY)
        part_told(part, hosts_forward_name(s), hosts_reduce_name(s), hosts_weigher_name(s),
                  processes);
}

void hosts_lease_lost(struct supervise *s, const char *lease)
{
    struct hosts_part *part = s->hosts ? parts_find(&s->hosts->parts, lease) : NULL;

    if (part && part->host != PART_NONE && part->given_up <= 0)
        part->given_up = clock_wall();
}

void hosts_again_tick(struct supervise *s)
{
    struct hosts *h = s->hosts;

    for (size_t i = 0; i < h->parts.count; i++) {
        struct hosts_part *part = &h->parts.at[i];

        if (part->given_up <= 0 || part->done || part->lost.kind ||
            clock_wall() - part->given_up < LOST_SECONDS)
            continue;
        err_set(&part->lost, ERR_SYS, "worker '%s' does not answer its neighbours",
                h->host[part->host].name);
    }
}

/* Sums of open sites that have come would be made again: to the last bit, or they are refused. */
static int same_kernels(const struct hosts *h, const struct hosts_part *part, size_t i)
{
    char here[BLAS_KIND];

    blas_kind(here);
    return strcmp(h->host[part->host].kernels, i == PART_NONE ? here : h->host[i].kernels) == 0;
}

/* Who gets it next; PART_NONE: the head. */
static size_t holder_find(const struct hosts *h, const struct hosts_part *part)
{
    if (hosts_may_take(h, part->host))
        return part->host;
    for (size_t i = 0; i < h->count; i++)
        if (hosts_may_take(h, i) && !parts_of(&h->parts, i) && same_kernels(h, part, i))
            return i;
    return PART_NONE;
}

int hosts_owed(const struct supervise *s)
{
    const struct hosts_parts *p = s->hosts ? &s->hosts->parts : NULL;
    char lanes[PART_LIST];
    int n = 0;

    if (s->hosts && s->hosts->gains.kind)
        return -1;
    if (p && parts_lost(p) && !way_find(s, hosts_forward_first(s), &(struct way){0}))
        return -1;
    for (size_t i = 0; p && i < p->count; i++) {
        if (!p->at[i].lost.kind)
            continue;
        if (part_lanes(&p->at[i], lanes) != PART_OWES_LANES ||
            !same_kernels(s->hosts, &p->at[i], holder_find(s->hosts, &p->at[i])))
            return -1;
        n++;
    }
    return n;
}

size_t hosts_takers(const struct supervise *s)
{
    const struct hosts_parts *p = s->hosts ? &s->hosts->parts : NULL;
    size_t n = 0;

    for (size_t i = 0; p && i < p->count; i++)
        n += p->at[i].epoch == p->least && !p->at[i].lost.kind ? (size_t)p->at[i].forwards : 0;
    return n;
}

void hosts_forgive(struct supervise *s)
{
    for (size_t i = 0; s->hosts && i < s->hosts->parts.count; i++) {
        struct hosts_part *part = &s->hosts->parts.at[i];

        if (!part->lost.kind)
            continue;
        log_warn("%s, but all is committed", part->lost.text);
        part->lost = (struct err){0};
        part->host = PART_NONE;
    }
}

static int part_again(struct supervise *s, struct hosts_part *part, uint64_t from, struct err *e)
{
    struct hosts *h = s->hosts;
    const size_t to = holder_find(h, part), forward = hosts_forward_first(s);
    const int64_t forwards = to == PART_NONE ? 1 : h->host[to].forward;
    const struct err why = part->lost;
    char lanes[PART_LIST], lease[PART_LEASE], at[sizeof part->at] = "";

    if (part_lanes(part, lanes) != PART_OWES_LANES)
        return err_set(e, ERR_SYS, "it is not known which lanes it had");
    if (to != PART_NONE && begin_deal(s, forward, lanes, (size_t)forwards, at, sizeof at, e) < 0)
        return -1;
    if (part_next(part, to, forwards, from, at, ++h->turn, e) < 0)
        return -1;
    part_lease(part, "reduce", 0, lease);
    if (to == PART_NONE && begin_stand_in(s, forward, lanes, lease, from, e) < 0)
        return -1;
    log_warn("%s; %s%s%s takes its lanes %s behind site %llu of %zu (time %zu of %zu)", why.text,
             to == PART_NONE ? "this host" : "worker '", to == PART_NONE ? "" : h->host[to].name,
             to == PART_NONE ? "" : "'", lanes, (unsigned long long)from, s->watch.sites->count,
             s->again.count, s->restarts);
    return 0;
}

int hosts_lease_again(struct supervise *s, uint64_t from, struct err *e)
{
    for (size_t i = 0; s->hosts && i < s->hosts->parts.count; i++)
        if (s->hosts->parts.at[i].lost.kind && part_again(s, &s->hosts->parts.at[i], from, e) < 0)
            return -1;
    return 0;
}

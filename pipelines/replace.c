/* SPDX-License-Identifier: Apache-2.0 */
/* replace - see replace.h. */
#include "replace.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/base/clock.h"
#include "../common/base/log.h"
#include "../common/base/mem.h"
#include "../common/base/status.h"
#include "../common/wire/link.h"
#include "../ops/tools/look/cat_opts.h"
#include "../stages/forward/forward_opts.h"
#include "../stages/importance/importance_opts.h"
#include "../stages/reduce/reduce_opts.h"
#include "../stages/sample/sample_opts.h"
#include "../stages/solve/solve_opts.h"
#include "../stages/write/write_opts.h"
#include "hosts_again.h"
#include "hosts.h"
#include "kind.h"
#include "newest.h"
#include "replace_begin.h"
#include "replace_spread.h"
#include "restart.h"
#include "way.h"

enum { LOST_SAMPLE, LOST_LANES, LOST_REDUCE, LOST_WRITE, LOST_KINDS };
#define OWES_NOTHING "-"
#define LOST_SECONDS 3.0 /* one that was given up may be at its end already */
#define ALONE_SECONDS 10.0
#define OVER_SECONDS 3.0

#define LEASE_TEXT (LINK_PLACE + 24)

/* "forward.2/0" */
static int lease_text(const struct supervise *s, size_t i, char out[LEASE_TEXT])
{
    const char *label = s->plan->process[i].label;

    if (strlen(label) >= LINK_PLACE)
        return -1;
    sprintf(out, "%s/0", label);
    return 0;
}

/* Of the next one at the place of process i, which may be that of another, from before the run
 * began again: its neighbours know it by the name that it has said. */
static int next_lease_text(const struct supervise *s, size_t i, char out[LEASE_TEXT], struct err *e)
{
    const char *own = launch_value(&s->plan->process[i], "--lease");
    struct link_lease lease;

    if (!own)
        return err_set(e, ERR_SYS, "it has no place");
    if (link_lease_parse(own, &lease, e) < 0)
        return -1;
    sprintf(out, "%s/%lld", lease.place, (long long)lease.epoch + 1);
    return 0;
}

/* Chunks that it deals go straight to forward workers, who wait for the next one at its place. */
static int deals_to_forward(const struct supervise *s, size_t i)
{
    const char *out = launch_value(&s->plan->process[i], "--out");
    size_t takers = 0;

    if (!out || *out != '@')
        return 0;
    for (size_t k = 0; k < s->plan->count; k++)
        for (size_t w = 1; w < s->plan->process[k].argc; w++) {
            if (!launch_binds(&s->plan->process[i], s->plan->process[k].argv[w]))
                continue;
            if (kind_of(s, k) != &forward_spec)
                return 0;
            takers++;
        }
    return takers > 0;
}

/* What it makes of its lanes goes to a relay, which waits for the next one at its place. */
static int weighs_for_relay(const struct supervise *s, size_t i)
{
    struct way w;

    for (size_t k = 0; kind_of(s, i) == &importance_spec && k < s->plan->count; k++)
        if (kind_of(s, k) == &forward_spec && !s->child[k].past && way_find(s, k, &w))
            return w.relayed && w.weigher < s->plan->count &&
                   s->plan->process[w.weigher].stage == s->plan->process[i].stage;
    return 0;
}

/* Chunks are leased to it. */
static int has_lanes(const struct supervise *s, size_t i)
{
    return kind_of(s, i) == &forward_spec || kind_of(s, i) == &importance_spec;
}

/* Sums of lanes come from other hosts, which keep none. */
static int has_parts(const struct supervise *s)
{
    return s->hosts && hosts_share(s->hosts);
}

/* One of a stage that can be replaced alone. */
static int is_covered(const struct supervise *s, size_t i)
{
    const struct stage_spec *spec = kind_of(s, i);

    return spec == &forward_spec || (spec == &sample_spec && deals_to_forward(s, i)) ||
           weighs_for_relay(s, i) ||
           ((spec == &write_spec ||
             ((spec == &reduce_spec || replace_spread_has(s, i)) && !has_parts(s))) &&
            restart_has_writer(s));
}

int replace_lease(struct supervise *s, size_t i, struct err *e)
{
    char text[LEASE_TEXT];

    if (!is_covered(s, i) || lease_text(s, i, text) < 0)
        return 0;
    return launch_give(&s->plan->process[i], "--lease", text, e);
}

void replace_lanes(struct child *c, const char *lanes)
{
    snprintf(c->lanes, sizeof c->lanes, "%s", *lanes ? lanes : OWES_NOTHING);
}

/* A process of another host may have the number of one here. */
void replace_lost(struct supervise *s, const char *instance, const char *lease)
{
    const char *own;
    char *end;
    const long group = strtol(instance, &end, 16);

    for (size_t i = 0; end != instance && *end == '-' && i < s->plan->count; i++)
        if (s->child[i].pid == group && (own = launch_value(&s->plan->process[i], "--lease")) &&
            strcmp(own, lease) == 0) {
            if (!s->child[i].exited && s->child[i].lost <= 0)
                s->child[i].lost = clock_wall();
            return;
        }
    hosts_lease_lost(s, lease);
}

static int ended_badly(const struct child *c)
{
    return c->exited && c->code != 0 && !c->forgiven;
}

/* Is one of these there that has not come to its end, or is to be replaced? */
static int is_going(const struct supervise *s, const struct stage_spec *spec, int all)
{
    size_t going = 0, ended = 0;

    for (size_t i = 0; i < s->plan->count; i++) {
        const struct child *c = &s->child[i];

        if (c->past || kind_of(s, i) != spec)
            continue;
        going += !c->exited || ended_badly(c);
        ended += c->exited && !ended_badly(c);
    }
    return going && !(all && ended);
}

/* A writer in the place of another waits for all who take commits; some may have come to their end
 * while it began. */
static int is_alone(struct supervise *s, size_t i)
{
    struct child *c = &s->child[i];
    const int alone = c->epoch && !c->exited && kind_of(s, i) == &write_spec &&
                      !is_going(s, &forward_spec, 0) && !child_says(c, STATUS_ASSEMBLE) &&
                      !child_says(c, STATUS_PUBLISHED);

    c->alone = !alone ? 0 : c->alone > 0 ? c->alone : clock_wall();
    return alone && clock_wall() - c->alone > ALONE_SECONDS;
}

/* All writers have published what they had to. */
static int is_written(const struct supervise *s)
{
    size_t done = 0;

    for (size_t i = 0; i < s->plan->count; i++) {
        const struct child *c = &s->child[i];

        if (c->past || kind_of(s, i) != &write_spec)
            continue;
        if (c->exited ? c->code != 0 : !child_says(c, STATUS_PUBLISHED))
            return 0;
        done++;
    }
    return done > 0;
}

/* All is committed since so long: who was replaced, or began so late that those it was to talk to
 * are gone, here or on a worker, keeps the writer waiting, or waits for one. */
static int is_over(struct supervise *s)
{
    struct again *a = &s->again;
    const int committed = a->replaced && s->watch.committed >= s->watch.sites->count;

    if (!committed && !is_written(s))
        return 0;
    a->over_at = a->over_at > 0 ? a->over_at : clock_wall();
    return clock_wall() - a->over_at > OVER_SECONDS;
}

/* What it makes goes to other stages alone. */
static int is_ours(const struct supervise *s, size_t i)
{
    const struct stage_spec *spec = kind_of(s, i);

    return (spec == &sample_spec || spec == &importance_spec || spec == &forward_spec ||
            spec == &reduce_spec || spec == &solve_spec || spec == &cat_spec) &&
           !launch_value(&s->plan->process[i], "--record");
}

void replace_tick(struct supervise *s)
{
    const int over = is_over(s);

    if (over && s->hosts && is_written(s))
        hosts_complete(s->hosts);
    for (size_t i = 0; i < s->plan->count; i++) {
        struct child *c = &s->child[i];

        if (over && c->pid > 0 && !c->exited && !c->leaving && is_ours(s, i)) {
            log_detail("%s is not needed any more", c->plan->label);
            c->leaving = 1;
            child_signal(c, SIGTERM);
        }
        if (is_alone(s, i))
            child_signal(c, SIGKILL); /* the run begins again, and has little left to do */

        if (c->lost <= 0 || c->exited || clock_wall() - c->lost < LOST_SECONDS)
            continue;
        log_warn("%s does not answer its neighbours, who gave it up: it is ended", c->plan->label);
        c->lost = 0;
        child_signal(c, SIGKILL);
    }
}

int replace_excuse(const struct supervise *s, size_t i)
{
    const struct child *c = &s->child[i];

    return (c->signal || c->code == ERR_SYS) &&
           (c->helps || c->leaving || strcmp(c->lanes, OWES_NOTHING) == 0);
}

/* The rows of tokens that the router sent elsewhere are not kept, so a worker cannot send them
 * again. */
static int has_others_rows(const struct supervise *s)
{
    const struct stage *st = route_stage(s->change.route, &forward_spec, 0);
    const struct forward_opts *o = st ? &((const struct forward_command *)st->own)->core : NULL;

    if (o && !o->expert.every && o->expert.starved != STARVED_ALL_TOKENS)
        return 0;
    for (size_t i = 0; i < s->watch.sites->count; i++)
        if (s->watch.sites->site[i].expert >= 0)
            return 1;
    return 0;
}

/* All rows come to it straight from the workers, and all problems are its. */
static int is_only_reducer(const struct supervise *s, size_t i)
{
    const struct launch_process *p = &s->plan->process[i];
    size_t straight = 0;

    if (launch_value(p, "--record") || launch_value(p, "--only") || !launch_value(p, "--commits"))
        return 0;
    for (size_t k = 0; k < s->plan->count; k++) {
        const struct launch_process *q = &s->plan->process[k];

        if (s->child[k].past || k == i)
            continue;
        if (kind_of(s, k) == &reduce_spec)
            return 0;
        if (kind_of(s, k) != &forward_spec)
            continue;
        if (!launch_value(q, "--out") || !launch_binds(p, launch_value(q, "--out")) ||
            launch_value(q, "--images-out") || !launch_value(q, "--commits"))
            return 0;
        straight++;
    }
    return straight > 0;
}

/* All that were to get its chunks are there as they were: one in the place of another has a sampler
 * of its own. */
static int has_takers(const struct supervise *s, size_t i)
{
    const char *peers = launch_value(&s->plan->process[i], "--peers");
    unsigned long missing = (peers ? strtoul(peers, NULL, 10) : 1) - hosts_takers(s);

    for (size_t k = 0; k < s->plan->count; k++) {
        const char *in = launch_value(&s->plan->process[k], "--in");

        missing -= kind_of(s, k) == &forward_spec && in && launch_binds(&s->plan->process[i], in) &&
                   !s->child[k].past && !s->child[k].exited;
    }
    return missing == 0;
}

/* One waits until all workers have come to it again. */
static int is_dealing_again(const struct supervise *s)
{
    for (size_t i = 0; i < s->plan->count; i++)
        if (kind_of(s, i) == &sample_spec && s->child[i].epoch && !s->child[i].past &&
            !(s->child[i].exited && s->child[i].code == 0))
            return 1;
    return 0;
}

/* From the first commit on OUT is that of this run, and until forward processes have come to their
 * end they take what the next writer says. */
static int may_replace(const struct supervise *s, size_t i)
{
    const struct child *c = &s->child[i];

    if (!is_covered(s, i) || !restart_helps(c) || /* without a place nobody waits for it */
        !launch_value(&s->plan->process[i], "--lease"))
        return 0;
    if (kind_of(s, i) == &write_spec)
        return s->watch.committed > 0 && is_going(s, &forward_spec, 1) &&
               is_going(s, &reduce_spec, 1);
    if (kind_of(s, i) == &reduce_spec || replace_spread_has(s, i))
        return (is_only_reducer(s, i) || replace_spread_is(s)) && !has_others_rows(s) &&
               is_going(s, &forward_spec, 1) && is_going(s, &write_spec, 1);
    if (kind_of(s, i) == &sample_spec)
        return has_takers(s, i);
    return *c->lanes && way_find(s, i, &(struct way){0}) && !is_dealing_again(s);
}

/* The number of the one that has the place of process i from now on; -1 */
static int begin(struct supervise *s, size_t i, uint64_t from, struct err *e)
{
    const struct child *c = &s->child[i];
    char lease[LEASE_TEXT];
    int next;

    if (next_lease_text(s, i, lease, e) < 0 ||
        (next = begin_at(s, newest_first(s, i), has_lanes(s, i) ? c->lanes : NULL, lease, from,
                         e)) < 0)
        return -1;
    s->child[next].first = newest_first(s, i) + 1;
    s->child[next].epoch = c->epoch + 1;
    s->child[next].stands_in = c->stands_in;
    memcpy(s->child[next].lanes, c->lanes, sizeof c->lanes);
    return next;
}

static void say(const struct supervise *s, size_t lost, size_t next, uint64_t from)
{
    const struct child *c = &s->child[lost];
    char how[CHILD_LINE + 80];

    if (c->together)
        snprintf(how, sizeof how, "has to go with it");
    else if (c->signal)
        snprintf(how, sizeof how, "was ended by signal %d (%s)", c->signal, strsignal(c->signal));
    else
        snprintf(how, sizeof how, "failed with exit code %d%s%s", c->code, *c->last ? ": " : "",
                 c->last);
    log_warn("%s %s; %s takes its place behind site %llu of %zu%s%s (time %zu of %zu)",
             c->plan->label, how, s->child[next].plan->label, (unsigned long long)from,
             s->watch.sites->count, *c->lanes ? ", with lanes " : "", c->lanes, s->again.count,
             s->restarts);
}

/* Those that ended badly and owe something; -1: one of them cannot be replaced. */
static int count_lost(struct supervise *s, size_t lost[LOST_KINDS])
{
    int all = 0;

    for (size_t i = 0; i < s->plan->count; i++) {
        struct child *c = &s->child[i];

        if (ended_badly(c) && (replace_excuse(s, i) || (c->plan->elastic && restart_helps(c))))
            c->forgiven = 1; /* its stage starts another, where it has none */
        if (!ended_badly(c))
            continue;
        if (!may_replace(s, i))
            return -1;
        lost[kind_of(s, i) == &sample_spec  ? LOST_SAMPLE
             : has_lanes(s, i)              ? LOST_LANES
             : kind_of(s, i) == &write_spec ? LOST_WRITE
                                            : LOST_REDUCE]++;
        all++;
    }
    return all;
}

int replace_all(struct supervise *s)
{
    const size_t before = s->plan->count;
    size_t lost[LOST_KINDS] = {0};
    const int all = count_lost(s, lost);
    int owed = hosts_owed(s);
    struct err e = {0};
    uint64_t from;
    int together;

    if (all < 0 || (all == 0 && owed == 0))
        return all == 0;
    if (!restart_from(s, &from))
        return 0;
    if (owed && from == s->watch.sites->count) {
        hosts_forgive(s);
        owed = 0;
    }
    if (owed < 0 || (owed && is_dealing_again(s)))
        return 0;
    if ((lost[LOST_SAMPLE] + lost[LOST_LANES] + (size_t)owed &&
         restart_reads_once(s->change.route)) ||
        (lost[LOST_WRITE] && !from))
        return 0;
    together = lost[LOST_REDUCE] && from < s->watch.sites->count && replace_spread_is(s);
    if (together && !replace_spread_end(s))
        return 2;
    s->again.count++;
    s->again.replaced = 1;
    s->watch.committed = from > s->watch.committed ? from : s->watch.committed;
    s->restarted++;
    for (size_t i = 0; i < before; i++) {
        int next;

        if (s->child[i].past || !(ended_badly(&s->child[i]) || (together && s->child[i].together)))
            continue;
        if (kind_of(s, i) != &write_spec && from == s->watch.sites->count) {
            log_warn("%s ended badly, but all is committed", s->child[i].plan->label);
            s->child[i].past = s->child[i].forgiven = 1;
            continue;
        }
        if ((next = begin(s, i, from, &e)) < 0) {
            log_warn("%s cannot be replaced alone: %s", s->child[i].plan->label, e.text);
            return 0;
        }
        s->child[i].past = s->child[i].forgiven = 1;
        watch_forget(&s->watch, i);
        say(s, i, (size_t)next, from);
    }
    if (hosts_lease_again(s, from, &e) < 0) {
        log_warn("lanes cannot be leased again alone: %s", e.text);
        return 0;
    }
    return 1;
}

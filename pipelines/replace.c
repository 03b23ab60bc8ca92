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
#include "../common/wire/link.h"
#include "../stages/forward/forward_opts.h"
#include "../stages/sample/sample_opts.h"
#include "newest.h"
#include "restart.h"

#define WORDS 12
#define OWES_NOTHING "-"
#define LOST_SECONDS 3.0 /* one that was given up may be at its end already */

static const struct stage_spec *spec_of(const struct supervise *s, size_t i)
{
    const struct route *t = s->change.route;
    const struct stage *st = t ? t->stage[s->plan->process[i].stage] : NULL;

    return st && s->plan->process[i].ours ? st->spec : NULL;
}

/* "forward.2/1" */
static int lease_text(const struct supervise *s, size_t i, int64_t epoch,
                      char out[sizeof(struct link_lease) + 24])
{
    const char *label = s->plan->process[newest_first(s, i)].label;

    if (strlen(label) >= sizeof((struct link_lease *)0)->place)
        return -1;
    sprintf(out, "%s/%lld", label, (long long)epoch);
    return 0;
}

int replace_lease(struct supervise *s, size_t i, struct err *e)
{
    char text[sizeof(struct link_lease) + 24];

    if (s->hosts || spec_of(s, i) != &forward_spec || lease_text(s, i, 0, text) < 0)
        return 0;
    return launch_give(&s->plan->process[i], "--lease", text, e);
}

void replace_lanes(struct child *c, const char *lanes)
{
    snprintf(c->lanes, sizeof c->lanes, "%s", *lanes ? lanes : OWES_NOTHING);
}

void replace_lost(struct supervise *s, const char *instance)
{
    char *end;
    const long group = strtol(instance, &end, 16);

    for (size_t i = 0; end != instance && *end == '-' && i < s->plan->count; i++)
        if (s->child[i].pid == group && !s->child[i].exited && s->child[i].lost <= 0)
            s->child[i].lost = clock_wall();
}

void replace_tick(struct supervise *s)
{
    for (size_t i = 0; i < s->plan->count; i++) {
        struct child *c = &s->child[i];

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

    return (c->signal || c->code == ERR_SYS) && (c->helps || strcmp(c->lanes, OWES_NOTHING) == 0);
}

static int ended_badly(const struct child *c)
{
    return c->exited && c->code != 0 && !c->forgiven;
}

/* The sampler whose chunks come to the process straight; plan->count: none does that. */
static size_t sampler_of(const struct supervise *s, size_t i)
{
    const char *in = launch_value(&s->plan->process[newest_first(s, i)], "--in");
    size_t k = 0;

    while (in && k < s->plan->count &&
           (s->child[k].past || spec_of(s, k) != &sample_spec ||
            !launch_binds(&s->plan->process[k], in)))
        k++;
    return in ? k : s->plan->count;
}

static int may_replace(const struct supervise *s, size_t i)
{
    const struct child *c = &s->child[i];

    return spec_of(s, i) == &forward_spec && restart_helps(c) && *c->lanes &&
           sampler_of(s, i) < s->plan->count;
}

/* Of one that cannot be started nothing is awaited. */
static int start(struct supervise *s, size_t i, struct err *e)
{
    struct child *c = &s->child[i];

    if (child_start(c, &s->plan->process[i], s->log_dir, e) == 0) {
        c->added = 1;
        return 0;
    }
    c->exited = c->forgiven = c->past = 1;
    s->ended++;
    return -1;
}

/* One like process `like`, with these options in place of its own. */
static int add(struct supervise *s, size_t like, const char *const *option, struct err *e)
{
    const char *word[WORDS] = {s->plan->process[like].argv[0]};
    size_t n = 1;
    int i;

    while (*option && n < WORDS)
        word[n++] = *option++;
    i = launch_add(s->plan, s->recipe, like, n, word, s->run_dir, e);
    return i < 0 || start(s, (size_t)i, e) < 0 ? -1 : i;
}

static int begin(struct supervise *s, size_t i, uint64_t from, struct err *e)
{
    const struct child *c = &s->child[i];
    char bound[48], connected[48], behind[24], lease[sizeof(struct link_lease) + 24];
    const char *const of_sample[] = {"--out",        bound,    "--peers", "1",
                                     "--only-lanes", c->lanes, NULL},
                      *const of_forward[] = {"--in",    connected, "--from-site", behind,
                                             "--lease", lease,     NULL};
    int helper, next;

    snprintf(bound, sizeof bound, "@%%lanes.%zu", s->plan->count);
    snprintf(connected, sizeof connected, "%s", bound + 1);
    snprintf(behind, sizeof behind, "%llu", (unsigned long long)from);
    if (lease_text(s, i, c->epoch + 1, lease) < 0)
        return err_set(e, ERR_SYS, "no place");
    if ((helper = add(s, sampler_of(s, i), of_sample, e)) < 0)
        return -1;
    s->child[helper].helps = s->child[helper].past = 1;
    if ((next = add(s, newest_first(s, i), of_forward, e)) < 0)
        return -1;
    s->child[next].first = newest_first(s, i) + 1;
    s->child[next].epoch = c->epoch + 1;
    memcpy(s->child[next].lanes, c->lanes, sizeof c->lanes);
    return next;
}

static void say(const struct supervise *s, size_t lost, size_t next, uint64_t from)
{
    const struct child *c = &s->child[lost];
    char how[CHILD_LINE + 80];

    if (c->signal)
        snprintf(how, sizeof how, "was ended by signal %d (%s)", c->signal, strsignal(c->signal));
    else
        snprintf(how, sizeof how, "failed with exit code %d%s%s", c->code, *c->last ? ": " : "",
                 c->last);
    log_warn("%s %s; %s takes its place behind site %llu of %zu, with lanes %s (time %zu of %zu)",
             c->plan->label, how, s->child[next].plan->label, (unsigned long long)from,
             s->watch.sites->count, c->lanes, s->again.count, s->restarts);
}

int replace_all(struct supervise *s)
{
    const size_t before = s->plan->count;
    size_t lost = 0;
    uint64_t from;

    for (size_t i = 0; i < before; i++) {
        struct child *c = &s->child[i];

        c->forgiven = c->forgiven || (ended_badly(c) && replace_excuse(s, i));
        if (ended_badly(c) && !may_replace(s, i))
            return 0;
        lost += (size_t)ended_badly(&s->child[i]);
    }
    if (!lost)
        return 1;
    if (restart_reads_once(s->change.route) || !restart_from(s, &from))
        return 0;
    s->again.count++;
    s->restarted++;
    for (size_t i = 0; i < before; i++) {
        struct err e = {0};
        int next;

        if (!ended_badly(&s->child[i]))
            continue;
        if ((next = begin(s, i, from, &e)) < 0) {
            log_warn("%s cannot be replaced alone: %s", s->child[i].plan->label, e.text);
            return 0;
        }
        s->child[i].past = s->child[i].forgiven = 1;
        watch_forget(&s->watch, i);
        say(s, i, (size_t)next, from);
    }
    return 1;
}

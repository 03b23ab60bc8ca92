/* SPDX-License-Identifier: Apache-2.0 */
/* replace_begin - see replace_begin.h. */
#include "replace_begin.h"

#include <stdio.h>
#include <string.h>

#include "../stages/forward/forward_opts.h"
#include "../stages/reduce/reduce_opts.h"
#include "../stages/write/write_opts.h"
#include "hosts_state.h"
#include "kind.h"
#include "way.h"

#define WORDS 12

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

/* One like process `like`, with these options in place of its own, not started yet. */
static int make(struct supervise *s, size_t like, const char *const *option, struct err *e)
{
    const char *word[WORDS] = {s->plan->process[like].argv[0]};
    size_t n = 1;
    int i;

    while (*option && n < WORDS)
        word[n++] = *option++;
    i = launch_add(s->plan, s->recipe, like, n, word, s->run_dir, e);
    if (i >= 0)
        launch_withhold(&s->plan->process[i], "--overwrite", 0);
    return i;
}

/* One that is there for the lanes of one that is lost; far: those of other hosts connect to it. */
static int begin_helper(struct supervise *s, size_t like, const char *const *option, int far,
                        struct err *e)
{
    const int i = make(s, like, option, e);

    if (i < 0)
        return -1;
    launch_withhold(&s->plan->process[i], "--lease", 1);
    s->child[i].helps = s->child[i].past = 1;
    if (far && ports_give(&s->hosts->ports, &s->plan->process[i], e) < 0)
        return -1;
    return start(s, (size_t)i, e);
}

/* Deals lanes once more, at `at`, to so many; far: of other hosts, who may weigh them there. */
static int begin_sampler(struct supervise *s, size_t like, const char *lanes, const char *at,
                         const char *peers, int far, struct err *e)
{
    char tokens[48];
    struct way w;

    snprintf(tokens, sizeof tokens, "@%%tokens.%zu", s->plan->count);
    if (!way_find(s, like, &w))
        return err_set(e, ERR_SYS, "chunks come through another stage");
    if (w.weigher == s->plan->count || (far && s->hosts->shares.weighs))
        return begin_helper(
            s, w.sampler,
            (const char *const[]){"--out", at, "--peers", peers, "--only-lanes", lanes, NULL}, far,
            e);
    if (begin_helper(
            s, w.sampler,
            (const char *const[]){"--out", tokens, "--peers", "1", "--only-lanes", lanes, NULL}, 0,
            e) < 0)
        return -1;
    return begin_helper(
        s, w.weigher,
        (const char *const[]){"--in", tokens + 1, "--out", at, "--peers", peers, NULL}, far, e);
}

/* One like process `like`, which comes to a place, and to the ports that were bound there; lanes:
 * which it gets by a sampler of its own, NULL: none. Its number; -1. */
int begin_at(struct supervise *s, size_t like, const char *lanes, const char *lease, uint64_t from,
             struct err *e)
{
    char at[48], behind[24];
    const struct stage_spec *const spec = kind_of(s, like);
    const char *option[8] = {"--lease", lease};
    size_t n = 2;
    int i;

    snprintf(at, sizeof at, "@%%lanes.%zu", s->plan->count);
    snprintf(behind, sizeof behind, "%llu", (unsigned long long)from);
    if (lanes) {
        option[n++] = "--in";
        option[n++] = at + 1;
    }
    if (spec == &forward_spec || spec == &reduce_spec || spec == &write_spec) {
        option[n++] = "--from-site";
        option[n++] = behind;
    }
    if (spec == &write_spec)
        option[n] = "--same-run";
    if ((lanes && begin_sampler(s, like, lanes, at, "1", 0, e) < 0) ||
        (i = make(s, like, option, e)) < 0 ||
        (s->hosts && ports_keep(&s->hosts->ports, &s->plan->process[i], e) < 0) ||
        start(s, (size_t)i, e) < 0)
        return -1;
    return i;
}

int begin_deal(struct supervise *s, size_t like, const char *lanes, size_t peers, char *at,
               size_t size, struct err *e)
{
    char word[48], number[24];
    const char *out;

    snprintf(word, sizeof word, "@%%lanes.%zu", s->plan->count);
    snprintf(number, sizeof number, "%zu", peers);
    if (begin_sampler(s, like, lanes, word, number, 1, e) < 0)
        return -1;
    out = launch_value(&s->plan->process[s->plan->count - 1], "--out") + 1;
    snprintf(at, size, "%.*s", (int)strcspn(out, ","), out);
    return 0;
}

int begin_stand_in(struct supervise *s, size_t like, const char *lanes, const char *lease,
                   uint64_t from, struct err *e)
{
    const int i = begin_at(s, like, lanes, lease, from, e);

    if (i < 0)
        return -1;
    s->child[i].stands_in = 1;
    s->child[i].first = like + 1;
    if (strlen(lanes) < sizeof s->child[i].lanes)
        strcpy(s->child[i].lanes, lanes);
    return 0;
}

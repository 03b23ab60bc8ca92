/* SPDX-License-Identifier: Apache-2.0 */
/* replace_begin - see replace_begin.h. */
#include "replace_begin.h"

#include <stdio.h>
#include <string.h>

#include "../stages/forward/forward_opts.h"
#include "../stages/reduce/reduce_opts.h"
#include "../stages/sample/sample_opts.h"
#include "../stages/write/write_opts.h"
#include "hosts_state.h"
#include "kind.h"
#include "newest.h"

#define WORDS 12

/* The sampler whose chunks come to the process straight; plan->count: none does that. */
size_t begin_sampler_of(const struct supervise *s, size_t i)
{
    const char *in = launch_value(&s->plan->process[newest_first(s, i)], "--in");
    size_t k = 0;

    while (in && k < s->plan->count &&
           (s->child[k].past || kind_of(s, k) != &sample_spec ||
            !launch_binds(&s->plan->process[k], in)))
        k++;
    return in ? k : s->plan->count;
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

/* Deals lanes once more, at `at`, to so many; far: of other hosts. */
static int begin_sampler(struct supervise *s, size_t like, const char *lanes, const char *at,
                         const char *peers, int far, struct err *e)
{
    const char *const option[] = {"--out", at, "--peers", peers, "--only-lanes", lanes, NULL};
    const int i = make(s, begin_sampler_of(s, like), option, e);

    if (i < 0)
        return -1;
    launch_withhold(&s->plan->process[i], "--lease", 1);
    s->child[i].helps = s->child[i].past = 1;
    if (far && ports_give(&s->hosts->ports, &s->plan->process[i], e) < 0)
        return -1;
    return start(s, (size_t)i, e);
}

/* One like process `like`, which comes to a place, and to the ports that were bound there; lanes:
 * which it gets by a sampler of its own, NULL: none. Its number; -1. */
int begin_at(struct supervise *s, size_t like, const char *lanes, const char *lease, uint64_t from,
             struct err *e)
{
    char at[48], behind[24];
    const struct stage_spec *const spec = kind_of(s, like);
    const char *const more = lanes ? "--in" : spec == &write_spec ? "--same-run" : NULL;
    const char *const from_site =
        spec == &forward_spec || spec == &reduce_spec || spec == &write_spec ? "--from-site" : NULL;
    const char *const option[] = {"--lease", lease, from_site, behind, more, lanes ? at + 1 : NULL,
                                  NULL};
    int i;

    snprintf(at, sizeof at, "@%%lanes.%zu", s->plan->count);
    snprintf(behind, sizeof behind, "%llu", (unsigned long long)from);
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

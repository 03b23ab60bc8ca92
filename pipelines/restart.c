/* SPDX-License-Identifier: Apache-2.0 */
/* restart - see restart.h. */
#include "restart.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../common/base/log.h"
#include "../common/base/plural.h"
#include "../stages/forward/forward_opts.h"
#include "../stages/reduce/reduce_opts.h"
#include "../stages/sample/sample_opts.h"
#include "../stages/slide/slide_opts.h"
#include "../stages/write/write_opts.h"
#include "hosts.h"
#include "newest.h"
#include "resume.h"

/* The system would refuse the same again, or a record of all would have a gap. */
static int lasts(const struct child *c)
{
    static const int numbers[] = {ENOSPC, EDQUOT, EFBIG, EROFS, EACCES, EPERM};

    if (c->signal)
        return c->signal == SIGXFSZ;
    if (strstr(c->last, "--record "))
        return 1;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strstr(c->last, strerror(numbers[i])))
            return 1;
    return 0;
}

int restart_helps(const struct child *c)
{
    return (c->signal || c->code == ERR_SYS) && !lasts(c);
}

static int is_pipe(const char *path)
{
    struct stat st;

    return strcmp(path, "-") == 0 ||
           (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode));
}

const char *restart_reads_once(const struct route *t)
{
    const struct stage *s = route_stage(t, &sample_spec, 0);
    const struct sample_command *c = s ? s->own : NULL;

    for (size_t i = 0; c && i < c->data.count; i++)
        if (is_pipe(c->data.text[i]))
            return c->data.text[i];
    return NULL;
}

int restart_refuse_once(const struct route *t, const char *more, const char *who, struct err *e)
{
    const char *once = more && is_pipe(more) ? more : restart_reads_once(t);

    return once ? err_set(e, ERR_USE,
                          "%s has several runs read '%s', and a pipe can be read once: put it into "
                          "a file",
                          who, once)
                : 0;
}

static int is_recorded(const struct route *t)
{
    const struct stage *s = route_stage(t, &reduce_spec, 0);

    return s && ((const struct reduce_command *)s->own)->record;
}

/* Of the one writer whose journal says where to go on; NULL: the run has none. */
static const struct write_opts *writer_of(const struct supervise *s)
{
    const struct route *t = s->change.route;
    const struct stage *w = t ? route_stage(t, &write_spec, 0) : NULL;

    return w && s->watch.sites &&
                   (route_stage(t, &forward_spec, 0) || route_stage(t, &slide_spec, 0)) &&
                   !route_stage(t, &write_spec, 1)
               ? &((const struct write_command *)w->own)->core
               : NULL;
}

/* Was it at work when the run failed? A new one that had not joined yet is told so as leaving. */
static int was_at_work(const struct supervise *s, size_t i, double failed_at)
{
    const struct child *c = &s->child[i];

    return !c->past && !c->stands_in &&
           (!c->plan->elastic || (!c->leaving && c->ended >= failed_at));
}

/* One like process `like`, which goes on behind the sites before `from`. What a run without any
 * has left is its own to throw away. */
static int begin_one(struct supervise *s, size_t like, uint64_t from, struct err *e)
{
    const int i = launch_add(s->plan, s->recipe, like, 0, NULL, s->run_dir, e);
    struct launch_process *p = i < 0 ? NULL : &s->plan->process[i];
    const struct stage *stage = p ? s->change.route->stage[p->stage] : NULL;
    char text[24];

    if (!p)
        return -1;
    snprintf(text, sizeof text, "%llu", (unsigned long long)from);
    if (stage && opt_find(stage->group, stage->ngroups, "from-site", 9, NULL)) {
        launch_withhold(p, "--from-site", 1);
        if (from && launch_give(p, "--from-site", text, e) < 0)
            return -1;
    }
    if (stage && stage->spec == &write_spec) {
        launch_withhold(p, "--overwrite", 0);
        if (!from && launch_give(p, "--overwrite", NULL, e) < 0)
            return -1;
    }
    if ((s->hosts && hosts_fit(s, p, e) < 0) || child_start(&s->child[i], p, s->log_dir, e) < 0)
        return -1;
    s->child[i].added = 1;
    return 0;
}

/* Every process that was at work; of a stage that had none any more the newest. */
static int begin_all(struct supervise *s, uint64_t from, double failed_at, struct err *e)
{
    const size_t before = s->plan->count;

    if (s->hosts)
        hosts_begin(s);
    for (size_t stage = 0; stage < s->recipe->nstages; stage++) {
        size_t begun = 0;

        for (size_t i = 0; i < before; i++) {
            if (s->plan->process[i].stage != stage || !was_at_work(s, i, failed_at))
                continue;
            if (begin_one(s, newest_first(s, i), from, e) < 0)
                return -1;
            begun++;
        }
        if (!begun && begin_one(s, newest_find(s, stage), from, e) < 0)
            return -1;
    }
    for (size_t i = 0; i < before; i++)
        s->child[i].past = s->child[i].forgiven = 1;
    s->begun = before;
    return 0;
}

/* Begun as often as is allowed since the last site was committed? */
static int is_spent(struct supervise *s, uint64_t from)
{
    if (from > s->again.from)
        s->again.count = 0;
    s->again.from = from;
    return s->again.count >= s->restarts;
}

/* 1: *why says for what reason, beside how it ended. */
static int is_refused(struct supervise *s, uint64_t from, struct err *why)
{
    const struct err lost = *why;

    if (!s->restarts)
        return 1;
    if (restart_reads_once(s->change.route))
        err_set(why, lost.kind, "%.380s; it cannot begin again: --data is a pipe, which was read",
                lost.text);
    else if (from && is_recorded(s->change.route))
        err_set(why, lost.kind,
                "%.380s; it cannot begin again: --record would miss the %llu sites that are "
                "committed",
                lost.text, (unsigned long long)from);
    else if (is_spent(s, from))
        err_set(why, lost.kind, "%.380s; begun again %zu time%s without a further site", lost.text,
                s->restarts, plural_s(s->restarts));
    else
        return 0;
    return 1;
}

static enum restart_end kept_from(struct err *why, const struct err *by)
{
    const struct err lost = *why;

    err_set(why, by->kind, "%.250s; it cannot begin again: %.200s", lost.text, by->text);
    return RESTART_NOT;
}

static int look(const struct supervise *s, const struct write_opts *w, uint64_t *from,
                int *complete, struct err *e)
{
    if (resume_look(w->out, s->watch.sites, from, complete, e) < 0)
        return -1;
    /* what an earlier run left is overwritten before the first commit of this one */
    if (w->overwrite && !s->watch.committed && !s->again.from)
        *from = 0, *complete = 0;
    return 0;
}

int restart_has_writer(const struct supervise *s)
{
    return writer_of(s) != NULL;
}

int restart_from(struct supervise *s, uint64_t *from)
{
    const struct write_opts *w = writer_of(s);
    int complete = 0;

    return w && s->restarts && look(s, w, from, &complete, NULL) == 0 && !complete &&
           !is_spent(s, *from);
}

int restart_may(struct supervise *s)
{
    uint64_t from;

    return !restart_reads_once(s->change.route) && restart_from(s, &from) &&
           from < s->watch.sites->count && !(from && is_recorded(s->change.route));
}

enum restart_end restart_begin(struct supervise *s, const struct child *lost, double failed_at,
                               struct err *why)
{
    const struct write_opts *w = writer_of(s);
    struct err e = {0};
    uint64_t from = 0;
    int complete = 0;

    if (!w || (lost && !restart_helps(lost)))
        return RESTART_NOT;
    if (look(s, w, &from, &complete, &e) < 0)
        return kept_from(why, &e);
    if (complete) {
        log_warn("%s; the checkpoint is complete", why->text);
        return RESTART_COMPLETE;
    }
    if (is_refused(s, from, why))
        return RESTART_NOT;
    s->again.count++;
    s->again.replaced = 0;
    s->again.over_at = 0;
    s->restarted++;
    log_warn("%s; the stages begin again behind site %llu of %zu (time %zu of %zu)", why->text,
             (unsigned long long)from, s->watch.sites->count, s->again.count, s->restarts);
    if (begin_all(s, from, failed_at, &e) < 0)
        return kept_from(why, &e);
    watch_again(&s->watch, from);
    return RESTART_BEGUN;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* crew - see crew.h. */
#include "crew.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/base/clock.h"
#include "../common/base/log.h"
#include "../common/base/mem.h"
#include "hold.h"
#include "hosts.h"
#include "newest.h"
#include "snapshot.h"

#define COUNT_MAX 1024
#define WORDS_MAX 256
#define HEARD_MAX 32 /* endpoints of one process that are told apart */
/* Who has ended properly waits for nobody: so long its neighbours may take to end as well. */
#define END_SECONDS 0.5
#define ECHO_SECONDS 5.0 /* until a neighbour that ended its stream early has ended itself */

static int lives(const struct supervise *s, size_t i)
{
    return s->child[i].pid > 0 && !s->child[i].exited;
}

static int serves(const struct supervise *s, size_t i, size_t stage)
{
    return s->plan->process[i].stage == stage && lives(s, i) && !s->child[i].leaving;
}

static size_t serving(const struct supervise *s, size_t stage)
{
    size_t n = 0;

    for (size_t i = 0; i < s->plan->count; i++)
        n += (size_t)serves(s, i, stage);
    return n;
}

static void say_event(struct supervise *s, const char *text)
{
    struct json *j = json_new_object();

    if (json_set_text(j, "event", text) != 0)
        json_destroy(&j);
    control_say(s->control, s->crew.client, &j);
}

static void dismiss(struct supervise *s, size_t i)
{
    if (s->child[i].leaving)
        return;
    s->child[i].leaving = 1;
    child_signal(&s->child[i], SIGTERM);
}

/* Behind a refusal. */
static int goes_on(struct err *e)
{
    const struct err why = *e;

    return err_set(e, why.kind, "%.460s; the run goes on as before", why.text);
}

/* words: the first of several is held against the run, before anything starts. */
static int add_one(struct supervise *s, size_t like, size_t nwords, const char *const *word,
                   struct err *e)
{
    int i = launch_add(s->plan, s->recipe, like, nwords, word, s->run_dir, e);

    if (i < 0)
        return -1;
    if (nwords && (size_t)i == s->crew.from && s->change.route &&
        change_check(&s->change, &s->plan->process[i], s->crew.note, e) < 0) {
        launch_take_back(s->plan);
        return goes_on(e);
    }
    if (child_start(&s->child[i], &s->plan->process[i], s->log_dir, e) < 0) {
        s->child[i].exited = s->child[i].forgiven = 1;
        s->ended++;
        return -1;
    }
    s->child[i].added = 1;
    return 0;
}

static int is_endpoint(const char *word)
{
    return strncmp(word, "ipc://", 6) == 0;
}

/* Endpoint number k of those a process connects to; NULL: it has no more. */
static const char *endpoint(const struct launch_process *p, size_t k)
{
    for (size_t i = 1; i < p->argc; i++)
        if (is_endpoint(p->argv[i]) && k-- == 0)
            return p->argv[i];
    return NULL;
}

static size_t endpoints(const struct launch_process *p)
{
    size_t n = 0;

    while (endpoint(p, n))
        n++;
    return n;
}

static size_t heard(const struct child *c)
{
    size_t n = 0;

    for (size_t k = 0; k < HEARD_MAX; k++)
        n += c->heard >> k & 1;
    return n;
}

/* 1: this one connects there, and had not been heard there. */
static int hears(struct supervise *s, size_t i, const char *address)
{
    const struct launch_process *p = &s->plan->process[i];
    struct child *c = &s->child[i];
    const char *at;

    for (size_t k = 0; lives(s, i) && k < HEARD_MAX && (at = endpoint(p, k)); k++)
        if (strcmp(at, address) == 0 && !(c->heard >> k & 1)) {
            c->heard |= 1u << k;
            c->joined = c->joined || (!p->ours && heard(c) == endpoints(p));
            return 1;
        }
    return 0;
}

/* Of one that does not say its process group it counts for the oldest that is no program of ours
 * and waits to be heard there. */
void crew_hello(struct supervise *s, const char *instance, const char *address)
{
    char *end;
    const long group = strtol(instance, &end, 16);
    const int says = end != instance && *end == '-';

    for (size_t i = 0; i < s->plan->count; i++)
        if (says ? s->child[i].pid == group : !s->plan->process[i].ours)
            if (hears(s, i, address) || says)
                return;
}

/* Starts count new ones; when one cannot be started those before it leave again. */
static int add_many(struct supervise *s, size_t like, size_t count, size_t nwords,
                    const char *const *word, struct err *e)
{
    struct crew *c = &s->crew;

    c->from = c->until = s->plan->count;
    for (size_t k = 0; k < count; k++) {
        if (add_one(s, like, nwords, word, e) < 0) {
            for (size_t i = c->from; i < s->plan->count; i++)
                dismiss(s, i);
            return -1;
        }
        c->until = s->plan->count;
    }
    return 0;
}

/* What a command with this program goes on from: the newest of the stage that ran it and had
 * joined. One that was swapped away for another program comes back as it was. */
static size_t pattern(const struct supervise *s, size_t stage, const char *program)
{
    size_t found = newest_find(s, stage);

    for (size_t i = 0; i < s->plan->count; i++)
        if (s->plan->process[i].stage == stage && s->child[i].joined &&
            strcmp(s->plan->process[i].argv[0], program) == 0)
            found = i;
    return found;
}

static int stage_of(const struct supervise *s, const struct json *request, size_t *stage,
                    struct err *e)
{
    const char *name = json_need_text(request, "stage", "request", e);
    char names[256] = "";
    size_t n = 0;

    if (!name)
        return -1;
    for (size_t i = 0; i < s->plan->count && n < sizeof names - 80; i++) {
        const struct launch_process *p = &s->plan->process[i];

        *stage = p->stage;
        if (strcmp(s->recipe->stage[p->stage].name, name) == 0)
            return p->elastic ? 0
                              : err_set(e, ERR_USE,
                                        "stage '%s' is not marked elastic in the recipe: it holds "
                                        "state of the "
                                        "run, and its processes stay as they are",
                                        name);
        if (p->elastic && !s->child[i].added &&
            (i == 0 || s->plan->process[i - 1].stage != p->stage))
            n += (size_t)snprintf(names + n, sizeof names - n, " %.60s",
                                  s->recipe->stage[p->stage].name);
    }
    return err_set(e, ERR_USE, "there is no stage '%.60s'; processes of these may come and go:%s",
                   name, *names ? names : " none");
}

static int scale(struct supervise *s, const struct json *request, struct err *e)
{
    struct crew *c = &s->crew;
    int64_t count;
    size_t now, going;

    if (stage_of(s, request, &c->stage, e) < 0 ||
        json_need_int(request, "count", 1, COUNT_MAX, &count, "request", e) < 0 ||
        json_opt_int(request, "wait", 1, CONTROL_WAIT_MAX, CONTROL_WAIT, &c->wait, "request", e) <
            0)
        return -1;
    now = serving(s, c->stage);
    c->replace = 0;
    c->from = c->until = s->plan->count;
    c->state = CREW_JOINING;
    going = now > (size_t)count ? now - (size_t)count : 0;
    for (size_t i = s->plan->count; i-- > 0 && going;)
        if (serves(s, i, c->stage)) {
            dismiss(s, i);
            going--;
        }
    return now < (size_t)count
               ? add_many(s, newest_find(s, c->stage), (size_t)count - now, 0, NULL, e)
               : 0;
}

static int swap(struct supervise *s, const struct json *request, struct err *e)
{
    const struct json *list = json_get(request, "command");
    const char *word[WORDS_MAX];
    struct crew *c = &s->crew;
    size_t n = json_count(list), count;

    if (stage_of(s, request, &c->stage, e) < 0)
        return -1;
    if (json_kind(list) != JSON_KIND_ARRAY || n == 0 || n > WORDS_MAX)
        return err_set(e, ERR_USE, "request: field 'command' must be an array of 1 to %d words",
                       WORDS_MAX);
    for (size_t i = 0; i < n; i++)
        if (!(word[i] = json_as_text(json_at(list, i))) || !*word[i])
            return err_set(e, ERR_USE, "request: word %zu of 'command' is empty or no text", i + 1);
    if (json_opt_int(request, "wait", 1, CONTROL_WAIT_MAX, CONTROL_WAIT, &c->wait, "request", e) <
        0)
        return -1;
    count = serving(s, c->stage);
    c->replace = 1;
    c->state = CREW_JOINING;
    return add_many(s, pattern(s, c->stage, word[0]), count ? count : 1, n, word, e);
}

static int begin(struct supervise *s, uint64_t client, const char *cmd, const struct json *request,
                 struct err *e)
{
    struct crew *c = &s->crew;
    int (*what)(struct supervise *, const struct json *, struct err *) =
        strcmp(cmd, "scale") == 0  ? scale
        : strcmp(cmd, "swap") == 0 ? swap
                                   : NULL;

    if (!what)
        return err_set(e, ERR_USE,
                       "unknown request '%.40s' (status, scale, swap, pause, resume, drain, stop)",
                       cmd);
    if (s->stop_asked || s->stopping)
        return err_set(e, ERR_USE, "the run is stopping");
    if (!s->child[0].pid)
        return err_set(e, ERR_USE, "the run waits for its workers: no process has been started");
    if (c->state != CREW_IDLE)
        return err_set(e, ERR_USE, "a change of stage '%s' is still under way",
                       s->recipe->stage[c->stage].name);
    c->client = client;
    *c->note = '\0';
    if (what(s, request, e) == 0) {
        c->deadline = clock_wall() + (double)c->wait;
        return 0;
    }
    c->state = CREW_IDLE;
    change_drop(&s->change);
    return -1;
}

void crew_request(void *ctx, uint64_t client, const struct json *request)
{
    struct supervise *s = ctx;
    struct err e = {0};
    const char *cmd = json_need_text(request, "cmd", "request", &e);

    if (cmd && strcmp(cmd, "status") == 0) {
        struct json *j = snapshot_make(s);

        control_say(s->control, client, &j);
    } else if (cmd && strcmp(cmd, "stop") == 0) {
        s->stop_asked++;
        control_grant(s->control, client, "stopping: stages finish what they have in hand");
    } else if (cmd && (hold_request(s, client, cmd) || hosts_request(s, client, cmd, request))) {
        return;
    } else if (!cmd || begin(s, client, cmd, request, &e) < 0) {
        control_refuse(s->control, client, &e);
    }
}

/* A new one has ended before it joined, or takes too long: the others stay as they were. What has
 * not joined has nothing in hand, and may be no program that knows how to leave. */
static void change_failed(struct supervise *s, const struct child *c)
{
    struct err e = {0};

    if (c->exited)
        err_set(&e, c->code == ERR_DATA || c->code == ERR_USE ? (enum err_kind)c->code : ERR_SYS,
                "%s did not join (exit code %d)%s%s; the run goes on as before", c->plan->label,
                c->code, *c->last ? ": " : "", c->last);
    else
        err_set(&e, ERR_SYS,
                "%s did not join within %lld s: it has said hello at %zu of the %zu endpoints it "
                "was given; the run goes on as before",
                c->plan->label, (long long)s->crew.wait, heard(c), endpoints(c->plan));
    log_warn("%s", e.text);
    for (size_t i = s->crew.from; i < s->crew.until; i++)
        if (lives(s, i)) {
            dismiss(s, i);
            if (!s->child[i].joined)
                child_signal(&s->child[i], SIGKILL);
        }
    control_refuse(s->control, s->crew.client, &e);
    s->crew.state = CREW_IDLE;
    change_drop(&s->change);
}

static void joined(struct supervise *s)
{
    struct crew *c = &s->crew;
    char text[200];

    for (size_t i = c->from; i < c->until; i++) {
        if (s->child[i].joined)
            continue;
        if (s->child[i].exited || clock_wall() > c->deadline)
            change_failed(s, &s->child[i]);
        return;
    }
    for (size_t i = 0; c->replace && i < s->plan->count; i++)
        if ((i < c->from || i >= c->until) && serves(s, i, c->stage))
            dismiss(s, i);
    c->state = CREW_LEAVING;
    change_make(&s->change);
    if (c->until > c->from) {
        snprintf(text, sizeof text, "%zu new of stage '%s' joined", c->until - c->from,
                 s->recipe->stage[c->stage].name);
        say_event(s, text);
    }
    if (*c->note) {
        log_warn("%s", c->note);
        say_event(s, c->note);
    }
}

static void left(struct supervise *s)
{
    struct crew *c = &s->crew;
    char text[200];

    for (size_t i = 0; i < s->plan->count; i++)
        if (s->plan->process[i].stage == c->stage && lives(s, i) && s->child[i].leaving)
            return;
    snprintf(text, sizeof text, "stage '%s': %zu at work", s->recipe->stage[c->stage].name,
             serving(s, c->stage));
    c->state = CREW_IDLE;
    control_grant(s->control, c->client, text);
}

static int binds(const struct launch_process *p, const char *address)
{
    const size_t n = strlen(address);

    for (size_t k = 1; k < p->argc; k++)
        if (p->argv[k][0] == '@' && strncmp(p->argv[k] + 1, address, n) == 0 &&
            (!p->argv[k][1 + n] || p->argv[k][1 + n] == ','))
            return 1;
    return 0;
}

/* Is the process that binds this endpoint there? */
static int is_bound(const struct supervise *s, const char *address)
{
    for (size_t i = 0; i < s->plan->count; i++)
        if (lives(s, i) && binds(&s->plan->process[i], address))
            return 1;
    return 0;
}

/* Who bound it has done its work, and nobody does now. One that failed ends the run by itself. */
static int is_left(const struct supervise *s, const char *address)
{
    int was = 0;

    for (size_t i = 0; i < s->plan->count; i++)
        was = was || (s->child[i].exited && !s->child[i].code && !s->child[i].signal &&
                      binds(&s->plan->process[i], address));
    return was && !is_bound(s, address);
}

/* Has it come too late for one of its neighbours? It would wait for it for ever. */
static int is_late(const struct supervise *s, size_t i)
{
    const char *at;

    for (size_t k = 0; k < HEARD_MAX && (at = endpoint(&s->plan->process[i], k)); k++)
        if (!(s->child[i].heard >> k & 1) && is_left(s, at))
            return 1;
    return 0;
}

/* Is there work that one like it would do? Not once all is committed, or a neighbour has ended. */
static int is_needed(const struct supervise *s, size_t like)
{
    const struct launch_process *p = &s->plan->process[like];

    if (s->watch.sites && s->watch.committed >= s->watch.sites->count)
        return 0;
    for (size_t k = 1; k < p->argc; k++)
        if (is_endpoint(p->argv[k]) && !is_bound(s, p->argv[k]))
            return 0;
    return 1;
}

static void end_text(const struct child *c, char *out, size_t size)
{
    if (c->signal)
        snprintf(out, size, "signal %d (%s)", c->signal, strsignal(c->signal));
    else
        snprintf(out, size, "exit code %d%s%s", c->code, *c->last ? ": " : "", c->last);
}

/* Nobody serves the stage of process `last`, which has ended. 0: another has been started; -1: the
 * run has failed, crew.lost says why. */
static int start_again(struct supervise *s, size_t last)
{
    struct crew *c = &s->crew;
    const struct child *gone = &s->child[last];
    const size_t stage = s->plan->process[last].stage;
    const enum err_kind kind =
        gone->code == ERR_DATA || gone->code == ERR_USE ? (enum err_kind)gone->code : ERR_SYS;
    char text[CHILD_LINE + 80];

    end_text(gone, text, sizeof text);
    if (c->committed != s->watch.committed)
        c->restarts = 0;
    c->committed = s->watch.committed;
    if (c->restarts == s->restarts)
        return err_set(&c->lost, kind,
                       "stage '%s' has no process left: %s ended with %s; %zu that were started in "
                       "its place have finished no site",
                       s->recipe->stage[stage].name, gone->plan->label, text, s->restarts);
    c->restarts++;
    s->restarted++;
    if (add_one(s, newest_find(s, stage), 0, NULL, &c->lost) < 0)
        return err_prefix(&c->lost, "stage '%s' has no process left", s->recipe->stage[stage].name);
    log_warn("%s is gone: %s; another is started in its place", gone->plan->label, text);
    return 0;
}

/* The one of a stage that ended last; plan->count: one is there, or all of them are needed no
 * more. */
static size_t last_of(const struct supervise *s, size_t stage)
{
    size_t last = s->plan->count;

    for (size_t i = 0; i < s->plan->count; i++) {
        if (s->plan->process[i].stage != stage)
            continue;
        if (!s->plan->process[i].elastic || serves(s, i, stage))
            return s->plan->count;
        if (s->child[i].exited &&
            (last == s->plan->count || s->child[i].turn > s->child[last].turn))
            last = i;
    }
    return last < s->plan->count && is_needed(s, last) ? last : s->plan->count;
}

/* Its last words are that a neighbour's stream ended early: what of, that one is about to say. */
static int is_echo(const struct child *c)
{
    return strstr(c->last, " is incomplete: ") != NULL;
}

static double mend_after(const struct child *c)
{
    return is_echo(c) ? ECHO_SECONDS : c->code ? 0 : END_SECONDS;
}

static void mend(struct supervise *s)
{
    for (size_t stage = 0; stage < s->recipe->nstages && !s->crew.lost.kind; stage++) {
        size_t last = last_of(s, stage);
        const struct child *c = last < s->plan->count ? &s->child[last] : NULL;

        if (c && clock_wall() - c->ended >= mend_after(c))
            start_again(s, last);
    }
}

void crew_tick(struct supervise *s)
{
    if (s->crew.state == CREW_JOINING)
        joined(s);
    if (s->crew.state == CREW_LEAVING)
        left(s);
    if (!s->stopping)
        mend(s);
}

void crew_stop(struct supervise *s)
{
    struct err e = {0};

    if (s->crew.state == CREW_IDLE)
        return;
    for (size_t i = s->crew.from; s->crew.state == CREW_JOINING && i < s->crew.until; i++)
        dismiss(s, i);
    s->crew.state = CREW_IDLE;
    change_drop(&s->change);
    err_set(&e, ERR_SYS, "the run is stopping");
    control_refuse(s->control, s->crew.client, &e);
}

int crew_excuse(struct supervise *s, size_t i)
{
    struct child *c = &s->child[i];
    const char *what = c->signal ? strsignal(c->signal) : *c->last ? c->last : "no reason given";

    if (!s->plan->process[i].elastic)
        return 0;
    if (c->leaving) {
        if (c->joined)
            log_warn("%s ended badly while leaving: %s; what it had goes to others", c->plan->label,
                     what);
        return 1;
    }
    if (s->crew.state == CREW_JOINING && i >= s->crew.from && i < s->crew.until && !c->joined)
        return 1;
    if (serving(s, s->plan->process[i].stage)) {
        log_warn("%s is gone: %s; what it had goes to the others of its stage", c->plan->label,
                 what);
        return 1;
    }
    /* data or use would be refused again; of a stream that ended early its sender says why */
    return c->code == ERR_SYS || is_echo(c);
}

void crew_dismiss(struct supervise *s)
{
    for (size_t i = 0; i < s->plan->count; i++)
        if (lives(s, i) && s->plan->process[i].elastic && is_late(s, i))
            dismiss(s, i);
    for (size_t i = 0; i < s->plan->count; i++)
        if (lives(s, i) && !s->plan->process[i].elastic)
            return;
    for (size_t i = 0; i < s->plan->count; i++)
        if (lives(s, i) && !s->child[i].joined)
            dismiss(s, i);
}

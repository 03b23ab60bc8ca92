/* SPDX-License-Identifier: Apache-2.0 */
/* worker - see worker.h. */
#include "worker.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/base/clock.h"
#include "../common/base/log.h"
#include "../common/base/mem.h"
#include "../common/base/sig.h"
#include "../common/tensor/blas_pace.h"
#include "../common/wire/talk.h"
#include "hold.h"
#include "supervise.h"
#include "worker_opts.h"
#include "worker_say.h"
#include "worker_state.h"

#define TICK_MS 100
#define PING_S 1.0
#define END_S 10.0 /* the run has ended: so long its processes may take to notice */
#define AGAIN_S 1.0
#define UNANSWERED_S 5.0       /* then it is said that nobody answers */
#define UNANSWERED_NEXT_S 60.0 /* and again */
#define CAUSE_S 0.5            /* in which those fail that a failure makes fail */
#define STARTS 4               /* of a process for the same work */
#define LOST_S 3.0             /* one that was given up may be at its end already */
#define UNWANTED_S 10.0        /* so long one of the forward pass may take to leave */
#define LAST_MS 2000

/* ---- processes ---- */

static int solves(const struct slot *s)
{
    return strcmp(s->plan.argv[0], "ptq-solve") == 0;
}

static int lives(const struct slot *s)
{
    return s->child.pid > 0 && !s->child.exited;
}

static void stop(struct slot *s, int number)
{
    if (!lives(s) || (number == SIGTERM && s->child.leaving))
        return;
    s->child.leaving = 1;
    child_signal(&s->child, number);
}

static void stop_all(struct worker *w, int number)
{
    for (size_t i = 0; i < w->count; i++)
        stop(w->slot[i], number);
}

/* Nothing new; what is there may finish what it has in hand. */
static void end(struct worker *w, int at_once)
{
    if (!w->ending)
        w->ended = clock_wall();
    w->ending = 1;
    if (at_once)
        stop_all(w, SIGTERM);
}

static void fail(struct worker *w, const struct err *e)
{
    if (w->lost.kind == ERR_NONE)
        w->lost = *e;
    end(w, 1);
}

static void start(struct worker *w, struct slot *s)
{
    struct err e = {0};

    s->again = 0;
    s->starts++;
    json_destroy(&s->waited); /* that was another's */
    s->lost = 0;
    *s->lanes = '\0';
    child_close(&s->child);
    if (child_start(&s->child, &s->plan, NULL, &e) < 0)
        fail(w, &e);
}

static void on_line(void *ctx, struct child *c, char *text)
{
    const char *words = strstr(text, ": fatal: ");

    (void)ctx;
    dprintf(2, "%s %s\n", c->plan->label, text);
    c->fatal = c->fatal || words;
    if (words || (*text && !c->fatal))
        snprintf(c->last, sizeof c->last, "%s", words ? words + 9 : text);
}

static struct slot *slot_of(const struct worker *w, const struct child *c)
{
    size_t i = 0;

    while (&w->slot[i]->child != c)
        i++;
    return w->slot[i];
}

/* A neighbour here has given it up. */
static void given_up(const struct worker *w, const char *lease)
{
    const char *own;

    for (size_t i = 0; i < w->count; i++)
        if (w->slot[i]->lost <= 0 && (own = launch_value(&w->slot[i]->plan, "--lease")) &&
            strcmp(own, lease) == 0)
            w->slot[i]->lost = clock_wall();
}

static void on_status(void *ctx, struct child *c, char *text)
{
    struct worker *w = ctx;
    struct slot *s = slot_of(w, c);
    struct json *j = json_parse(text, strlen(text), "status", NULL);
    const char *lanes = json_as_text(json_get(j, "lanes"));

    if (json_get(j, "waited")) {
        json_destroy(&s->waited);
        s->waited = json_clone(json_get(j, "waited"));
    }
    if (lanes) {
        snprintf(s->lanes, sizeof s->lanes, "%s", *lanes ? lanes : "-");
        w->said = 0; /* at once: without it they cannot be leased again alone */
    }
    if (json_get(j, "lost"))
        given_up(w, json_text_or(j, "at", ""));
    json_destroy(&j);
}

/* One of the forward pass has failed, and its neighbours with it: who was refused, or ended by a
 * signal, is the cause. */
static void pass_failed(struct worker *w, const struct slot *s)
{
    const struct child *c = &s->child;
    const int cause = c->signal ? 2 : c->code == ERR_USE ? 1 : 0;

    if (w->failed.kind && w->failed_epoch == s->epoch && cause <= w->failed_cause)
        return;
    err_set(&w->failed, cause == 1 ? ERR_USE : ERR_SYS, "%s: %.300s", c->plan->label,
            c->signal ? strsignal(c->signal) : c->last);
    if (w->failed_epoch != s->epoch)
        w->failed_at = clock_wall();
    w->failed_epoch = s->epoch;
    w->failed_cause = cause;
}

/* One that ended badly is started again, unless it would be refused again. */
static void ended(struct worker *w, struct slot *s)
{
    const struct child *c = &s->child;
    struct err e = {0};

    if (c->leaving || w->ending || c->code == 0)
        return;
    if (!solves(s)) {
        pass_failed(w, s);
        return;
    }
    if (c->code == ERR_USE || s->starts >= STARTS) {
        err_set(&e, c->code == ERR_USE ? ERR_USE : ERR_SYS, "%s ended with exit code %d%s%.300s",
                c->plan->label, c->code, *c->last ? ": " : "", c->last);
        fail(w, &e);
        return;
    }
    s->again = clock_wall() + AGAIN_S;
}

static void reap(struct worker *w, struct slot *s)
{
    struct rusage usage;
    int status;

    if (!lives(s))
        return;
    child_read(&s->child.err, on_line, w, &s->child);
    child_read(&s->child.status, on_status, w, &s->child);
    if (wait4(s->child.pid, &status, WNOHANG, &usage) != s->child.pid)
        return;
    child_ended(&s->child, status, &usage, 0);
    child_read(&s->child.err, on_line, w, &s->child);
    ended(w, s);
}

/* One that is in the way of the next, or cannot go on, is ended at once. */
static void hurry(const struct slot *s, double now)
{
    if (!lives(s))
        return;
    if (s->unwanted > 0 && !solves(s) && now - s->unwanted > UNWANTED_S)
        child_signal(&s->child, SIGKILL);
    if (s->lost > 0 && now - s->lost > LOST_S) {
        log_warn("%s does not answer its neighbours, who gave it up: it is ended", s->plan.label);
        child_signal(&s->child, SIGKILL);
    }
}

/* What the head no longer speaks of goes once its process has ended; not before all have been
 * heard, as one speaks of another. */
static void tidy(struct worker *w)
{
    size_t n = 0;

    for (size_t i = 0; i < w->count; i++) {
        struct slot *s = w->slot[i];

        reap(w, s);
        hold_tell(&s->child, w->rests);
        if (s->again > 0 && clock_wall() > s->again && !w->ending && s->unwanted <= 0)
            start(w, s);
        hurry(s, clock_wall());
    }
    for (size_t i = 0; i < w->count; i++) {
        struct slot *s = w->slot[i];

        if (s->unwanted > 0 && !lives(s))
            slot_destroy(&s);
        else
            w->slot[n++] = s;
    }
    w->count = n;
}

/* ---- what is heard ---- */

static int is_known(const struct worker *w, const struct json *said)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->slot[i]->unwanted <= 0 && slot_is(w->slot[i], said))
            return 1;
    return 0;
}

static int is_wanted(const struct slot *s, const struct json *list)
{
    for (size_t i = 0; i < json_count(list); i++)
        if (slot_is(s, json_at(list, i)))
            return 1;
    return 0;
}

static int work_take(struct worker *w, const struct msg *m, struct err *e)
{
    const struct json *list = json_get(m->meta, "processes");
    struct slot *s;

    if (json_need_int(m->meta, "number", 1, INT64_MAX, &w->number, "work", e) < 0)
        return -1;
    for (size_t i = 0; i < w->count; i++) {
        if (w->slot[i]->unwanted > 0 || is_wanted(w->slot[i], list))
            continue;
        w->slot[i]->unwanted = clock_wall();
        stop(w->slot[i], SIGTERM);
    }
    for (size_t i = 0; i < json_count(list); i++) {
        if (is_known(w, json_at(list, i)))
            continue;
        if (w->count == WORKER_SLOTS)
            return err_set(e, ERR_USE, "work: more than %d processes", WORKER_SLOTS);
        if (!(s = slot_create(json_at(list, i), &w->terms, e)))
            return -1;
        w->slot[w->count++] = s;
        start(w, s);
    }
    return 0;
}

static void end_take(struct worker *w, const struct msg *m)
{
    const char *text = json_text_or(m->meta, "text", "");
    int ok = 0;

    if (w->ending)
        return;
    json_as_bool(json_get(m->meta, "ok"), &ok);
    if (ok)
        log_info("the run is complete");
    else
        err_set(&w->lost, ERR_SYS, "the run has ended: %.400s", text);
    end(w, 0);
    for (size_t i = 0; ok && i < w->count; i++)
        if (solves(w->slot[i])) /* one that began too late has nobody to send it an end */
            stop(w->slot[i], SIGTERM);
}

static void leave(struct worker *w, const char *who)
{
    w->asked++;
    log_info("leaving%s: processes finish what they have in hand (once more: at once)", who);
    worker_say_leave(w, "it was asked to leave");
    end(w, 1);
}

/* r: as worker_model_heard. The head gives no lanes before. */
static void model_known(struct worker *w, int r, const struct err *e)
{
    if (r < 0)
        fail(w, e);
    if (r > 0)
        w->said = 0;
}

static void message_take(struct worker *w, const struct msg *m)
{
    struct err e = {0};

    w->heard = clock_wall();
    w->unanswered = 0;
    w->refused.kind = ERR_NONE;
    w->refusals = 0;
    if (m->kind == MSG_WORK && !w->ending) {
        if (work_take(w, m, &e) < 0)
            fail(w, &e);
    } else if (m->kind == MSG_PING) {
        json_as_bool(json_get(m->meta, "paused"), &w->rests);
        model_known(w, worker_model_heard(&w->model, w->identity, m->meta, &e), &e);
    } else if (m->kind == MSG_LEAVE && !w->ending) {
        leave(w, ", as the head asks");
    } else if (m->kind == MSG_END) {
        end_take(w, m);
    } else if (m->kind == MSG_FAIL) {
        err_set(&e, ERR_USE, "the head refuses this worker: %.400s",
                json_text_or(m->meta, "text", "it gives no reason"));
        fail(w, &e);
    }
}

/* It may be let in yet, so it tries on: what it hears is said once, or when it is another. */
static void refusal_take(struct worker *w, const struct refusal *r)
{
    struct err e = {0};

    err_set(&e, ERR_USE, "%s refuses this worker: %s", w->stage->args.arg[0], r->why);
    if (r->final) {
        fail(w, &e);
        return;
    }
    if (w->refused.kind == ERR_NONE || strcmp(w->refused.text, e.text) != 0)
        log_warn("%s", e.text);
    w->refused = e;
    w->refusals++;
}

/* From now on nobody answers, until a message comes. */
static void unanswered(struct worker *w)
{
    if (w->unanswered > 0) /* one that refuses breaks each try off */
        return;
    w->unanswered = clock_wall();
    w->told = w->unanswered + fmin(UNANSWERED_S, (double)w->command->wait / 2);
}

static void listen_once(struct worker *w)
{
    const int bits = zsock_wait(w->z, w->sigfd, TICK_MS);
    struct refusal r;
    struct err e = {0};
    struct zid from;
    struct msg *m;
    int got;

    if (bits & ZS_DOWN)
        unanswered(w);
    if (bits & ZS_UP)
        worker_say_join(w);
    while ((got = talk_recv(w->z, &from, TALK_BYTES, &m, &e)) != 0) {
        if (got < 0)
            continue;
        message_take(w, m);
        msg_destroy(&m);
    }
    while (zsock_refused(w->z, &r))
        refusal_take(w, &r);
}

static void on_signals(struct worker *w)
{
    struct signalfd_siginfo info;

    while (read(w->sigfd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD || info.ssi_signo == SIGXFSZ)
            continue;
        if (!w->asked)
            leave(w, "");
        else
            stop_all(w, SIGKILL);
    }
}

static void deadlines(struct worker *w, double now)
{
    struct err e = {0};

    if (!w->ending && w->unanswered > 0 && now > w->told) {
        if (w->refusals)
            log_warn("%s: so far %llu times; trying on, --wait is %lld s", w->refused.text,
                     (unsigned long long)w->refusals, (long long)w->command->wait);
        else
            log_warn("nobody answers at %s: waiting, --wait is %lld s", w->stage->args.arg[0],
                     (long long)w->command->wait);
        w->told = now + UNANSWERED_NEXT_S;
    }
    if (!w->ending)
        model_known(w, worker_model_tick(&w->model, &w->terms, now, &e), &e);
    if (w->failed_at > 0 && now - w->failed_at > CAUSE_S)
        w->failed_at = w->said = 0;
    if (!w->ending && now - w->said > PING_S) {
        w->said = now;
        worker_say_ping(w);
    }
    if (!w->ending && now - w->heard > (double)w->command->wait) {
        if (w->refusals)
            err_set(&e, ERR_USE, "%.400s (%llu times)", w->refused.text,
                    (unsigned long long)w->refusals);
        else
            err_set(&e, ERR_SYS, "%s has given no sign of life for %.0f s", w->stage->args.arg[0],
                    (double)w->command->wait);
        fail(w, &e);
    }
    if (w->ending && !w->asked && now - w->ended > END_S)
        stop_all(w, now - w->ended > 2 * END_S ? SIGKILL : SIGTERM);
}

static int is_over(const struct worker *w)
{
    size_t n = 0;

    for (size_t i = 0; i < w->count; i++)
        n += (size_t)lives(w->slot[i]);
    return w->ending && !n;
}

static int identity_make(char out[40], struct err *e)
{
    unsigned char random[16];

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_sys(e, "no random numbers");
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(out + 2 * i, 3, "%02x", random[i]);
    return 0;
}

static int open_all(struct worker *w, struct err *e)
{
    const char *url = w->stage->args.arg[0];

    snprintf(w->host, sizeof w->host, "%.*s", (int)(strrchr(url, ':') - url), url);
    if (w->command->name)
        snprintf(w->name, sizeof w->name, "%s", w->command->name);
    else if (gethostname(w->name, sizeof w->name - 1) != 0)
        snprintf(w->name, sizeof w->name, "worker");
    w->terms = (struct worker_terms){.host = w->host,
                                     .keys = w->stage->keys,
                                     .model = w->command->model,
                                     .threads = w->stage->threads,
                                     .forward = w->command->forward ? w->command->forward : 1,
                                     .solve = w->command->solve ? w->command->solve : 1,
                                     .mem = w->stage->mem};
    w->model = (struct worker_model){.host = w->host,
                                     .keys = w->stage->keys,
                                     .cache = w->command->cache,
                                     .most = w->command->fetch,
                                     .has = w->command->model || !w->command->forward};
    if (blas_pace(&w->pace, e) < 0)
        return -1;
    w->pace *= (double)slot_threads(&w->terms, w->terms.forward);
    w->heard = clock_wall();
    unanswered(w);
    if (identity_make(w->identity, e) < 0 || (w->sigfd = supervise_signals(e)) < 0 ||
        rundir_open(&w->dir, e) < 0)
        return -1;
    w->terms.sockets = w->dir.path;
    w->z = zsock_open(url, 0, w->identity, TALK_BYTES, w->stage->keys, e);
    return w->z ? 0 : -1;
}

static int run(struct stage *s, struct err *e)
{
    struct worker w = {.stage = s, .command = s->own, .sigfd = -1, .dir = {.lock = -1}};
    int rc = open_all(&w, e);

    if (rc == 0 && sig_draining()) /* asked before there was anything to leave */
        leave(&w, "");
    while (rc == 0 && !is_over(&w)) {
        listen_once(&w);
        on_signals(&w);
        tidy(&w);
        deadlines(&w, clock_wall());
    }
    if (rc == 0 && w.lost.kind) {
        worker_say_leave(&w, w.lost.text);
        *e = w.lost;
        rc = -1;
    }
    stop_all(&w, SIGKILL);
    for (size_t i = 0; i < w.count; i++)
        slot_destroy(&w.slot[i]);
    worker_model_release(&w.model);
    zsock_close(&w.z, LAST_MS);
    rundir_close(&w.dir, 0);
    if (w.sigfd >= 0)
        close(w.sigfd);
    return rc;
}

int worker_main(int argc, char **argv)
{
    return stage_main(&worker_spec, run, argc, argv);
}

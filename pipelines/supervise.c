/* SPDX-License-Identifier: Apache-2.0 */
/* supervise - the poll loop of a run. Signals come through a signalfd, so nothing happens behind
 * its back. */
#include "supervise.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/base/clock.h"
#include "../common/base/fs.h"
#include "../common/base/log.h"
#include "../common/base/mem.h"
#include "../common/base/owner.h"
#include "../common/base/pause.h"
#include "../common/base/status.h"
#include "../common/run/journal.h"
#include "../common/wire/follow.h"
#include "cause.h"
#include "crew.h"
#include "hold.h"
#include "hosts.h"
#include "hosts_gain.h"
#include "needless.h"
#include "replace.h"
#include "restart.h"
#include "room.h"
#include "rundir.h"
#include "scrape.h"
#include "stall.h"

#define TICK_MS 200
#define KILL_SECONDS 5.0
/* When one stage fails its neighbours fail too, and may be seen to end first: so long the others
 * are let be before the first to fail is looked for. */
#define CAUSE_SECONDS 0.5
#define ECHO_SECONDS 4.0 /* the same while all that ended badly only heard of it */
#define LOST_SECONDS 8.0 /* until the loss of a worker is noticed */

struct loop {
    struct supervise *s;
    int asked;            /* SIGTERM or SIGINT: how many */
    int started;          /* the processes: not while workers are awaited */
    int unheard;          /* nobody reads our stderr */
    int failing;          /* a stage said a fatal line, or ended badly */
    double failed_at;     /* when a stage ended badly; 0: none has */
    double stop_at;       /* when SIGTERM went out because of it */
    int published;        /* OUT/.ptqflow/control is there */
    int kept;             /* OUT/.ptqflow/job.json is */
    size_t ended_by_then; /* processes that had ended when the others were told to stop */
};

/* What follows the mark in "NAME: fatal: WORDS"; NULL: another line. */
static const char *marked(const char *text, const char *mark)
{
    size_t name = strcspn(text, ": ");

    return name && strncmp(text + name, mark, strlen(mark)) == 0 ? text + name + strlen(mark)
                                                                 : NULL;
}

/* A line of a process; where its stage has several, under its own name: "forward.2: ...". */
static void line_show(const struct child *c, const char *text)
{
    const char *label = c->plan->label, *dot = strrchr(label, '.');
    const size_t n = dot ? (size_t)(dot - label) : 0;

    if (n && strncmp(text, label, n) == 0 && text[n] == ':')
        dprintf(2, "%s%s\n", label, text + n);
    else
        dprintf(2, "%s\n", text);
}

/* A stage that fails makes its neighbours fail. Their last words are kept, and shown are those
 * of the stage to blame: see verdict(). What others warn of after the first failure is its echo. */
static void on_stderr(void *ctx, struct child *c, char *text)
{
    struct loop *l = ctx;
    const char *words = marked(text, ": fatal: ");

    if (c->log)
        fprintf(c->log, "%s\n", text);
    if (words)
        l->failing = c->fatal = 1;
    else if (!(l->failing && marked(text, ": warning: "))) {
        watch_clear(&l->s->watch);
        line_show(c, text);
    }
    if (words || (*text && !c->fatal))
        snprintf(c->last, sizeof c->last, "%s", words ? words : text);
}

static void on_status(void *ctx, struct child *c, char *text)
{
    struct loop *l = ctx;
    struct json *j = json_parse(text, strlen(text), "status", NULL);
    const char *at = json_as_text(json_get(j, "at")), *bound = json_as_text(json_get(j, "bound")),
               *hello = json_as_text(json_get(j, "hello")),
               *lost = json_as_text(json_get(j, "lost")),
               *lanes = json_as_text(json_get(j, "lanes"));

    stall_over(c, clock_wall());
    if (json_get(j, "waited") && (c->waits || (c->waits = mem_array(1, sizeof *c->waits, NULL))))
        waits_take(c->waits, c->started, json_get(j, "waited"), clock_wall());
    if (at && bound) {
        if (l->s->hosts)
            hosts_bound(l->s->hosts, bound, at);
    } else if (at && hello) {
        crew_hello(l->s, hello, at);
    } else if (lost) {
        replace_lost(l->s, lost, at ? at : "");
    } else if (lanes) {
        replace_lanes(c, lanes);
    } else if (!json_get(j, "alive")) {
        c->joined = 1;
        snprintf(c->status_text, sizeof c->status_text, "%s", text);
        watch_status(&l->s->watch, (size_t)(c - l->s->child), j);
    }
    json_destroy(&j);
}

static int ended_badly(const struct child *c)
{
    return c->exited && c->code != 0 && !c->forgiven;
}

/* The checkpoint is complete without those that have failed: that is said, and no failure. */
static int forgive(struct loop *l)
{
    struct supervise *s = l->s;

    if (!needless_delivered(s))
        return 0;
    for (size_t i = 0; i < s->plan->count; i++)
        if (ended_badly(&s->child[i]) && !needless_feeds(s->child[i].plan))
            return 0;
    for (size_t i = 0; i < s->plan->count; i++)
        if (ended_badly(&s->child[i])) {
            s->child[i].forgiven = 1;
            watch_clear(&s->watch);
            log_warn("%s ended badly, but the writer has all of its work", s->child[i].plan->label);
        }
    l->failing = 0;
    return 1;
}

/* A second SIGTERM would cut short one that is leaving. */
static void signal_all(struct loop *l, int number)
{
    for (size_t i = 0; i < l->s->plan->count; i++)
        if (number != SIGTERM || !l->s->child[i].leaving)
            child_signal(&l->s->child[i], number);
}

static void stop_all(struct loop *l)
{
    if (l->s->stopping)
        return;
    l->s->stopping = 1;
    l->stop_at = clock_wall();
    l->ended_by_then = l->s->ended;
    crew_stop(l->s);
    signal_all(l, SIGTERM);
}

/* What a stage left running goes with it: its group is killed while the dead leader still holds
 * the number. */
static int reap_one(struct loop *l, struct child *c)
{
    siginfo_t info = {.si_pid = 0};
    struct rusage usage;
    int status;

    if (c->exited || c->pid <= 0 ||
        waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
        return 0;
    child_signal(c, SIGKILL);
    if (wait4(c->pid, &status, 0, &usage) != c->pid)
        return 0;
    child_ended(c, status, &usage, l->s->ended++);
    child_read(&c->err, on_stderr, l, c);
    child_read(&c->status, on_status, l, c);
    return 1;
}

/* Those that nobody can do without come first: when one of them fails it is the cause, and no
 * crew is mended any more. */
static void reap(struct loop *l)
{
    struct supervise *s = l->s;

    for (int elastic = 0; elastic < 2; elastic++)
        for (size_t i = 0; i < s->plan->count; i++) {
            struct child *c = &s->child[i];

            if (s->plan->process[i].elastic != elastic || !reap_one(l, c) || c->code == 0)
                continue;
            if (l->failed_at <= 0 && !l->s->stopping &&
                (crew_excuse(s, i) || replace_excuse(s, i))) {
                c->forgiven = 1;
                l->failing = 0;
                continue;
            }
            if (l->failed_at <= 0)
                l->failed_at = c->ended;
            l->failing = 1;
        }
}

static void on_signals(struct loop *l)
{
    struct signalfd_siginfo info;

    while (read(l->s->sigfd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD || info.ssi_signo == SIGXFSZ)
            continue;
        if (info.ssi_signo == SIGPIPE) {
            l->unheard = 1;
            stop_all(l);
            continue;
        }
        l->asked++;
        watch_clear(&l->s->watch);
        log_info(l->asked == 1
                     ? "stopping: stages finish what they have in hand (once more: at once)"
                     : "stopping at once");
        if (l->asked == 1)
            stop_all(l);
        else
            signal_all(l, SIGKILL);
    }
    reap(l);
}

int supervise_signals(struct err *e)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGXFSZ};
    struct sigaction before;
    sigset_t set;
    int fd;

    pause_block();
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaddset(&set, numbers[i]);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return err_sys(e, "cannot block signals");
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd >= 0 ? fd : err_sys(e, "cannot read signals");
}

/* What a worker of another host did. */
static int host_lost(const struct loop *l, struct err *e)
{
    return l->s->hosts && l->started && hosts_lost(l->s->hosts, e);
}

/* Those of the children that are open: the dead are no reason to wait for more than there may be
 * descriptors. */
static size_t poll_children(const struct supervise *s, struct pollfd *p)
{
    size_t n = 0;

    for (size_t i = 0; i < s->plan->count; i++) {
        if (s->child[i].err.fd >= 0)
            p[n++] = (struct pollfd){.fd = s->child[i].err.fd, .events = POLLIN};
        if (s->child[i].status.fd >= 0)
            p[n++] = (struct pollfd){.fd = s->child[i].status.fd, .events = POLLIN};
    }
    return n;
}

/* Waits for anything to happen, at most a tick, and deals with it. */
static int turn(struct loop *l, struct pollfd *p, struct err *e)
{
    const size_t n = l->s->plan->count, all = 1 + poll_children(l->s, p + 1);

    p[0] = (struct pollfd){.fd = l->s->sigfd, .events = POLLIN};
    control_poll(l->s->control, p + all);
    if (poll(p, all + CONTROL_FDS, TICK_MS) < 0 && errno != EINTR)
        return errno == EINVAL
                   ? err_set(e, ERR_SYS,
                             "cannot wait for the stages: a process may have fewer file "
                             "descriptors than the %zu that it takes: raise the limit (ulimit -n)",
                             all + CONTROL_FDS)
                   : err_sys(e, "cannot wait for the stages");
    for (size_t i = 0, at = 1; i < n; i++) {
        struct child *c = &l->s->child[i];

        if (at < all && p[at].fd == c->err.fd && p[at++].revents)
            child_read(&c->err, on_stderr, l, c);
        if (at < all && p[at].fd == c->status.fd && p[at++].revents)
            child_read(&c->status, on_status, l, c);
    }
    on_signals(l);
    control_serve(l->s->control, p + all, crew_request, l->s);
    if (l->s->hosts)
        hosts_tick(l->s);
    if (l->s->stop_asked && !l->s->stopping)
        stop_all(l);
    hold_tick(l->s);
    stall_tick(l->s, clock_wall());
    replace_tick(l->s);
    if (l->failed_at <= 0)
        crew_tick(l->s);
    if (l->s->hosts && l->started && l->failed_at <= 0)
        hosts_gain_tick(l->s);
    if (l->failed_at <= 0 && (l->s->crew.lost.kind || host_lost(l, NULL)))
        l->failed_at = clock_wall();
    if (l->failed_at <= 0 && !l->s->stopping && scan_found(l->s->scan, &l->s->found))
        l->failed_at = clock_wall();
    crew_dismiss(l->s);
    return 0;
}

/* As soon as the writer has cleared away what an earlier run left, and shows its lock. Without it
 * the run cannot be gone on with, which is no reason to end it. */
static void keep_job(struct loop *l)
{
    const struct supervise *s = l->s;
    const int due = !l->kept && s->out && s->job;
    char *lock = due ? mem_printf(NULL, "%s/" FOLLOW_LOCK, s->out) : NULL,
         *path = due ? mem_printf(NULL, "%s/" FOLLOW_DIR "/" JOURNAL_JOB, s->out) : NULL, *text,
         who[OWNER_TEXT];
    struct err e = {0};

    if (lock && path && owner_lives(lock, who)) {
        text = json_print(s->job, 2, NULL);
        l->kept = 1;
        if (!text || fs_publish(path, text, strlen(text), &e) < 0)
            log_warn("this run cannot be gone on with should it end early: %s",
                     e.kind ? e.text : "out of memory");
        free(text);
    }
    free(path);
    free(lock);
}

/* OUT/.ptqflow/control leads to the socket, as soon as a stage has made the folder. */
static void publish(struct loop *l)
{
    const struct supervise *s = l->s;
    char *dir = !l->published && s->out ? mem_printf(NULL, "%s/.ptqflow", s->out) : NULL;
    char *at = dir ? mem_printf(NULL, "%s/" CONTROL_NAME, dir) : NULL,
         *to = at ? mem_printf(NULL, "%s/" CONTROL_NAME, s->run_dir) : NULL;
    char who[OWNER_TEXT];

    if (to && fs_is_dir(dir) && !rundir_lives(at, who) && (unlink(at) == 0 || errno == ENOENT))
        l->published = symlink(to, at) == 0;
    free(to);
    free(at);
    free(dir);
}

static void withdraw(const struct loop *l)
{
    char *at = l->published ? mem_printf(NULL, "%s/.ptqflow/" CONTROL_NAME, l->s->out) : NULL;

    if (at)
        unlink(at);
    free(at);
}

/* Has what failed been looked for long enough? Who heard of a failure may end long before the one
 * that it heard of, which still says good-bye to its neighbours. */
static int is_cause_due(const struct loop *l, double now)
{
    const struct supervise *s = l->s;
    const int known = s->crew.lost.kind || s->found.kind || host_lost(l, NULL);

    return now - l->failed_at > (!known && cause_is_echo(cause_first(s, l->ended_by_then))
                                     ? ECHO_SECONDS
                                     : CAUSE_SECONDS);
}

static void deadlines(struct loop *l)
{
    double now = clock_wall();

    if (l->failed_at > 0 && !l->s->stopping && is_cause_due(l, now)) {
        const int may = !l->s->crew.lost.kind && !l->s->found.kind, done = !may ? 0
                                                                           : forgive(l)
                                                                               ? 1
                                                                               : replace_all(l->s);

        if (done == 1)
            l->failed_at = l->failing = 0;
        else if (done == 0)
            stop_all(l);
    }
    if (l->failed_at > 0 && l->s->stopping && now - l->stop_at > KILL_SECONDS)
        signal_all(l, SIGKILL);
}

/* Was it a worker that the others failed for? It may take a moment until that is known. */
static int lost_elsewhere(struct loop *l, const struct child *c, struct err *e)
{
    const double until = clock_wall() + LOST_SECONDS;

    if (c && !cause_is_echo(c))
        return 0;
    if (host_lost(l, e))
        return 1;
    if (!l->s->hosts || l->asked || l->s->stop_asked || !hosts_share(l->s->hosts))
        return 0;
    while (!host_lost(l, e) && clock_wall() < until) {
        hosts_tick(l->s);
        poll(NULL, 0, TICK_MS);
    }
    return host_lost(l, e);
}

static int verdict(struct loop *l, struct err *e)
{
    const struct child *c;
    char limit[160];
    int all_done = 1;

    forgive(l);
    c = cause_first(l->s, l->ended_by_then);
    for (size_t i = 0; i < l->s->plan->count; i++)
        all_done = all_done && (l->s->child[i].code == 0 || l->s->child[i].forgiven);
    if (l->s->crew.lost.kind || l->s->found.kind) {
        *e = l->s->found.kind ? l->s->found : l->s->crew.lost;
        return -1;
    }
    if (all_done)
        return 0;
    if (lost_elsewhere(l, c, e))
        return -1;
    if (l->unheard && !c)
        return err_set(e, ERR_PIPE, "nobody reads what the run says");
    if (!c)
        return err_set(e, ERR_SYS, "stopped by %s before the run was complete",
                       l->asked ? "a signal" : "ptq ctl");
    if (c->signal) {
        room_suspect(limit, sizeof limit);
        return err_set(e, ERR_SYS, "stage '%s' was ended by signal %d (%s%s)%s%s%s", c->plan->label,
                       c->signal, strsignal(c->signal),
                       c->signal == SIGKILL ? ": by someone, or because memory ran out" : "", limit,
                       *c->last ? "; its last line: " : "", c->last);
    }
    return err_set(e,
                   c->code == ERR_DATA  ? ERR_DATA
                   : c->code == ERR_USE ? ERR_USE
                                        : ERR_SYS,
                   "stage '%s' failed with exit code %d%s%s", c->plan->label, c->code,
                   *c->last ? ": " : "", c->last);
}

/* At once, or when the workers have come that the run waits for. */
static int start_all(struct loop *l, struct err *e)
{
    struct supervise *s = l->s;

    if (l->started)
        return 0;
    if (s->stopping)
        return err_set(e, ERR_SYS, "stopped before the run started");
    if (s->hosts && !hosts_are_there(s->hosts))
        return 0;
    l->started = 1;
    if (s->hosts)
        hosts_begin(s);
    for (size_t i = 0; i < l->s->plan->count; i++)
        if ((s->hosts && hosts_fit(s, &s->plan->process[i], e) < 0) || replace_lease(s, i, e) < 0 ||
            child_start(&l->s->child[i], &l->s->plan->process[i], l->s->log_dir, e) < 0)
            return -1;
    return 0;
}

/* Until all have ended. */
static int follow(struct loop *l, struct pollfd *p, struct err *e)
{
    int rc = 0;

    while (rc == 0 && l->s->ended < l->s->plan->count) {
        if ((rc = start_all(l, e)) == 0)
            rc = turn(l, p, e);
        deadlines(l);
        publish(l);
        keep_job(l);
        if (!l->s->quiet && !l->s->stopping && l->started)
            watch_draw(&l->s->watch);
    }
    for (size_t i = 0; i < l->s->plan->count; i++)
        child_read(&l->s->child[i].err, on_stderr, l, &l->s->child[i]);
    watch_clear(&l->s->watch);
    return rc;
}

/* All have ended, and the run has failed as *e says. */
static enum restart_end again(struct loop *l, struct err *e)
{
    struct supervise *s = l->s;
    const struct child *cause = cause_first(l->s, l->ended_by_then);
    const int elsewhere = host_lost(l, NULL) && !(cause && !cause_is_echo(cause));
    const struct child *lost = elsewhere ? NULL : cause;
    enum restart_end end = RESTART_NOT;

    if ((lost || elsewhere) && !l->asked && !l->unheard && !s->stop_asked && !s->found.kind &&
        !s->crew.lost.kind)
        end = restart_begin(s, lost, l->failed_at, e);
    if (end == RESTART_BEGUN) {
        l->failing = s->stopping = l->kept = 0;
        l->failed_at = l->stop_at = 0;
    }
    return end;
}

static int run(struct loop *l, struct err *e)
{
    struct pollfd *p = mem_array(1 + 2 * l->s->plan->room + CONTROL_FDS, sizeof *p, e);
    enum restart_end end = RESTART_BEGUN;
    int rc = p ? 0 : -1;

    while (p && end == RESTART_BEGUN && (rc = follow(l, p, e)) == 0 && (rc = verdict(l, e)) < 0)
        end = again(l, e);
    free(p);
    return end == RESTART_COMPLETE ? 0 : rc;
}

int supervise_run(struct supervise *s, struct err *e)
{
    struct loop l = {.s = s};
    double began = clock_wall();
    pid_t scraper = 0;
    int rc = -1;

    s->child = mem_array(s->plan->room, sizeof *s->child, e);
    if (!s->child)
        return -1;
    for (size_t i = 0; i < s->plan->count; i++)
        s->child[i] = (struct child){.plan = &s->plan->process[i], .err.fd = -1, .status.fd = -1};
    on_signals(&l); /* that came while all was made ready */
    if (s->stopping)
        return err_set(e, l.unheard ? ERR_PIPE : ERR_SYS, "stopped by a signal before the start");
    if ((s->control = control_open(s->run_dir, e)) &&
        (!s->metrics || scrape_start(&scraper, s->run_dir, s->metrics, e) == 0))
        rc = run(&l, e);
    signal_all(&l, SIGKILL); /* only after an error of the supervisor itself is anything left */
    s->seconds = clock_wall() - began;
    withdraw(&l);
    control_close(&s->control);
    scrape_end(&scraper);
    return rc;
}

void supervise_release(struct supervise *s)
{
    for (size_t i = 0; s->child && i < s->plan->count; i++)
        child_close(&s->child[i]);
    free(s->child);
    s->child = NULL;
}

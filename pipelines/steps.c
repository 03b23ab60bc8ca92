/* SPDX-License-Identifier: Apache-2.0 */
/* steps - see steps.h. */
#include "steps.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/base/fs.h"
#include "../common/base/json.h"
#include "../common/base/log.h"
#include "../common/base/mem.h"
#include "../common/run/evals.h"
#include "../common/wire/follow.h"
#include "child.h"
#include "launch.h"

#define DONE_MAX ((size_t)1 << 20)

/* ---- what is done ---- */

static char *told(const struct words *w, struct err *e)
{
    struct json *list = json_new_array();
    char *text = NULL;

    for (size_t i = 0; list && i < w->count; i++)
        if (json_push(list, json_new_text(w->word[i])))
            json_destroy(&list);
    if (list)
        text = json_print(list, 0, e);
    else
        err_set(e, ERR_USE, "a word of the command line is no UTF-8");
    json_destroy(&list);
    return text;
}

/* *cpu: what it took then. */
static int is_done(const char *path, const char *text, double *cpu, struct err *e)
{
    char *then = fs_exists(path) ? fs_read(path, DONE_MAX, NULL, e) : NULL;
    const size_t n = strlen(text);
    const int same = then && strncmp(then, text, n) == 0 && then[n] == '\n';

    if (same)
        *cpu = strtod(then + n, NULL);
    free(then);
    return same;
}

/* The words, then CPU seconds. */
static int note_done(const char *path, const char *text, double cpu, struct err *e)
{
    char *note = mem_printf(e, "%s\n%.3f\n", text, cpu);
    const int rc = note ? fs_publish(path, note, strlen(note), e) : -1;

    free(note);
    return rc;
}

/* CPU seconds of all processes that ended so far, those that they waited for too. */
static double cpu_so_far(void)
{
    struct rusage u;

    if (getrusage(RUSAGE_CHILDREN, &u) < 0)
        return 0;
    return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* ---- a step ---- */

static const int asked[] = {SIGTERM, SIGINT, SIGHUP};

static void block(sigset_t *set)
{
    struct sigaction before;

    sigemptyset(set);
    sigaddset(set, SIGCHLD);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        if (sigaction(asked[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaddset(set, asked[i]);
    sigprocmask(SIG_BLOCK, set, NULL);
}

int steps_open(struct steps *s, const char *dir, struct err *e)
{
    sigset_t set;

    *s = (struct steps){.dir = dir};
    block(&set);
    return fs_mkdir(dir, e);
}

/* Between fork and exec. A group of its own: Ctrl-C comes to it through us, once. */
static void become(char *const *argv, const char *program, pid_t parent)
{
    const int null = open("/dev/null", O_WRONLY); /* what a step is for lies in files */

    child_stand_alone(parent);
    if (null >= 0)
        dup2(null, 1);
    execv(program, argv);
    dprintf(2, "ptq: fatal: cannot execute '%s': %s\n", program, strerror(errno));
    _exit(ERR_SYS);
}

/* Its exit code; *stopped: it was told to stop. */
static int wait_for(pid_t pid, int *stopped)
{
    sigset_t set;
    int status = 0;

    block(&set);
    while (waitpid(pid, &status, WNOHANG) != pid) {
        const int number = sigwaitinfo(&set, NULL);

        if (number > 0 && number != SIGCHLD) {
            *stopped = 1;
            kill(pid, SIGTERM);
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : ERR_SYS;
}

static int execute(const struct words *w, int *stopped, struct err *e)
{
    const pid_t parent = getpid();
    char dir[PATH_MAX];
    char *program;
    pid_t pid;

    launch_own_dir(dir, sizeof dir);
    if (!(program = fs_join(dir, "ptq", e)))
        return -1;
    pid = fork();
    if (pid == 0)
        become(w->word, program, parent);
    free(program);
    return pid < 0 ? err_sys(e, "cannot start a step") : wait_for(pid, stopped);
}

static int failed(const char *about, int code, int stopped, struct err *e)
{
    const enum err_kind kind = code == ERR_DATA || code == ERR_USE ? (enum err_kind)code : ERR_SYS;

    return stopped ? err_set(e, ERR_SYS, "asked to stop; the same command goes on")
                   : err_set(e, kind,
                             "this step failed, with %d: %s; the same command goes "
                             "on with it",
                             code, about);
}

int steps_run(struct steps *s, const char *name, const char *about, const struct words *w,
              struct err *e)
{
    const double start = cpu_so_far();
    struct words line = {0};
    char *path = NULL, *text = NULL, count[32] = "";
    int rc = -1, code, stopped = 0;

    s->at++;
    s->cpu = 0;
    if (s->total)
        snprintf(count, sizeof count, " of %zu", s->total);
    if ((name && !(path = mem_printf(e, "%s/%s.done", s->dir, name))) || !(text = told(w, e)) ||
        words_add(&line, "ptq", e) < 0)
        goto out;
    for (size_t i = 0; i < w->count; i++)
        if (words_add(&line, w->word[i], e) < 0)
            goto out;
    if (path && fs_check_regular(path, e) < 0)
        goto out;
    if (path && is_done(path, text, &s->cpu, e)) {
        log_info("step %zu%s, done before: %s", s->at, count, about);
        rc = 0;
        goto out;
    }
    log_info("step %zu%s: %s", s->at, count, about);
    if ((code = execute(&line, &stopped, e)) < 0)
        goto out;
    if (code) {
        failed(about, code, stopped, e);
        goto out;
    }
    s->cpu = cpu_so_far() - start;
    rc = path && note_done(path, text, s->cpu, e) < 0 ? -1 : 1;
out:
    words_release(&line);
    free(text);
    free(path);
    return rc;
}

int steps_forget(const struct steps *s, const char *name, struct err *e)
{
    char *path = mem_printf(e, "%s/%s.done", s->dir, name);
    const int rc = path && fs_exists(path) && unlink(path) ? err_sys(e, "cannot remove '%s'", path)
                   : path                                  ? 0
                                                           : -1;

    free(path);
    return rc;
}

int steps_keep_journal(const char *dir, struct err *e)
{
    char **names = NULL;
    size_t count = 0;
    int rc = fs_list(dir, &names, &count, e);

    for (size_t i = 0; i < count && rc == 0; i++) {
        char *path = strcmp(names[i], FOLLOW_DIR) ? fs_join(dir, names[i], e) : NULL;

        if (path)
            rc = fs_is_dir(path) ? fs_remove_tree(path, e)
                 : unlink(path)  ? err_sys(e, "cannot remove '%s'", path)
                                 : 0;
        free(path);
    }
    fs_names_free(&names, count);
    return rc;
}

int steps_divergence(const char *dir, struct divergence *d, struct err *e)
{
    struct json *evals = evals_read(dir, e);
    const struct json *last = json_count(evals) ? json_at(evals, json_count(evals) - 1) : NULL,
                      *windows = json_get(last, "kld_windows");

    if (evals && !last)
        err_set(e, ERR_SYS, "'%s': no figures were kept", dir);
    *d = (struct divergence){.kl = json_real_or(last, "kld_mean", NAN),
                             .se = json_real_or(last, "kld_mean_se", NAN)};
    while (d->count < json_count(windows) && d->count < STEPS_WINDOWS &&
           json_as_real(json_at(windows, d->count), &d->window[d->count]) == 0)
        d->count++;
    json_destroy(&evals);
    return isfinite(d->kl)
               ? 0
               : err_set(e, ERR_DATA, "'%s': its divergence from the model is not finite", dir);
}

double steps_doubt(const struct divergence *a, const struct divergence *b)
{
    const double n = (double)a->count;
    double mean = 0, square = 0;

    if (a->count < 2 || a->count != b->count)
        return 0;
    for (size_t i = 0; i < a->count; i++)
        mean += (a->window[i] - b->window[i]) / n;
    for (size_t i = 0; i < a->count; i++) {
        const double d = a->window[i] - b->window[i] - mean;

        square += d * d;
    }
    return sqrt(square / (n - 1) / n);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* child - fork, exec and pipes of one process. */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/base/clock.h"
#include "../common/base/mem.h"
#include "../common/base/pause.h"

#define AT_ONCE ((size_t)128 << 10) /* twice what a pipe holds: of one that has ended that is all */

/* argv with --status-fd N after the program's name. NULL when memory is out. */
static char **with_status(const struct launch_process *p, char *option, char *number)
{
    char **argv = mem_array(p->argc + 3, sizeof *argv, NULL);

    if (!argv)
        return NULL;
    argv[0] = p->argv[0];
    argv[1] = option;
    argv[2] = number;
    memcpy(argv + 3, p->argv + 1, (p->argc - 1) * sizeof *argv);
    return argv;
}

/* `--data -`: the process reads our standard input. */
static int reads_input(const struct launch_process *p)
{
    for (size_t i = 2; i < p->argc; i++)
        if (!strcmp(p->argv[i], "-") && !strcmp(p->argv[i - 1], "--data"))
            return 1;
    return 0;
}

void child_stand_alone(pid_t parent)
{
    const sigset_t set = pause_set();

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(ERR_SYS);
    sigprocmask(SIG_SETMASK, &set, NULL);
}

/* Between fork and exec: never returns. */
static void become(const struct launch_process *p, pid_t parent, int err_fd, int status_fd)
{
    char number[24], option[] = "--status-fd";
    char **argv = p->argv;
    sigset_t none;

    child_stand_alone(parent);
    if (!p->ours && sigemptyset(&none) == 0)
        sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGTERM, SIG_DFL); /* what ends it must reach it, whatever we were started to ignore */
    if (dup2(err_fd, 2) >= 0 && (!p->ours || fcntl(status_fd, F_SETFD, 0) == 0)) {
        int null = reads_input(p) ? -1 : open("/dev/null", O_RDONLY);

        if (null >= 0)
            dup2(null, 0);
        snprintf(number, sizeof number, "%d", status_fd);
        if (p->ours)
            argv = with_status(p, option, number);
        if (argv)
            execv(p->program, argv);
    }
    dprintf(2, "%s: fatal: cannot execute '%s': %s\n", p->label, p->program, strerror(errno));
    _exit(ERR_SYS);
}

static int open_log(struct child *c, const char *dir, struct err *e)
{
    char *path = mem_printf(e, "%s/%s.log", dir, c->plan->label);

    if (!path)
        return -1;
    c->log = fopen(path, "we");
    if (!c->log)
        err_sys(e, "cannot write '%s'", path);
    free(path);
    return c->log ? 0 : -1;
}

int child_start(struct child *c, const struct launch_process *p, const char *log_dir, struct err *e)
{
    int err[2] = {-1, -1}, status[2] = {-1, -1};
    pid_t parent = getpid();

    memset(c, 0, sizeof *c);
    c->plan = p;
    c->err.fd = c->status.fd = -1;
    if (log_dir && open_log(c, log_dir, e) < 0)
        return -1;
    if (pipe2(err, O_CLOEXEC) < 0 || pipe2(status, O_CLOEXEC) < 0) {
        err_sys(e, "cannot make pipes for %s", p->label);
        goto bad;
    }
    c->started = c->alive = clock_wall();
    c->stall_cpu = -1;
    c->pid = fork();
    if (c->pid == 0)
        become(p, parent, err[1], status[1]);
    if (c->pid < 0) {
        c->pid = 0;
        err_sys(e, "cannot start %s", p->label);
        goto bad;
    }
    setpgid(c->pid, c->pid);
    close(err[1]);
    close(status[1]);
    c->err.fd = err[0];
    c->status.fd = status[0];
    fcntl(c->err.fd, F_SETFL, O_NONBLOCK);
    fcntl(c->status.fd, F_SETFL, O_NONBLOCK);
    return 0;
bad:
    for (int i = 0; i < 2; i++) {
        if (err[i] >= 0)
            close(err[i]);
        if (status[i] >= 0)
            close(status[i]);
    }
    return -1;
}

void child_read(struct lines *l, void (*line)(void *ctx, struct child *c, char *text), void *ctx,
                struct child *c)
{
    ssize_t got = 0;
    size_t all = 0;

    while (l->fd >= 0 && all < AT_ONCE) {
        char *end;

        got = read(l->fd, l->text + l->n, sizeof l->text - 1 - l->n);
        if (got <= 0)
            break;
        all += (size_t)got;
        l->n += (size_t)got;
        l->text[l->n] = '\0';
        while ((end = memchr(l->text, '\n', l->n)) != NULL || l->n == sizeof l->text - 1) {
            size_t used = end ? (size_t)(end - l->text) + 1 : l->n;

            if (end)
                *end = '\0';
            line(ctx, c, l->text);
            l->n -= used;
            memmove(l->text, l->text + used, l->n);
            l->text[l->n] = '\0';
        }
    }
    if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    if (l->n)
        line(ctx, c, l->text);
    l->n = 0;
}

int child_says(const struct child *c, const char *state)
{
    char text[64];

    snprintf(text, sizeof text, "\"state\":\"%s\"", state);
    return strstr(c->status_text, text) != NULL;
}

void child_signal(const struct child *c, int number)
{
    if (c->pid > 0 && !c->exited)
        kill(-c->pid, number);
}

void child_ended(struct child *c, int status, const struct rusage *usage, size_t turn)
{
    c->exited = 1;
    c->ended = clock_wall();
    c->usage = *usage;
    c->turn = turn;
    c->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    c->code = WIFEXITED(status) ? WEXITSTATUS(status) : ERR_SYS;
}

void child_close(struct child *c)
{
    if (c->err.fd >= 0)
        close(c->err.fd);
    if (c->status.fd >= 0)
        close(c->status.fd);
    if (c->log)
        fclose(c->log);
    c->err.fd = c->status.fd = -1;
    c->log = NULL;
    free(c->waits);
    c->waits = NULL;
}

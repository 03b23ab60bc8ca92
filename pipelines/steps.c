/* SPDX-License-Identifier: Apache-2.0 */
/* steps - see steps.h. */
#include "steps.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/base/clock.h"
#include "../common/base/fs.h"
#include "../common/base/json.h"
#include "../common/base/log.h"
#include "../common/base/mem.h"
#include "launch.h"

#define DONE_MAX ((size_t)1 << 20)

/* ---- words ---- */

int words_add(struct words *w, const char *word, struct err *e)
{
    if (mem_grow((void **)&w->word, &w->cap, w->count + 2, sizeof *w->word, e) < 0 ||
        !(w->word[w->count] = mem_text(word, e)))
        return -1;
    w->word[++w->count] = NULL;
    return 0;
}

int words_option(struct words *w, const char *name, const char *value, struct err *e)
{
    char *option = mem_printf(e, "--%s", name);
    int rc = option ? words_add(w, option, e) : -1;

    free(option);
    return rc == 0 && value ? words_add(w, value, e) : rc;
}

/* Is it "--NAME", "--NAME=..." or "--STAGE.NAME", of one of these? */
static int is_one(const char *word, const char *const *names)
{
    const size_t n = strncmp(word, "--", 2) == 0 ? strcspn(word, "=") : 0;
    const char *dot = n ? memchr(word, '.', n) : NULL, *name = dot ? dot + 1 : word + 2;
    const size_t length = n ? n - (size_t)(name - word) : 0;

    for (size_t i = 0; n && names[i]; i++)
        if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0)
            return 1;
    return 0;
}

int words_without(struct words *w, int argc, char *const *argv, const char *const *options,
                  const char *const *flags, struct err *e)
{
    for (int i = 0; i < argc; i++) {
        if (is_one(argv[i], options))
            i += !strchr(argv[i], '=');
        else if (!is_one(argv[i], flags) && words_add(w, argv[i], e) < 0)
            return -1;
    }
    return 0;
}

void words_release(struct words *w)
{
    for (size_t i = 0; i < w->count; i++)
        free(w->word[i]);
    free(w->word);
    *w = (struct words){0};
}

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

static int is_done(const char *path, const char *text, struct err *e)
{
    char *then = fs_exists(path) ? fs_read(path, DONE_MAX, NULL, e) : NULL;
    const int same = then && strcmp(then, text) == 0;

    free(then);
    return same;
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
    sigset_t none;

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(ERR_SYS);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
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
    const double start = clock_wall();
    struct words line = {0};
    char *path = NULL, *text = NULL, count[32] = "";
    int rc = -1, code, stopped = 0;

    s->at++;
    s->seconds = 0;
    if (s->total)
        snprintf(count, sizeof count, " of %zu", s->total);
    if ((name && !(path = mem_printf(e, "%s/%s.done", s->dir, name))) || !(text = told(w, e)) ||
        words_add(&line, "ptq", e) < 0)
        goto out;
    for (size_t i = 0; i < w->count; i++)
        if (words_add(&line, w->word[i], e) < 0)
            goto out;
    if (path && is_done(path, text, e)) {
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
    s->seconds = clock_wall() - start;
    rc = path && fs_publish(path, text, strlen(text), e) < 0 ? -1 : 1;
out:
    words_release(&line);
    free(text);
    free(path);
    return rc;
}

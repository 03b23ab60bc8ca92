/* SPDX-License-Identifier: Apache-2.0 */
/* Processes of a run that do nothing: named when their time is up, again when it has doubled, and
 * only those that say that they live. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../../pipelines/stall.h"

static char said[8000];

/* What stall_tick says at this time. */
static const char *tick(struct supervise *s, double now)
{
    char path[] = "/tmp/ptq-stall-XXXXXX";
    const int keep = dup(2), fd = mkstemp(path);
    ssize_t n;

    assert_true(fd >= 0);
    unlink(path);
    dup2(fd, 2);
    stall_tick(s, now);
    dup2(keep, 2);
    close(keep);
    n = pread(fd, said, sizeof said - 1, 0);
    assert_true(n >= 0);
    said[n] = '\0';
    close(fd);
    return said;
}

struct set {
    struct launch_process process[3];
    struct launch plan;
    struct child child[3];
    struct supervise s;
};

static void set_make(struct set *x, pid_t pid)
{
    memset(x, 0, sizeof *x);
    x->process[0] = (struct launch_process){.label = (char *)(uintptr_t) "reduce", .ours = 1};
    x->process[1] =
        (struct launch_process){.label = (char *)(uintptr_t) "solve.2", .ours = 1, .elastic = 1};
    x->process[2] = (struct launch_process){.label = (char *)(uintptr_t) "theirs"};
    x->plan = (struct launch){.count = 3, .room = 3, .process = x->process};
    for (int i = 0; i < 3; i++)
        x->child[i] =
            (struct child){.plan = &x->process[i], .pid = pid, .alive = 100, .stall_cpu = -1};
    x->s = (struct supervise){.plan = &x->plan, .child = x->child, .stall = 60, .looked = 100};
}

/* Looks every second, as the supervisor does at least. */
static const char *ticks(struct supervise *s, double from, double until)
{
    for (double t = from; t < until; t++)
        if (*tick(s, t))
            return said;
    return tick(s, until);
}

static void test_stands_still(void **state)
{
    struct set x;
    pid_t pid = fork();

    (void)state;
    if (pid == 0)
        for (;;)
            pause();
    set_make(&x, pid);
    x.child[1].exited = 1;
    assert_string_equal(ticks(&x.s, 101, 160), "");
    ticks(&x.s, 161, 161);
    assert_non_null(strstr(said, "warning: reduce (process "));
    assert_non_null(strstr(said, "has made no progress since "));
    assert_non_null(strstr(said, ", 61 s ago: it stands still; should it not go on: kill -9 "));
    assert_non_null(strstr(said, "the stages begin again behind the last commit"));
    assert_null(strstr(said, "theirs"));
    assert_string_equal(ticks(&x.s, 162, 221), "");
    assert_non_null(strstr(ticks(&x.s, 222, 222), ", 122 s ago"));
    stall_over(&x.child[0], 225);
    assert_string_equal(ticks(&x.s, 226, 285), "");
    assert_non_null(strstr(ticks(&x.s, 286, 286), ", 61 s ago"));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void test_we_stood_still(void **state)
{
    struct set x;

    (void)state;
    set_make(&x, getpid());
    assert_string_equal(tick(&x.s, 1000), "");
    assert_string_equal(ticks(&x.s, 1001, 1060), "");
    assert_non_null(strstr(ticks(&x.s, 1061, 1061), "solve.2"));
}

static void test_text(void **state)
{
    struct set x;
    char text[512];

    (void)state;
    set_make(&x, 77);
    stall_text(&x.child[1], 160, 29, text, sizeof text);
    assert_non_null(strstr(text, "60 s ago: it computes, at one long step or for ever; "));
    assert_non_null(strstr(text, "kill -9 77, and another takes its place"));
    stall_text(&x.child[0], 160, 0.5, text, sizeof text);
    assert_non_null(strstr(text, "it stands still"));
    stall_text(&x.child[0], 160, -1, text, sizeof text);
    assert_non_null(strstr(text, "60 s ago; should"));
    assert_non_null(strstr(text, "the stages begin again behind the last commit"));
}

/* The writer has all: who says nothing is ended, and only he; as long as it has not, nobody is. */
static void test_left(void **state)
{
    struct set x;
    char *argv[] = {(char *)(uintptr_t) "ptq-solve", (char *)(uintptr_t) "--out",
                    (char *)(uintptr_t) "ipc:///tmp/solutions", NULL};
    pid_t pid = fork();
    int status;

    (void)state;
    if (pid == 0) {
        setpgid(0, 0);
        raise(SIGSTOP);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    set_make(&x, pid);
    x.process[0].program = (char *)(uintptr_t) "/usr/bin/ptq-write";
    x.process[1].program = (char *)(uintptr_t) "/usr/bin/ptq-solve";
    x.process[2].program = (char *)(uintptr_t) "cat";
    x.process[1].argv = argv;
    x.process[1].argc = 3;
    x.child[2].exited = x.child[0].exited = 1;
    x.child[0].code = 111;
    assert_string_equal(ticks(&x.s, 101, 150), "");
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    x.child[0].code = 0;
    x.child[1].alive = 125;
    assert_string_equal(ticks(&x.s, 151, 155), "");
    assert_non_null(strstr(tick(&x.s, 156), "solve.2 (process "));
    assert_non_null(strstr(said, "has said nothing for 31 s, and the writer has all of its work"));
    assert_string_equal(tick(&x.s, 157), "");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stands_still),
        cmocka_unit_test(test_we_stood_still),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_left),
    };

    return cmocka_run_group_tests_name("stall", tests, NULL, NULL);
}

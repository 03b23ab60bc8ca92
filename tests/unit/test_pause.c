/* SPDX-License-Identifier: Apache-2.0 */
/* A process told to rest before it can hear, and told again while it does not listen, in whatever
 * order: what was said last holds, nothing ends it, and it says that it lives. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "../../common/base/pause.h"
#include "../../common/base/sig.h"
#include "../../common/base/status.h"

static void nobody_is_told(void **state)
{
    (void)state;
    pause_wait(); /* without pause_init nothing is heeded */
    assert_int_equal(pause_tell(1 << 30, 1), -1);
    assert_int_equal(errno, ESRCH);
}

struct worker {
    pid_t pid;
    int go, said; /* a byte lets it do its next part; its status lines */
};

/* Its parts: one for each byte of go. */
static void work(int go, int said)
{
    struct err e = {0};
    uint64_t done = 0;
    char c;

    if (read(go, &c, 1) != 1 || sig_init(&e) < 0 || pause_init(&e) < 0)
        _exit(1);
    status_init("part", said);
    while (read(go, &c, 1) == 1) {
        pause_wait();
        if (sig_draining())
            _exit(7);
        status_update(done % 2 ? "odd" : "even", -1, "", done + 1, 0, "parts");
        done++;
    }
    _exit(0);
}

static struct worker start(void)
{
    struct worker w;
    int go[2], said[2];

    pause_block();
    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(said), 0);
    if (!(w.pid = fork())) {
        close(go[1]);
        close(said[0]);
        work(go[0], said[1]);
    }
    close(go[0]);
    close(said[1]);
    w.go = go[1];
    w.said = said[0];
    return w;
}

static void next(const struct worker *w)
{
    assert_int_equal(write(w->go, "x", 1), 1);
}

/* Until a line says so; lines of kind {"alive"} are counted. */
static size_t await(const struct worker *w, const char *what)
{
    char line[512];
    size_t n = 0, alive = 0;

    for (;;) {
        assert_int_equal(read(w->said, line + n, 1), 1);
        if (line[n++] != '\n')
            continue;
        line[n - 1] = '\0';
        n = 0;
        alive += strstr(line, "\"alive\"") != NULL;
        if (strstr(line, what))
            return alive;
    }
}

static void end(struct worker *w, int code)
{
    int status;

    close(w->go);
    assert_int_equal(waitpid(w->pid, &status, 0), w->pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), code);
    close(w->said);
}

static void what_was_said_last_holds(void **state)
{
    struct worker w = start();

    (void)state;
    assert_int_equal(pause_tell(w.pid, 1), 0); /* it cannot hear yet, and must not die of it */
    next(&w);
    next(&w);
    await(&w, "\"paused\":true");
    assert_true(await(&w, "\"alive\"") > 0);
    assert_int_equal(pause_tell(w.pid, 0), 0);
    await(&w, "\"even\"");
    assert_int_equal(pause_tell(w.pid, 1), 0);
    assert_int_equal(pause_tell(w.pid, 0), 0);
    next(&w);
    await(&w, "\"odd\"");
    assert_int_equal(pause_tell(w.pid, 0), 0);
    assert_int_equal(pause_tell(w.pid, 1), 0);
    next(&w);
    await(&w, "\"paused\":true");
    assert_int_equal(pause_tell(w.pid, 0), 0);
    await(&w, "\"even\"");
    end(&w, 0);
}

static void who_is_asked_to_stop_rests_no_longer(void **state)
{
    struct worker w = start();

    (void)state;
    assert_int_equal(pause_tell(w.pid, 1), 0);
    next(&w);
    next(&w);
    await(&w, "\"paused\":true");
    assert_int_equal(kill(w.pid, SIGTERM), 0);
    end(&w, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_told),
        cmocka_unit_test(what_was_said_last_holds),
        cmocka_unit_test(who_is_asked_to_stop_rests_no_longer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

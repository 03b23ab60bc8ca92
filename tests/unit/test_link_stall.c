/* SPDX-License-Identifier: Apache-2.0 */
/* A peer whose link answers while its stage does nothing: that is said once, and that it goes on.
 * Both ends are in this process, so the stage is this thread: it does nothing while it watches the
 * log. And one that stands still for longer than others wait, link and all. */
#include "../../common/base/log.h"
#include "../../common/base/status.h"
#include "link_pair.h"

static int log_fd, stderr_fd;

static void log_open(void)
{
    stderr_fd = dup(2);
    log_fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    dup2(log_fd, 2);
}

static void log_close(void)
{
    dup2(stderr_fd, 2);
    close(stderr_fd);
    close(log_fd);
}

static size_t count(const char *words)
{
    char text[4000] = "", *at = text;
    size_t n = 0;

    if (pread(log_fd, text, sizeof text - 1, 0) < 0)
        return 0;
    for (; (at = strstr(at, words)); at++)
        n++;
    return n;
}

static int comes(const char *words, size_t times)
{
    const double until = clock_wall() + 60; /* only so that it ends */

    while (count(words) < times && clock_wall() < until)
        usleep(10000);
    return count(words) >= times;
}

static void test_stall(void **state)
{
    struct link *in, *out;
    struct err e = {0};
    int said, over;

    (void)state;
    log_open();
    in = open_ok(bound, LINK_IN, IN(.stall_s = 0.5));
    out = open_ok(url, LINK_OUT, OUT());
    assert_int_equal(link_peers(out, 0, &e), 1);
    said = comes("maker (peer 0 at", 1) && comes("answers, but has done nothing for", 1);
    status_alive();
    over = comes("goes on after", 1);
    link_close(&out);
    link_close(&in);
    log_close();
    assert_true(said);
    assert_true(over);
}

/* Exits as a stage would that finds its link failed. */
static void work_wait(int said)
{
    struct err e = {0};
    struct link *l = link_open(url, LINK_OUT, OUT(.timeout_s = 30), &e);
    struct msg *m = message(0, 10);

    if (!l || link_send(l, &m, &e) != 0)
        _exit(1);
    say(said);
    while (link_check(l, &e) == 0)
        poll(NULL, 0, 20);
    _exit(strstr(e.text, "given up as lost") ? err_exit(&e) : 2);
}

/* One that stood still for too long and wakes up was lost: that is not a fault of the data. */
static void test_wakes_up(void **state)
{
    int said, status;
    pid_t pid = spawn(work_wait, &said);
    struct link *in = open_ok(bound, LINK_IN, IN(.timeout_s = 0.8, .elastic = 1));

    (void)state;
    hear(said);
    recv_ok(in, 0);
    kill(pid, SIGSTOP);
    link_enough(in);
    recv_end(in); /* it was forgotten */
    kill(pid, SIGCONT);
    for (int i = 0; i < 400 && waitpid(pid, &status, WNOHANG) == 0; i++)
        poll(NULL, 0, 20);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), ERR_SYS);
    close(said);
    link_close(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_stall, setup),
        cmocka_unit_test_setup(test_wakes_up, setup),
    };

    return link_tests_run("link_stall", tests, sizeof tests / sizeof *tests);
}

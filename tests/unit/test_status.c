/* SPDX-License-Identifier: Apache-2.0 */
/* Status: JSON lines for a supervisor that may be slow or gone, and lines for a log. The clock is
 * the test's. */
#include <signal.h>
#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/base/json.h"
#include "../../common/base/clock.h"
#include "../../common/base/log.h"
#include "../../common/base/status.h"

static double hand; /* of the clock */

double clock_wall(void)
{
    return hand;
}

double clock_thread(void)
{
    return hand;
}

static void test_nobody(void **state)
{
    (void)state;
    status_init("x", 9999); /* not open: silent */
    status_update("running", 0, "attn.qkv", 1, 2, "chunks");
    status_init("x", -1);
    status_update(NULL, -1, NULL, 0, 0, NULL);
    status_end();
}

static void test_lines(void **state)
{
    int p[2];
    char line[1024];
    struct err e = {0};
    struct json *j;
    int64_t v = 0;
    ssize_t n;

    (void)state;
    assert_int_equal(pipe(p), 0);
    status_init("forward", p[1]);
    status_tokens(4096);
    status_update("run \"x\"\n", 3, "attn.qkv", 5, 9, "chunks");
    status_update("run \"x\"\n", 3, "attn.qkv", 6, 9, "chunks"); /* too soon: left out */
    n = read(p[0], line, sizeof line);
    assert_true(n > 0 && line[n - 1] == '\n' && memchr(line, '\n', (size_t)n) == line + n - 1);
    j = json_parse(line, (size_t)n, "status", &e);
    assert_non_null(j);
    assert_string_equal(json_as_text(json_get(j, "stage")), "forward");
    assert_string_equal(json_as_text(json_get(j, "state")), "run x");
    assert_int_equal(json_as_int(json_get(j, "done"), &v), 0);
    assert_int_equal(v, 5);
    assert_int_equal(json_as_int(json_get(j, "tokens"), &v), 0);
    assert_int_equal(v, 4096);
    json_destroy(&j);
    status_update("run \"x\"\n", 3, "attn.qkv", 9, 9, "chunks"); /* the last one always goes out */
    assert_true(read(p[0], line, sizeof line) > 0);
    for (int i = 0; i < 20000; i++) /* far beyond what the pipe holds: must come back */
        status_update(i % 2 ? "a" : "b", 0, "s", 1, 2, "u");
    close(p[0]);
    signal(SIGPIPE, SIG_IGN);
    status_update("gone", 0, "s", 2, 2, "u");
    status_end();
    close(p[1]);
}

/* What a program of one job says into a log, whose stderr is a pipe here. */
static void test_job(void **state)
{
    char text[1024];
    int p[2], saved = dup(2);
    ssize_t n;

    (void)state;
    assert_true(saved >= 0 && pipe(p) == 0 && dup2(p[1], 2) == 2);
    log_init("x", LOG_NORMAL);
    hand = 100;
    status_init("x", -1);
    status_job("work", 0, 0, 8, "windows", "");
    hand = 109;
    assert_int_equal(status_due(), 0);
    status_job("work", 0.25, 2, 8, "windows", "early");
    hand = 110;
    assert_int_equal(status_due(), 1);
    status_job("work", 0.25, 2, 8, "windows", "perplexity 3");
    hand = 119;
    status_job("work", 0.5, 4, 8, "windows", "between");
    hand = 180;
    status_job("work", 0.5, 4, 8, "windows", "");
    hand = 200;
    status_job("work", 1, 8, 8, "windows", "");
    hand = 210;
    status_job("work", 0.7, 0, 2, "windows", ""); /* the first is not done */
    status_end();
    assert_true(dup2(saved, 2) == 2);
    close(p[1]);
    n = read(p[0], text, sizeof text - 1);
    assert_true(n > 0);
    text[n] = 0;
    assert_string_equal(text, "x: 25%, 2 of 8 windows, perplexity 3, 30 s left\n"
                              "x: 50%, 4 of 8 windows, 1 min 20 s left\n"
                              "x: 100%, 8 of 8 windows\n"
                              "x: 70%, 47 s left\n");
    close(p[0]);
    close(saved);
}

/* What a thread waited for: in all, by name, four times a second and at the end. */
static void test_waited(void **state)
{
    char text[4096];
    int p[2];
    ssize_t n;

    (void)state;
    assert_int_equal(pipe(p), 0);
    hand = 10;
    status_init("x", p[1]);
    status_waited("for \"a\"", 0.5);
    status_alive();
    status_waited("until b takes", 1);
    status_waited("for a", 0.25);
    hand = 10.2;
    status_alive(); /* too soon */
    hand = 10.25;
    status_alive();
    status_waited("for a", 1);
    status_end();
    close(p[1]);
    n = read(p[0], text, sizeof text - 1);
    assert_true(n > 0);
    text[n] = 0;
    assert_string_equal(
        text,
        "{\"stage\":\"x\",\"alive\":true,\"waited\":{\"for a\":0.500}}\n"
        "{\"stage\":\"x\",\"alive\":true,\"waited\":{\"for a\":0.750,\"until b takes\":1.000}}\n"
        "{\"stage\":\"x\",\"alive\":true,\"waited\":{\"for a\":1.750,\"until b takes\":1.000}}\n");
    close(p[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nobody), cmocka_unit_test(test_lines),
                                       cmocka_unit_test(test_job), cmocka_unit_test(test_waited)};

    return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}

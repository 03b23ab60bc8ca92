/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that nobody has accepted yet: each has a bound, all together have one, and who says
 * nothing is cut off in time, read or not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "../../common/base/mem.h"
#include "../../common/wire/strangers.h"

#define MANY 40

static int listener = -1;
static struct sockaddr_in at;

/* Both ends of a connection, with so many bytes on their way to ours. */
static void connect_and_send(int *ours, int *theirs, size_t bytes)
{
    char *text = mem_array(bytes + 1, 1, NULL);

    *theirs = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(*theirs, (struct sockaddr *)&at, sizeof at), 0);
    *ours = accept(listener, NULL, NULL);
    assert_true(*ours >= 0);
    assert_int_equal(setsockopt(*ours, SOL_SOCKET, SO_RCVBUF, &(int){1 << 20}, sizeof(int)), 0);
    for (size_t sent = 0; sent < bytes;) {
        ssize_t n = send(*theirs, text + sent, bytes - sent, 0);

        assert_true(n > 0);
        sent += (size_t)n;
    }
    free(text);
}

static int open_listener(void **state)
{
    socklen_t n = sizeof at;

    (void)state;
    at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    listener = socket(AF_INET, SOCK_STREAM, 0);
    return bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, MANY) ||
           getsockname(listener, (struct sockaddr *)&at, &n);
}

static int is_cut(int theirs)
{
    char c;

    return recv(theirs, &c, 1, MSG_DONTWAIT) == 0;
}

static void test_none(void **state)
{
    struct strangers s = {0};
    struct err e = {0};

    (void)state;
    assert_int_equal(strangers_add(&s, -1, 0, &e), 0); /* gone already */
    assert_int_equal(strangers_add(&s, 0x7fff, 0, &e), 0);
    assert_int_equal(s.count, 0);
    strangers_drop(&s, 3);
    assert_int_equal(strangers_sweep(&s, 1e9), 0);
    strangers_release(&s);
}

static void test_one(void **state)
{
    struct strangers s = {0};
    struct err e = {0};
    int ours[3], theirs[3];

    (void)state;
    connect_and_send(&ours[0], &theirs[0], STRANGER_BYTES);
    connect_and_send(&ours[1], &theirs[1], STRANGER_BYTES + 1);
    connect_and_send(&ours[2], &theirs[2], 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(strangers_add(&s, ours[i], i == 2 ? 0 : 5, &e), 0);
    assert_int_equal(strangers_sweep(&s, 5), 1); /* too much, though nobody reads it */
    assert_true(is_cut(theirs[1]) && !is_cut(theirs[0]) && !is_cut(theirs[2]));
    assert_int_equal(strangers_sweep(&s, 0.1 + STRANGER_S), 1);
    assert_true(is_cut(theirs[2]) && !is_cut(theirs[0]));
    strangers_drop(&s, ours[0]);
    assert_int_equal(strangers_sweep(&s, 1e9), 0);
    assert_false(is_cut(theirs[0]));
    assert_int_equal(s.cut, 2);
    strangers_release(&s);
    for (int i = 0; i < 3; i++)
        close(ours[i]), close(theirs[i]);
}

/* Who went by itself is known until that is told: the look between is not the end of it. */
static void test_gone(void **state)
{
    struct strangers s = {0};
    struct err e = {0};
    int ours, theirs;

    (void)state;
    connect_and_send(&ours, &theirs, 10);
    assert_int_equal(strangers_add(&s, ours, 0, &e), 0);
    close(ours);
    close(theirs);
    assert_int_equal(strangers_sweep(&s, 1), 0);
    assert_non_null(strangers_find(&s, ours));
    assert_string_equal(strangers_find(&s, ours)->from, "127.0.0.1");
    assert_int_equal(strangers_sweep(&s, 0.1 + STRANGER_S), 0);
    assert_null(strangers_find(&s, ours)); /* nobody told */
    assert_int_equal(s.cut, 0);
    strangers_release(&s);
}

/* Each of them within its bound. */
static void test_many(void **state)
{
    struct strangers s = {0};
    struct err e = {0};
    int ours[MANY], theirs[MANY], left = 0;
    const size_t each = STRANGERS_BYTES / (MANY / 2);

    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        connect_and_send(&ours[i], &theirs[i], i == 7 ? 100 : each);
        assert_int_equal(strangers_add(&s, ours[i], 0, &e), 0);
    }
    assert_int_equal(strangers_sweep(&s, 1), MANY / 2);
    for (size_t i = 0; i < MANY; i++)
        left += !is_cut(theirs[i]);
    assert_int_equal(left, MANY / 2);
    assert_false(is_cut(theirs[7]));
    assert_int_equal(strangers_sweep(&s, 1), 0);
    strangers_release(&s);
    for (size_t i = 0; i < MANY; i++)
        close(ours[i]), close(theirs[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_one),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests_name("strangers", tests, open_listener, NULL);
}

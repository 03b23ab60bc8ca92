/* SPDX-License-Identifier: Apache-2.0 */
/* Faults on purpose: lists that are none, which message they fall on, and streams that arrive
 * whole although messages are lost, repeated, swapped, flipped and cut on their way. */
#include "link_pair.h"
#include <pthread.h>
#include "../../common/base/fault.h"

#define MESSAGES 12

static void test_lists(void **state)
{
    static const struct {
        const char *list, *says;
    } bad[] = {{"", "'' is no fault"},         {"die", "'die' is no fault"},
               {"lose:1", "'lose:1'"},         {"die:", "whole number"},
               {"die:0", "whole number"},      {"die:-1", "whole number"},
               {"die:1x", "whole number"},     {"die:99999999999999999999", "whole number"},
               {"drop:1,", "'' is no fault"},  {"once:", "names one file"},
               {"once:a,once:b", "names one"}, {"die:1,,cut:2", "'' is no fault"}};
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        e = (struct err){0};
        assert_int_equal(fault_check(bad[i].list, &e), -1);
        assert_int_equal(e.kind, ERR_USE);
        if (!strstr(e.text, bad[i].says))
            fail_msg("'%s' does not say '%s'", e.text, bad[i].says);
    }
    assert_int_equal(fault_check(NULL, &e), 0);
    assert_int_equal(
        fault_check("die:3,drop:1,drop:2,twice:3,swap:4,flip:5,cut:6,delay:7,silent:8,slow:9,"
                    "once:x:y",
                    &e),
        0);
}

static void test_numbers(void **state)
{
    struct err e = {0};
    uint64_t where, other;

    (void)state;
    assert_int_equal(fault_init("drop:2,twice:2,flip:4,silent:1500", &e), 0);
    assert_int_equal(fault_send(&where), 0);
    assert_int_equal(fault_send(&where), FAULT_DROP | FAULT_TWICE);
    fault_receive(); /* counts for die alone */
    assert_int_equal(fault_send(&where), 0);
    assert_int_equal(fault_send(&where), FAULT_FLIP);
    assert_true(fault_silence(30) > 1.4 && fault_silence(30) < 1.6);
    assert_int_equal(fault_init("flip:1", &e), 0);
    assert_int_equal(fault_send(&other), FAULT_FLIP);
    assert_true(other != where);
    assert_int_equal(fault_init(NULL, &e), 0);
    assert_int_equal(fault_send(&where), 0);
    assert_true(fault_silence(30) == 30);
}

static void test_once(void **state)
{
    struct err e = {0};
    char list[200];
    uint64_t where;

    (void)state;
    snprintf(list, sizeof list, "drop:1,silent:500,once:%s/once", folder);
    assert_int_equal(fault_init(list, &e), 0);
    assert_int_equal(fault_send(&where), FAULT_DROP);
    assert_int_equal(fault_init(list, &e), 0);
    assert_int_equal(fault_send(&where), 0);
    assert_true(fault_silence(30) < 1);
    assert_int_equal(fault_init("die:1,once:/no/such/folder/x", &e), -1);
    assert_non_null(strstr(e.text, "/no/such/folder/x"));
    snprintf(list, sizeof list, "die:1,once:%s", folder);
    assert_int_equal(fault_check(list, &e), -1);
    assert_non_null(strstr(e.text, "no file"));
    assert_int_equal(fault_init(NULL, &e), 0);
}

static void die_at(const char *list, int sends, int receives)
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        uint64_t where;

        if (fault_init(list, NULL) < 0)
            _exit(1);
        for (int i = 0; i < receives; i++)
            fault_receive();
        for (int i = 0; i < sends; i++)
            fault_send(&where);
        _exit(2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_die(void **state)
{
    (void)state;
    die_at("die:3", 1, 2);
    die_at("die:3", 3, 0);
    die_at("die:3", 0, 3);
}

static void *send_all(void *ctx)
{
    struct link *l = ctx;

    for (int i = 0; i < MESSAGES; i++)
        send_ok(l, i, 5000);
    end_ok(l);
    return NULL;
}

/* binder: which end binds. */
static void stream(const char *list, const struct link_opts *in, const struct link_opts *out,
                   enum link_dir binder)
{
    const enum link_dir other = binder == LINK_IN ? LINK_OUT : LINK_IN;
    struct err e = {0};
    struct link *b, *c, *to, *from;
    pthread_t thread;

    setup(NULL);
    if (fault_init(list, &e) < 0)
        fail_msg("%s", e.text);
    b = open_ok(bound, binder, binder == LINK_IN ? in : out);
    c = open_ok(url, other, other == LINK_IN ? in : out);
    to = binder == LINK_IN ? c : b;
    from = binder == LINK_IN ? b : c;
    assert_int_equal(pthread_create(&thread, NULL, send_all, to), 0);
    for (int i = 0; i < MESSAGES; i++)
        recv_ok(from, i);
    if (in->elastic)
        link_enough(from);
    recv_end(from);
    pthread_join(thread, NULL);
    link_close(&to);
    link_close(&from);
    assert_int_equal(fault_init(NULL, &e), 0);
}

/* In the middle, and the last ones, behind which only the end mark comes. */
static void test_streams(void **state)
{
    (void)state;
    stream("drop:3,twice:6", IN(), OUT(), LINK_IN);
    stream("cut:12", IN(), OUT(), LINK_OUT);
    stream("swap:11", IN(), OUT(), LINK_OUT);
    stream("flip:2", IN(.elastic = 1), OUT(.elastic = 1), LINK_IN);
    stream("drop:12", IN(.elastic = 1), OUT(.elastic = 1), LINK_OUT);
    stream("flip:5", IN(), OUT(.elastic = 1, .route = LINK_ALL), LINK_OUT);
    stream("drop:12", IN(), OUT(.elastic = 1, .route = LINK_ALL), LINK_IN);
}

/* The last one before the sender waits: no later one and no end mark tells that it is missing. */
static void test_last(void **state)
{
    struct link *in, *out;
    struct err e = {0};

    (void)state;
    assert_int_equal(fault_init("drop:2", &e), 0);
    in = open_ok(bound, LINK_IN, IN());
    out = open_ok(url, LINK_OUT, OUT());
    send_ok(out, 0, 100);
    send_ok(out, 1, 100);
    recv_ok(in, 0);
    recv_ok(in, 1);
    link_close(&out);
    link_close(&in);
}

/* It stays damaged whatever is done. */
static void test_given_up(void **state)
{
    struct link *in, *out;
    struct err e = {0};

    (void)state;
    assert_int_equal(fault_init("flip:1,flip:2,flip:3,flip:4,flip:5,flip:6", &e), 0);
    in = open_ok(bound, LINK_IN, IN());
    out = open_ok(url, LINK_OUT, OUT());
    send_ok(out, 0, 100);
    recv_fails(in, ERR_DATA, "message 0 ");
    link_close(&out);
    link_close(&in);
    assert_int_equal(fault_init(NULL, &e), 0);
}

static void test_pipe(void **state)
{
    struct link *l;
    struct err e = {0};

    (void)state;
    assert_int_equal(fault_init("drop:1,twice:1,swap:2,flip:2", &e), 0);
    l = open_ok(path, LINK_OUT, OUT());
    for (int i = 0; i < 2; i++)
        send_ok(l, i, 100);
    end_ok(l);
    link_close(&l);
    l = open_ok(path, LINK_IN, IN());
    recv_ok(l, 0);
    recv_fails(l, ERR_USE, path);
    link_close(&l);
    assert_int_equal(fault_init(NULL, &e), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_once),
        cmocka_unit_test(test_die),
        cmocka_unit_test(test_streams),
        cmocka_unit_test_setup(test_last, setup),
        cmocka_unit_test_setup(test_given_up, setup),
        cmocka_unit_test_setup(test_pipe, setup),
    };

    return link_tests_run("fault", tests, sizeof tests / sizeof *tests);
}

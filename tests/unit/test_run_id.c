/* SPDX-License-Identifier: Apache-2.0 */
/* Run ids: how they are made and compared, and that both ends of every link go by them. */
#include "link_pair.h"

#define A "0000000000000001-00000000000000aa"

static void test_compare(void **state)
{
    struct run_id r = RUN_ID_INIT;
    struct err e = {0};
    char id[RUN_ID];

    (void)state;
    assert_int_equal(run_id_check(&r, "aa", 0, &e), 0);
    run_id_get(&r, id);
    assert_string_equal(id, "");
    assert_int_equal(run_id_check(&r, "aa", 1, &e), 0);
    assert_int_equal(run_id_check(&r, "", 1, &e), 0);
    assert_int_equal(run_id_check(&r, "aa", 1, &e), 0);
    assert_int_equal(run_id_check(&r, "bb", 1, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    assert_non_null(strstr(e.text, "run bb where run aa is going on"));
    run_id_get(&r, id);
    assert_string_equal(id, "aa");
}

static void test_make(void **state)
{
    char id[RUN_ID], other[RUN_ID];
    struct err e = {0};

    (void)state;
    run_id_make(id, 1, "00000000000000aa", NULL);
    assert_string_equal(id, A);
    assert_int_equal(run_id_check_model(id, 1, "m", &e), 0);
    assert_int_equal(run_id_check_model("00000000000000aa", 2, "m", &e), 0);
    assert_int_equal(run_id_check_model("", 2, "m", &e), 0);
    assert_int_equal(run_id_check_model(id, 2, "m", &e), -1);
    assert_non_null(strstr(e.text, "run " A " is of the model 0000000000000001, but 'm' is "
                                   "0000000000000002"));
    /* what another stage adds; the model that the sampler saw does not count twice */
    run_id_make(id, 1, A, "options");
    run_id_make(other, 1, "00000000000000aa", "options");
    assert_string_equal(id, other);
    assert_string_not_equal(id, A);
    run_id_make(other, 1, A, "others");
    assert_string_not_equal(id, other);
}

static struct msg *of_run(int i, const char *run)
{
    struct msg *m = message(i, 10);

    snprintf(m->run, sizeof m->run, "%s", run);
    return m;
}

/* Both said hello before any of them knew; the second that sends is refused. */
static void test_message_of_another_run(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN(.peers = 2)), *a = open_ok(url, LINK_OUT, OUT()),
                *b = open_ok(url, LINK_OUT, OUT());
    struct err e = {0};
    struct msg *m = of_run(0, "aa");

    (void)state;
    assert_int_equal(link_peers(in, 2, &e), 2);
    assert_int_equal(link_send(a, &m, &e), 0);
    recv_ok(in, 0);
    m = of_run(0, "bb");
    assert_int_equal(link_send(b, &m, &e), 0);
    recv_fails(in, ERR_USE, "run bb where run aa is going on");
    link_close(&a);
    link_close(&b);
    link_close(&in);
}

/* The links of one stage: what came by one counts for the other, and what goes out bears it. */
static void test_shared(void **state)
{
    struct run_id run = RUN_ID_INIT;
    struct link *out = open_ok(path, LINK_OUT, OUT()), *in;
    struct err e = {0};
    struct msg *m = of_run(0, "aa");

    (void)state;
    assert_int_equal(link_send(out, &m, &e), 0);
    end_ok(out);
    link_close(&out);
    in = open_ok(path, LINK_IN, IN(.run_id = &run));
    recv_ok(in, 0);
    recv_end(in);
    link_close(&in);
    out = open_ok(path, LINK_OUT, OUT(.run_id = &run));
    m = of_run(1, "bb");
    assert_int_equal(link_send(out, &m, &e), -1);
    assert_non_null(strstr(e.text, "run bb where run aa is going on"));
    snprintf(m->run, sizeof m->run, "%s", "");
    assert_int_equal(link_send(out, &m, &e), 0);
    end_ok(out);
    link_close(&out);
    in = open_ok(path, LINK_IN, IN());
    assert_int_equal(link_recv(in, &m, -1, &e), 1);
    assert_string_equal(m->run, "aa");
    msg_destroy(&m);
    link_close(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_compare, setup),
        cmocka_unit_test_setup(test_make, setup),
        cmocka_unit_test_setup(test_message_of_another_run, setup),
        cmocka_unit_test_setup(test_shared, setup),
    };

    return link_tests_run("run_id", tests, sizeof tests / sizeof *tests);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Links whose peers come and go: routing by key, leaving with and without a word, keeping until
 * told, completeness by data. */
#include <pthread.h>
#include "link_pair.h"

static void send_key(struct link *l, const char *key, int i)
{
    struct err e = {0};
    struct msg *m = message(i, 10);

    assert_int_equal(msg_set_id(m, &e, "%s/m%d", key, i), 0);
    if (link_send(l, &m, &e) != 0)
        fail_msg("%s", e.text);
}

/* Nothing comes for a while. */
static void recv_none(struct link *l)
{
    struct err e = {0};
    struct msg *m = NULL;

    assert_int_equal(link_recv(l, &m, 300, &e), 2);
}

static void test_patterns(void **state)
{
    const char *const none[] = {"mlp.*", "b3.attn.o", "["};
    const char *const down[] = {"*.down"};

    (void)state;
    assert_int_equal(link_accepts(none, 3, "b3.attn.qkv"), 0);
    assert_int_equal(link_accepts(none, 3, "mlp"), 0);
    assert_int_equal(link_accepts(none, 3, ""), 0);
    assert_int_equal(link_accepts(none, 3, "b3.mlp.up"), 1);
    assert_int_equal(link_accepts(none, 3, "b3.attn.o"), 1);
    assert_int_equal(link_accepts(none, 3, "b13.attn.o"), 0);
    assert_int_equal(link_accepts(down, 1, "b13.mlp.down"), 1);
    assert_int_equal(link_accepts(NULL, 0, "anything"), 1);
}

static void test_shares(void **state)
{
    static const char *const thirds[] = {"1/3", "2/3", "3/3"}, *const none[] = {"4/3", "1/0", "1/"};
    size_t count[3] = {0};
    char key[32];

    (void)state;
    for (int i = 0; i < 300; i++) {
        size_t takers = 0;

        snprintf(key, sizeof key, "b%d.expert.%d.up", i / 100, i % 100);
        for (size_t k = 0; k < 3; k++) {
            count[k] += (size_t)link_accepts(thirds + k, 1, key);
            takers += (size_t)link_accepts(thirds + k, 1, key);
            assert_int_equal(link_accepts(none + k, 1, key), 0);
        }
        assert_int_equal(takers, 1);
    }
    for (size_t k = 0; k < 3; k++)
        assert_in_range(count[k], 80, 120);
}

static void test_routes(void **state)
{
    static const char *const mlp[] = {"mlp.*"}, *const one[] = {"b1.attn.*", "nothing"};
    struct link *out = open_ok(bound, LINK_OUT, OUT(.elastic = 1, .peers = 2));
    struct link *a = open_ok(url, LINK_IN, IN(.accepts = mlp, .naccepts = 1)),
                *b = open_ok(url, LINK_IN, IN(.accepts = one, .naccepts = 2));

    (void)state;
    send_key(out, "b0.mlp.up", 0);
    send_key(out, "b1.attn.o", 1);
    send_key(out, "b1.mlp.down", 2);
    recv_ok(b, 1);
    recv_ok(a, 0);
    recv_ok(a, 2);
    recv_none(a);
    recv_none(b);
    end_ok(out);
    recv_end(a);
    recv_end(b);
    link_close(&a);
    link_close(&b);
    link_close(&out);
}

static void *send_late(void *out)
{
    send_key(out, "b0.attn.o", 7);
    return NULL;
}

/* A key that nobody present accepts waits for one who does. */
static void test_waits_for_taker(void **state)
{
    static const char *const mlp[] = {"mlp.*"}, *const attn[] = {"attn.*"};
    struct link *out = open_ok(bound, LINK_OUT, OUT(.elastic = 1)),
                *a = open_ok(url, LINK_IN, IN(.accepts = mlp, .naccepts = 1)), *b;
    pthread_t t;

    (void)state;
    assert_int_equal(pthread_create(&t, NULL, send_late, out), 0);
    recv_none(a);
    b = open_ok(url, LINK_IN, IN(.accepts = attn, .naccepts = 1));
    recv_ok(b, 7);
    pthread_join(t, NULL);
    recv_none(b); /* the last is taken */
    end_ok(out);
    recv_end(a);
    recv_end(b);
    link_close(&a);
    link_close(&b);
    link_close(&out);
}

/* What a leaving receiver took is done with, the rest goes to the next. */
static void leaves(int hold)
{
    struct link *out = open_ok(bound, LINK_OUT, OUT(.elastic = 1, .hold = hold)),
                *a = open_ok(url, LINK_IN, IN()), *b;

    for (int i = 0; i < 3; i++)
        send_ok(out, i, 10);
    recv_ok(a, 0);
    link_leave(a);
    link_close(&a);
    b = open_ok(url, LINK_IN, IN());
    recv_ok(b, 1);
    recv_ok(b, 2);
    recv_none(b);
    for (int i = 1; i < 3; i++) {
        struct err e = {0};
        char id[16];

        snprintf(id, sizeof id, "m%d", i);
        assert_int_equal(link_done(out, id, &e), 0);
    }
    end_ok(out);
    recv_end(b);
    link_close(&b);
    link_close(&out);
}

static void test_leave(void **state)
{
    (void)state;
    leaves(0);
}

static void test_leave_hold(void **state)
{
    (void)state;
    leaves(1);
}

static void test_leave_of_fixed(void **state)
{
    struct link *out = open_ok(bound, LINK_OUT, OUT()), *a = open_ok(url, LINK_IN, IN());
    struct err e = {0};

    (void)state;
    send_ok(out, 0, 10);
    recv_ok(a, 0);
    link_leave(a);
    link_close(&a);
    assert_int_equal(link_end(out, 1, NULL, &e), -1);
    assert_non_null(strstr(e.text, "left the stream unfinished"));
    link_close(&out);
}

/* What went to a peer that was lost goes to another until link_done names it, however long ago
 * it was taken. */
static void test_hold(void **state)
{
    struct link *out = open_ok(bound, LINK_OUT, OUT(.elastic = 1, .hold = 1)),
                *a = open_ok(url, LINK_IN, IN()), *b;
    struct err e = {0};

    (void)state;
    for (int i = 0; i < 3; i++)
        send_ok(out, i, 10);
    for (int i = 0; i < 3; i++)
        recv_ok(a, i);
    recv_none(a);
    assert_int_equal(link_done(out, "m0", &e), 0);
    link_close(&a); /* without a word for what it took */
    b = open_ok(url, LINK_IN, IN());
    recv_ok(b, 1);
    assert_int_equal(link_done(out, "m2", &e), 0);
    assert_int_equal(link_done(out, "m1", &e), 0);
    end_ok(out);
    link_close(&b);
    link_close(&out);
}

/* A peer lives, but does nothing with what it has: when it is overdue another gets that too, one
 * message after the other. The first is none the worse for it. */
static void test_overdue(void **state)
{
    struct link *out = open_ok(bound, LINK_OUT, OUT(.elastic = 1, .hold = 1)),
                *a = open_ok(url, LINK_IN, IN()), *b;
    struct err e = {0};

    (void)state;
    for (int i = 0; i < 2; i++)
        send_ok(out, i, 10);
    recv_ok(a, 0);
    b = open_ok(url, LINK_IN, IN());
    assert_int_equal(link_peers(b, 0, &e), 1);
    recv_none(b);
    link_overdue(out, 0.2);
    recv_ok(b, 0);
    recv_none(b); /* message 1 is not in anybody's hands */
    assert_int_equal(link_done(out, "m0", &e), 0);
    recv_ok(b, 1);
    recv_ok(a, 1);
    assert_int_equal(link_done(out, "m1", &e), 0);
    end_ok(out);
    link_close(&a);
    link_close(&b);
    link_close(&out);
}

/* Covered while nobody was there: nobody gets it. */
static void test_done_in_between(void **state)
{
    struct link *out = open_ok(bound, LINK_OUT, OUT(.elastic = 1, .hold = 1)),
                *a = open_ok(url, LINK_IN, IN()), *b;
    struct err e = {0};

    (void)state;
    send_ok(out, 0, 10);
    recv_ok(a, 0);
    link_close(&a);
    assert_int_equal(link_done(out, "m0", &e), 0);
    b = open_ok(url, LINK_IN, IN());
    recv_none(b);
    send_ok(out, 1, 10);
    recv_ok(b, 1);
    assert_int_equal(link_done(out, "m1", &e), 0);
    end_ok(out);
    recv_end(b);
    link_close(&b);
    link_close(&out);
}

static void test_enough(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN(.elastic = 1)), *a = open_ok(url, LINK_OUT, OUT()),
                *b;
    struct err e = {0};

    (void)state;
    send_ok(a, 0, 10);
    end_ok(a);
    link_close(&a);
    recv_ok(in, 0);
    recv_none(in); /* nobody is there, which says nothing */
    a = open_ok(url, LINK_OUT, OUT());
    send_ok(a, 1, 10);
    assert_int_equal(link_end(a, 0, "out of ideas", &e), 0);
    link_close(&a);
    recv_ok(in, 1);
    recv_none(in);
    b = open_ok(url, LINK_OUT, OUT());
    send_ok(b, 2, 10);
    recv_ok(in, 2);
    link_enough(in);
    recv_none(in); /* one has not ended */
    end_ok(b);
    recv_end(in);
    link_close(&b);
    link_close(&in);
}

/* Polling is coming back for more: it returns the credit without which the next message would
 * never come. */
static void test_poll_credit(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN(.credit_messages = 1)),
                *out = open_ok(url, LINK_OUT, OUT());
    struct err e = {0};

    (void)state;
    send_ok(out, 0, 10);
    recv_ok(in, 0);
    assert_int_equal(link_poll(&in, 1, &(int){0}, 300, &e), 0);
    send_ok(out, 1, 10);
    recv_ok(in, 1);
    end_ok(out);
    recv_end(in);
    link_close(&out);
    link_close(&in);
}

/* A listener that leaves, or is lost, with a message waiting for its credit does not hold up the
 * end of the others. */
static void listener_goes(int leave)
{
    struct link *out = open_ok(bound, LINK_OUT, OUT(.elastic = 1, .route = LINK_ALL, .peers = 2)),
                *a = open_ok(url, LINK_IN, IN(.credit_messages = 1)),
                *b = open_ok(url, LINK_IN, IN());
    struct err e = {0};

    assert_int_equal(link_peers(out, 2, &e), 2);
    for (int i = 0; i < 6; i++)
        send_ok(out, i, 10);
    recv_ok(a, 0); /* its link has what comes behind */
    if (leave)
        link_leave(a);
    link_close(&a);
    for (int i = 0; i < 6; i++)
        recv_ok(b, i);
    end_ok(out);
    recv_end(b);
    link_close(&b);
    link_close(&out);
}

static void test_listener_leaves(void **state)
{
    (void)state;
    listener_goes(1);
}

static void test_listener_fails(void **state)
{
    (void)state;
    listener_goes(0);
}

/* What a stage says that waits for l, a minute after it said something before. */
static void waits_for(struct link *l, const struct msg *m, const char *text)
{
    char log[1000] = "";
    int keep = dup(2), fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

    l->waits = clock_wall() - 65;
    l->said = clock_wall() - 60.1;
    dup2(fd, 2);
    wait_explain(l, m);
    wait_explain(l, m); /* once */
    dup2(keep, 2);
    close(keep);
    assert_true(pread(fd, log, sizeof log - 1, 0) >= 0);
    close(fd);
    if (!strstr(log, text) || strchr(log, '\n') != strrchr(log, '\n'))
        fail_msg("'%s' does not say '%s' once", log, text);
    wait_over(l);
}

/* As from parts that the checkpoint has replaced. */
static int replay_nothing(void *ctx, uint64_t i, struct msg **m, struct err *e)
{
    (void)ctx;
    (void)m;
    return err_set(e, ERR_SYS, "part %d is gone", (int)i);
}

/* Who comes when nothing can be sent again any more is refused; the others are not. */
static void test_comes_too_late(void **state)
{
    struct link *out = open_ok(bound, LINK_OUT, OUT(.elastic = 1, .route = LINK_ALL)), *in, *late;

    (void)state;
    link_set_replay(out, replay_nothing, NULL);
    in = open_ok(url, LINK_IN, IN());
    link_peers(out, 1, NULL);
    for (int i = 0; i < 3; i++) {
        send_ok(out, i, 100);
        recv_ok(in, i);
    }
    late = open_ok(url, LINK_IN, IN());
    recv_fails(late, ERR_DATA, "cannot send message 0 of");
    send_ok(out, 3, 100);
    recv_ok(in, 3);
    end_ok(out);
    recv_end(in);
    link_close(&late);
    link_close(&in);
    link_close(&out);
}

static void test_wait_lines(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN(.takes = LINK_KIND(MSG_CHUNK))), *out;
    struct err e = {0};

    (void)state;
    waits_for(in, NULL, "for 1 of 1 peers (chunk)");
    out = open_ok(url, LINK_OUT, OUT());
    assert_int_equal(link_peers(in, 0, &e), 1);
    assert_int_equal(link_peers(out, 0, &e), 1);
    waits_for(in, NULL, "for maker (peer 0 at ipc:");
    waits_for(out, NULL, "for eater at ipc:");
    link_close(&out);
    link_close(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_patterns, setup),
        cmocka_unit_test(test_shares),
        cmocka_unit_test_setup(test_leave_of_fixed, setup),
        cmocka_unit_test_setup(test_routes, setup),
        cmocka_unit_test_setup(test_waits_for_taker, setup),
        cmocka_unit_test_setup(test_leave, setup),
        cmocka_unit_test_setup(test_leave_hold, setup),
        cmocka_unit_test_setup(test_listener_leaves, setup),
        cmocka_unit_test_setup(test_listener_fails, setup),
        cmocka_unit_test_setup(test_comes_too_late, setup),
        cmocka_unit_test_setup(test_wait_lines, setup),
        cmocka_unit_test_setup(test_hold, setup),
        cmocka_unit_test_setup(test_overdue, setup),
        cmocka_unit_test_setup(test_done_in_between, setup),
        cmocka_unit_test_setup(test_enough, setup),
        cmocka_unit_test_setup(test_poll_credit, setup),
    };
    return link_tests_run("link elastic", tests, sizeof tests / sizeof *tests);
}

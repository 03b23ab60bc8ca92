/* SPDX-License-Identifier: Apache-2.0 */
/* Links within a host: large tensors stay in the sender's memory, where both ends can. */
#include "link_pair.h"

#define BYTES 300000
#define ENOUGH 400 /* messages in which both have long agreed */

/* Sends and receives until tensors stay where they are, or enough have gone; how many stayed. */
static uint64_t exchange(struct link *out, struct link *in)
{
    struct link_stats st = {0};
    struct err e = {0};

    assert_int_equal(link_peers(out, 1, &e), 1);
    for (int i = 0; i < ENOUGH && !st.bytes_memory; i++) {
        send_ok(out, i, BYTES);
        recv_ok(in, i);
        link_stats(out, &st);
    }
    return st.bytes_memory;
}

static void end_both(struct link *out, struct link *in)
{
    end_ok(out);
    recv_end(in);
    link_close(&out);
    link_close(&in);
}

static uint64_t pair(const char *at, int in_binds, const struct link_opts *o)
{
    struct link *b = open_ok(at, in_binds ? LINK_IN : LINK_OUT, in_binds ? IN() : o);
    struct link *c = open_ok(link_address(b), in_binds ? LINK_OUT : LINK_IN, in_binds ? o : IN());
    struct link *in = in_binds ? b : c, *out = in_binds ? c : b;
    uint64_t stayed = exchange(out, in);

    end_both(out, in);
    return stayed;
}

static void test_within_a_host(void **state)
{
    (void)state;
    assert_true(pair(bound, 1, OUT()) >= BYTES);
    setup(NULL);
    assert_true(pair(bound, 0, OUT()) >= BYTES);
    setup(NULL);
    assert_true(pair(bound, 0, OUT(.compress = FRAME_ZSTD)) >= BYTES);
}

/* By tcp the other end may be anywhere. */
static void test_elsewhere(void **state)
{
    (void)state;
    assert_int_equal(pair("@tcp://127.0.0.1:*", 1, OUT()), 0);
}

#define STOP 100 /* the number of a message on which the other receiver stands still */

/* Takes all messages in a process of its own; it ends with 0 when they were right. */
static pid_t other_receiver(void)
{
    const pid_t pid = fork();
    struct err e = {0};
    struct link *in;
    struct msg *m;
    int r = -1;

    assert_true(pid >= 0);
    if (pid)
        return pid;
    in = link_open(url, LINK_IN, IN(), &e);
    while (in && (r = link_recv(in, &m, 10000, &e)) == 1) {
        const int i = number_of(m);

        for (size_t k = 0; k < BYTES; k++)
            if (((unsigned char *)m->tensors[0].data)[k] != i)
                _exit(2);
        msg_destroy(&m);
        if (i == STOP)
            raise(SIGSTOP);
    }
    link_close(&in);
    _exit(r == 0 ? 0 : 1);
}

static int never(void *ctx, uint64_t i, struct msg **m, struct err *e)
{
    (void)ctx;
    (void)m;
    return err_set(e, ERR_DATA, "message %d was not kept", (int)i);
}

/* What goes to all is kept until the last has it, whatever the others do. */
static void test_to_all(void **state)
{
    const pid_t pid = other_receiver();
    struct link *out = open_ok(bound, LINK_OUT, OUT(.route = LINK_ALL, .peers = 2));
    struct link *in = open_ok(url, LINK_IN, IN());
    struct link_stats st = {0};
    struct err e = {0};
    uint64_t before = 0;
    int status, i = 0;

    (void)state;
    link_set_replay(out, never, NULL);
    assert_int_equal(link_peers(out, 2, &e), 2);
    for (; i < STOP && st.bytes_memory - before < (uint64_t)2 * BYTES; i++) {
        before = st.bytes_memory;
        send_ok(out, i, BYTES);
        recv_ok(in, i);
        link_stats(out, &st);
    }
    assert_true(i < STOP);
    send_ok(out, STOP, BYTES);
    recv_ok(in, STOP);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    for (i = STOP + 1; i < STOP + 3; i++) {
        send_ok(out, i, BYTES);
        recv_ok(in, i);
    }
    for (i = 0; i < 8; i++) { /* takes what is free */
        struct msg *m = message(i, BYTES);

        msg_destroy(&m);
    }
    kill(pid, SIGCONT);
    end_both(out, in);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* What is only read stays mapped. */
static void test_stays(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN(.reads = LINK_KIND(MSG_CHUNK)));
    struct link *out = open_ok(url, LINK_OUT, OUT());
    const char *at;
    struct msg *m;
    struct err e = {0};

    (void)state;
    exchange(out, in);
    send_ok(out, 5, BYTES);
    assert_int_equal(link_recv(in, &m, 10000, &e), 1);
    at = m->tensors[0].data;
    assert_int_equal(*at, 5);
    msg_destroy(&m);
    assert_int_equal(*at, 5);
    end_both(out, in);
}

/* A message that outlives both its sender's link and its place in the credit. */
static void test_held_long(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN()), *out = open_ok(url, LINK_OUT, OUT());
    struct msg *m;
    struct err e = {0};

    (void)state;
    exchange(out, in);
    send_ok(out, 7, BYTES);
    assert_int_equal(link_recv(in, &m, 10000, &e), 1);
    for (int i = 8; i < 40; i++) {
        send_ok(out, i, BYTES);
        recv_ok(in, i);
    }
    end_ok(out);
    link_close(&out);
    recv_end(in);
    link_close(&in);
    for (size_t k = 0; k < BYTES; k++)
        assert_int_equal(((unsigned char *)m->tensors[0].data)[k], 7);
    msg_destroy(&m);
}

/* What cannot be read by its handle comes again as bytes. */
static void test_damaged(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN()), *out = open_ok(url, LINK_OUT, OUT());
    struct link_stats before, after;
    struct err e = {0};
    uint64_t *use;
    struct msg *m;

    (void)state;
    exchange(out, in);
    link_stats(out, &before);
    m = message(1, BYTES);
    use = (void *)((char *)m->tensors[0].data - 4096); /* before its elements */
    ++*use;
    assert_int_equal(link_send(out, &m, &e), 0);
    recv_ok(in, 1);
    link_stats(out, &after);
    assert_true(after.bytes_wire - before.bytes_wire >= BYTES);
    assert_int_equal(after.bytes_memory - before.bytes_memory, BYTES);
    link_close(&out);
    link_close(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_within_a_host, setup),
        cmocka_unit_test_setup(test_elsewhere, setup),
        cmocka_unit_test_setup(test_to_all, setup),
        cmocka_unit_test_setup(test_stays, setup),
        cmocka_unit_test_setup(test_held_long, setup),
        cmocka_unit_test_setup(test_damaged, setup),
    };

    return link_tests_run("link_memory", tests, sizeof tests / sizeof *tests);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Links that work: endpoints, pipes and files, sockets within this process. */
#include "link_pair.h"

static void refused(const char *endpoint, enum link_dir dir, const char *text)
{
    struct err e = {0};
    struct link *l = link_open(endpoint, dir, dir == LINK_IN ? IN() : OUT(), &e);

    if (l)
        fail_msg("'%s' was taken", endpoint);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, text))
        fail_msg("'%s' does not say '%s'", e.text, text);
}

static void test_bad_endpoints(void **state)
{
    char text[300];
    struct link *l;
    struct stat st;

    (void)state;
    refused("", LINK_IN, "empty");
    refused("@", LINK_IN, "not an endpoint");
    refused("@some/file", LINK_OUT, "not an endpoint");
    refused("http://host:80", LINK_IN, "'http://host:80'");
    refused("ipc://", LINK_IN, "not an endpoint");
    refused("tcp://host", LINK_OUT, "not an endpoint");
    refused("tcp://:80", LINK_OUT, "not an endpoint");
    refused("tcp://host:70000", LINK_OUT, "a port is a number up to 65535");
    refused("tcp://host:0", LINK_IN, "a port is a number up to 65535");
    refused("tcp://host:80x", LINK_IN, "a port is a number up to 65535");
    refused("@tcp://127.0.0.1:65536", LINK_IN, "a port is a number up to 65535, or *");
    refused("@tcp://127.0.0.1:", LINK_OUT, "a port is a number up to 65535, or *");
    refused("@tcp://0.0.0.0:*", LINK_IN, "--insecure");
    refused("@tcp://*:5555", LINK_IN, "--insecure");
    refused("/no/such/file", LINK_IN, "/no/such/file");
    refused(folder, LINK_OUT, folder);
    snprintf(text, sizeof text, "@ipc:///tmp/%0150d", 1);
    refused(text, LINK_IN, "longer than");
    snprintf(text, sizeof text, "@ipc://%s/private/deep/s", folder);
    l = open_ok(text, LINK_IN, IN());
    refused(text, LINK_IN, "another process is listening");
    link_close(&l);
    assert_null(l);
    snprintf(text, sizeof text, "%s/private/deep", folder);
    assert_int_equal(stat(text, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    l = open_ok("@tcp://0.0.0.0:*", LINK_IN, IN(.insecure = 1));
    assert_non_null(strstr(link_address(l), "tcp://0.0.0.0:"));
    link_close(&l);
    link_close(&l);
    link_close(NULL);
}

static void test_wrong_way(void **state)
{
    struct link *out = open_ok(path, LINK_OUT, OUT()), *in;
    struct err e = {0};
    struct msg *m = NULL;

    (void)state;
    assert_int_equal(link_recv(out, &m, 0, &e), -1);
    assert_int_equal(link_send(out, &m, &e), -1);
    m = msg_create(MSG_PING, "test", &e);
    assert_int_equal(link_send(out, &m, &e), -1);
    msg_destroy(&m);
    end_ok(out);
    assert_int_equal(link_end(out, 1, NULL, &e), -1);
    m = message(0, 1);
    assert_int_equal(link_send(out, &m, &e), -1);
    assert_non_null(m);
    in = open_ok(path, LINK_IN, IN());
    assert_int_equal(link_send(in, &m, &e), -1);
    assert_int_equal(link_end(in, 1, NULL, &e), -1);
    recv_end(in);
    recv_end(in);
    msg_destroy(&m);
    link_close(&in);
    link_close(&out);
}

static void file_make(int n, int complete)
{
    struct link *l = open_ok(path, LINK_OUT, OUT());
    struct err e = {0};

    for (int i = 0; i < n; i++)
        send_ok(l, i, 1000);
    if (complete >= 0)
        assert_int_equal(link_end(l, complete, complete ? NULL : "no more paper", &e), 0);
    link_close(&l);
}

static void test_file(void **state)
{
    struct link *l;
    struct link_stats st;

    (void)state;
    file_make(3, 1);
    l = open_ok(path, LINK_IN, IN());
    assert_false(link_is_socket(l));
    for (int i = 0; i < 3; i++)
        recv_ok(l, i);
    recv_end(l);
    link_stats(l, &st);
    assert_int_equal(st.messages, 3);
    assert_true(st.bytes_wire > 3000);
    link_close(&l);
}

static void test_file_broken(void **state)
{
    struct err e = {0};
    const char *says[] = {"truncated", "truncated", "damaged", "follows the end mark"};
    size_t n;
    char *data;
    struct link *l;

    (void)state;
    file_make(2, -1);
    l = open_ok(path, LINK_IN, IN());
    recv_fails(l, ERR_DATA, "incomplete");
    link_close(&l);
    assert_int_equal(unlink(path), 0); /* an incomplete stream takes nothing's place */
    file_make(2, 0);
    l = open_ok(path, LINK_IN, IN());
    recv_fails(l, ERR_DATA, "no more paper");
    link_close(&l);
    file_make(2, 1);
    data = fs_read(path, 1 << 20, &n, &e);
    assert_non_null(data);
    for (int what = 0; what < 4; what++) {
        size_t cut = what == 0 ? n - 20 : what == 1 ? 500 : n;
        FILE *f = fopen(path, "wb");

        data[700] = (char)(data[700] ^ (what == 2)); /* a byte inside the first tensor */
        assert_int_equal(fwrite(data, 1, cut, f), cut);
        if (what == 3)
            assert_int_equal(fwrite("more", 1, 4, f), 4);
        fclose(f);
        data[700] = (char)(data[700] ^ (what == 2));
        l = open_ok(path, LINK_IN, IN());
        recv_fails(l, what == 2 ? ERR_USE : ERR_DATA, says[what]);
        link_close(&l);
    }
    free(data);
}

/* n messages from an out link to an in link of this same process, then the end. Everything fits
 * into the credit. */
static void test_socket_both_ways(void **state)
{
    struct link_stats si, so;

    (void)state;
    for (int how = 0; how < 4; how++) {
        const char *at = how < 2 ? bound : "@tcp://127.0.0.1:*";
        struct link *b =
            open_ok(at, how % 2 ? LINK_IN : LINK_OUT, how % 2 ? IN(.credit_messages = 100) : OUT());
        struct link *c = open_ok(link_address(b), how % 2 ? LINK_OUT : LINK_IN,
                                 how % 2 ? OUT() : IN(.credit_messages = 100));
        struct link *in = how % 2 ? b : c, *out = how % 2 ? c : b;
        struct err e = {0};

        assert_true(link_is_socket(b));
        assert_int_equal(link_peers(out, 0, &e), 1);
        for (int i = 0; i < 20; i++)
            send_ok(out, i, (uint64_t)(i * 5000));
        end_ok(out);
        link_stats(out, &so);
        link_close(&out);
        for (int i = 0; i < 20; i++)
            recv_ok(in, i);
        recv_end(in);
        link_stats(in, &si);
        assert_int_equal(si.messages, 20);
        assert_int_equal(so.messages, 20);
        assert_int_equal(si.bytes_raw, so.bytes_raw);
        assert_true(so.bytes_wire + so.bytes_memory > 20 * 19 / 2 * 5000);
        assert_true(so.cpu_s > 0 && si.cpu_s > 0);
        link_close(&in);
    }
}

static void test_credit(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN(.credit_messages = 3)),
                *out = open_ok(url, LINK_OUT, OUT());
    struct err e = {0};
    int ready, sent = 0, taken = 0;

    (void)state;
    assert_int_equal(link_poll(&out, 1, &ready, 10000, &e), 1);
    for (int round = 0; round < 5; round++) {
        while (link_can_send(out, &e) == 1)
            send_ok(out, sent++, 10);
        assert_int_equal(sent - taken, 3);
        /* The receiver has two in hand one after the other: only the first has come back. */
        recv_ok(in, round);
        if (round == 0)
            assert_int_equal(link_poll(&out, 1, &ready, 200, &e), 0);
        else
            assert_int_equal(link_poll(&out, 1, &ready, 10000, &e), 1);
        taken = round;
    }
    link_close(&out);
    link_close(&in);
}

static void test_credit_bytes(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN(.credit_messages = 100, .credit_bytes = 100000));
    struct link *out = open_ok(url, LINK_OUT, OUT());
    struct err e = {0};
    struct msg *m;
    int ready;

    (void)state;
    send_ok(out, 0, 500000); /* alone it may be of any size */
    assert_int_equal(link_can_send(out, &e), 0);
    recv_ok(in, 0);
    assert_int_equal(link_recv(in, &m, 0, &e), 2);
    assert_int_equal(link_poll(&out, 1, &ready, 10000, &e), 1);
    send_ok(out, 1, 60000);
    assert_int_equal(link_can_send(out, &e), 1);
    send_ok(out, 2, 30000);
    send_ok(out, 3, 1000);
    recv_ok(in, 1);
    recv_ok(in, 2);
    recv_ok(in, 3);
    link_close(&in);
    assert_int_equal(link_end(out, 1, NULL, &e), -1); /* it left before the end */
    assert_non_null(strstr(e.text, "eater"));
    link_close(&out);
}

static int replayed;
static int replay(void *ctx, uint64_t i, struct msg **m, struct err *e)
{
    (void)ctx;
    (void)e;
    replayed++;
    *m = message((int)i, 3000);
    return 0;
}

static void late_joiner(int with_replay)
{
    struct link *out = open_ok(bound, LINK_OUT, OUT(.route = LINK_ALL, .peers = 2)), *in[2];
    struct err e = {0};
    int i;

    replayed = 0;
    if (with_replay)
        link_set_replay(out, replay, NULL);
    for (i = 0; i < 10; i++)
        send_ok(out, i, 3000); /* nobody is there: it does not wait */
    in[0] = open_ok(url, LINK_IN, IN(.credit_messages = 2));
    for (i = 0; i < 10; i++)
        recv_ok(in[0], i);
    for (; i < 15; i++)
        send_ok(out, i, 3000); /* more than the credit of the first */
    in[1] = open_ok(url, LINK_IN, IN());
    for (i = 0; i < 15; i++)
        recv_ok(in[1], i);
    for (i = 10; i < 15; i++)
        recv_ok(in[0], i);
    end_ok(out);
    recv_end(in[0]);
    recv_end(in[1]);
    assert_int_equal(replayed > 0, with_replay);
    assert_int_equal(link_send_to(out, 0, &(struct msg *){NULL}, &e), -1);
    link_close(&in[0]);
    link_close(&in[1]);
    link_close(&out);
}

static void test_late_joiner(void **state)
{
    (void)state;
    late_joiner(0);
}

static void test_late_joiner_replay(void **state)
{
    (void)state;
    late_joiner(1);
}

static void test_many_senders(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN(.peers = 3)), *out[3];
    struct err e = {0};
    struct msg *m;
    int next[3] = {0, 0, 0};

    (void)state;
    for (int k = 0; k < 2; k++) {
        out[k] = open_ok(url, LINK_OUT, OUT());
        for (int i = 0; i < 4; i++)
            send_ok(out[k], k * 100 + i, 100);
        end_ok(out[k]);
        link_close(&out[k]);
    }
    for (int i = 0; i < 8; i++) {
        int n;

        assert_int_equal(link_recv(in, &m, 10000, &e), 1);
        n = number_of(m);
        assert_int_equal(n % 100, next[n / 100]++);
        msg_destroy(&m);
    }
    assert_int_equal(link_recv(in, &m, 100, &e), 2); /* the third has not come */
    out[2] = open_ok(url, LINK_OUT, OUT());
    end_ok(out[2]);
    recv_end(in);
    link_close(&out[2]);
    link_close(&in);
}

static void test_round_robin_and_to(void **state)
{
    struct link *out = open_ok(bound, LINK_OUT, OUT(.peers = 2)), *in[2];
    struct err e = {0};
    struct msg *m;

    (void)state;
    for (int k = 0; k < 2; k++)
        in[k] = open_ok(url, LINK_IN, IN());
    assert_int_equal(link_peers(out, 0, &e), 2);
    for (int i = 0; i < 4; i++)
        send_ok(out, i, 10); /* one each in turn */
    for (int i = 10; i < 12; i++) {
        m = message(i, 10);
        assert_int_equal(link_send_to(out, (size_t)(i - 10), &m, &e), 0);
    }
    m = message(9, 10);
    assert_int_equal(link_send_to(out, 2, &m, &e), -1);
    msg_destroy(&m);
    end_ok(out);
    for (int k = 0; k < 2; k++) {
        assert_int_equal(link_recv(in[k], &m, 10000, &e), 1);
        int first = number_of(m); /* who said hello first is left to chance */
        msg_destroy(&m);
        recv_ok(in[k], first + 2);
        recv_ok(in[k], first + 10);
        recv_end(in[k]);
        link_close(&in[k]);
    }
    link_close(&out);
}

static void test_incomplete(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN()), *out = open_ok(url, LINK_OUT, OUT());
    struct err e = {0};

    (void)state;
    send_ok(out, 0, 10);
    assert_int_equal(link_end(out, 0, "model ends at block 3", &e), 0);
    recv_fails(in, ERR_DATA, "model ends at block 3");
    link_close(&out);
    link_close(&in);
    in = open_ok(bound, LINK_IN, IN());
    out = open_ok(url, LINK_OUT, OUT());
    send_ok(out, 0, 10);
    recv_ok(in, 0);   /* who never delivered anything would be forgotten */
    link_close(&out); /* without a word */
    recv_fails(in, ERR_DATA, "maker");
    link_close(&in);
}

static void test_poll(void **state)
{
    struct link *l[3] = {open_ok(bound, LINK_IN, IN()), NULL, NULL},
                *out = open_ok(url, LINK_OUT, OUT());
    struct err e = {0};
    int ready[3];

    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    int hold = open(path, O_RDWR); /* so that opening either end does not wait */
    l[1] = open_ok(path, LINK_IN, IN());
    l[2] = open_ok(path, LINK_OUT, OUT());
    assert_int_equal(link_poll(l, 2, ready, 0, &e), 0);
    send_ok(l[2], 7, 10);
    assert_int_equal(link_poll(l, 3, ready, 10000, &e), 2);
    assert_true(!ready[0] && ready[1] && ready[2]);
    recv_ok(l[1], 7);
    send_ok(out, 8, 10);
    assert_int_equal(link_poll(l, 2, ready, 10000, &e), 1);
    assert_true(ready[0] && !ready[1]);
    recv_ok(l[0], 8);
    for (int i = 0; i < 3; i++)
        link_close(&l[i]);
    link_close(&out);
    close(hold);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_bad_endpoints, setup),
        cmocka_unit_test_setup(test_wrong_way, setup),
        cmocka_unit_test_setup(test_file, setup),
        cmocka_unit_test_setup(test_file_broken, setup),
        cmocka_unit_test_setup(test_socket_both_ways, setup),
        cmocka_unit_test_setup(test_credit, setup),
        cmocka_unit_test_setup(test_credit_bytes, setup),
        cmocka_unit_test_setup(test_late_joiner, setup),
        cmocka_unit_test_setup(test_late_joiner_replay, setup),
        cmocka_unit_test_setup(test_many_senders, setup),
        cmocka_unit_test_setup(test_round_robin_and_to, setup),
        cmocka_unit_test_setup(test_incomplete, setup),
        cmocka_unit_test_setup(test_poll, setup),
    };

    return link_tests_run("link", tests, sizeof tests / sizeof *tests);
}

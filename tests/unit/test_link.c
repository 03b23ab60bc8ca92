/* Links: pipes and files, sockets between threads and between processes, and peers that do not keep to the rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../../common/base/clock.h"
#include "../../common/base/fs.h"
#include "../../common/base/mem.h"
#include "../../common/base/sig.h"
#include "../../common/wire/link.h"
#include "../../common/wire/link_impl.h"

static char folder[] = "/tmp/ptq-link-XXXXXX";
static char url[128], bound[160], path[128];

static int setup(void **state)
{
    static int turn;

    (void)state;
    snprintf(url, sizeof url, "ipc://%s/s%d", folder, ++turn);
    snprintf(bound, sizeof bound, "@%s", url);
    snprintf(path, sizeof path, "%s/f%d", folder, turn);
    return 0;
}

#define IN(...) (&(struct link_opts){ .role = "eater", __VA_ARGS__ })
#define OUT(...) (&(struct link_opts){ .role = "maker", __VA_ARGS__ })

static struct link *open_ok(const char *endpoint, enum link_dir dir, const struct link_opts *o)
{
    struct err e = { 0 };
    struct link *l = link_open(endpoint, dir, o, &e);

    if (!l)
        fail_msg("%s", e.text);
    return l;
}

static struct msg *message(int i, uint64_t bytes)
{
    struct err e = { 0 };
    struct msg *m = msg_create(MSG_CHUNK, "test", &e);
    unsigned char *data;

    assert_non_null(m);
    assert_int_equal(msg_set_id(m, &e, "m%d", i), 0);
    data = msg_add_new(m, "x", DT_U8, 1, &bytes, &e);
    assert_non_null(data);
    memset(data, i, bytes);
    return m;
}

static void send_ok(struct link *l, int i, uint64_t bytes)
{
    struct err e = { 0 };
    struct msg *m = message(i, bytes);

    if (link_send(l, &m, &e) != 0)
        fail_msg("%s", e.text);
    assert_null(m);
}

static int number_of(const struct msg *m)
{
    int n = -1;

    assert_int_equal(sscanf(m->id, "m%d", &n), 1);
    return n;
}

/* The next message is number i. */
static void recv_ok(struct link *l, int i)
{
    struct err e = { 0 };
    struct msg *m;
    const struct tensor *t;
    int r = link_recv(l, &m, 10000, &e);

    if (r != 1)
        fail_msg("message %d: %d %s", i, r, e.text);
    assert_int_equal(number_of(m), i);
    t = msg_tensor(m, "x");
    assert_non_null(t);
    for (size_t k = 0; k < t->bytes; k++)
        if (((unsigned char *)t->data)[k] != (unsigned char)i)
            fail_msg("message %d: byte %zu is wrong", i, k);
    msg_destroy(&m);
}

static void recv_end(struct link *l)
{
    struct err e = { 0 };
    struct msg *m;
    int r = link_recv(l, &m, 10000, &e);

    if (r != 0)
        fail_msg("%d %s", r, e.text);
}

static void recv_fails(struct link *l, enum err_kind kind, const char *text)
{
    struct err e = { 0 };
    struct msg *m = NULL;
    int r;

    while ((r = link_recv(l, &m, 20000, &e)) == 1)
        msg_destroy(&m);
    assert_int_equal(r, -1);
    assert_int_equal(e.kind, kind);
    if (!strstr(e.text, text))
        fail_msg("'%s' does not say '%s'", e.text, text);
}

static void end_ok(struct link *l)
{
    struct err e = { 0 };

    if (link_end(l, 1, NULL, &e) != 0)
        fail_msg("%s", e.text);
}

static void refused(const char *endpoint, enum link_dir dir, const char *text)
{
    struct err e = { 0 };
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
    struct err e = { 0 };
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
    struct err e = { 0 };

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
    struct err e = { 0 };
    const char *says[] = { "truncated", "truncated", "damaged", "follows the end mark" };
    size_t n;
    char *data;
    struct link *l;

    (void)state;
    file_make(2, -1);
    l = open_ok(path, LINK_IN, IN());
    recv_fails(l, ERR_DATA, "incomplete");
    link_close(&l);
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

/* n messages from an out link to an in link of this same process, then the end. Everything fits into the credit. */
static void test_socket_both_ways(void **state)
{
    struct link_stats si, so;

    (void)state;
    for (int how = 0; how < 4; how++) {
        const char *at = how < 2 ? bound : "@tcp://127.0.0.1:*";
        struct link *b = open_ok(at, how % 2 ? LINK_IN : LINK_OUT, how % 2 ? IN(.credit_messages = 100) : OUT());
        struct link *c = open_ok(link_address(b), how % 2 ? LINK_OUT : LINK_IN, how % 2 ? OUT() : IN(.credit_messages = 100));
        struct link *in = how % 2 ? b : c, *out = how % 2 ? c : b;
        struct err e = { 0 };

        assert_true(link_is_socket(b));
        assert_int_equal(link_peers(out, &e), 1);
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
        assert_true(so.bytes_wire > 20 * 19 / 2 * 5000);
        assert_true(so.cpu_s > 0 && si.cpu_s > 0);
        link_close(&in);
    }
}

static void test_credit(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN(.credit_messages = 3)), *out = open_ok(url, LINK_OUT, OUT());
    struct err e = { 0 };
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
    struct err e = { 0 };
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
    struct err e = { 0 };
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
    assert_int_equal(link_send_to(out, 0, &(struct msg *){ NULL }, &e), -1);
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
    struct err e = { 0 };
    struct msg *m;
    int next[3] = { 0, 0, 0 };

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
    struct err e = { 0 };
    struct msg *m;

    (void)state;
    for (int k = 0; k < 2; k++)
        in[k] = open_ok(url, LINK_IN, IN());
    assert_int_equal(link_peers(out, &e), 2);
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
    struct err e = { 0 };

    (void)state;
    send_ok(out, 0, 10);
    assert_int_equal(link_end(out, 0, "model ends at block 3", &e), 0);
    recv_fails(in, ERR_DATA, "model ends at block 3");
    link_close(&out);
    link_close(&in);
    in = open_ok(bound, LINK_IN, IN());
    out = open_ok(url, LINK_OUT, OUT());
    send_ok(out, 0, 10);
    link_close(&out); /* without a word */
    recv_fails(in, ERR_DATA, "maker");
    link_close(&in);
}

/* Both sides of a link that must not come about: what the connector is told, what the binder prints. */
static void mismatch(enum link_dir dir, const struct link_opts *binder, const struct link_opts *connector, enum link_dir other,
                     const char *text)
{
    struct link *b = open_ok(bound, dir, binder), *c;
    struct err e = { 0 };
    struct msg *m;
    char log[1000] = "";
    int keep = dup(2), fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600), r;

    dup2(fd, 2);
    c = open_ok(url, other, connector);
    r = other == LINK_IN ? link_recv(c, &m, 10000, &e) : link_peers(c, &e);
    link_close(&c);
    link_close(&b);
    dup2(keep, 2);
    close(keep);
    assert_true(pread(fd, log, sizeof log - 1, 0) >= 0);
    close(fd);
    assert_int_equal(r, -1);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, text) || !strstr(log, text))
        fail_msg("'%s' and '%s' do not both say '%s'", e.text, log, text);
}

static void test_mismatch(void **state)
{
    (void)state;
    mismatch(LINK_IN, IN(.peer_role = "cook"), OUT(), LINK_OUT, "role maker where cook was expected");
    mismatch(LINK_IN, IN(.run = "aa"), OUT(.run = "bb"), LINK_OUT, "run bb where run aa is going on");
    mismatch(LINK_IN, IN(), IN(), LINK_IN, "want to receive");
    mismatch(LINK_OUT, OUT(), OUT(), LINK_OUT, "want to send");
}

static void test_mismatch_of_binder(void **state)
{
    struct link *b = open_ok(bound, LINK_IN, IN()), *c = open_ok(url, LINK_OUT, OUT(.peer_role = "cook"));
    struct err e = { 0 };

    (void)state;
    assert_int_equal(link_peers(c, &e), -1);
    assert_non_null(strstr(e.text, "role eater where cook was expected"));
    recv_fails(b, ERR_DATA, "role eater where cook was expected");
    link_close(&c);
    link_close(&b);
}

/* A peer that speaks the frames but not the rules. */
struct raw { atomic_size_t left; struct part *parts; size_t n; };

static void raw_release(void *owner)
{
    struct raw *r = owner;

    if (atomic_fetch_sub(&r->left, 1) != 1)
        return;
    frame_parts_free(&r->parts, &r->n);
    free(r);
}

/* m must live until the socket is closed. */
static void raw_send(struct zsock *z, struct msg *m, int damage)
{
    struct err e = { 0 };
    struct raw *raw = mem_array(1, sizeof *raw, &e);
    double until = clock_wall() + 10;

    assert_int_equal(frame_encode(m, FRAME_RAW, &raw->parts, &raw->n, &e), 0);
    atomic_init(&raw->left, raw->n);
    if (damage)
        ((unsigned char *)raw->parts[raw->n - 1].data)[raw->parts[raw->n - 1].bytes / 2] ^= 1;
    while (zsock_send(z, &(struct zid){ .n = 0 }, raw->parts, raw->n, raw_release, raw, &e) != ZS_OK) {
        assert_true(clock_wall() < until);
        zsock_wait(z, -1, 50);
    }
}

static struct zsock *raw_open(int version)
{
    struct err e = { 0 };
    struct zsock *z = zsock_open(url, 0, "raw", 1 << 20, &e);
    struct msg *m = msg_create(MSG_HELLO, "raw", &e);

    assert_non_null(z);
    json_set_int(m->meta, "version", version);
    json_set_text(m->meta, "role", "raw");
    json_set_text(m->meta, "dir", "out");
    json_set_text(m->meta, "run", "");
    json_set_text(m->meta, "instance", "raw");
    raw_send(z, m, 0);
    msg_destroy(&m);
    return z;
}

/* The next message that is neither ping nor credit. */
static struct msg *raw_recv(struct zsock *z)
{
    const struct frame_limits lim = FRAME_LIMITS_DEFAULT;
    struct err e = { 0 };
    struct part *parts;
    struct zid from;
    size_t n;

    for (double until = clock_wall() + 10; clock_wall() < until;) {
        struct msg *m;

        zsock_wait(z, -1, 100);
        if (zsock_recv(z, &from, &parts, &n, &lim, &e) != 1)
            continue;
        m = frame_decode(parts, n, &lim, &e);
        free(parts);
        assert_non_null(m);
        if (m->kind != MSG_PING && m->kind != MSG_CREDIT)
            return m;
        msg_destroy(&m);
    }
    fail_msg("no answer");
    return NULL;
}

static void raw_told(struct zsock *z, enum msg_kind kind, const char *text)
{
    struct msg *m = raw_recv(z);

    assert_int_equal(m->kind, kind);
    if (text && !strstr(json_as_text(json_get(m->meta, "text")), text))
        fail_msg("'%s' does not say '%s'", json_as_text(json_get(m->meta, "text")), text);
    msg_destroy(&m);
}

enum { RAW_DAMAGE, RAW_GAP, RAW_GREED, RAW_COUNT, RAW_SUM, RAW_KIND };

static void rule_broken(int how, const char *text)
{
    struct link *in = open_ok(bound, LINK_IN, IN(.credit_messages = 2));
    struct zsock *z = raw_open(MSG_VERSION);
    struct err e = { 0 };
    struct msg *m = message(0, 100), *end = NULL;

    raw_told(z, MSG_WELCOME, NULL);
    m->seq = how == RAW_GAP;
    raw_send(z, m, how == RAW_DAMAGE);
    for (int i = 1; how == RAW_GREED && i < 4; i++) {
        m->seq = (uint64_t)i;
        raw_send(z, m, 0);
    }
    if (how == RAW_COUNT || how == RAW_SUM)
        end = end_mark_create("raw", how == RAW_COUNT ? 2 : 1, 77, 1, NULL, &e);
    if (how == RAW_KIND)
        end = msg_create(MSG_CREDIT, "raw", &e);
    if (end)
        raw_send(z, end, 0);
    recv_fails(in, ERR_DATA, text);
    if (how != RAW_KIND)
        raw_told(z, MSG_FAIL, text);
    zsock_close(&z, 0);
    link_close(&in);
    msg_destroy(&m);
    msg_destroy(&end);
}

static void test_rules(void **state)
{
    (void)state;
    rule_broken(RAW_DAMAGE, "damaged");
    rule_broken(RAW_GAP, "is lost");
    rule_broken(RAW_GREED, "beyond its credit");
    rule_broken(RAW_COUNT, "end mark says 2");
    rule_broken(RAW_SUM, "checksum");
    rule_broken(RAW_KIND, "does not belong");
}

static void test_version(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN());
    struct zsock *z = raw_open(MSG_VERSION + 1);

    (void)state;
    raw_told(z, MSG_FAIL, "protocol version 2 where 1 is spoken");
    zsock_close(&z, 0);
    link_close(&in);
}

/* ---- between processes ---- */

static pid_t spawn(void (*work)(int said), int *said)
{
    int p[2];
    pid_t pid;

    assert_int_equal(pipe(p), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(p[0]);
        work(p[1]);
        _exit(99);
    }
    close(p[1]);
    *said = p[0];
    return pid;
}

static void say(int fd)
{
    if (write(fd, "x", 1) != 1)
        _exit(98);
}

static void hear(int fd)
{
    char c;

    assert_int_equal(read(fd, &c, 1), 1);
}

static int finish(pid_t pid, int fd)
{
    int status;

    close(fd);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static void work_send_and_leave(int said)
{
    struct err e = { 0 };
    struct link *l = link_open(url, LINK_OUT, OUT(), &e);

    (void)said;
    for (int i = 0; l && i < 200; i++) {
        struct msg *m = message(i, 100000);
        if (link_send(l, &m, &e) != 0)
            _exit(1);
    }
    if (!l || link_end(l, 1, NULL, &e) != 0)
        _exit(2);
    _exit(0); /* at once, even without closing */
}

static void test_leave_after_end(void **state)
{
    struct link *in;
    int said;
    pid_t pid = spawn(work_send_and_leave, &said);

    (void)state;
    in = open_ok(bound, LINK_IN, IN(.credit_messages = 50));
    for (int i = 0; i < 200; i++)
        recv_ok(in, i);
    assert_int_equal(finish(pid, said), 0);
    recv_end(in);
    link_close(&in);
}

static void work_hang(int said)
{
    struct err e = { 0 };
    struct link *l = link_open(url, LINK_OUT, OUT(), &e);
    struct msg *m = message(0, 10);

    if (!l || link_send(l, &m, &e) != 0)
        _exit(1);
    say(said);
    for (;;)
        pause();
}

static void work_hang_in(int said)
{
    struct err e = { 0 };
    struct link *l = link_open(url, LINK_IN, IN(), &e);
    struct msg *m;

    if (!l || link_recv(l, &m, -1, &e) != 1)
        _exit(1);
    say(said);
    for (;;)
        pause();
}

static void work_hang_bound(int said)
{
    struct err e = { 0 };
    struct link *l = link_open(bound, LINK_OUT, OUT(), &e);
    struct msg *m = message(0, 10);

    if (!l || link_send(l, &m, &e) != 0)
        _exit(1);
    say(said);
    for (;;)
        pause();
}

static void lost(void (*work)(int), const char *endpoint, int signal, double timeout_s, const char *text)
{
    int said;
    pid_t pid = spawn(work, &said);
    struct link *in = open_ok(endpoint, LINK_IN, IN(.timeout_s = timeout_s, .peer_role = "maker"));
    double from;

    hear(said);
    recv_ok(in, 0);
    kill(pid, signal);
    from = clock_wall();
    recv_fails(in, ERR_SYS, text);
    assert_true(clock_wall() - from < 8);
    link_close(&in);
    kill(pid, SIGKILL);
    assert_int_equal(finish(pid, said), 100 + SIGKILL);
    (void)text;
}

static void test_killed_connector(void **state)
{
    (void)state;
    lost(work_hang, bound, SIGKILL, 30, "is gone");
}

static void test_killed_binder(void **state)
{
    (void)state;
    lost(work_hang_bound, url, SIGKILL, 30, "is gone");
}

static void test_silent(void **state)
{
    (void)state;
    lost(work_hang, bound, SIGSTOP, 1.5, "not a sign of life");
}

static void test_busy_is_not_dead(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN(.timeout_s = 0.8)), *out = open_ok(url, LINK_OUT, OUT(.timeout_s = 0.8));
    double from = clock_wall();

    (void)state;
    send_ok(out, 0, 10);
    while (clock_wall() - from < 2)
        poll(NULL, 0, 100); /* computing, far from any link */
    recv_ok(in, 0);
    send_ok(out, 1, 10);
    end_ok(out);
    recv_ok(in, 1);
    recv_end(in);
    link_close(&out);
    link_close(&in);
}

/* A worker dies with work in hand: an elastic sender gives it to the other. */
static void test_elastic(void **state)
{
    struct link *out = open_ok(bound, LINK_OUT, OUT(.elastic = 1)), *in;
    struct err e = { 0 };
    int said, seen[8] = { 0 };
    pid_t pid = spawn(work_hang_in, &said);

    (void)state;
    for (int i = 0; i < 4; i++)
        send_ok(out, i, 10); /* all into the credit of the first */
    hear(said);
    in = open_ok(url, LINK_IN, IN(.credit_messages = 8));
    kill(pid, SIGKILL);
    assert_int_equal(finish(pid, said), 100 + SIGKILL);
    for (int i = 0; i < 4; i++) {
        struct msg *m;
        assert_int_equal(link_recv(in, &m, 10000, &e), 1);
        seen[number_of(m)]++;
        msg_destroy(&m);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(seen[i], 1);
    assert_int_equal(link_recv(in, &(struct msg *){ NULL }, 0, &e), 2); /* the last is taken */
    end_ok(out);
    recv_end(in);
    link_close(&in);
    link_close(&out);
}

static void work_drain_in(int said)
{
    struct err e = { 0 };
    struct link *l = link_open(url, LINK_IN, IN(), &e);
    struct msg *m;

    if (!l || sig_init(&e) != 0 || link_recv(l, &m, -1, &e) != 1)
        _exit(1);
    say(said);
    if (link_recv(l, &m, -1, &e) != 2)
        _exit(2);
    if (link_poll(&l, 1, &(int){ 0 }, -1, &e) != 0)
        _exit(3);
    link_close(&l);
    _exit(0);
}

static void work_drain_out(int said)
{
    struct err e = { 0 };
    struct link *l = link_open(url, LINK_OUT, OUT(), &e);

    if (!l || sig_init(&e) != 0)
        _exit(1);
    for (int i = 0;; i++) {
        struct msg *m = message(i, 10);
        if (i == 2)
            say(said); /* the credit is used up */
        if (link_send(l, &m, &e) != 0)
            _exit(i == 2 && strstr(e.text, "asked to stop") ? 0 : 2);
    }
}

static void test_drain(void **state)
{
    struct link *l = open_ok(bound, LINK_OUT, OUT());
    struct err e = { 0 };
    int said;
    pid_t pid = spawn(work_drain_in, &said);

    (void)state;
    send_ok(l, 0, 10);
    hear(said);
    kill(pid, SIGTERM);
    assert_int_equal(finish(pid, said), 0);
    assert_int_equal(link_end(l, 1, NULL, &e), -1);
    assert_non_null(strstr(e.text, "eater"));
    link_close(&l);
}

static void test_drain_sender(void **state)
{
    struct link *l;
    int said;
    pid_t pid = spawn(work_drain_out, &said);

    (void)state;
    l = open_ok(bound, LINK_IN, IN(.credit_messages = 2));
    hear(said);
    kill(pid, SIGTERM);
    assert_int_equal(finish(pid, said), 0);
    link_close(&l);
}

static void test_poll(void **state)
{
    struct link *l[3] = { open_ok(bound, LINK_IN, IN()), NULL, NULL }, *out = open_ok(url, LINK_OUT, OUT());
    struct err e = { 0 };
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
        cmocka_unit_test_setup(test_bad_endpoints, setup),      cmocka_unit_test_setup(test_wrong_way, setup),
        cmocka_unit_test_setup(test_file, setup),               cmocka_unit_test_setup(test_file_broken, setup),
        cmocka_unit_test_setup(test_mismatch, setup),           cmocka_unit_test_setup(test_mismatch_of_binder, setup),
        cmocka_unit_test_setup(test_version, setup),            cmocka_unit_test_setup(test_rules, setup),
        cmocka_unit_test_setup(test_socket_both_ways, setup),   cmocka_unit_test_setup(test_credit, setup),
        cmocka_unit_test_setup(test_credit_bytes, setup),       cmocka_unit_test_setup(test_late_joiner, setup),
        cmocka_unit_test_setup(test_late_joiner_replay, setup), cmocka_unit_test_setup(test_many_senders, setup),
        cmocka_unit_test_setup(test_round_robin_and_to, setup), cmocka_unit_test_setup(test_incomplete, setup),
        cmocka_unit_test_setup(test_poll, setup),               cmocka_unit_test_setup(test_leave_after_end, setup),
        cmocka_unit_test_setup(test_killed_connector, setup),   cmocka_unit_test_setup(test_killed_binder, setup),
        cmocka_unit_test_setup(test_silent, setup),             cmocka_unit_test_setup(test_busy_is_not_dead, setup),
        cmocka_unit_test_setup(test_elastic, setup),            cmocka_unit_test_setup(test_drain, setup),
        cmocka_unit_test_setup(test_drain_sender, setup),
    };
    int failed;

    if (!mkdtemp(folder))
        return 1;
    signal(SIGPIPE, SIG_IGN);
    failed = cmocka_run_group_tests_name("link", tests, NULL, NULL);
    fs_remove_tree(folder, NULL);
    return failed;
}

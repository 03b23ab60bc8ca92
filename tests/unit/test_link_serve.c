/* SPDX-License-Identifier: Apache-2.0 */
/* Links in trouble: peers that do not fit, do not keep to the rules, die, hang, or are asked to
 * stop. */
#include "link_pair.h"

#define ROWS (LINK_KIND(MSG_ACTS) | LINK_KIND(MSG_WEIGHTS))

/* Both sides of a link that must not come about: what the connector is told, what the binder
 * prints. */
static void mismatch(enum link_dir dir, const struct link_opts *binder,
                     const struct link_opts *connector, enum link_dir other, const char *text)
{
    struct link *b = open_ok(bound, dir, binder), *c;
    struct err e = {0};
    struct msg *m;
    char log[1000] = "";
    int keep = dup(2), fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600), r;

    dup2(fd, 2);
    c = open_ok(url, other, connector);
    r = other == LINK_IN ? link_recv(c, &m, 10000, &e) : link_peers(c, 0, &e);
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
    mismatch(LINK_IN, IN(.takes = ROWS), OUT(.sends = LINK_KIND(MSG_CHUNK)), LINK_OUT,
             "maker sends chunk, but eater takes acts, weights");
    mismatch(LINK_OUT, OUT(.sends = LINK_KIND(MSG_CHUNK)), IN(.takes = ROWS), LINK_IN,
             "maker sends chunk, but eater takes acts, weights");
    mismatch(LINK_IN, IN(.takes = LINK_KIND(MSG_ACTS)), OUT(.sends = ROWS), LINK_OUT,
             "maker sends acts, weights, but eater takes acts");
    mismatch(LINK_IN, IN(.run = "aa"), OUT(.run = "bb"), LINK_OUT,
             "run bb where run aa is going on");
    mismatch(LINK_IN, IN(), IN(), LINK_IN, "want to receive");
    mismatch(LINK_OUT, OUT(), OUT(), LINK_OUT, "want to send");
}

/* A sender that does not know what it will send is believed until it sends. */
static void test_kind_of_message(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN(.takes = ROWS)),
                *out = open_ok(url, LINK_OUT, OUT());
    struct msg *m = message(0, 10);
    struct err e = {0};

    (void)state;
    m->kind = MSG_ACTS;
    assert_int_equal(link_send(out, &m, &e), 0);
    recv_ok(in, 0);
    m = message(1, 10);
    assert_int_equal(link_send(out, &m, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    assert_non_null(strstr(e.text, "'m1' is of kind chunk, but eater at"));
    assert_non_null(strstr(e.text, "takes acts, weights"));
    msg_destroy(&m);
    link_close(&out);
    link_close(&in);
}

static void test_known(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN(.takes = ROWS, .peers = 2, .run = "r")),
                *a = open_ok(url, LINK_OUT, OUT(.sends = LINK_KIND(MSG_ACTS), .elastic = 1)), *b;
    struct link_known k;
    struct err e = {0};

    (void)state;
    assert_int_equal(link_peers(a, 0, &e), 1);
    link_known(a, &k);
    assert_int_equal(k.kinds, ROWS);
    assert_int_equal(k.elastic, 0);
    assert_string_equal(k.run, "r");
    link_known(in, &k);
    assert_int_equal(k.elastic, 1);
    b = open_ok(url, LINK_OUT, OUT(.sends = LINK_KIND(MSG_WEIGHTS)));
    assert_int_equal(link_peers(in, 0, &e), 2);
    link_known(in, &k);
    assert_int_equal(k.kinds, ROWS);
    assert_int_equal(k.elastic, 0);
    assert_string_equal(k.run, "");
    link_close(&a);
    link_close(&b);
    link_close(&in);
}

/* A peer that speaks the frames but not the rules. */
struct raw {
    atomic_size_t left;
    struct part *parts;
    size_t n;
};

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
    struct err e = {0};
    struct raw *raw = mem_array(1, sizeof *raw, &e);
    double until = clock_wall() + 10;

    assert_int_equal(frame_encode(m, FRAME_RAW, &raw->parts, &raw->n, &e), 0);
    atomic_init(&raw->left, raw->n);
    if (damage)
        ((unsigned char *)raw->parts[raw->n - 1].data)[raw->parts[raw->n - 1].bytes / 2] ^= 1;
    while (zsock_send(z, &(struct zid){.n = 0}, raw->parts, raw->n, raw_release, raw, &e) !=
           ZS_OK) {
        assert_true(clock_wall() < until);
        zsock_wait(z, -1, 50);
    }
}

/* sends, takes: of its hello, as JSON; NULL: left out. */
static struct zsock *raw_hello(int version, const char *sends, const char *takes)
{
    struct err e = {0};
    struct zsock *z = zsock_open(url, 0, "raw", 1 << 20, NULL, &e);
    struct msg *m = msg_create(MSG_HELLO, "raw", &e);

    assert_non_null(z);
    json_set_int(m->meta, "version", version);
    json_set_text(m->meta, "name", "raw");
    json_set_text(m->meta, "dir", "out");
    json_set_text(m->meta, "run", "");
    json_set_text(m->meta, "instance", "raw");
    json_set_text(m->meta, "of a later version", "passed over");
    if (sends)
        json_set(m->meta, "sends", json_parse(sends, strlen(sends), "sends", &e));
    if (takes)
        json_set(m->meta, "takes", json_parse(takes, strlen(takes), "takes", &e));
    raw_send(z, m, 0);
    msg_destroy(&m);
    return z;
}

static struct zsock *raw_open(int version)
{
    return raw_hello(version, "[]", "[]");
}

/* The next message that is neither ping nor credit. */
static struct msg *raw_recv(struct zsock *z)
{
    const struct frame_limits lim = FRAME_LIMITS_DEFAULT;
    struct err e = {0};
    struct part *parts;
    struct zid from;
    size_t n;

    for (double until = clock_wall() + 10; clock_wall() < until;) {
        struct msg *m;

        zsock_wait(z, -1, 100);
        if (zsock_next(z, &from, &e) != 1 || zsock_recv(z, &parts, &n, &lim, &e) != 1)
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

enum { RAW_DAMAGE, RAW_GAP, RAW_CREDIT, RAW_COUNT, RAW_SUM, RAW_KIND };

static void rule_broken(int how, const char *text)
{
    struct link *in = open_ok(bound, LINK_IN, IN(.credit_messages = 2));
    struct zsock *z = raw_open(LINK_VERSION);
    struct err e = {0};
    struct msg *m = message(0, 100), *end = NULL;

    raw_told(z, MSG_WELCOME, NULL);
    m->seq = how == RAW_GAP;
    raw_send(z, m, how == RAW_DAMAGE);
    for (int i = 1; how == RAW_CREDIT && i < 4; i++) {
        m->seq = (uint64_t)i;
        raw_send(z, m, 0);
    }
    if (how == RAW_COUNT || how == RAW_SUM)
        end = end_mark_create("raw", how == RAW_COUNT ? 2 : 1, 77, 1, NULL, &e);
    if (how == RAW_KIND)
        end = msg_create(MSG_CREDIT, "raw", &e);
    if (end)
        raw_send(z, end, 0);
    if (how == RAW_CREDIT)
        /* before anything is taken, for that would give credit back */
        raw_told(z, MSG_FAIL, text);
    recv_fails(in, ERR_DATA, text);
    if (how != RAW_KIND && how != RAW_CREDIT)
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
    rule_broken(RAW_CREDIT, "beyond its credit");
    rule_broken(RAW_COUNT, "end mark says 2");
    rule_broken(RAW_SUM, "checksum");
    rule_broken(RAW_KIND, "does not belong");
}

/* On an elastic link a peer that breaks a rule is told, refused and forgotten; the others go on. */
static void one_is_refused(int how, const char *text)
{
    struct link *in = open_ok(bound, LINK_IN, IN(.elastic = 1, .credit_messages = 2)), *out;
    struct zsock *z = raw_open(LINK_VERSION);
    struct err e = {0};
    struct msg *m = message(0, 100), *end = NULL;

    raw_told(z, MSG_WELCOME, NULL);
    raw_send(z, m, how == RAW_DAMAGE);
    if (how == RAW_COUNT)
        end = end_mark_create("raw", 2, 77, 1, NULL, &e);
    if (how == RAW_KIND)
        end = msg_create(MSG_CREDIT, "raw", &e);
    if (end)
        raw_send(z, end, 0);
    if (how != RAW_KIND)
        raw_told(z, MSG_FAIL, text);
    else
        recv_ok(in, 0);
    out = open_ok(url, LINK_OUT, OUT());
    send_ok(out, 7, 10);
    if (how == RAW_COUNT)
        recv_ok(in, 0); /* what it sent before stays */
    recv_ok(in, 7);
    if (how == RAW_KIND) { /* it speaks on: told that it was given up */
        raw_send(z, end, 0);
        raw_told(z, MSG_FAIL, "given up as lost");
    }
    link_close(&out);
    zsock_close(&z, 0);
    link_close(&in);
    msg_destroy(&m);
    msg_destroy(&end);
}

static void test_one_is_refused(void **state)
{
    (void)state;
    one_is_refused(RAW_DAMAGE, "damaged");
    one_is_refused(RAW_COUNT, "end mark says 2");
    one_is_refused(RAW_KIND, NULL);
}

static void hello_refused(const char *sends, const char *takes, const char *text)
{
    struct link *in = open_ok(bound, LINK_IN, IN(.takes = ROWS));
    struct zsock *z = raw_hello(LINK_VERSION, sends, takes);

    raw_told(z, MSG_FAIL, text);
    zsock_close(&z, 0);
    link_close(&in);
}

static void test_hello_fields(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN(.takes = ROWS));
    struct zsock *z = raw_hello(LINK_VERSION, "[\"acts\"]", "[\"gradient\"]");

    (void)state;
    raw_told(z, MSG_WELCOME, NULL); /* kinds of a later version may be taken, not sent */
    zsock_close(&z, 0);
    link_close(&in);
    hello_refused(NULL, "[]", "field 'sends' must be an array");
    hello_refused("[]", NULL, "field 'takes' must be an array");
    hello_refused("\"acts\"", "[]", "field 'sends' must be an array");
    hello_refused("[1]", "[]", "field 'sends' holds what is no name of a kind");
    hello_refused("[\"\"]", "[]", "holds what is no name");
    hello_refused("[\"gradient\"]", "[]", "it sends 'gradient', which is no kind of data");
    hello_refused("[\"ping\"]", "[]", "it sends 'ping', which is no kind of data");
    hello_refused("[\"acts\", \"solution\"]", "[]", "raw sends acts, solution, but eater takes");
}

/* What it did not announce is refused when it comes. */
static void test_kind_unannounced(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN(.takes = ROWS));
    struct zsock *z = raw_open(LINK_VERSION);
    struct msg *m = message(0, 100);

    (void)state;
    raw_told(z, MSG_WELCOME, NULL);
    raw_send(z, m, 0);
    recv_fails(in, ERR_USE, "sends 'm0', a message of kind chunk, but eater takes acts, weights");
    raw_told(z, MSG_FAIL, "but eater takes acts, weights");
    zsock_close(&z, 0);
    link_close(&in);
    msg_destroy(&m);
}

static void test_version(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN());
    struct zsock *z = raw_open(LINK_VERSION + 1);

    (void)state;
    raw_told(z, MSG_FAIL, "protocol version 3 where 2 is spoken");
    zsock_close(&z, 0);
    link_close(&in);
}

/* ---- between processes ---- */

static void work_send_and_leave(int said)
{
    struct err e = {0};
    struct link *l = link_open(url, LINK_OUT, OUT(), &e);

    (void)said;
    for (int i = 0; l && i < 200; i++) {
        struct msg *m = message(i, 100000);
        if (link_send(l, &m, &e) != 0)
            _exit(1);
    }
    if (!l || link_end(l, 1, NULL, &e) < 0)
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
    struct err e = {0};
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
    struct err e = {0};
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
    struct err e = {0};
    struct link *l = link_open(bound, LINK_OUT, OUT(), &e);
    struct msg *m = message(0, 10);

    if (!l || link_send(l, &m, &e) != 0)
        _exit(1);
    say(said);
    for (;;)
        pause();
}

static void lost(void (*work)(int), const char *endpoint, int signal, double timeout_s,
                 const char *text)
{
    int said;
    pid_t pid = spawn(work, &said);
    struct link *in = open_ok(endpoint, LINK_IN, IN(.timeout_s = timeout_s));
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
    struct link *in = open_ok(bound, LINK_IN, IN(.timeout_s = 0.8)),
                *out = open_ok(url, LINK_OUT, OUT(.timeout_s = 0.8));
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
    struct err e = {0};
    int said, seen[8] = {0};
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
    assert_int_equal(link_recv(in, &(struct msg *){NULL}, 0, &e), 2); /* the last is taken */
    end_ok(out);
    recv_end(in);
    link_close(&in);
    link_close(&out);
}

static void work_drain_in(int said)
{
    struct err e = {0};
    struct link *l = link_open(url, LINK_IN, IN(), &e);
    struct msg *m;

    if (!l || sig_init(&e) < 0 || link_recv(l, &m, -1, &e) != 1)
        _exit(1);
    say(said);
    if (link_recv(l, &m, -1, &e) != 2)
        _exit(2);
    if (link_poll(&l, 1, &(int){0}, -1, &e) != 0)
        _exit(3);
    link_close(&l);
    _exit(0);
}

static void work_drain_out(int said)
{
    struct err e = {0};
    struct link *l = link_open(url, LINK_OUT, OUT(), &e);

    if (!l || sig_init(&e) < 0)
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
    struct err e = {0};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_mismatch, setup),
        cmocka_unit_test_setup(test_kind_of_message, setup),
        cmocka_unit_test_setup(test_known, setup),
        cmocka_unit_test_setup(test_hello_fields, setup),
        cmocka_unit_test_setup(test_kind_unannounced, setup),
        cmocka_unit_test_setup(test_rules, setup),
        cmocka_unit_test_setup(test_one_is_refused, setup),
        cmocka_unit_test_setup(test_version, setup),
        cmocka_unit_test_setup(test_leave_after_end, setup),
        cmocka_unit_test_setup(test_killed_connector, setup),
        cmocka_unit_test_setup(test_killed_binder, setup),
        cmocka_unit_test_setup(test_silent, setup),
        cmocka_unit_test_setup(test_busy_is_not_dead, setup),
        cmocka_unit_test_setup(test_elastic, setup),
        cmocka_unit_test_setup(test_drain, setup),
        cmocka_unit_test_setup(test_drain_sender, setup),
    };

    return link_tests_run("link_serve", tests, sizeof tests / sizeof *tests);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* pump: what nobody handles, handlers that fail, streams that break, being asked to stop; then the
 * loop as it should go. */
#include "../../common/wire/pump.h"
#include "link_pair.h"

struct bench {
    struct link *out; /* where take_and_send sends */
    int taken, ended, idle, said;
    int enough; /* messages; 0: all */
};

static int take_count(void *ctx, struct msg **m, struct err *e)
{
    struct bench *b = ctx;

    (void)e;
    assert_non_null(*m);
    b->taken++;
    return 0;
}

static int take_and_send(void *ctx, struct msg **m, struct err *e)
{
    struct bench *b = ctx;

    b->taken++;
    return link_send(b->out, m, e);
}

static int take_and_fail(void *ctx, struct msg **m, struct err *e)
{
    struct bench *b = ctx;

    if (b->taken++ == 0)
        return link_send(b->out, m, e);
    return err_set(e, ERR_DATA, "cannot stand %s", (*m)->id);
}

static int count_end(void *ctx, struct err *e)
{
    (void)e;
    ((struct bench *)ctx)->ended++;
    return 0;
}

static int refuse_end(void *ctx, struct err *e)
{
    (void)ctx;
    return err_set(e, ERR_DATA, "too early");
}

static int is_enough(void *ctx)
{
    const struct bench *b = ctx;

    return b->enough && b->taken >= b->enough;
}

static int idle_twice(void *ctx, struct err *e)
{
    struct bench *b = ctx;

    return ++b->idle < 2 ? 0 : err_set(e, ERR_DATA, "nothing ever comes");
}

#define CHUNKS LINK_KIND(MSG_CHUNK)
static const struct pump_take counts[] = {{CHUNKS, take_count}, {0, NULL}};
static const struct pump_take sends[] = {{CHUNKS, take_and_send}, {0, NULL}};
static const struct pump_take fails[] = {{CHUNKS, take_and_fail}, {0, NULL}};
static const struct pump_take others[] = {
    {LINK_KIND(MSG_ACTS) | LINK_KIND(MSG_WEIGHTS), take_count},
    {LINK_KIND(MSG_PROBLEM), take_count},
    {0, NULL}};

/* A file with n messages. */
static void file_make(const char *name, int n)
{
    struct link *l = open_ok(name, LINK_OUT, OUT());

    for (int i = 0; i < n; i++)
        send_ok(l, i, 10);
    end_ok(l);
    link_close(&l);
}

static void said(const struct err *e, enum err_kind kind, const char *text)
{
    assert_int_equal(e->kind, kind);
    if (!strstr(e->text, text))
        fail_msg("'%s' does not say '%s'", e->text, text);
}

static void test_nobody_handles(void **state)
{
    const struct pump_take *const lists[] = {others, NULL};
    struct err e = {0};

    (void)state;
    file_make(path, 2);
    for (size_t i = 0; i < 2; i++) {
        struct bench b = {0};
        struct link *in = open_ok(path, LINK_IN, IN());
        struct pump p = {.ctx = &b, .in = {{.link = in, .take = lists[i]}}};

        assert_int_equal(pump_run(&p, &e), -1);
        said(&e, ERR_USE, "'m0' is of kind chunk, which nobody here takes");
        assert_int_equal(b.taken, 0);
        link_close(&in);
    }
}

/* The receiver hears the handler's words, and so does the caller. */
static void test_handler_fails(void **state)
{
    char to[160];
    struct bench b = {0};
    struct err e = {0};
    struct link *in;

    (void)state;
    snprintf(to, sizeof to, "%s.out", path);
    file_make(path, 3);
    in = open_ok(path, LINK_IN, IN());
    b.out = open_ok(to, LINK_OUT, OUT());
    {
        struct pump p = {.ctx = &b, .in = {{.link = in, .take = fails}}, .out = {b.out}};
        int rc = pump_run(&p, &e);

        assert_int_equal(rc, -1);
        assert_int_equal(b.taken, 2);
        assert_int_equal(pump_end(&p, rc, &e), -1);
        said(&e, ERR_DATA, "cannot stand m1");
    }
    link_close(&in);
    link_close(&b.out);
    in = open_ok(to, LINK_IN, IN());
    recv_ok(in, 0);
    recv_fails(in, ERR_DATA, "incomplete: cannot stand m1");
    link_close(&in);
}

static void test_stream_ends_too_early(void **state)
{
    struct bench b = {0};
    struct err e = {0};
    struct link *in;
    struct pump p;

    (void)state;
    file_make(path, 1);
    in = open_ok(path, LINK_IN, IN());
    p = (struct pump){.ctx = &b, .in = {{.link = in, .take = counts, .ended = refuse_end}}};
    assert_int_equal(pump_run(&p, &e), -1);
    said(&e, ERR_DATA, "too early");
    assert_int_equal(b.taken, 1);
    link_close(&in);
    assert_int_equal(truncate(path, 40), 0);
    in = open_ok(path, LINK_IN, IN());
    p = (struct pump){.ctx = &b, .in = {{.link = in, .take = counts, .ended = count_end}}};
    assert_int_equal(pump_run(&p, &e), -1);
    said(&e, ERR_DATA, "truncated");
    assert_int_equal(b.ended, 0);
    link_close(&in);
}

static void test_idle_fails(void **state)
{
    struct bench b = {0};
    struct err e = {0};
    struct link *in = open_ok(bound, LINK_IN, IN());
    struct pump p = {
        .ctx = &b, .in = {{.link = in, .take = counts}}, .idle = idle_twice, .idle_ms = 20};

    (void)state;
    assert_int_equal(pump_run(&p, &e), -1);
    said(&e, ERR_DATA, "nothing ever comes");
    assert_int_equal(b.idle, 2);
    link_close(&in);
}

/* Nothing to wait for is an end, not a wait for ever. */
static void test_no_links(void **state)
{
    struct bench b = {0};
    struct err e = {0};
    struct pump p = {.ctx = &b, .done = is_enough};

    (void)state;
    assert_int_equal(pump_run(&p, &e), 1);
    assert_int_equal(pump_join(&p, &e), 1);
    assert_int_equal(pump_end(&p, 1, &e), 0);
    assert_int_equal(pump_drop(NULL, &e), 1);
    assert_int_equal(pump_kinds(counts), CHUNKS);
    assert_int_equal(pump_kinds(others),
                     LINK_KIND(MSG_ACTS) | LINK_KIND(MSG_WEIGHTS) | LINK_KIND(MSG_PROBLEM));
    assert_int_equal(pump_kinds(others + 2), 0);
}

/* A child that pumps from url to `to` until it is asked to stop; its exit code is what pump_end
 * says: 0, or 111 with the right words. */
static const char *child_to;
static int child_stop_is_fine;

static int take_and_tell(void *ctx, struct msg **m, struct err *e)
{
    int rc = take_and_send(ctx, m, e);

    if (write(((struct bench *)ctx)->said, "x", 1) != 1)
        _exit(3);
    return rc;
}

static void work_pump(int said_fd)
{
    static const struct pump_take tells[] = {{CHUNKS, take_and_tell}, {0, NULL}};
    struct err e = {0};
    struct bench b = {.said = said_fd};
    struct link *in;
    struct pump p = {.ctx = &b, .stop_is_fine = child_stop_is_fine};
    int rc;

    if (sig_init(&e) || !(in = link_open(url, LINK_IN, IN(), &e)) ||
        !(b.out = link_open(child_to, LINK_OUT, OUT(.sends = CHUNKS), &e)))
        _exit(4);
    p.in[0] = (struct pump_in){.link = in, .take = tells};
    p.out[0] = b.out;
    rc = pump_join(&p, &e);
    rc = rc == 1 ? pump_run(&p, &e) : rc;
    if (rc)
        _exit(5);
    rc = pump_end(&p, rc, &e);
    link_close(&in);
    link_close(&b.out);
    if (rc < 0)
        _exit(e.kind == ERR_SYS && strstr(e.text, "asked to stop") ? ERR_SYS : 6);
    _exit(e.text[0] ? 7 : 0);
}

/* One message goes through, then SIGTERM comes while the next is awaited. */
static void stopped(const char *to, int fine, int code, struct link *from)
{
    int fd;
    pid_t pid;

    child_to = to;
    child_stop_is_fine = fine;
    pid = spawn(work_pump, &fd);
    send_ok(from, 0, 10);
    hear(fd);
    kill(pid, SIGTERM);
    assert_int_equal(finish(pid, fd), code);
}

/* To a file nobody else can add the rest. */
static void test_stop_cuts_short(void **state)
{
    struct link *in, *from;
    char to[160];

    (void)state;
    for (int fine = 0; fine < 2; fine++) {
        setup(NULL);
        snprintf(to, sizeof to, "%s.to", path);
        from = open_ok(bound, LINK_OUT, OUT(.elastic = 1));
        stopped(to, fine, fine ? 0 : ERR_SYS, from);
        link_close(&from);
        in = open_ok(to, LINK_IN, IN());
        recv_ok(in, 0);
        recv_fails(in, ERR_DATA, "incomplete: asked to stop");
        link_close(&in);
    }
}

/* Among receivers that count for themselves it is a proper end, and the rest goes to another. */
static void test_stop_leaves(void **state)
{
    char to[160], to_bound[161];
    struct link *from = open_ok(bound, LINK_OUT, OUT(.elastic = 1)), *in, *next;
    struct err e = {0};

    (void)state;
    snprintf(to, sizeof to, "%s-out", url);
    snprintf(to_bound, sizeof to_bound, "@%s", to);
    in = open_ok(to_bound, LINK_IN, IN(.elastic = 1, .takes = CHUNKS));
    stopped(to, 0, 0, from);
    recv_ok(in, 0);
    link_enough(in);
    recv_end(in);
    next = open_ok(url, LINK_IN, IN());
    send_ok(from, 1, 10);
    recv_ok(next, 1);
    assert_int_equal(link_recv(next, &(struct msg *){NULL}, 0, &e), 2); /* the last is taken */
    end_ok(from);
    link_close(&next);
    link_close(&in);
    link_close(&from);
}

/* A receiver that does not count for itself is told that something is missing. */
static void test_stop_of_fixed(void **state)
{
    char to[160], to_bound[161];
    struct link *from = open_ok(bound, LINK_OUT, OUT(.elastic = 1)), *in;

    (void)state;
    snprintf(to, sizeof to, "%s-out", url);
    snprintf(to_bound, sizeof to_bound, "@%s", to);
    in = open_ok(to_bound, LINK_IN, IN());
    stopped(to, 0, ERR_SYS, from);
    recv_ok(in, 0);
    recv_fails(in, ERR_DATA, "incomplete: asked to stop");
    link_close(&in);
    link_close(&from);
}

static void test_through(void **state)
{
    char to[160];
    struct bench b = {0};
    struct err e = {0};
    struct link *in;

    (void)state;
    snprintf(to, sizeof to, "%s.out", path);
    file_make(path, 3);
    in = open_ok(path, LINK_IN, IN(.takes = pump_kinds(sends)));
    b.out = open_ok(to, LINK_OUT, OUT(.sends = CHUNKS));
    {
        struct pump p = {
            .ctx = &b, .in = {{.link = in, .take = sends, .ended = count_end}}, .out = {b.out}};

        assert_int_equal(pump_join(&p, &e), 1);
        assert_int_equal(pump_end(&p, pump_run(&p, &e), &e), 0);
    }
    assert_int_equal(b.taken, 3);
    assert_int_equal(b.ended, 1);
    link_close(&in);
    link_close(&b.out);
    in = open_ok(to, LINK_IN, IN());
    for (int i = 0; i < 3; i++)
        recv_ok(in, i);
    recv_end(in);
    link_close(&in);
}

/* Two links, one of them a socket that goes on: done says when it is enough. */
static void test_two_links(void **state)
{
    struct bench b = {.enough = 5};
    struct err e = {0};
    struct link *a = open_ok(bound, LINK_IN, IN()), *other = open_ok(url, LINK_OUT, OUT()), *file;

    (void)state;
    file_make(path, 3);
    file = open_ok(path, LINK_IN, IN());
    for (int i = 0; i < 2; i++)
        send_ok(other, i, 10);
    {
        struct pump p = {
            .ctx = &b,
            .in = {{.link = a, .take = counts}, {.link = file, .take = counts, .ended = count_end}},
            .done = is_enough};

        assert_int_equal(pump_run(&p, &e), 1);
    }
    assert_int_equal(b.taken, 5);
    link_close(&other);
    link_close(&a);
    link_close(&file);
}

static void test_drop(void **state)
{
    struct err e = {0};
    struct link *in;

    (void)state;
    file_make(path, 3);
    in = open_ok(path, LINK_IN, IN());
    assert_int_equal(pump_drop(in, &e), 1);
    link_close(&in);
    assert_int_equal(truncate(path, 60), 0);
    in = open_ok(path, LINK_IN, IN());
    assert_int_equal(pump_drop(in, &e), -1);
    link_close(&in);
}

/* Nothing comes, and nobody is left who would take what comes of it. */
static void test_out_is_gone(void **state)
{
    char other[160], other_bound[170];
    struct bench b = {0};
    struct pump p = {.ctx = &b};
    struct err e = {0};
    struct link *maker, *eater;

    (void)state;
    snprintf(other, sizeof other, "%s.out", url);
    snprintf(other_bound, sizeof other_bound, "@%s", other);
    p.in[0] = (struct pump_in){.link = open_ok(bound, LINK_IN, IN()), .take = counts};
    p.out[0] = open_ok(other_bound, LINK_OUT, OUT());
    maker = open_ok(url, LINK_OUT, OUT());
    eater = open_ok(other, LINK_IN, IN());
    assert_int_equal(link_peers(maker, 0, &e), 1);
    assert_int_equal(link_peers(p.out[0], 0, &e), 1);
    link_close(&eater);
    assert_int_equal(pump_run(&p, &e), -1);
    if (!strstr(e.text, "eater (peer 0 at"))
        fail_msg("%s", e.text);
    link_close(&maker);
    link_close(&p.in[0].link);
    link_close(&p.out[0]);
}

/* The link fails, and says why. */
static void end_is(struct link *l, const char *text)
{
    struct err e = {0};

    assert_int_equal(link_end(l, 1, NULL, &e), -1);
    said(&e, ERR_DATA, text);
}

static int take_and_refuse(void *ctx, struct msg **m, struct err *e)
{
    struct bench *b = ctx;

    if (++b->taken != 2)
        return 0;
    err_set(e, ERR_USE, "cannot stand %s", (*m)->id);
    return PUMP_REFUSED;
}

/* A message is at fault: its sender is named and told. Elastic: it is forgotten, what it sent
 * behind that is not taken, and the others are still served. */
static void sender_is_refused(int elastic)
{
    static const struct pump_take refuses[] = {{CHUNKS, take_and_refuse}, {0, NULL}};
    struct bench b = {.enough = 3};
    struct link *in = open_ok(bound, LINK_IN, IN(.elastic = elastic)),
                *bad = open_ok(url, LINK_OUT, OUT()), *good = NULL;
    struct pump p = {.ctx = &b, .in = {{.link = in, .take = refuses}}, .done = is_enough};
    struct err e = {0};

    for (int i = 0; i < 4; i++)
        send_ok(bad, i, 10);
    if (elastic) {
        b.enough = 2;
        assert_int_equal(pump_run(&p, &e), 1);
        good = open_ok(url, LINK_OUT, OUT());
        send_ok(good, 4, 10);
        b.enough = 3;
        assert_int_equal(pump_run(&p, &e), 1);
        end_is(bad, "cannot stand m1");
    } else {
        assert_int_equal(pump_run(&p, &e), -1);
        said(&e, ERR_USE, "maker (peer 0 at ipc:");
        said(&e, ERR_USE, "cannot stand m1");
    }
    assert_int_equal(b.taken, elastic ? 3 : 2);
    link_close(&good);
    link_close(&bad);
    link_close(&in);
}

static void test_refused(void **state)
{
    (void)state;
    sender_is_refused(0);
    sender_is_refused(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_nobody_handles, setup),
        cmocka_unit_test_setup(test_handler_fails, setup),
        cmocka_unit_test_setup(test_refused, setup),
        cmocka_unit_test_setup(test_stream_ends_too_early, setup),
        cmocka_unit_test_setup(test_idle_fails, setup),
        cmocka_unit_test_setup(test_no_links, setup),
        cmocka_unit_test_setup(test_stop_cuts_short, setup),
        cmocka_unit_test_setup(test_stop_leaves, setup),
        cmocka_unit_test_setup(test_stop_of_fixed, setup),
        cmocka_unit_test_setup(test_through, setup),
        cmocka_unit_test_setup(test_two_links, setup),
        cmocka_unit_test_setup(test_drop, setup),
        cmocka_unit_test_setup(test_out_is_gone, setup),
    };

    return link_tests_run("pump", tests, sizeof tests / sizeof *tests);
}

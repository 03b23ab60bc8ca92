/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that are reset with data on their way: a relay between the ends passes on so many
 * bytes and then resets both of its sides, several times; the stream must arrive whole. */
#include "link_pair.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#define MESSAGES 24
#define BYTES 30000
#define LOSE_S 0.3

struct relay {
    int listener, resets, rc;
    int noise;       /* instead, what is no message comes to the end that connects */
    size_t after;    /* bytes that a connection carries before it is reset */
    atomic_int deaf; /* 1: to the end that connects, 2: to the one that binds, and then it resets */
    struct sockaddr_in to;
    char url[64];
    pthread_t thread;
    atomic_int stop, done; /* done: resets made */
};

static void reset(int fd)
{
    struct linger hard = {1, 0};

    if (fd < 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(fd);
}

/* Bytes passed on, or lost (to < 0); -1: over. */
static ssize_t pass(int from, int to)
{
    char data[4096];
    ssize_t n = read(from, data, sizeof data);

    for (ssize_t done = 0, k; to >= 0 && done < n; done += k)
        if ((k = write(to, data + done, (size_t)(n - done))) <= 0)
            return -1;
    return n > 0 ? n : -1;
}

/* Whatever it takes the first of it for, behind that stands the length of no part. */
static int noise_send(int to)
{
    static unsigned char data[2 * BYTES];

    memset(data, 0xff, sizeof data);
    return send(to, data, sizeof data, MSG_NOSIGNAL) > 0;
}

static void relay_one(struct relay *r, int a, int b)
{
    size_t carried = 0;
    double lost = 0;

    while (!r->stop) {
        struct pollfd p[2] = {{a, POLLIN, 0}, {b, POLLIN, 0}};

        poll(p, 2, 20);
        for (int i = 0; i < 2; i++) {
            const int deaf = r->deaf == i + 1;
            ssize_t n = p[i].revents ? pass(p[i].fd, deaf ? -1 : i ? a : b) : 0;

            if (n < 0)
                return;
            carried += (size_t)n;
            if (deaf && n && lost <= 0)
                lost = clock_wall();
        }
        if (lost > 0 && clock_wall() - lost > LOSE_S) {
            r->deaf = 0;
            return;
        }
        if (r->done < r->resets && carried >= r->after) {
            r->done++;
            if (!r->noise || !noise_send(a))
                return;
        }
    }
}

static void *relay_run(void *ctx)
{
    struct relay *r = ctx;

    while (!r->stop) {
        struct pollfd p = {r->listener, POLLIN, 0};
        int a, b;

        if (poll(&p, 1, 20) <= 0 || (a = accept(r->listener, NULL, NULL)) < 0)
            continue;
        b = socket(AF_INET, SOCK_STREAM, 0);
        if (b >= 0 && connect(b, (struct sockaddr *)&r->to, sizeof r->to) == 0)
            relay_one(r, a, b);
        reset(a);
        reset(b);
    }
    return NULL;
}

static void relay_start(struct relay *r, const char *address, size_t after, int resets, int noise)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof own;

    *r = (struct relay){.after = after, .resets = resets, .noise = noise, .to = own};
    r->to.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    r->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(r->listener >= 0);
    assert_int_equal(bind(r->listener, (struct sockaddr *)&own, sizeof own), 0);
    assert_int_equal(listen(r->listener, 8), 0);
    assert_int_equal(getsockname(r->listener, (struct sockaddr *)&own, &n), 0);
    snprintf(r->url, sizeof r->url, "tcp://127.0.0.1:%d", ntohs(own.sin_port));
    assert_int_equal(pthread_create(&r->thread, NULL, relay_run, r), 0);
}

static void relay_stop(struct relay *r)
{
    r->stop = 1;
    pthread_join(r->thread, NULL);
    close(r->listener);
}

struct sender {
    struct link *l;
    int rc;
    struct err e;
};

static void *send_all(void *ctx)
{
    struct sender *s = ctx;

    for (int i = 0; i < MESSAGES && s->rc == 0; i++) {
        struct msg *m = message(i, BYTES);

        s->rc = link_send(s->l, &m, &s->e);
        msg_destroy(&m);
    }
    return NULL;
}

/* in, out: options; binder: which end binds. Each is reset so often, after so many bytes. */
static void stream(const struct link_opts *in, const struct link_opts *out, enum link_dir binder,
                   size_t after, int resets, int noise)
{
    const enum link_dir other = binder == LINK_IN ? LINK_OUT : LINK_IN;
    struct link *b = open_ok("@tcp://127.0.0.1:*", binder, binder == LINK_IN ? in : out), *c;
    struct link *to, *from;
    struct relay r;
    struct sender s = {0};
    pthread_t thread;

    relay_start(&r, link_address(b), after, resets, noise);
    c = open_ok(r.url, other, other == LINK_IN ? in : out);
    to = binder == LINK_IN ? c : b;
    from = binder == LINK_IN ? b : c;
    s.l = to;
    assert_int_equal(pthread_create(&thread, NULL, send_all, &s), 0);
    for (int i = 0; i < MESSAGES; i++) {
        recv_ok(from, i);
        if (out->hold) {
            char id[MSG_ID];

            snprintf(id, sizeof id, "m%d", i);
            assert_int_equal(link_done(to, id, &s.e), 0);
        }
    }
    pthread_join(thread, NULL);
    if (s.rc)
        fail_msg("%s", s.e.text);
    assert_int_equal(link_recv(from, &(struct msg *){NULL}, 0, &s.e), 2); /* the last is taken */
    end_ok(to);
    if (in->elastic)
        link_enough(from);
    recv_end(from);
    if (after < MESSAGES * BYTES / 4)
        assert_int_equal(r.done, resets);
    link_close(&to);
    link_close(&from);
    relay_stop(&r);
}

static void streams(const struct link_opts *in, const struct link_opts *out, size_t after,
                    int resets)
{
    stream(in, out, LINK_IN, after, resets, 0);
    stream(in, out, LINK_OUT, after, resets, 0);
}

#define MIDDLE 40000, 2 /* with data on its way */

static void test_fixed(void **state)
{
    (void)state;
    streams(IN(), OUT(), MIDDLE);
    streams(IN(.credit_messages = 100), OUT(), MIDDLE);
    streams(IN(), OUT(), 200, 1);              /* within the hellos */
    streams(IN(), OUT(), MESSAGES * BYTES, 1); /* about the end */
}

static void test_elastic(void **state)
{
    (void)state;
    streams(IN(.elastic = 1), OUT(.elastic = 1), MIDDLE);
    streams(IN(), OUT(.elastic = 1, .hold = 1), MIDDLE);
}

static void test_all(void **state)
{
    (void)state;
    streams(IN(), OUT(.elastic = 1, .route = LINK_ALL), MIDDLE);
}

/* ZeroMQ itself tries no other connection then. */
static void test_noise(void **state)
{
    (void)state;
    stream(IN(), OUT(), LINK_IN, 40000, 1, 1);
    stream(IN(), OUT(), LINK_OUT, 40000, 1, 1);
    stream(IN(), OUT(.elastic = 1, .route = LINK_ALL), LINK_OUT, 40000, 1, 1);
    stream(IN(), OUT(), LINK_IN, 1, 2, 1); /* within the handshake */
    stream(IN(), OUT(), LINK_OUT, 1, 2, 1);
}

/* The end mark (of: LINK_OUT) or its acknowledgement (LINK_IN) is lost with its connection. */
static void last_words(enum link_dir binder, enum link_dir of)
{
    struct link *b = open_ok("@tcp://127.0.0.1:*", binder, binder == LINK_IN ? IN() : OUT()), *c;
    struct link *to, *from;
    struct relay r;

    relay_start(&r, link_address(b), SIZE_MAX, 0, 0);
    c = open_ok(r.url, binder == LINK_IN ? LINK_OUT : LINK_IN, binder == LINK_IN ? OUT() : IN());
    to = binder == LINK_IN ? c : b;
    from = binder == LINK_IN ? b : c;
    send_ok(to, 0, 10);
    recv_ok(from, 0);
    r.deaf = of == binder ? 2 : 1;
    end_ok(to);
    recv_end(from);
    assert_int_equal(r.deaf, 0);
    link_close(&to);
    link_close(&from);
    relay_stop(&r);
}

static void test_last_words(void **state)
{
    (void)state;
    last_words(LINK_IN, LINK_OUT);
    last_words(LINK_OUT, LINK_OUT);
    last_words(LINK_IN, LINK_IN);
    last_words(LINK_OUT, LINK_IN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_last_words, setup), cmocka_unit_test_setup(test_fixed, setup),
        cmocka_unit_test_setup(test_elastic, setup),    cmocka_unit_test_setup(test_all, setup),
        cmocka_unit_test_setup(test_noise, setup),
    };

    return link_tests_run("link_resume", tests, sizeof tests / sizeof *tests);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that wait for more, to go together, and the credit of small ones. */
#include "link_pair.h"
#include "../../common/wire/link_impl.h"

#define MIB ((size_t)1 << 20)

static void credit_of_small_ones(void **state)
{
    static const struct {
        size_t window, small, bytes, largest, out, out_bytes, next;
        int may;
    } t[] = {
        {3, 0, 100, 30, 3, 30, 10, 0}, /* not given */
        {3, 6, 100, 30, 3, 30, 10, 1}, /* three of the largest are 90 */
        {3, 6, 100, 30, 5, 50, 40, 1},
        {3, 6, 100, 30, 5, 50, 41, 0},
        {3, 6, 100, 30, 6, 60, 10, 0}, /* six are six */
        {3, 6, 100, 0, 0, 0, 500, 1},  /* one may always go */
        {3, 6, 100, 0, 1, 10, 10, 1},  /* the window itself holds whatever was the largest */
        {3, 6, 100, 10, 3, 30, 10, 0},
        {3, 6, 50, 30, 4, 40, 11, 0},  /* bytes are a limit of their own */
        {3, 2, 100, 30, 2, 20, 10, 1}, /* never less than the window */
    };

    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        const struct peer p = {.win_messages = t[i].window,
                               .win_small = t[i].small,
                               .win_bytes = t[i].bytes,
                               .largest = t[i].largest,
                               .out_messages = t[i].out,
                               .out_bytes = t[i].out_bytes};

        if (peer_credit(&p, t[i].next) != t[i].may)
            fail_msg("case %zu", i);
    }
}

static void may_gather(void **state)
{
    static const struct {
        int late;
        size_t count, each, window;
        int waits;
    } t[] = {
        {0, 1, 10, 9, 0},                                               /* not asked for */
        {1, 1, 10, 9, 1},      {1, 2, 10, 9, 1},      {1, 3, 10, 9, 0}, /* they are many */
        {1, 1, 6 * MIB, 9, 0}, {1, 2, 3 * MIB, 9, 0},                   /* or large */
        {1, 1, 10, 1, 0},      {1, 2, 10, 2, 0},                        /* or no other may come */
    };

    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct sock s = {.l = {.o = {.send_late = t[i].late}}};
        struct box box = {.bytes = t[i].each}, *at[] = {NULL, &box, &box, &box};
        const struct peer p = {.win_messages = t[i].window,
                               .win_bytes = 100 * MIB,
                               .out_messages = t[i].count,
                               .out_bytes = t[i].count * t[i].each,
                               .queue = {.at = at, .head = 1, .count = t[i].count}};

        if (send_can_wait(&s, &p) != t[i].waits)
            fail_msg("case %zu", i);
    }
}

static void not_for_long(void **state)
{
    struct sock s = {.now = 100};

    (void)state;
    assert_int_equal(send_gathers(&s), 0);
    s.gathering = 99.9;
    assert_int_equal(send_gathers(&s), 1);
    s.gathering = 99;
    assert_int_equal(send_gathers(&s), 0);
}

static struct link *in, *out;

static void pair_open(void)
{
    struct err e = {0};

    in = open_ok(bound, LINK_IN,
                 IN(.credit_messages = 3, .credit_small = 6, .credit_bytes = 100000));
    out = open_ok(url, LINK_OUT, OUT(.send_late = 1));
    assert_int_equal(link_peers(out, 1, &e), 1);
}

static void pair_close(void)
{
    link_close(&out);
    link_close(&in);
}

/* Whatever makes them go, all come in their order. */
static void all_arrive(void **state)
{
    int i = 0, k = 0;

    (void)state;
    pair_open();
    send_ok(out, i++, 30000); /* alone, until it is told to */
    link_flush(out);
    link_flush(out); /* nothing is left to tell */
    recv_ok(in, k++);
    for (int n = 0; n < 3; n++) /* many enough */
        send_ok(out, i++, 100);
    while (k < i)
        recv_ok(in, k++);
    for (int n = 0; n < 40; n++) { /* there is no credit but for what was taken */
        send_ok(out, i++, n % 3 ? 100 : 28000);
        if (n % 2) {
            link_flush(out);
            recv_ok(in, k++);
            recv_ok(in, k++);
        }
    }
    while (k < i)
        recv_ok(in, k++);
    pair_close();
}

static void *eat(void *count)
{
    for (int k = 0; k < *(int *)count; k++)
        recv_ok(in, k);
    recv_end(in);
    return NULL;
}

/* A stage that waits for credit, or for the end to be acknowledged, sends what it has. */
static void who_waits_sends(void **state)
{
    int count = 301;
    pthread_t t;

    (void)state;
    pair_open();
    assert_int_equal(pthread_create(&t, NULL, eat, &count), 0);
    for (int i = 0; i < count; i++)
        send_ok(out, i, i % 7 ? 1000 : 30000);
    end_ok(out);
    pthread_join(t, NULL);
    pair_close();
}

/* Without either, the next tick of the link's thread. */
static void time_sends(void **state)
{
    (void)state;
    pair_open();
    send_ok(out, 0, 100);
    recv_ok(in, 0);
    pair_close();
}

/* A link that is closed with messages that wait leaves an unfinished stream like any other. */
static void closed_early(void **state)
{
    (void)state;
    pair_open();
    send_ok(out, 0, 100);
    link_close(&out);
    recv_fails(in, ERR_DATA, "unfinished");
    link_close(&in);
}

/* Pipes and files send at once. */
static void files_do_not_wait(void **state)
{
    struct link *l = open_ok(path, LINK_OUT, OUT(.send_late = 1));

    (void)state;
    send_ok(l, 0, 100);
    link_flush(l);
    end_ok(l);
    link_close(&l);
    l = open_ok(path, LINK_IN, IN(.credit_small = 6));
    recv_ok(l, 0);
    recv_end(l);
    link_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(credit_of_small_ones),
        cmocka_unit_test(may_gather),
        cmocka_unit_test(not_for_long),
        cmocka_unit_test_setup(all_arrive, setup),
        cmocka_unit_test_setup(who_waits_sends, setup),
        cmocka_unit_test_setup(time_sends, setup),
        cmocka_unit_test_setup(closed_early, setup),
        cmocka_unit_test_setup(files_do_not_wait, setup),
    };

    return link_tests_run("link_gather", tests, sizeof tests / sizeof *tests);
}

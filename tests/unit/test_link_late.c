/* SPDX-License-Identifier: Apache-2.0 */
/* Credit that is given back late: when it may wait, and that nobody waits for it for ever. */
#include "link_pair.h"
#include "../../common/wire/link_impl.h"

static void may_wait(void **state)
{
    static const struct {
        int late;
        size_t window, bytes, out, out_bytes, largest, done;
        int waits;
        size_t small;
    } t[] = {
        {0, 3, 100, 1, 10, 10, 1, 0, 0}, /* not asked for */
        {1, 3, 100, 1, 10, 10, 1, 1, 0}, /* the sender has credit for two more */
        {1, 3, 100, 2, 20, 10, 2, 1, 0}, /* for one, though nothing is in hand */
        {1, 3, 100, 3, 30, 10, 0, 1, 0}, /* for none, but nothing is done */
        {1, 3, 100, 3, 30, 10, 1, 1, 0}, /* one is; two are in hand */
        {1, 3, 100, 3, 30, 10, 2, 0, 0}, /* half of the window is done */
        {1, 4, 100, 4, 40, 10, 2, 0, 0},
        {1, 1, 100, 1, 10, 10, 0, 1, 0},
        {1, 1, 100, 1, 10, 10, 1, 0, 0},
        {1, 3, 100, 1, 90, 10, 1, 1, 0}, /* bytes for one more like the largest */
        {1, 3, 100, 1, 91, 10, 1, 0, 0},
        {1, 3, 100, 1, 200, 200, 1, 0, 0}, /* larger than the window: alone */
        {1, 3, 100, 3, 30, 20, 2, 1, 6},   /* six small ones are no more than three large */
        {1, 3, 100, 6, 60, 20, 2, 1, 6},
        {1, 3, 100, 6, 60, 20, 3, 0, 6},
        {1, 3, 100, 4, 60, 20, 1, 1, 6}, /* four of 15 are as much as three of 20 */
        {1, 3, 100, 4, 60, 20, 2, 0, 6},
        {1, 3, 100, 3, 60, 20, 2, 0, 6},
    };

    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct sock s = {.l = {.o = {.credit_late = t[i].late}}};
        const struct peer p = {.win_messages = t[i].window,
                               .win_bytes = t[i].bytes,
                               .win_small = t[i].small,
                               .out_messages = t[i].out,
                               .out_bytes = t[i].out_bytes,
                               .largest = t[i].largest,
                               .back_messages = 7 + t[i].done,
                               .told_messages = 7};

        assert_int_equal(credit_can_wait(&s, &p), t[i].waits);
    }
}

/* A message for which the sender has no credit, since what came back was not said: it comes. */
static void nobody_waits_for_ever(void **state)
{
    struct link *in = open_ok(bound, LINK_IN,
                              IN(.credit_messages = 3, .credit_bytes = 100000, .credit_late = 1)),
                *out = open_ok(url, LINK_OUT, OUT());
    struct err e = {0};
    struct msg *m;

    (void)state;
    for (int i = 0; i < 8; i++) {
        send_ok(out, i, i % 2 ? 95000 : 20000);
        recv_ok(in, i);
        assert_int_equal(link_recv(in, &m, 0, &e), 2); /* done with it, and keeps that to itself */
    }
    link_close(&out);
    link_close(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(may_wait),
        cmocka_unit_test_setup(nobody_waits_for_ever, setup),
    };

    return link_tests_run("link_late", tests, sizeof tests / sizeof *tests);
}

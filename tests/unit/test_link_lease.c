/* SPDX-License-Identifier: Apache-2.0 */
/* Ends that have a place: lost, given up, replaced by one with a higher epoch, and what the older
 * still says. */
#include "link_pair.h"
#include <poll.h>

static const struct link_lease first = {"a", 0}, second = {"a", 1}, third = {"a", 2},
                               other = {"b", 0};

static void bad(const char *text)
{
    struct link_lease lease;
    struct err e = {0};

    assert_int_equal(link_lease_parse(text, &lease, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    assert_non_null(strstr(e.text, "PLACE/EPOCH"));
}

static void test_parse(void **state)
{
    char longest[sizeof first.place + 4];
    struct link_lease lease;

    (void)state;
    bad("");
    bad("a");
    bad("/1");
    bad("a/");
    bad("a/-1");
    bad("a/1x");
    bad("a/ 1");
    bad("a/9223372036854775807");
    snprintf(longest, sizeof longest, "%0*d/1", (int)sizeof first.place, 0);
    bad(longest);
    snprintf(longest, sizeof longest, "%0*d/1", (int)sizeof first.place - 1, 0);
    assert_int_equal(link_lease_parse(longest, &lease, NULL), 0);
    assert_int_equal(link_lease_parse("forward.2/17", &lease, NULL), 0);
    assert_string_equal(lease.place, "forward.2");
    assert_int_equal(lease.epoch, 17);
}

/* One that fails before its end, one that goes on, one that takes the place of the first. */
static void test_replaced(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN(.peers = 2)),
                *a = open_ok(url, LINK_OUT, OUT(.lease = &first)),
                *b = open_ok(url, LINK_OUT, OUT(.lease = &other)), *c;

    (void)state;
    send_ok(a, 0, 10);
    recv_ok(in, 0);
    link_close(&a); /* without an end */
    send_ok(b, 1, 10);
    recv_ok(in, 1);
    end_ok(b);
    c = open_ok(url, LINK_OUT, OUT(.lease = &second));
    send_ok(c, 2, 10);
    recv_ok(in, 2);
    end_ok(c);
    recv_end(in);
    link_close(&b);
    link_close(&c);
    link_close(&in);
}

/* A stream cut short is a loss like any other; without a place it is a failure. */
static void test_cut_short(void **state)
{
    for (int placed = 1; placed >= 0; placed--) {
        struct link *in, *a, *c;

        setup(state);
        in = open_ok(bound, LINK_IN, IN(.peers = 1));
        a = open_ok(url, LINK_OUT, OUT(.lease = placed ? &first : NULL));
        send_ok(a, 0, 10);
        recv_ok(in, 0);
        assert_int_equal(link_end(a, 0, "no memory", NULL), 0);
        link_close(&a);
        if (placed) {
            c = open_ok(url, LINK_OUT, OUT(.lease = &second));
            send_ok(c, 0, 10);
            recv_ok(in, 0);
            end_ok(c);
            recv_end(in);
            link_close(&c);
        } else
            recv_fails(in, ERR_DATA, "no memory");
        link_close(&in);
    }
}

static void fails(struct link *l, const char *text)
{
    struct err e = {0};
    double until = clock_wall() + 10;

    while (link_check(l, &e) == 0 && clock_wall() < until)
        poll(NULL, 0, 5);
    if (!strstr(e.text, text))
        fail_msg("'%s' does not say '%s'", e.text, text);
}

/* The older is there, and may even send: it is told to go, and nothing it says ends the stream. */
static void test_given_up(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN(.peers = 1)),
                *a = open_ok(url, LINK_OUT, OUT(.lease = &second)), *c, *d, *f;

    (void)state;
    send_ok(a, 0, 10);
    recv_ok(in, 0);
    c = open_ok(url, LINK_OUT, OUT(.lease = &third));
    send_ok(c, 1, 10);
    recv_ok(in, 1);
    fails(a, "it was given up as lost");
    d = open_ok(url, LINK_OUT, OUT(.lease = &first)); /* older than both */
    fails(d, "it was given up as lost");
    f = open_ok(url, LINK_OUT, OUT(.lease = &third)); /* another of the same name */
    fails(f, "place a has been given to another");
    link_close(&a);
    link_close(&d);
    link_close(&f);
    send_ok(c, 2, 10);
    recv_ok(in, 2);
    end_ok(c);
    recv_end(in);
    link_close(&c);
    link_close(&in);
}

/* The one before had come to its end: the next is heard out, and nobody needs what it sends. */
static void test_spare(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN(.peers = 2, .credit_messages = 2)),
                *a = open_ok(url, LINK_OUT, OUT(.lease = &first)),
                *b = open_ok(url, LINK_OUT, OUT(.lease = &other)), *c;

    (void)state;
    send_ok(a, 0, 10);
    end_ok(a);
    link_close(&a);
    c = open_ok(url, LINK_OUT, OUT(.lease = &second));
    for (int i = 0; i < 8; i++) /* more than the receiver's credit, and it does not come for any */
        send_ok(c, i, 10);
    end_ok(c);
    recv_ok(in, 0);
    send_ok(b, 1, 10); /* the end of both is none of this one */
    recv_ok(in, 1);
    end_ok(b);
    recv_end(in);
    link_close(&b);
    link_close(&c);
    link_close(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_parse, setup),     cmocka_unit_test_setup(test_replaced, setup),
        cmocka_unit_test_setup(test_cut_short, setup), cmocka_unit_test_setup(test_given_up, setup),
        cmocka_unit_test_setup(test_spare, setup),
    };

    return link_tests_run("link_lease", tests, sizeof tests / sizeof *tests);
}

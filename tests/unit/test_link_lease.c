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

static const struct link_lease r0 = {"r", 0}, r1 = {"r", 1};

/* The other end is lost: what it did not come back for goes to the next one at its place. */
static void test_next_receiver(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN(.lease = &r0)),
                *out = open_ok(url, LINK_OUT, OUT());

    struct err e = {0};
    struct msg *m;
    int from;

    (void)state;
    for (int i = 0; i < 4; i++)
        send_ok(out, i, 10);
    recv_ok(in, 0);
    recv_ok(in, 1);
    recv_ok(in, 2); /* it has come back for more than 1 */
    link_close(&in);
    in = open_ok(bound, LINK_IN, IN(.lease = &r1));
    assert_int_equal(link_recv(in, &m, 10000, &e), 1);
    from = number_of(m);
    msg_destroy(&m);
    assert_in_range(from, 0, 2); /* its last word may have been lost with it: then once more */
    for (int i = from + 1; i < 4; i++)
        recv_ok(in, i);
    send_ok(out, 4, 10);
    recv_ok(in, 4);
    assert_false(link_again(out));
    end_ok(out);
    recv_end(in);
    link_close(&out);
    link_close(&in);
}

/* The same, where the stage sends again what is needed, after its end too. */
static void test_remade(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN(.lease = &r0)),
                *out = open_ok(url, LINK_OUT, OUT(.remakes = 1));
    double until = clock_wall() + 10;

    (void)state;
    send_ok(out, 0, 10);
    recv_ok(in, 0);
    end_ok(out);
    recv_end(in);
    assert_false(link_again(out));
    link_close(&in);
    in = open_ok(bound, LINK_IN, IN(.lease = &r1));
    while (!link_again(out) && clock_wall() < until)
        poll(NULL, 0, 5);
    send_ok(out, 7, 10);
    assert_false(link_again(out));
    end_ok(out);
    recv_ok(in, 7);
    recv_end(in);
    link_close(&out);
    link_close(&in);
}

/* A receiver begins anew with the next sender; the credit of what it has in hand is of the one
 * before. */
static void test_next_sender(void **state)
{
    struct link *out = open_ok(bound, LINK_OUT, OUT(.route = LINK_ALL, .elastic = 1, .lease = &r0)),
                *in = open_ok(url, LINK_IN, IN(.credit_messages = 2));

    (void)state;
    for (int i = 0; i < 3; i++)
        send_ok(out, i, 10);
    for (int i = 0; i < 3; i++)
        recv_ok(in, i);
    link_close(&out);
    out = open_ok(bound, LINK_OUT, OUT(.route = LINK_ALL, .elastic = 1, .lease = &r1));
    for (int i = 0; i < 6; i++)
        send_ok(out, i + 10, 10);
    for (int i = 0; i < 6; i++)
        recv_ok(in, i + 10);
    end_ok(out);
    recv_end(in);
    link_close(&in);
    link_close(&out);
}

/* A stream that has come to its end stays there: the next sender is heard out, beyond any credit,
 * and nothing of it is needed. It knows by their places who takes what. */
static void test_next_sender_spare(void **state)
{
    struct link *out = open_ok(bound, LINK_OUT, OUT(.lease = &r0)),
                *in = open_ok(url, LINK_IN, IN(.lease = &other, .credit_messages = 2));
    char place[LINK_PLACE];

    (void)state;
    send_ok(out, 0, 10);
    link_place(out, 0, place);
    assert_string_equal(place, other.place);
    link_place(out, 1, place);
    assert_string_equal(place, "");
    recv_ok(in, 0);
    end_ok(out);
    recv_end(in);
    link_close(&out);
    out = open_ok(bound, LINK_OUT, OUT(.lease = &r1));
    for (int i = 0; i < 6; i++)
        send_ok(out, i, 10);
    end_ok(out);
    recv_end(in);
    link_close(&in);
    link_close(&out);
}

/* One without a place is lost for good. */
static void test_no_next(void **state)
{
    struct link *in = open_ok(bound, LINK_IN, IN()), *out = open_ok(url, LINK_OUT, OUT());

    (void)state;
    send_ok(out, 0, 10);
    recv_ok(in, 0);
    link_close(&in);
    fails(out, "left the stream unfinished");
    link_close(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_parse, setup),
        cmocka_unit_test_setup(test_replaced, setup),
        cmocka_unit_test_setup(test_cut_short, setup),
        cmocka_unit_test_setup(test_given_up, setup),
        cmocka_unit_test_setup(test_spare, setup),
        cmocka_unit_test_setup(test_next_receiver, setup),
        cmocka_unit_test_setup(test_remade, setup),
        cmocka_unit_test_setup(test_next_sender, setup),
        cmocka_unit_test_setup(test_next_sender_spare, setup),
        cmocka_unit_test_setup(test_no_next, setup),
    };

    return link_tests_run("link_lease", tests, sizeof tests / sizeof *tests);
}

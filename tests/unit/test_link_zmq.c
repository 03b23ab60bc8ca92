/* SPDX-License-Identifier: Apache-2.0 */
/* test_link_zmq - a socket that binds, and a peer of which nothing but its bytes is known: it is
 * played by hand, over a plain TCP socket. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "../../common/wire/link_zmq.h"

enum { PART_BYTES = 1 << 20, PARTS = 12, HANG_S = 20, PEERS = 16, ROUNDS = 12 };

/* READY and one message "hi" of ZMTP 3.0. */
static const unsigned char ready[] = "\x04\x2c\x05READY\x0bSocket-Type\0\0\0\x06"
                                     "DEALER"
                                     "\x08Identity\0\0\0\x03raw";
static const unsigned char hi[] = "\0\x02hi";

/* Its greeting and its READY: before them nothing but commands may be sent. */
static void raw_greeted(int fd)
{
    unsigned char in[256];

    assert_int_equal(recv(fd, in, 64 + 2, MSG_WAITALL), 64 + 2);
    assert_int_equal(recv(fd, in, in[65], MSG_WAITALL), in[65]);
}

static int raw_connect(const char *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    unsigned char greeting[64] = {0xff, [9] = 0x7f, [10] = 3, [12] = 'N', 'U', 'L', 'L'};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(write(fd, greeting, sizeof greeting), sizeof greeting);
    assert_int_equal(write(fd, ready, sizeof ready - 1), sizeof ready - 1);
    raw_greeted(fd);
    assert_int_equal(write(fd, hi, sizeof hi - 1), sizeof hi - 1);
    return fd;
}

static void wait_for(struct zsock *z, int bit)
{
    for (int i = 0; i < HANG_S * 10; i++)
        if (zsock_wait(z, -1, 100) & bit)
            return;
    fail_msg("it never comes");
}

static void sent_release(void *owner)
{
    ++*(int *)owner;
}

/* A peer that is there, with more on its way than any buffer holds. */
static int peer_make(struct zsock *z, struct part *data, int *released)
{
    struct err e = {0};
    struct frame_limits lim = {.parts = 4, .message_bytes = PART_BYTES};
    struct part *parts;
    struct zid from;
    size_t count;
    int fd = raw_connect(zsock_address(z, 0)), got = 0;

    while (!got) {
        wait_for(z, ZS_READABLE);
        got = zsock_next(z, &from, &e) == 1 ? zsock_recv(z, &parts, &count, &lim, &e) : 0;
    }
    assert_int_equal(got, 1);
    frame_parts_free(&parts, &count);
    for (int i = 0; i < PARTS; i++)
        assert_int_equal(zsock_send(z, &from, data, 1, sent_release, released, &e), ZS_OK);
    return fd;
}

/* Peers that break in the moment in which the socket closes: it does not wait for them for ever.
 * Which of the two comes first differs from peer to peer, hence many, and several times. */
static void test_break_while_closing(void **state)
{
    struct err e = {0};
    struct part data = {.bytes = PART_BYTES};

    (void)state;
    data.data = calloc(1, PART_BYTES);
    for (int round = 0; round < ROUNDS; round++) {
        struct zsock *z = zsock_open("tcp://127.0.0.1:*", 1, "binder", PART_BYTES, NULL, &e);
        int fd[PEERS], released = 0;

        assert_non_null(z);
        for (int i = 0; i < PEERS; i++)
            fd[i] = peer_make(z, &data, &released);
        for (int i = 0; i < PEERS; i++)
            close(fd[i]);
        alarm(HANG_S);
        zsock_close(&z, 10);
        alarm(0);
        assert_int_equal(released, PEERS * PARTS);
    }
    free(data.data);
}

/* A hello that is read before what tells of its connection: who sent it is known from then on, and
 * not cut off later as a stranger. */
static void test_known_at_once(void **state)
{
    struct err e = {0};
    struct frame_limits lim = {.parts = 4, .message_bytes = PART_BYTES};
    struct zsock *z = zsock_open("tcp://127.0.0.1:*", 1, "binder", PART_BYTES, NULL, &e);
    struct part *parts;
    struct zid from;
    size_t count;
    int fd, got = 0;

    (void)state;
    assert_non_null(z);
    fd = raw_connect(zsock_address(z, 0));
    for (int i = 0; i < HANG_S * 100 && got != 1; i++)
        if ((got = zsock_next(z, &from, &e)) == 0)
            usleep(10000);
    assert_int_equal(got, 1);
    assert_int_equal(zsock_recv(z, &parts, &count, &lim, &e), 1);
    frame_parts_free(&parts, &count);
    zsock_admit(z);
    for (int i = 0; i < 3; i++)
        zsock_wait(z, -1, 10);
    assert_int_equal(zsock_strangers(z), 0);
    close(fd);
    wait_for(z, ZS_DOWN);
    zsock_close(&z, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_break_while_closing),
                                       cmocka_unit_test(test_known_at_once)};

    return cmocka_run_group_tests_name("link_zmq", tests, NULL, NULL);
}

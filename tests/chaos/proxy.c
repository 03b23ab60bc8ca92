/* SPDX-License-Identifier: Apache-2.0 */
/* proxy LISTEN TARGET [FAULT]... - passes TCP connections of 127.0.0.1 on from one port to another,
 * with faults on purpose. It knows nothing of what it carries: bytes are counted from 1, over all
 * connections and both ways, and each fault happens once.
 *
 *   cut:BYTE:MS   then both ends of all connections are reset, and for MS none is taken
 *   hold:BYTE:MS  then nothing passes for MS
 *   flip:BYTE     a bit of that byte is another
 *   lose:BYTE:N   N bytes from there are not passed on
 *   delay:MS      whatever passes waits so long
 *
 * proxy --ports N prints N ports that are free now. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PAIRS 64
#define FAULTS 16

struct fault {
    char kind[8];
    unsigned long at, n;
    int done;
};

static struct fault faults[FAULTS];
static size_t nfaults;
static struct {
    int fd[2];
} pair[PAIRS];
static size_t npairs;
static unsigned long carried;

static int fail(const char *what)
{
    fprintf(stderr, "proxy: fatal: %s: %s\n", what, strerror(errno));
    return 1;
}

static void wait_ms(unsigned long ms)
{
    const struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

    nanosleep(&t, NULL);
}

static struct sockaddr_in at_port(unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    a.sin_port = htons((uint16_t)port);
    return a;
}

static int listen_at(unsigned port)
{
    struct sockaddr_in a = at_port(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 32) != 0)
        return -1;
    return fd;
}

static int print_ports(int n)
{
    for (; n > 0; n--) { /* all stay open until the last is known */
        struct sockaddr_in a;
        socklen_t size = sizeof a;
        int fd = listen_at(0);

        if (fd < 0 || getsockname(fd, (struct sockaddr *)&a, &size) != 0)
            return fail("no free port");
        printf("%u\n", ntohs(a.sin_port));
    }
    return 0;
}

static void drop(int fd)
{
    const struct linger hard = {1, 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(fd);
}

static void pair_drop(size_t i)
{
    drop(pair[i].fd[0]);
    drop(pair[i].fd[1]);
    pair[i] = pair[--npairs];
}

static void pair_add(int a, unsigned target)
{
    struct sockaddr_in to = at_port(target);
    int b = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (b < 0 || npairs == PAIRS || connect(b, (struct sockaddr *)&to, sizeof to) != 0) {
        drop(a);
        if (b >= 0)
            close(b);
        return;
    }
    setsockopt(a, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(b, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    pair[npairs].fd[0] = a;
    pair[npairs++].fd[1] = b;
}

/* Is byte f->at among the n that come now? */
static int is_due(const struct fault *f, const char *kind, size_t n)
{
    return strcmp(f->kind, kind) == 0 && !f->done && f->at > carried && f->at - carried <= n;
}

/* What is left of n bytes when they have been flipped and lost. */
static size_t damage(unsigned char *data, size_t n)
{
    size_t left = n;

    for (size_t i = 0; i < nfaults; i++) {
        struct fault *f = &faults[i];
        const size_t at = f->at - carried - 1;
        size_t gone;

        if (is_due(f, "flip", n) && at < left) {
            data[at] ^= (unsigned char)(1u << f->at % 8);
            f->done = 1;
        }
        if (!is_due(f, "lose", n) || at >= left)
            continue;
        gone = f->n < left - at ? f->n : left - at;
        memmove(data + at, data + at + gone, left - at - gone);
        left -= gone;
        f->done = 1;
    }
    return left;
}

/* 0: over. */
static int pass(int from, int to)
{
    static unsigned char data[16384];
    ssize_t n = read(from, data, sizeof data), k;
    size_t left;

    if (n <= 0)
        return 0;
    for (size_t i = 0; i < nfaults; i++) {
        if (strcmp(faults[i].kind, "delay") == 0)
            wait_ms(faults[i].at);
        if (!is_due(&faults[i], "hold", (size_t)n))
            continue;
        faults[i].done = 1;
        wait_ms(faults[i].n);
    }
    left = damage(data, (size_t)n);
    carried += (unsigned long)n;
    for (size_t done = 0; done < left; done += (size_t)k)
        if ((k = write(to, data + done, left - done)) <= 0)
            return 0;
    return 1;
}

/* A cut that is due: how long nobody may come; 0: none. */
static unsigned long cut_take(void)
{
    for (size_t i = 0; i < nfaults; i++)
        if (strcmp(faults[i].kind, "cut") == 0 && !faults[i].done && faults[i].at <= carried) {
            faults[i].done = 1;
            return faults[i].n ? faults[i].n : 1;
        }
    return 0;
}

static void pairs_serve(const struct pollfd *p, size_t n)
{
    for (size_t i = n; i-- > 0;) {
        int open = 1;

        for (int side = 0; side < 2 && open; side++)
            if (p[2 * i + (size_t)side].revents)
                open = pass(pair[i].fd[side], pair[i].fd[!side]);
        if (!open)
            pair_drop(i);
    }
}

static int serve(unsigned port, unsigned target)
{
    int listener = listen_at(port);

    if (listener < 0)
        return fail("cannot listen");
    for (;;) {
        struct pollfd p[2 * PAIRS + 1];
        const size_t n = npairs;
        unsigned long away;

        for (size_t i = 0; i < 2 * n; i++)
            p[i] = (struct pollfd){pair[i / 2].fd[i % 2], POLLIN, 0};
        p[2 * n] = (struct pollfd){listener, POLLIN, 0};
        if (poll(p, 2 * n + 1, -1) < 0)
            return fail("poll");
        pairs_serve(p, n);
        if (p[2 * n].revents)
            pair_add(accept(listener, NULL, NULL), target);
        if (!(away = cut_take()))
            continue;
        fprintf(stderr, "proxy: cut after %lu bytes, of %zu connections\n", carried, npairs);
        while (npairs)
            pair_drop(0);
        close(listener);
        wait_ms(away);
        if ((listener = listen_at(port)) < 0)
            return fail("cannot listen again");
    }
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc == 3 && strcmp(argv[1], "--ports") == 0)
        return print_ports(atoi(argv[2]));
    for (int i = 3; i < argc && nfaults < FAULTS; i++, nfaults++)
        if (sscanf(argv[i], "%7[a-z]:%lu:%lu", faults[nfaults].kind, &faults[nfaults].at,
                   &faults[nfaults].n) < 2)
            argc = 0;
    if (argc < 3) {
        fprintf(stderr, "usage: proxy LISTEN TARGET [FAULT]... | proxy --ports N\n");
        return 100;
    }
    return serve((unsigned)atoi(argv[1]), (unsigned)atoi(argv[2]));
}

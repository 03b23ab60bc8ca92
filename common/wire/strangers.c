/* SPDX-License-Identifier: Apache-2.0 */
/* strangers - see strangers.h. */
#include "strangers.h"

#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include "../base/mem.h"

static ino_t socket_of(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) ? st.st_ino : 0;
}

static void address_of(int fd, char out[STRANGER_NAME])
{
    struct sockaddr_storage a = {0};
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&a;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a;
    socklen_t n = sizeof a;

    *out = '\0';
    if (getpeername(fd, (struct sockaddr *)&a, &n) != 0)
        return;
    if (a.ss_family == AF_INET)
        inet_ntop(AF_INET, &v4->sin_addr, out, STRANGER_NAME);
    else if (a.ss_family == AF_INET6)
        inet_ntop(AF_INET6, &v6->sin6_addr, out, STRANGER_NAME);
}

int strangers_add(struct strangers *s, int fd, double now, struct err *e)
{
    const ino_t socket = socket_of(fd);

    strangers_drop(s, fd);
    if (!socket)
        return 0; /* gone already */
    if (mem_grow((void **)&s->at, &s->room, s->count + 1, sizeof *s->at, e) < 0)
        return -1;
    s->at[s->count] = (struct stranger){.fd = fd, .socket = socket, .since = now};
    address_of(fd, s->at[s->count++].from);
    return 0;
}

const struct stranger *strangers_find(const struct strangers *s, int fd)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->at[i].fd == fd)
            return &s->at[i];
    return NULL;
}

void strangers_drop(struct strangers *s, int fd)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->at[i].fd == fd) {
            s->at[i] = s->at[--s->count];
            return;
        }
}

/* 0 where nobody counts them. */
static unsigned long long bytes_received(int fd)
{
    struct tcp_info info;
    socklen_t n = sizeof info;

    memset(&info, 0, sizeof info);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 ? info.tcpi_bytes_received : 0;
}

/* Those that have sent most, until the others hold no more than all may. */
static void mark_most(struct strangers *s, unsigned long long all)
{
    while (all > STRANGERS_BYTES) {
        struct stranger *most = s->at;

        for (size_t i = 1; i < s->count; i++)
            if (s->at[i].bytes <= STRANGER_BYTES &&
                (most->bytes > STRANGER_BYTES || s->at[i].bytes > most->bytes))
                most = &s->at[i];
        if (most->bytes > STRANGER_BYTES)
            return; /* all are marked */
        all -= most->bytes;
        most->bytes = STRANGER_BYTES + 1;
    }
}

size_t strangers_sweep(struct strangers *s, double now)
{
    unsigned long long all = 0;
    size_t cut = 0;

    for (size_t i = 0; i < s->count; i++) {
        struct stranger *x = &s->at[i];

        x->bytes = socket_of(x->fd) == x->socket ? bytes_received(x->fd) : 0;
        all += x->bytes <= STRANGER_BYTES ? x->bytes : 0;
    }
    mark_most(s, all);
    for (size_t i = 0; i < s->count;) {
        const struct stranger x = s->at[i];

        /* One that is closed stays too: that it went is still to be told, by its name. */
        if (now - x.since <= STRANGER_S && x.bytes <= STRANGER_BYTES) {
            i++;
            continue;
        }
        if (socket_of(x.fd) == x.socket && shutdown(x.fd, SHUT_RDWR) == 0)
            cut++;
        s->at[i] = s->at[--s->count];
    }
    s->cut += cut;
    return cut;
}

void strangers_release(struct strangers *s)
{
    free(s->at);
    memset(s, 0, sizeof *s);
}

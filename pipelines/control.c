/* SPDX-License-Identifier: Apache-2.0 */
/* control - listening, lines in, lines out. What requests mean is crew.c's business. */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../common/base/mem.h"
#include "../common/text/unicode.h"

#define LINE_BYTES 65536

struct client {
    int fd; /* -1: free */
    uint64_t number;
    size_t n;
    char *text; /* LINE_BYTES, while fd >= 0 */
};

struct control {
    int fd;
    int spare;        /* given up for a moment to turn a client away when no descriptor is left */
    uint64_t clients; /* so far */
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    struct client client[CONTROL_CLIENTS];
};

static void client_close(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    free(c->text);
    *c = (struct client){.fd = -1};
}

int control_dial(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char real[PATH_MAX];
    int fd;

    if (!realpath(path, real))
        return -1;
    if (strlen(real) >= sizeof a.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(a.sun_path, real, strlen(real) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

struct control *control_open(const char *dir, struct err *e)
{
    struct control *c = mem_array(1, sizeof *c, e);
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    if (!c)
        return NULL;
    c->fd = c->spare = -1;
    for (size_t i = 0; i < CONTROL_CLIENTS; i++)
        c->client[i].fd = -1;
    if ((size_t)snprintf(a.sun_path, sizeof a.sun_path, "%s/" CONTROL_NAME, dir) >=
        sizeof a.sun_path) {
        err_set(e, ERR_USE,
                "socket path '%s/" CONTROL_NAME
                "' is too long: set XDG_RUNTIME_DIR to a shorter folder",
                dir);
        goto bad;
    }
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0 || bind(c->fd, (struct sockaddr *)&a, sizeof a) < 0 ||
        listen(c->fd, CONTROL_CLIENTS) < 0) {
        err_sys(e, "cannot listen at '%s'", a.sun_path);
        goto bad;
    }
    memcpy(c->path, a.sun_path, sizeof c->path);
    c->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return c;
bad:
    control_close(&c);
    return NULL;
}

void control_close(struct control **cp)
{
    struct control *c = *cp;

    if (!c)
        return;
    for (size_t i = 0; i < CONTROL_CLIENTS; i++)
        client_close(&c->client[i]);
    if (c->fd >= 0)
        close(c->fd);
    if (c->spare >= 0)
        close(c->spare);
    if (*c->path)
        unlink(c->path);
    free(c);
    *cp = NULL;
}

void control_poll(const struct control *c, struct pollfd *p)
{
    p[0] = (struct pollfd){.fd = c->fd, .events = POLLIN};
    for (size_t i = 0; i < CONTROL_CLIENTS; i++)
        p[1 + i] = (struct pollfd){.fd = c->client[i].fd, .events = POLLIN};
}

/* One that waits while no descriptor is left would wake poll() for ever: it is turned away. */
static void client_refuse(struct control *c)
{
    int fd;

    close(c->spare);
    fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    c->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* One more than there is room for is turned away: its connection closes. */
static void client_accept(struct control *c)
{
    int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0 && (errno == EMFILE || errno == ENFILE) && c->spare >= 0)
        client_refuse(c);
    for (size_t i = 0; fd >= 0 && i < CONTROL_CLIENTS; i++) {
        struct client *x = &c->client[i];

        if (x->fd >= 0 || !(x->text = mem_array(LINE_BYTES, 1, NULL)))
            continue;
        x->fd = fd;
        x->number = ++c->clients;
        return;
    }
    if (fd >= 0)
        close(fd);
}

static void request_take(struct control *c, uint64_t client, const char *text, size_t n,
                         control_handle handle, void *ctx)
{
    struct err e = {0};
    struct json *j = json_parse(text, n, "request", &e);

    if (j) {
        handle(ctx, client, j);
        json_destroy(&j);
        return;
    }
    control_refuse(c, client, &e);
}

static void client_read(struct control *c, struct client *x, control_handle handle, void *ctx)
{
    ssize_t got = read(x->fd, x->text + x->n, LINE_BYTES - x->n);
    uint64_t number = x->number;
    char *end;

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        client_close(x);
        return;
    }
    x->n += (size_t)got;
    while (x->number == number && (end = memchr(x->text, '\n', x->n))) {
        size_t used = (size_t)(end - x->text) + 1;

        request_take(c, number, x->text, used - 1, handle, ctx);
        if (x->number != number)
            return;
        x->n -= used;
        memmove(x->text, x->text + used, x->n);
    }
    if (x->n == LINE_BYTES)
        client_close(x);
}

void control_serve(struct control *c, const struct pollfd *p, control_handle handle, void *ctx)
{
    for (size_t i = 0; i < CONTROL_CLIENTS; i++)
        if (p[1 + i].revents && c->client[i].fd == p[1 + i].fd)
            client_read(c, &c->client[i], handle, ctx);
    if (p[0].revents)
        client_accept(c);
}

void control_say(struct control *c, uint64_t client, struct json **line)
{
    char *text = *line ? json_print(*line, 0, NULL) : NULL;
    size_t n = text ? strlen(text) : 0;

    json_destroy(line);
    for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
        struct client *x = &c->client[i];

        if (x->fd < 0 || x->number != client)
            continue;
        if (text)
            text[n] = '\n'; /* in place of its end */
        if (!text || send(x->fd, text, n + 1, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)n + 1)
            client_close(x);
    }
    free(text);
}

void control_grant(struct control *c, uint64_t client, const char *text)
{
    struct json *answer = json_new_object();

    if (json_set_bool(answer, "ok", 1) || json_set_text(answer, "text", text))
        json_destroy(&answer);
    control_say(c, client, &answer);
}

/* An error that quotes a name may have cut it inside a character, which JSON cannot hold. */
void control_refuse(struct control *c, uint64_t client, const struct err *e)
{
    struct json *answer = json_new_object();
    size_t n;
    char *text = unicode_repair(e->text, strlen(e->text), &n, NULL);

    if (json_set_bool(answer, "ok", 0) || json_set_text(answer, "error", text) ||
        json_set_int(answer, "code", err_exit(e)))
        json_destroy(&answer);
    free(text);
    control_say(c, client, &answer);
}

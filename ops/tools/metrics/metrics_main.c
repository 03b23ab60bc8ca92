/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-metrics - a page about a run for Prometheus. A program of its own, so that a run that nobody
 * scrapes has neither the library nor the thread. It holds one connection to the run's control
 * socket: by that it asks, and sees that the run has ended. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "../../../common/base/clock.h"
#include "../../../common/base/fs.h"
#include "../../../common/base/mem.h"
#include "../../../common/base/sig.h"
#include "../../../pipelines/control.h"
#include "metrics.h"
#include "metrics_http.h"
#include "metrics_opts.h"

#define ANSWER_S 5 /* for the run to answer */
#define EXPIRE_MS 1000

struct asker {
    int fd;
    FILE *from;
};

static int asker_open(struct asker *a, const struct metrics_command *c, struct err *e)
{
    const struct timeval limit = {.tv_sec = ANSWER_S};
    char *path = c->run ? mem_printf(e, "%s/" CONTROL_NAME, c->run)
                        : mem_printf(e, "%s/.ptqflow/" CONTROL_NAME, c->out);

    if (!path)
        return -1;
    a->fd = control_dial(path);
    if (a->fd < 0)
        err_set(e, ERR_USE, "no run is going on at '%.300s'", path);
    else if (setsockopt(a->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0 ||
             !(a->from = fdopen(dup(a->fd), "r")))
        err_sys(e, "cannot ask the run");
    free(path);
    return a->from ? 0 : -1;
}

static char *page(void *ctx, struct err *e)
{
    static const char request[] = "{\"cmd\":\"status\"}\n";
    struct asker *a = ctx;
    struct json *status = NULL;
    char *line = NULL, *text = NULL;
    size_t room = 0;
    ssize_t n;

    if (send(a->fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request) ||
        (n = getline(&line, &room, a->from)) <= 0)
        err_sys(e, "the run does not answer");
    else if ((status = json_parse(line, (size_t)n, "answer", e)))
        text = metrics_text(status, e);
    if (!text) /* a late answer would be taken for that to the next question */
        shutdown(a->fd, SHUT_RDWR);
    json_destroy(&status);
    free(line);
    return text;
}

/* Until the run has ended, or we are asked to. */
static void wait_end(const struct asker *a, struct metrics_http *h)
{
    struct pollfd p[] = {{.fd = a->fd, .events = 0}, {.fd = sig_fd(), .events = POLLIN}};

    while (!sig_draining() && poll(p, 2, EXPIRE_MS) >= 0 && !p[0].revents && !p[1].revents)
        metrics_http_expire(h, clock_wall());
}

static int run(struct stage *s, struct err *e)
{
    const struct metrics_command *c = s->own;
    struct asker a = {.fd = -1};
    struct metrics_http *h = NULL;
    int rc = -1;

    if (asker_open(&a, c, e) == 0 &&
        (h = metrics_http_open(s->args.arg[0], c->insecure, page, &a, e)) &&
        printf("%s\n", metrics_http_url(h)) > 0 && fs_flush(stdout, e) == 0) {
        wait_end(&a, h);
        rc = 0;
    }
    metrics_http_close(&h);
    if (a.from)
        fclose(a.from);
    if (a.fd >= 0)
        close(a.fd);
    return rc;
}

int main(int argc, char **argv)
{
    return stage_main(&metrics_spec, run, argc, argv);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_http - see metrics_http.h. */
#include "metrics_http.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../../../common/base/clock.h"
#include "../../../common/base/mem.h"
#include "metrics.h"
#include "metrics_address.h"

#define PATH "/metrics"
#define CONNECTIONS 16u
#define SECONDS 10u /* without a word a connection is closed */

struct place { /* of a connection */
    struct place *next;
    int fd;
    double since; /* it began; with its one answer it ends */
};

struct metrics_http {
    struct MHD_Daemon *daemon;
    metrics_page *page;
    void *ctx;
    pthread_mutex_t mu, places_mu;
    struct place *places;
    char url[160];
};

static enum MHD_Result say(struct MHD_Connection *c, unsigned code, const char *type, char *text,
                           enum MHD_ResponseMemoryMode whose)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), text, whose);
    enum MHD_Result done = MHD_NO;

    if (r && MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES)
        done = MHD_queue_response(c, code, r);
    if (r)
        MHD_destroy_response(r);
    return done;
}

/* The library closes the descriptor only after it has said so here. */
static void connection(void *ctx, struct MHD_Connection *c, void **own,
                       enum MHD_ConnectionNotificationCode what)
{
    struct metrics_http *h = ctx;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct place *p = *own;

    pthread_mutex_lock(&h->places_mu);
    if (what == MHD_CONNECTION_NOTIFY_STARTED && info && (p = malloc(sizeof *p))) {
        *p = (struct place){.next = h->places, .fd = info->connect_fd, .since = clock_wall()};
        h->places = *own = p;
    } else if (what == MHD_CONNECTION_NOTIFY_CLOSED && p) {
        for (struct place **at = &h->places; *at; at = &(*at)->next)
            if (*at == p) {
                *at = p->next;
                break;
            }
        free(p);
        *own = NULL;
    }
    pthread_mutex_unlock(&h->places_mu);
}

void metrics_http_expire(struct metrics_http *h, double now)
{
    pthread_mutex_lock(&h->places_mu);
    for (struct place *p = h->places; p; p = p->next)
        if (now - p->since > SECONDS)
            shutdown(p->fd, SHUT_RDWR);
    pthread_mutex_unlock(&h->places_mu);
}

static enum MHD_Result answer(void *ctx, struct MHD_Connection *c, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *uploaded, void **state)
{
    static char nothing[] = "the metrics are at " PATH "\n", only[] = "GET or HEAD, please\n",
                gone[] = "the run has ended, or does not answer\n";
    static const char plain[] = "text/plain; charset=utf-8";
    struct metrics_http *h = ctx;
    struct err e = {0};
    char *text;

    (void)version;
    (void)upload;
    (void)state;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        *uploaded = 0;
        return say(c, MHD_HTTP_METHOD_NOT_ALLOWED, plain, only, MHD_RESPMEM_PERSISTENT);
    }
    if (strcmp(url, PATH) != 0)
        return say(c, MHD_HTTP_NOT_FOUND, plain, nothing, MHD_RESPMEM_PERSISTENT);
    pthread_mutex_lock(&h->mu);
    text = h->page(h->ctx, &e);
    pthread_mutex_unlock(&h->mu);
    return text ? say(c, MHD_HTTP_OK, METRICS_TYPE, text, MHD_RESPMEM_MUST_FREE)
                : say(c, MHD_HTTP_SERVICE_UNAVAILABLE, plain, gone, MHD_RESPMEM_PERSISTENT);
}

struct metrics_http *metrics_http_open(const char *address, int anywhere, metrics_page *page,
                                       void *ctx, struct err *e)
{
    struct sockaddr_storage a = {0};
    const union MHD_DaemonInfo *info;
    struct metrics_http *h;

    if (metrics_address_read(address, anywhere, &a, e) < 0)
        return NULL;
    if (!(h = mem_array(1, sizeof *h, e)))
        return NULL;
    h->page = page;
    h->ctx = ctx;
    pthread_mutex_init(&h->mu, NULL);
    pthread_mutex_init(&h->places_mu, NULL);
    h->daemon =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO |
                             (a.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0u),
                         0, NULL, NULL, answer, h, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&a,
                         MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
                         SECONDS, MHD_OPTION_NOTIFY_CONNECTION, connection, h, MHD_OPTION_END);
    info = h->daemon ? MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_BIND_PORT) : NULL;
    if (!info) {
        err_sys(e, "cannot listen at %.100s", address);
        metrics_http_close(&h);
        return NULL;
    }
    snprintf(h->url, sizeof h->url, "http://%.*s:%u" PATH, (int)(strrchr(address, ':') - address),
             address, (unsigned)info->port);
    return h;
}

const char *metrics_http_url(const struct metrics_http *h)
{
    return h->url;
}

void metrics_http_close(struct metrics_http **hp)
{
    struct metrics_http *h = *hp;

    *hp = NULL;
    if (!h)
        return;
    if (h->daemon)
        MHD_stop_daemon(h->daemon);
    pthread_mutex_destroy(&h->mu);
    pthread_mutex_destroy(&h->places_mu);
    free(h);
}

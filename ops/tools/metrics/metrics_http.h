/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_http - one page, /metrics, for who asks by HTTP; on threads of its own. The only file
 * that knows libmicrohttpd is metrics_http.c. */
#ifndef PTQ_METRICS_HTTP_H
#define PTQ_METRICS_HTTP_H

#include "../../../common/base/err.h"

struct metrics_http;

/* A page that the server frees; NULL, and e, where there is none now. From any thread, one at a
 * time. */
typedef char *metrics_page(void *ctx, struct err *e);

/* address: "127.0.0.1:9090", "[::1]:9090"; with port 0 a free one. Beyond loopback only where
 * `anywhere` says so: ERR_USE. */
struct metrics_http *metrics_http_open(const char *address, int anywhere, metrics_page *page,
                                       void *ctx, struct err *e);
/* "http://127.0.0.1:9090/metrics" */
const char *metrics_http_url(const struct metrics_http *h);
/* At `now` (clock_wall()): closes the connections whose request has been under way for too long, so
 * that who drips bytes does not keep a place for ever. From one thread, every second or so. */
void metrics_http_expire(struct metrics_http *h, double now);
void metrics_http_close(struct metrics_http **h);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The page about a run: what an answer lacks is left out, labels cannot break out of their quotes;
 * the server's addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../common/base/clock.h"
#include "../../ops/tools/metrics/metrics.h"
#include "../../ops/tools/metrics/metrics_http.h"

static char *page(const char *status)
{
    struct err e = {0};
    struct json *j = json_parse(status, strlen(status), "status", &e);
    char *text;

    assert_non_null(j);
    text = metrics_text(j, &e);
    assert_non_null(text);
    json_destroy(&j);
    return text;
}

static void says(const char *text, const char *line)
{
    if (!strstr(text, line))
        fail_msg("'%s' is not in:\n%s", line, text);
}

static void test_absent(void **state)
{
    char *text = page("{}");

    (void)state;
    assert_string_equal(text, "# HELP ptq_processes Processes of a stage in a state.\n"
                              "# TYPE ptq_processes gauge\n");
    free(text);
    text =
        page("{\"sites\":28,\"eta_s\":null,\"share\":\"half\",\"processes\":[{},{\"status\":7}]}");
    says(text, "# TYPE ptq_sites gauge\nptq_sites 28\n");
    assert_null(strstr(text, "ptq_eta_seconds"));
    assert_null(strstr(text, "ptq_work_ratio"));
    says(text, "ptq_processes{stage=\"\",state=\"\"} 2\n");
    assert_null(strstr(text, "ptq_process_done"));
    free(text);
}

static void test_processes(void **state)
{
    char *text = page(
        "{\"processes\":[{\"name\":\"f.1\",\"stage\":\"f\",\"state\":\"at work\",\"rss_mib\":1.5,"
        "\"cpu_s\":2.25,\"status\":{\"done\":3,\"unit\":\"chunks\",\"queue\":0}},"
        "{\"name\":\"f.2\",\"stage\":\"f\",\"state\":\"at work\"},"
        "{\"name\":\"f.3\",\"stage\":\"f\",\"state\":\"ended\",\"cpu_s\":9}]}");

    (void)state;
    says(text, "ptq_processes{stage=\"f\",state=\"at work\"} 2\n");
    says(text, "ptq_processes{stage=\"f\",state=\"ended\"} 1\n");
    says(text, "ptq_process_resident_bytes{stage=\"f\",process=\"f.1\"} 1572864\n");
    says(text, "ptq_process_cpu_seconds_total{stage=\"f\",process=\"f.1\"} 2.25\n");
    says(text, "ptq_process_done{stage=\"f\",process=\"f.1\",unit=\"chunks\"} 3\n");
    says(text, "ptq_process_queue_messages{stage=\"f\",process=\"f.1\"} 0\n");
    assert_null(strstr(text, "f.3"));
    free(text);
}

static void test_labels(void **state)
{
    char *text =
        page("{\"processes\":[],\"hosts\":[{\"name\":\"a\\\"} 1\\n\\\\\",\"state\":\"at work\","
             "\"forward\":2,\"solve\":1},{\"name\":\"b\",\"state\":\"gone\"}]}");

    (void)state;
    says(text, "ptq_worker_up{worker=\"a\\\"} 1\\n\\\\\"} 1\n");
    says(text, "ptq_worker_up{worker=\"b\"} 0\n");
    says(text, "ptq_worker_forward_processes{worker=\"a\\\"} 1\\n\\\\\"} 2\n");
    free(text);
}

static char *any_page(void *ctx, struct err *e)
{
    (void)ctx;
    (void)e;
    return strdup("text\n");
}

/* A connection with the first bytes of a request. */
static int drip(const struct metrics_http *h)
{
    const struct timeval limit = {.tv_sec = 20};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    a.sin_port = htons((uint16_t)atoi(strrchr(metrics_http_url(h), ':') + 1));
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(send(fd, "GET /me", 7, MSG_NOSIGNAL), 7);
    return fd;
}

/* A request that is never whole ends when its time is over, however lately it said a byte. */
static void test_expire(void **state)
{
    static const char rest[] = "trics HTTP/1.1\r\nHost: a\r\n\r\n";
    struct err e = {0};
    struct metrics_http *h = metrics_http_open("127.0.0.1:0", 0, any_page, NULL, &e);
    char text[1024];
    int slow, other[2];

    (void)state;
    assert_non_null(h);
    slow = drip(h);
    for (int i = 0; i < 2; i++) { /* answered, and so who came before is known */
        other[i] = drip(h);
        metrics_http_expire(h, clock_wall());
        assert_int_equal(send(other[i], rest, strlen(rest), MSG_NOSIGNAL), strlen(rest));
        assert_true(recv(other[i], text, sizeof text, 0) > 0);
    }
    metrics_http_expire(h, clock_wall() + 11);
    assert_int_equal(recv(slow, text, sizeof text, 0), 0);
    close(slow);
    close(other[0]);
    close(other[1]);
    metrics_http_close(&h);
}

static void test_ports(void **state)
{
    static const char *const bad[] = {"127.0.0.1:65536", "127.0.0.1:99999", "[::1]:4294967297"};
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_null(metrics_http_open(bad[i], 0, any_page, NULL, &e));
        assert_int_equal(e.kind, ERR_USE);
        says(e.text, "a port is a number up to 65535");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_absent), cmocka_unit_test(test_processes),
        cmocka_unit_test(test_labels), cmocka_unit_test(test_expire),
        cmocka_unit_test(test_ports),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

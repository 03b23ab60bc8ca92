/* SPDX-License-Identifier: Apache-2.0 */
/* The page about a run: what an answer lacks is left out, labels cannot break out of their quotes;
 * the server's addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../ops/tools/metrics/metrics.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_processes),
        cmocka_unit_test(test_labels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the forward pass that workers have leased: whose place is whose, which lanes are owed;
 * and the ports by which the sockets of a run are reached. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../pipelines/hosts_parts.h"
#include "../../pipelines/hosts_ports.h"

static void told(struct hosts_part *p, const char *text)
{
    struct json *j = json_parse(text, strlen(text), "test", NULL);

    assert_non_null(j);
    part_told(p, "forward", "reduce", "importance", j);
    json_destroy(&j);
}

static void test_lanes(void **state)
{
    struct hosts_parts all = {0};
    struct hosts_part *p;
    char lanes[PART_LIST];

    (void)state;
    parts_add(&all, 4, 1, 1, NULL);
    p = parts_add(&all, 7, 2, 1, NULL);
    assert_ptr_equal(parts_of(&all, 7), p);
    assert_null(parts_of(&all, 5));
    assert_int_equal(part_lanes(p, lanes), PART_OWES_UNKNOWN);
    /* of another turn, another stage, no such process, of no kind: nothing */
    told(p, "[{\"name\":\"forward.1\",\"epoch\":2,\"lanes\":\"9\"},"
            "{\"name\":\"forwards.1\",\"epoch\":1,\"lanes\":\"9\"},"
            "{\"name\":\"forward.3\",\"epoch\":1,\"lanes\":\"9\"},"
            "{\"name\":\"forward.0\",\"epoch\":1,\"lanes\":\"9\"},"
            "{\"name\":\"forward.1x\",\"epoch\":1,\"lanes\":\"9\"},"
            "{\"name\":\"forward\",\"epoch\":1,\"lanes\":\"9\"},"
            "{\"epoch\":1,\"lanes\":\"9\"},{\"name\":7,\"epoch\":\"1\",\"lanes\":[]},7,null]");
    told(p, "[{\"name\":\"forward.1\",\"epoch\":1,\"lanes\":\"0,2-3\"}]");
    assert_int_equal(part_lanes(p, lanes), PART_OWES_UNKNOWN);          /* the other has not said */
    told(p, "[{\"name\":\"importance.1\",\"epoch\":1,\"lanes\":\"9\"}," /* as forward said */
            "{\"name\":\"importance.2\",\"epoch\":1},"
            "{\"name\":\"importance.3\",\"epoch\":1,\"lanes\":\"9\"}]");
    assert_int_equal(part_lanes(p, lanes), PART_OWES_UNKNOWN);
    told(p, "[{\"name\":\"importance.2\",\"epoch\":1,\"lanes\":\"4-5\"}]"); /* on their way */
    assert_int_equal(part_lanes(p, lanes), PART_OWES_LANES);
    assert_string_equal(lanes, "0,2-3,4-5");
    told(p, "[{\"name\":\"forward.2\",\"epoch\":1,\"lanes\":\"5\"}]");
    assert_int_equal(part_lanes(p, lanes), PART_OWES_LANES);
    assert_string_equal(lanes, "0,2-3,5");
    told(p, "[{\"name\":\"forward.1\",\"epoch\":1,\"lanes\":\"-\"}]");
    assert_int_equal(part_lanes(p, lanes), PART_OWES_LANES);
    assert_string_equal(lanes, "5");
    told(
        p,
        "[{\"name\":\"forward.2\",\"epoch\":1,\"lanes\":\"-\"}]"); /* its reducer is about to end */
    assert_int_equal(part_lanes(p, lanes), PART_OWES_UNKNOWN);
    told(p, "[{\"name\":\"reduce.1\",\"epoch\":1,\"done\":true}]");
    assert_int_equal(part_lanes(p, lanes), PART_OWES_NOTHING);
    parts_release(&all);
    assert_int_equal(all.count, 0);
}

static void test_count(void **state)
{
    static const char *const wrong[] = {"", "x", "1-", "-1", "2-1", "1,", ",1", "1 2", "1-2-3"};
    struct hosts_parts all = {0};
    struct hosts_part *p = parts_add(&all, 0, 2, 1, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(lanes_count(wrong[i]), -1);
    assert_int_equal(lanes_count("-"), 0);
    assert_int_equal(lanes_count("7"), 1);
    assert_int_equal(lanes_count("0,2-4,9"), 5);
    told(p, "[{\"name\":\"forward.1\",\"epoch\":1,\"lanes\":\"0-2\"}]");
    assert_int_equal(part_most(p), -1);
    told(p, "[{\"name\":\"forward.2\",\"epoch\":1,\"lanes\":\"5,7\"}]");
    assert_int_equal(part_most(p), 3);
    parts_release(&all);
}

static void test_too_many_lanes(void **state)
{
    struct hosts_parts all = {0};
    struct hosts_part *p = parts_add(&all, 0, 32, 1, NULL);
    char lanes[PART_LIST];

    (void)state;
    for (int i = 0; i < 32; i++) {
        memset(p->lanes[i], '1', PART_LANES - 1);
        p->lanes[i][PART_LANES - 1] = '\0';
    }
    assert_int_equal(part_lanes(p, lanes), PART_OWES_UNKNOWN); /* rather than some of them */
    parts_release(&all);
}

static void test_next(void **state)
{
    struct hosts_parts all = {0};
    struct hosts_part *p = parts_add(&all, 3, 1, 5, NULL);
    char lease[PART_LEASE], lanes[PART_LIST];

    (void)state;
    part_lease(p, "forward", 1, lease);
    assert_string_equal(lease, "w1.forward.2/0");
    part_lease(p, "weigh", 0, lease);
    assert_string_equal(lease, "w1.weigh.1/0");
    part_lease(p, "reduce", 0, lease);
    assert_string_equal(lease, "w1.reduce/0");
    assert_ptr_equal(parts_find(&all, lease), p);
    assert_null(parts_find(&all, "w1.reduce/1")); /* not yet */
    assert_null(parts_find(&all, "w2.reduce/0"));
    assert_null(parts_find(&all, "w0.reduce/0"));
    assert_null(parts_find(&all, "write/0"));
    assert_null(parts_find(&all, "w1.reduce"));
    assert_null(parts_find(&all, ""));
    told(p, "[{\"name\":\"forward.1\",\"epoch\":5,\"lanes\":\"1\"}]");
    err_set(&p->lost, ERR_SYS, "gone");
    assert_string_equal(parts_lost(&all)->text, "gone");
    assert_int_equal(part_next(p, 9, 2, 12, "ipc:///run/lanes.4", 6, NULL), 0);
    assert_null(parts_lost(&all));
    assert_null(parts_of(&all, 3));
    assert_ptr_equal(parts_of(&all, 9), p);
    part_lease(p, "reduce", 0, lease);
    assert_string_equal(lease, "w1.reduce/1");
    assert_null(parts_find(&all, "w1.reduce/0")); /* a neighbour tells late of the one before */
    told(p, "[{\"name\":\"forward.1\",\"epoch\":5,\"lanes\":\"1\"}]");
    assert_int_equal(part_lanes(p, lanes), PART_OWES_UNKNOWN);
    parts_clear(&all); /* all begins again: who had them lives on, perhaps */
    for (size_t i = 0; i < 2; i++) {
        p = parts_add(&all, i, 1, 7, NULL);
        part_lease(p, "reduce", 0, lease);
        assert_string_equal(lease, i ? "w2.reduce/2" : "w1.reduce/2");
    }
    parts_release(&all);
}

static struct launch_process process(const char *const *word)
{
    struct launch_process p = {.ours = 1, .argv = mem_array(16, sizeof *p.argv, NULL)};

    while (word[p.argc]) {
        p.argv[p.argc] = mem_text(word[p.argc], NULL);
        p.argc++;
    }
    return p;
}

static void process_free(struct launch_process *p)
{
    for (size_t i = 0; i < p->argc; i++)
        free(p->argv[i]);
    free(p->argv);
}

static void test_ports(void **state)
{
    static const char *const word[] = {
        "ptq-write", "--in", "@ipc:///r/solutions", "--commits", "@ipc:///r/commits", NULL};
    struct hosts_ports any = {.base = "tcp://1.2.3.4", .keys = "k"},
                       fixed = {.base = "tcp://1.2.3.4", .last = 65534};
    struct launch_process p = process(word), q = process(word);
    struct err e = {0};

    (void)state;
    assert_int_equal(ports_give(&any, &p, &e), 0);
    assert_string_equal(p.argv[2], "@ipc:///r/solutions,tcp://1.2.3.4:*");
    assert_string_equal(launch_value(&p, "--keys"), "k");
    assert_null(ports_at(&any, "ipc:///r/solutions"));
    ports_bound(&any, "ipc:///r/solutions", "tcp://1.2.3.4:7001");
    ports_bound(&any, "ipc:///r/x", "no port"); /* is not taken */
    assert_null(ports_at(&any, "ipc:///r/x"));
    assert_string_equal(ports_at(&any, "ipc:///r/solutions"), "tcp://1.2.3.4:7001");
    assert_int_equal(ports_keep(&any, &p, &e), 0); /* where one was known */
    assert_string_equal(p.argv[2], "@ipc:///r/solutions,tcp://1.2.3.4:7001");
    assert_string_equal(p.argv[4], "@ipc:///r/commits,tcp://1.2.3.4:*");
    ports_forget(&any);
    assert_null(ports_at(&any, "ipc:///r/solutions"));
    ports_release(&any);
    assert_int_equal(ports_give(&fixed, &q, &e), -1); /* one is left, two are asked for */
    assert_int_equal(e.kind, ERR_USE);
    assert_string_equal(q.argv[2], "@ipc:///r/solutions,tcp://1.2.3.4:65535");
    process_free(&p);
    process_free(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lanes), cmocka_unit_test(test_too_many_lanes),
        cmocka_unit_test(test_next), cmocka_unit_test(test_count), cmocka_unit_test(test_ports)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

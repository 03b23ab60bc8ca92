/* SPDX-License-Identifier: Apache-2.0 */
/* Processors that may be used: affinity, and the quotas of control groups in a tree of files. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/base/cpu.h"
#include "../../common/base/fs.h"
#include "../../common/base/mem.h"

static char root[64];

static void put(const char *name, const char *text)
{
    struct err e = {0};
    char *path = fs_join(root, name, &e), *dir = mem_text(path, &e);

    *strrchr(dir, '/') = '\0';
    assert_int_equal(fs_mkdir(dir, &e), 0);
    assert_int_equal(fs_publish(path, text, strlen(text), &e), 0);
    free(dir);
    free(path);
}

static int fresh(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/ptq_cpu_XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int drop(void **state)
{
    (void)state;
    return fs_remove_tree(root, NULL);
}

static void without_files_the_affinity_counts(void **state)
{
    cpu_set_t all, one;
    size_t first = 0;
    int n;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    n = CPU_COUNT(&all);
    assert_int_equal(cpu_count_below(root), n);
    assert_true(cpu_count() >= 1 && cpu_count() <= (size_t)n);
    while (!CPU_ISSET(first, &all))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(cpu_count_below(root), 1);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

/* Bounded by one processor, or by as many as there are. */
static void counts(int bounded)
{
    cpu_set_t all;

    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    assert_int_equal(cpu_count_below(root), bounded ? 1 : CPU_COUNT(&all));
}

static void version_2(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/a/b\n");
    put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    counts(0);
    put("sys/fs/cgroup/a/b/cpu.max", "100000 100000\n");
    counts(1);
    put("sys/fs/cgroup/a/b/cpu.max", "1000 100000\n"); /* never none */
    counts(1);
    put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    put("sys/fs/cgroup/a/cpu.max", "50000 100000\n"); /* of the group above */
    counts(1);
    put("sys/fs/cgroup/a/cpu.max", "99999999 100000\n");
    counts(0);
}

static void version_2_in_a_container(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/kubepods/pod7/c1\n"); /* a path that is not there */
    put("sys/fs/cgroup/cpu.max", "90000 100000\n");
    counts(1);
}

static void version_1(void **state)
{
    (void)state;
    put("proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/docker/c1\n3:cpuset:/y\n");
    put("sys/fs/cgroup/cpuset/y/cpu.cfs_quota_us", "1000\n"); /* not the controller of the time */
    put("sys/fs/cgroup/cpuset/y/cpu.cfs_period_us", "100000\n");
    put("sys/fs/cgroup/cpu,cpuacct/docker/c1/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu,cpuacct/docker/c1/cpu.cfs_period_us", "100000\n");
    counts(0);
    put("sys/fs/cgroup/cpu,cpuacct/docker/c1/cpu.cfs_quota_us", "100000\n");
    counts(1);
}

static void nonsense_is_no_bound(void **state)
{
    (void)state;
    put("proc/self/cgroup", "\nx\n0:\n0::\n::::\n0::/a");
    put("sys/fs/cgroup/a/cpu.max", "");
    counts(0);
    put("sys/fs/cgroup/a/cpu.max", "0 0");
    counts(0);
    put("sys/fs/cgroup/a/cpu.max", "-5 100000");
    counts(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_files_the_affinity_counts, fresh, drop),
        cmocka_unit_test_setup_teardown(version_2, fresh, drop),
        cmocka_unit_test_setup_teardown(version_2_in_a_container, fresh, drop),
        cmocka_unit_test_setup_teardown(version_1, fresh, drop),
        cmocka_unit_test_setup_teardown(nonsense_is_no_bound, fresh, drop),
    };

    return cmocka_run_group_tests_name("cpu", tests, NULL, NULL);
}

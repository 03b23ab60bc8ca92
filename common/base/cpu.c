/* SPDX-License-Identifier: Apache-2.0 */
/* cpu - affinity by sched_getaffinity, quotas by the files of the control group and of those above
 * it. Where a container sees only part of the tree, the folders that are there count. */
#include "cpu.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs.h"
#include "mem.h"

#define TEXT_MAX 65536
#define CPUS_MAX (1 << 20)

static size_t bound_to(void)
{
    for (int n = 1024; n <= CPUS_MAX; n *= 2) { /* too small a set is an error */
        cpu_set_t *set = CPU_ALLOC((size_t)n);
        size_t bytes = CPU_ALLOC_SIZE((size_t)n);
        int count;

        if (!set)
            break;
        count = sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 0;
        CPU_FREE(set);
        if (count > 0)
            return (size_t)count;
    }
    return sysconf(_SC_NPROCESSORS_ONLN) > 0 ? (size_t)sysconf(_SC_NPROCESSORS_ONLN) : 1;
}

static char *text_of(const char *dir, const char *name)
{
    char *path = fs_join(dir, name, NULL);
    char *text = path ? fs_read(path, TEXT_MAX, NULL, NULL) : NULL;

    free(path);
    return text;
}

/* Processors that one folder allows; INFINITY: no bound. */
static double quota_of(const char *dir)
{
    char *both = text_of(dir, "cpu.max"), *quota = NULL, *period = NULL;
    double q = 0, p = 0;

    if (both) { /* "max 100000" or "50000 100000" */
        if (sscanf(both, "%lf %lf", &q, &p) != 2)
            q = 0;
    } else if ((quota = text_of(dir, "cpu.cfs_quota_us")) &&
               (period = text_of(dir, "cpu.cfs_period_us"))) { /* -1: none */
        q = strtod(quota, NULL);
        p = strtod(period, NULL);
    }
    free(period);
    free(quota);
    free(both);
    return q > 0 && p > 0 ? q / p : INFINITY;
}

/* The least of a group and those above it. top/path, then up to top. */
static double quota_above(const char *top, const char *path)
{
    char *dir = mem_printf(NULL, "%s%s", top, path), *slash;
    double least = INFINITY;

    while (dir && strlen(dir) >= strlen(top)) {
        least = fmin(least, quota_of(dir));
        if (!(slash = strrchr(dir, '/')))
            break;
        *slash = '\0';
    }
    free(dir);
    return least;
}

/* A line of /proc/self/cgroup, "NUMBER:CONTROLLERS:PATH". Controllers are empty in version 2; those
 * of version 1 that share a folder name it together. */
static double quota_by_line(const char *root, char *line)
{
    char *controllers = strchr(line, ':'), *path = controllers ? strchr(++controllers, ':') : NULL,
         *top;
    double quota = INFINITY;
    int cpu = 0;

    if (!path)
        return INFINITY;
    *path++ = '\0';
    for (const char *c = controllers; *c; c += strcspn(c, ","), c += *c == ',')
        cpu |= strcspn(c, ",") == 3 && strncmp(c, "cpu", 3) == 0;
    if (*controllers && !cpu)
        return INFINITY;
    top = mem_printf(NULL, "%s/sys/fs/cgroup%s%s", root, *controllers ? "/" : "", controllers);
    if (top)
        quota = quota_above(top, path);
    free(top);
    return quota;
}

size_t cpu_count_below(const char *root)
{
    char *proc = mem_printf(NULL, "%s/proc/self", root);
    char *text = proc ? text_of(proc, "cgroup") : NULL, *line = text, *end;
    double quota = INFINITY;
    size_t bound = bound_to();

    for (; line && *line; line = end) {
        end = line + strcspn(line, "\n");
        if (*end)
            *end++ = '\0';
        quota = fmin(quota, quota_by_line(root, line));
    }
    free(text);
    free(proc);
    quota = ceil(quota);
    return quota < (double)bound ? quota < 1 ? 1 : (size_t)quota : bound;
}

size_t cpu_count(void)
{
    return cpu_count_below("");
}

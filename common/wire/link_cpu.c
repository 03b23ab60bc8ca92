/* SPDX-License-Identifier: Apache-2.0 */
/* link_cpu - see link_cpu.h. */
#include "link_cpu.h"
#include <dirent.h>
#include <stdio.h>
#include <string.h>

/* Threads of this context are named "NUMBER/ZMQbg/..."; the kernel keeps their time in
 * nanoseconds. */
static double thread_cpu(const char *tid, const char *prefix)
{
    char path[320], text[64] = "";
    double ns = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/self/task/%s/comm", tid);
    if (!(f = fopen(path, "re")))
        return 0;
    if (!fgets(text, sizeof text, f))
        text[0] = '\0';
    fclose(f);
    if (strncmp(text, prefix, strlen(prefix)) != 0)
        return 0;
    snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", tid);
    if (!(f = fopen(path, "re")))
        return 0;
    if (fscanf(f, "%lf", &ns) != 1)
        ns = 0;
    fclose(f);
    return ns * 1e-9;
}

double link_cpu(int number)
{
    char prefix[32];
    double sum = 0;
    DIR *d = opendir("/proc/self/task");
    struct dirent *entry;

    if (!d)
        return 0;
    snprintf(prefix, sizeof prefix, "%d/ZMQbg/", number);
    while ((entry = readdir(d)))
        if (entry->d_name[0] != '.')
            sum += thread_cpu(entry->d_name, prefix);
    closedir(d);
    return sum;
}

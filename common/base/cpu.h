/* SPDX-License-Identifier: Apache-2.0 */
/* cpu - how many processors this process may use: those it is bound to (taskset, Slurm), and not
 * more than its control group has time for (containers: cpu.max, or the quota of version 1). */
#ifndef PTQ_CPU_H
#define PTQ_CPU_H

#include <stddef.h>

/* 1 or more; a share of a processor counts as a whole one. */
size_t cpu_count(void);
/* The same with proc and sys of another root: "" is the machine's. */
size_t cpu_count_below(const char *root);

#endif

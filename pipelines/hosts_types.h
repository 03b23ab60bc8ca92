/* SPDX-License-Identifier: Apache-2.0 */
/* hosts_types - what a head is told (hosts.h). */
#ifndef PTQ_HOSTS_TYPES_H
#define PTQ_HOSTS_TYPES_H

#include <stddef.h>

struct hosts_opts {
    const char *listen; /* tcp://ADDRESS:PORT, PORT may be * */
    const char *keys;   /* folder, or NULL */
    const char *model;  /* that the forward pass reads, lent to workers without it; NULL: none */
    int any_kernels;    /* workers whose CPUs compute with others may take part */
    int insecure;
    size_t wait; /* for so many workers before the run starts */
};

/* How the forward pass is shared out. */
struct hosts_shares {
    size_t own;              /* forward processes of this host */
    size_t forwards, others; /* those of workers, and of how many */
    int weighs;              /* workers weigh the tokens of their lanes themselves */
};

#endif

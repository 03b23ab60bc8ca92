/* SPDX-License-Identifier: Apache-2.0 */
/* mixed_types - what a run that chooses its bits is asked for. */
#ifndef PTQ_MIXED_TYPES_H
#define PTQ_MIXED_TYPES_H

#include <stddef.h>
#include "../ops/tools/allocate/allocate_target.h"

struct mixed_opts {
    struct allocate_target target; /* qr: at the run's bits; kl: on the text */
    const char *widths;            /* "2,3,4,8": to choose among, as far as the formats hold them */
    const char *on;                /* text that choices are measured on; NULL: none is */
    size_t trials;                 /* so many at most */
    const char *recipe;            /* as the user named it */
    int argc;                      /* the words behind it */
    char **argv;
};

#endif

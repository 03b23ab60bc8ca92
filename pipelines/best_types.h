/* SPDX-License-Identifier: Apache-2.0 */
/* best_types - what a search is asked for. */
#ifndef PTQ_BEST_TYPES_H
#define PTQ_BEST_TYPES_H

struct best_opts {
    const char *recipe; /* as the user named it */
    int argc;           /* the words behind it */
    char **argv;
};

#endif

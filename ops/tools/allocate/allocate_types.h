/* SPDX-License-Identifier: Apache-2.0 */
/* allocate_types - what ptq-allocate is asked for. */
#ifndef PTQ_ALLOCATE_TYPES_H
#define PTQ_ALLOCATE_TYPES_H

#include <stdint.h>

/* What is to be least in sum: the losses of the journals, or the relative ones, weighed by the
 * weights of the linears. */
enum allocate_score { ALLOCATE_LOSS, ALLOCATE_RELATIVE };

struct allocate_opts {
    enum allocate_score score;
    double bpw;    /* bits a weight of all linears; 0: not said */
    uint64_t size; /* bytes of all linears; 0: not said */
    int protect;   /* the first and the last block get no fewer bits than the dearest run within
                      the target gives them */
    const char *site_weights; /* file; NULL: all 1 */
    int keep;                 /* every site may also stay as it is */
};

#endif

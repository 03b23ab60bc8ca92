/* SPDX-License-Identifier: Apache-2.0 */
/* allocate_types - what ptq-allocate is asked for. */
#ifndef PTQ_ALLOCATE_TYPES_H
#define PTQ_ALLOCATE_TYPES_H

#include <stddef.h>
#include <stdint.h>
#include "allocate_target.h"

/* What is to be least in sum, of the linears: their losses; the relative ones times their weights;
 * the rounding of the weights alone (MixQuant, arXiv 2309.17341), relative, times their weights;
 * or that times the mean diagonal of H (as HAWQ-V2, arXiv 1911.03852, with H of the inputs). */
enum allocate_score {
    ALLOCATE_LOSS,
    ALLOCATE_RELATIVE,
    ALLOCATE_ROUND_OFF,
    ALLOCATE_TRACE,
    ALLOCATE_AGREED /* the relative ones, as far as the round-off agrees (allocate_agree.c) */
};
enum allocate_search { ALLOCATE_EXACT, ALLOCATE_RANDOM, ALLOCATE_EXPLORE };

struct allocate_opts {
    enum allocate_score score;
    struct allocate_target target; /* kl: may be foreseen */
    int protect; /* the first and the last block get no fewer bits than the dearest run within
                      the target gives them */
    const char *site_weights; /* file; NULL: all 1 */
    /* finished runs whose divergence was measured on one text, beside those that are chosen among:
     * what a loss means at each unit is learned from them; with kl: further figures */
    const char *const *measured;
    size_t nmeasured;
    enum allocate_search search;
    int64_t trials; /* random: the best of so many draws */
    uint64_t seed;  /* random, explore */
    int keep;       /* every site may also stay as it is */
};

#endif

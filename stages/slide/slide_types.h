/* SPDX-License-Identifier: Apache-2.0 */
/* slide_types - what the parts of the stage share: its options. Private to the stage. */
#ifndef PTQ_SLIDE_TYPES_H
#define PTQ_SLIDE_TYPES_H

#include <stdint.h>
#include "../../common/model/products.h"
#include "slide_schedule.h"
#include "slide_window.h"

/* The losses of the steps of a window, as the means of so many equal parts of them. */
#define SLIDE_CURVE 32
struct slide_curve {
    double mean[SLIDE_CURVE];
    size_t points;
};

struct slide_opts {
    struct slide_shape shape;
    struct slide_zones zones;
    size_t epochs, batch; /* passes of a window over all sequences; sequences of a step */
    size_t parts;         /* of a step, whose gradients are added in their order */
    double share; /* of the inputs of each linear that the first half of the steps rounds; 1: all */
    int64_t sweeps; /* 1: that is the first half of each window; 2: of all windows, one after the
                     * other, which begin anew with what they have learned */
    double rate[SLIDE_RATES];
    int act_bits; /* inputs of linears are rounded to so many; 0: they are not */
    int qkv_bits; /* and q, k and v, each head by itself */
    enum products products;
    int gptq;    /* a block that is settled is rounded by GPTQ, not to nearest */
    double damp; /* of its Hessians */
    uint64_t seed;
    const char *state; /* folder; NULL: none */
    uint64_t mem;      /* for the hidden states of all chunks */
};

#endif

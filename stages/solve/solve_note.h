/* SPDX-License-Identifier: Apache-2.0 */
/* solve_note - what is told about a problem that was solved. */
#ifndef PTQ_SOLVE_NOTE_H
#define PTQ_SOLVE_NOTE_H

#include <stddef.h>
#include <stdint.h>
#include "../../common/tensor/tensor.h"

/* What main tells the user; all of it is in the solution's metadata too. */
struct solve_note {
    double coverage; /* calibration rows per input channel */
    double damp;
    int attempts;
    const char *fallback; /* NULL, "floor", "rtn" */
    /* of an expert with too few rows: "rtn", "all-tokens"; and how many its router sent */
    const char *starved;
    uint64_t routed;
    char solver[32];              /* of a contest: the winner */
    int blind;                    /* a contest was judged on the sums it was solved with */
    size_t dead, raised;          /* dead columns, scales raised from 0 */
    double worst;                 /* largest relative loss of the site's linears */
    char worst_name[TENSOR_NAME]; /* of the linear; "": none was quantized */
    size_t kept;                  /* linears that overrides leave alone */
    /* linears of the site that engines fuse differ in bits, group, grid or in being kept */
    int split;
};

#endif

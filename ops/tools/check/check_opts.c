/* SPDX-License-Identifier: Apache-2.0 */
/* check_opts - see check_opts.h. */
#include "check_opts.h"

#include "../../../common/tensor/blas.h"

static const struct opt rows[] = {
    {"json", OPT_FLAG, offsetof(struct check_command, json), .help = "one JSON object a line"},
    {.name = NULL},
};

const struct stage_spec check_spec = {
    .name = "check",
    .about = "say whether a checkpoint is whole, as an engine that loads it would find",
    .usage = "[options] DIR",
    .notes = "Exit status 1: something is wrong; each finding is a line on standard output.\n"
             "Example: ptq-check smollm2-w4 && vllm serve smollm2-w4\n",
    .args_min = 1,
    .args_max = 1,
    .shared = STAGE_ENDS,
    .rows = rows,
    .size = sizeof(struct check_command),
    .start = blas_start,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* slope_opts - see slope_opts.h. */
#include "slope_opts.h"

#include "../../common/tensor/blas.h"

static const struct opt rows[] = {
    {"model", OPT_TEXT, offsetof(struct slope_command, model), "DIR",
     .help = "checkpoint folder (config.json, safetensors)", .must = 1},
    {.name = NULL},
};

const struct stage_spec slope_spec = {
    .name = "slope",
    .about = "gradients of the steps of ptq-slide, a part of a step at a time",
    .usage = "--model DIR [--in EP] [--out EP] [options]",
    .notes = "Environment: OPENBLAS_CORETYPE, the kernels of OpenBLAS; chosen from the CPU when it "
             "is not set.",
    .in = "parts of steps",
    .out = "their gradients",
    .shared = STAGE_THREADS | STAGE_ZSTD | STAGE_STATUS | STAGE_PAUSES | STAGE_INSECURE,
    .rows = rows,
    .size = sizeof(struct slope_command),
    .start = blas_start,
};

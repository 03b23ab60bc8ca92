/* SPDX-License-Identifier: Apache-2.0 */
/* diff_opts - see diff_opts.h. */
#include "diff_opts.h"

static const struct opt rows[] = {
    {"json", OPT_FLAG, offsetof(struct diff_command, json), .help = "one JSON object a line"},
    {"ignore", OPT_TEXTS, offsetof(struct diff_command, ignore), "FIELD",
     .help = "leave this field of the metadata out, at any depth (\"seconds\" differs from run to "
             "run)"},
    {.name = NULL},
};

const struct stage_spec diff_spec = {
    .name = "diff",
    .about = "compare two streams of messages, or two safetensors files, checkpoint folders or "
             "GGUF files, tensor by tensor",
    .usage = "[options] A B",
    .notes = "Exit status: 0 equal, 1 different, 100 wrong use or input, 111 system.\n"
             "Example: ptq-diff --ignore seconds old-solutions.ptq new-solutions.ptq\n",
    .args_min = 2,
    .args_max = 2,
    .shared = STAGE_ENDS,
    .rows = rows,
    .size = sizeof(struct diff_command),
};

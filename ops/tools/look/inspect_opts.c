/* SPDX-License-Identifier: Apache-2.0 */
/* inspect_opts - see inspect_opts.h. */
#include "inspect_opts.h"

static const struct opt rows[] = {
    {"json", OPT_FLAG, offsetof(struct inspect_command, json), .help = "one JSON object a line"},
    {"fast", OPT_FLAG, offsetof(struct inspect_command, fast),
     .help = "names, types and shapes only: no statistics"},
    {.name = NULL},
};

const struct stage_spec inspect_spec = {
    .name = "inspect",
    .about = "show what is in a stream of messages, a safetensors file or a checkpoint folder",
    .usage = "[options] FILE...|-",
    .notes = "Example: ptq-sample --model M --data c4.jsonl | ptq-inspect -\n",
    .args_min = 1,
    .args_max = OPT_ARGS_MAX,
    .shared = STAGE_ENDS,
    .rows = rows,
    .size = sizeof(struct inspect_command),
};

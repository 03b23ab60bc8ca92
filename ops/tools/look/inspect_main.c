/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-inspect - what is in a stream, a safetensors file or a checkpoint folder. */
#include <stddef.h>
#include "../../../common/base/stage.h"
#include "inspect.h"

struct inspect_command {
    int json, fast;
};

static const struct opt rows[] = {
    {"json", OPT_FLAG, offsetof(struct inspect_command, json), .help = "one JSON object a line"},
    {"fast", OPT_FLAG, offsetof(struct inspect_command, fast),
     .help = "names, types and shapes only: no statistics"},
    {.name = NULL},
};

static const struct stage_spec spec = {
    .name = "inspect",
    .about = "show what is in a stream of messages, a safetensors file or a checkpoint folder",
    .usage = "[options] FILE...|-",
    .notes = "Example: ptq-sample --model M --data c4.jsonl | ptq-inspect -\n",
    .args_min = 1,
    .args_max = OPT_ARGS_MAX,
    .shared = STAGE_PRINTS,
    .rows = rows,
    .size = sizeof(struct inspect_command),
};

static int run(struct stage *s, struct err *e)
{
    const struct inspect_command *c = s->own;

    for (size_t i = 0; i < s->args.count; i++) {
        if (s->args.count > 1 && !c->json)
            printf("%s%s:\n", i ? "\n" : "", s->args.arg[i]);
        if (inspect_path(s->args.arg[i], c->json, !c->fast, stdout, e))
            return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    return stage_main(&spec, run, argc, argv);
}

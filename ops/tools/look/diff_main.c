/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-diff - are two streams, or two checkpoints, the same? */
#include <stddef.h>
#include "../../../common/base/stage.h"
#include "diff.h"

struct diff_command {
    int json;
    struct opt_texts ignore;
};

static const struct opt rows[] = {
    {"json", OPT_FLAG, offsetof(struct diff_command, json), .help = "one JSON object a line"},
    {"ignore", OPT_TEXTS, offsetof(struct diff_command, ignore), "FIELD",
     .help = "leave this field of the metadata out, at any depth (\"seconds\" differs from run to "
             "run)"},
    {.name = NULL},
};

static const struct stage_spec spec = {
    .name = "diff",
    .about = "compare two streams of messages, or two safetensors files or checkpoint folders, "
             "tensor by tensor",
    .usage = "[options] A B",
    .notes = "Exit status: 0 equal, 1 different, 100 wrong use or input, 111 system.\n"
             "Example: ptq-diff --ignore seconds old-solutions.ptq new-solutions.ptq\n",
    .args_min = 2,
    .args_max = 2,
    .shared = STAGE_PRINTS,
    .rows = rows,
    .size = sizeof(struct diff_command),
};

static int run(struct stage *s, struct err *e)
{
    const struct diff_command *c = s->own;
    const struct diff_opts o = {c->json, c->ignore.count, c->ignore.text};

    return diff_paths(s->args.arg[0], s->args.arg[1], &o, stdout, e);
}

int main(int argc, char **argv)
{
    return stage_main(&spec, run, argc, argv);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-diff - are two streams, or two checkpoints, the same? */
#include "diff.h"
#include "diff_opts.h"

static int run(struct stage *s, struct err *e)
{
    const struct diff_command *c = s->own;
    const struct diff_opts o = {c->json, c->ignore.count, c->ignore.text};

    return diff_paths(s->args.arg[0], s->args.arg[1], &o, stdout, e);
}

int main(int argc, char **argv)
{
    return stage_main(&diff_spec, run, argc, argv);
}

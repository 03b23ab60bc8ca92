/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-check - is a checkpoint whole, and who loads it? */
#include "check.h"
#include "check_opts.h"

static int run(struct stage *s, struct err *e)
{
    const struct check_command *c = s->own;

    return check_folder(s->args.arg[0], c->json, stdout, e);
}

int main(int argc, char **argv)
{
    return stage_main(&check_spec, run, argc, argv);
}

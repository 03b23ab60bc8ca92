/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-inspect - what is in a stream, a safetensors file or a checkpoint folder. */
#include "inspect.h"
#include "inspect_opts.h"

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
    return stage_main(&inspect_spec, run, argc, argv);
}

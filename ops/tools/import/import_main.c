/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-import - a GGUF file becomes a Hugging Face model folder. The work is in import.c. */
#include "../../../common/base/log.h"
#include "../../../common/base/status.h"
#include "import.h"
#include "import_opts.h"

static int run(struct stage *s, struct err *e)
{
    const struct import_command *c = s->own;
    const struct import_opts o = {s->args.arg[0], s->args.arg[1], (enum dtype)c->dtype,
                                  c->vocab_only, c->pre};

    if (import_run(&o, e) < 0)
        return -1;
    status_end();
    log_info("'%s' is now in '%s'", o.file, o.dir);
    return 0;
}

int main(int argc, char **argv)
{
    return stage_main(&import_spec, run, argc, argv);
}

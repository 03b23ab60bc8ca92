/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-allocate - which tensors get which bits? */
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/fs.h"
#include "../runs_apart.h"
#include "allocate.h"
#include "allocate_opts.h"

/* In memory first: a file is written whole or not at all. */
static int put(const struct allocate *a, const struct allocate_command *c, struct err *e)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    int rc = f ? 0 : err_sys(e, "no memory for the choice");

    if (f && c->json)
        rc = allocate_print_json(a, f, e);
    else if (f)
        allocate_print(a, f);
    if (f && fclose(f) && rc == 0)
        rc = err_sys(e, "no memory for the choice");
    if (rc == 0 && strcmp(c->out, "-") == 0)
        rc = fwrite(text, 1, n, stdout) == n ? fs_flush(stdout, e)
                                             : err_sys(e, "cannot write to standard output");
    else if (rc == 0)
        rc = fs_publish(c->out, text, n, e);
    free(text);
    return rc;
}

static int run(struct stage *s, struct err *e)
{
    struct allocate_command *c = s->own;
    struct allocate *a;
    int rc;

    c->core.measured = c->measured.text;
    c->core.nmeasured = c->measured.count;
    a = runs_apart("--out", c->out, s->args.arg, s->args.count, e)
            ? NULL
            : allocate_open(s->args.arg, s->args.count, &c->core, e);
    rc = a && allocate_run(a, e) == 0 ? put(a, c, e) : -1;

    allocate_close(&a);
    return rc;
}

int main(int argc, char **argv)
{
    return stage_main(&allocate_spec, run, argc, argv);
}

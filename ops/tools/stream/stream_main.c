/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-stream - problems from plain tensors, plain tensors from solutions. The work is in
 * stream_import.c, stream_export.c and stream_imatrix.c. */
#include <string.h>

#include "../../../common/base/log.h"
#include "../../../common/base/plural.h"
#include "../../../common/wire/link.h"
#include "stream.h"
#include "stream_opts.h"

static int run_import(const struct stage *s, const char *path, struct err *e)
{
    const struct link_opts lo = {.name = "stream", .compress = s->zstd ? FRAME_ZSTD : FRAME_RAW};
    struct link *out = link_open(s->out, LINK_OUT, &lo, e);
    size_t count;
    int rc = -1;

    if (!out)
        return -1;
    rc = stream_import(path, out, &count, e);
    if (link_end(out, rc == 0, rc ? e->text : NULL, rc ? NULL : e))
        rc = -1;
    if (rc == 0)
        log_info("%zu problem%s from %s", count, plural_s(count), path);
    link_close(&out);
    return rc;
}

static int run_export(const char *solutions, const char *path, struct err *e)
{
    size_t count;

    if (stream_export(solutions, path, &count, e))
        return -1;
    log_info("%zu linear%s to %s", count, plural_s(count), path);
    return 0;
}

static int run_imatrix(const char *problems, const char *path, struct err *e)
{
    size_t count;

    if (stream_imatrix(problems, path, &count, e))
        return -1;
    log_info("%zu linear%s to %s", count, plural_s(count), path);
    return 0;
}

static int run(struct stage *s, struct err *e)
{
    const struct opt_args *args = &s->args;

    if (args->count == 2 && strcmp(args->arg[0], "import") == 0)
        return run_import(s, args->arg[1], e);
    if (args->count == 3 && strcmp(args->arg[0], "export") == 0)
        return run_export(args->arg[1], args->arg[2], e);
    if (args->count == 3 && strcmp(args->arg[0], "imatrix") == 0)
        return run_imatrix(args->arg[1], args->arg[2], e);
    return err_set(e, ERR_USE,
                   "say 'import FILE', 'export SOLUTIONS FILE' or 'imatrix PROBLEMS FILE'; --help "
                   "tells more");
}

int main(int argc, char **argv)
{
    return stage_main(&stream_spec, run, argc, argv);
}

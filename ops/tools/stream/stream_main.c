/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-stream - problems from plain tensors, plain tensors from solutions. The work is in
 * stream_import.c, stream_export.c, stream_sums.c and stream_imatrix.c. */
#include <string.h>

#include "../../../common/base/fs.h"
#include "../../../common/base/log.h"
#include "../../../common/base/plural.h"
#include "../../../common/wire/link.h"
#include "stream.h"
#include "stream_opts.h"

static int run_import(const struct stage *s, const char *path, struct err *e)
{
    const struct link_opts lo = {.name = "stream", .compress = s->zstd ? FRAME_ZSTD : FRAME_RAW};
    struct link *out;
    size_t count;
    int rc = -1;

    if (fs_same(s->out, path))
        return err_set(e, ERR_USE, "'%s' is read: write to another file", path);
    if (!(out = link_open(s->out, LINK_OUT, &lo, e)))
        return -1;
    rc = stream_import(path, out, &count, e);
    if (link_end(out, rc == 0, rc ? e->text : NULL, rc ? NULL : e))
        rc = -1;
    if (rc == 0)
        log_info("%zu problem%s from %s", count, plural_s(count), path);
    link_close(&out);
    return rc;
}

/* From a file to a file. */
static int run_file(int (*work)(const char *, const char *, size_t *, struct err *),
                    const struct opt_args *args, struct err *e)
{
    size_t count;

    if (work(args->arg[1], args->arg[2], &count, e))
        return -1;
    log_info("%zu linear%s to %s", count, plural_s(count), args->arg[2]);
    return 0;
}

static int run(struct stage *s, struct err *e)
{
    const struct opt_args *args = &s->args;

    if (args->count == 2 && strcmp(args->arg[0], "import") == 0)
        return run_import(s, args->arg[1], e);
    if (args->count == 3 && strcmp(args->arg[0], "export") == 0)
        return run_file(stream_export, args, e);
    if (args->count == 3 && strcmp(args->arg[0], "sums") == 0)
        return run_file(stream_sums, args, e);
    if (args->count == 3 && strcmp(args->arg[0], "imatrix") == 0)
        return run_file(stream_imatrix, args, e);
    return err_set(e, ERR_USE,
                   "say 'import FILE', 'export SOLUTIONS FILE', 'sums PROBLEMS FILE' or 'imatrix "
                   "PROBLEMS FILE'; --help tells more");
}

int main(int argc, char **argv)
{
    return stage_main(&stream_spec, run, argc, argv);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-stream - problems from plain tensors, plain tensors from solutions. The work is in
 * stream_import.c and stream_export.c. */
#include <stddef.h>
#include <string.h>

#include "../../../common/base/log.h"
#include "../../../common/base/opt.h"
#include "../../../common/base/sig.h"
#include "../../../common/wire/link.h"
#include "stream.h"

struct stream_main_opts {
    const char *out;
    int zstd, quiet, verbose;
};

static const struct opt table[] = {
    {"out", OPT_TEXT, offsetof(struct stream_main_opts, out), "EP",
     "import: where problems go: a file, URL, @URL, or - for stdout", 0, 0, NULL},
    {"zstd", OPT_FLAG, offsetof(struct stream_main_opts, zstd), NULL, "import: compress problems",
     0, 0, NULL},
    {"quiet", OPT_FLAG, offsetof(struct stream_main_opts, quiet), NULL, "warnings and errors only",
     0, 0, NULL},
    {"verbose", OPT_FLAG, offsetof(struct stream_main_opts, verbose), NULL, "more lines", 0, 0,
     NULL},
    {NULL, OPT_FLAG, 0, NULL, NULL, 0, 0, NULL},
};

static const struct opt_spec spec = {
    "ptq-stream",
    "makes problems from plain tensors, and plain tensors from solutions",
    "[options] import FILE.safetensors\n       ptq-stream [options] export SOLUTIONS "
    "FILE.safetensors",
    table,
    "import: NAME.W [N,K], NAME.H [K,K] = sum x x'/tokens, optional NAME.D [K,K], optional "
    "NAME.tokens.\n"
    "export: NAME.codes, NAME.scales, NAME.zeros (of grids that have them), NAME.dequantized.",
    2,
    3,
};

static int run_import(const struct stream_main_opts *o, const char *path, struct err *e)
{
    const struct link_opts lo = {.role = "stream", .compress = o->zstd ? FRAME_ZSTD : FRAME_RAW};
    struct link *out = link_open(o->out, LINK_OUT, &lo, e);
    size_t count;
    int rc = -1;

    if (!out)
        return -1;
    rc = stream_import(path, out, &count, e);
    if (link_end(out, rc == 0, rc ? e->text : NULL, rc ? NULL : e))
        rc = -1;
    if (rc == 0)
        log_info("%zu problems from %s", count, path);
    link_close(&out);
    return rc;
}

static int run_export(const char *solutions, const char *path, struct err *e)
{
    size_t count;

    if (stream_export(solutions, path, &count, e))
        return -1;
    log_info("%zu linears to %s", count, path);
    return 0;
}

int main(int argc, char **argv)
{
    struct stream_main_opts o = {.out = "-"};
    struct opt_args args = {0};
    struct err e = {0};
    int rc = opt_parse(&spec, &o, &args, argc, argv, &e);

    if (rc > 0)
        return 0;
    log_init("stream", o.quiet ? LOG_QUIET : o.verbose ? LOG_VERBOSE : LOG_NORMAL);
    if (rc == 0 && (rc = sig_init(&e)) == 0) {
        if (args.count == 2 && strcmp(args.arg[0], "import") == 0)
            rc = run_import(&o, args.arg[1], &e);
        else if (args.count == 3 && strcmp(args.arg[0], "export") == 0)
            rc = run_export(args.arg[1], args.arg[2], &e);
        else
            rc = err_set(&e, ERR_USE,
                         "say 'import FILE' or 'export SOLUTIONS FILE'; --help tells more");
    }
    if (rc)
        log_fatal(&e);
    return rc ? err_exit(&e) : 0;
}

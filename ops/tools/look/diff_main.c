/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-diff - are two streams, or two checkpoints, the same? */
#include <stddef.h>
#include "../../../common/base/log.h"
#include "../../../common/base/opt.h"
#include "../../../common/base/sig.h"
#include "diff.h"

struct values {
    int json;
    struct opt_texts ignore;
};

static const struct opt TABLE[] = {
    {"json", OPT_FLAG, offsetof(struct values, json), NULL, "one JSON object a line", 0, 0, NULL},
    {"ignore", OPT_TEXTS, offsetof(struct values, ignore), "FIELD",
     "leave this field of the metadata out, at any depth; may be repeated (\"seconds\" differs "
     "from run to run)",
     0, 0, NULL},
    {NULL, OPT_FLAG, 0, NULL, NULL, 0, 0, NULL}};

static const struct opt_spec SPEC = {
    "ptq-diff",
    "compare two streams of messages, or two safetensors files or checkpoint folders, tensor by "
    "tensor",
    "[options] A B",
    TABLE,
    "Exit status: 0 equal, 1 different, 100 wrong use or input, 111 system.\n"
    "Example: ptq-diff --ignore seconds old-solutions.ptq new-solutions.ptq\n",
    2,
    2};

int main(int argc, char **argv)
{
    struct values v = {0};
    struct opt_args args = {0};
    struct err e = {ERR_NONE, ""};
    struct diff_opts o;
    int rc;

    log_init("diff", LOG_NORMAL);
    rc = opt_parse(&SPEC, &v, &args, argc, argv, &e);
    if (rc > 0)
        return 0;
    if (rc < 0 || (rc = sig_init(&e)))
        goto out;
    o = (struct diff_opts){v.json, v.ignore.count, v.ignore.text};
    rc = diff_paths(args.arg[0], args.arg[1], &o, stdout, &e);
out:
    if (e.kind)
        log_fatal(&e);
    return rc > 0 ? 1 : err_exit(&e);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-inspect - what is in a stream, a safetensors file or a checkpoint folder. */
#include <stddef.h>
#include "../../../common/base/log.h"
#include "../../../common/base/opt.h"
#include "../../../common/base/sig.h"
#include "inspect.h"

struct values {
    int json, fast;
};

static const struct opt TABLE[] = {
    {"json", OPT_FLAG, offsetof(struct values, json), NULL, "one JSON object a line", 0, 0, NULL},
    {"fast", OPT_FLAG, offsetof(struct values, fast), NULL,
     "names, types and shapes only: no statistics", 0, 0, NULL},
    {NULL, OPT_FLAG, 0, NULL, NULL, 0, 0, NULL}};

static const struct opt_spec SPEC = {
    "ptq-inspect",
    "show what is in a stream of messages, a safetensors file or a checkpoint folder",
    "[options] FILE...|-",
    TABLE,
    "Example: ptq-sample --model M --data c4.jsonl | ptq-inspect -\n",
    1,
    OPT_ARGS_MAX};

int main(int argc, char **argv)
{
    struct values v = {0, 0};
    struct opt_args args = {0};
    struct err e = {ERR_NONE, ""};
    int rc;

    log_init("inspect", LOG_NORMAL);
    rc = opt_parse(&SPEC, &v, &args, argc, argv, &e);
    if (rc > 0)
        return 0;
    if (rc < 0 || sig_init(&e))
        goto out;
    for (size_t i = 0; i < args.count; i++) {
        if (args.count > 1 && !v.json)
            printf("%s%s:\n", i ? "\n" : "", args.arg[i]);
        if (inspect_path(args.arg[i], v.json, !v.fast, stdout, &e))
            break;
    }
out:
    if (e.kind)
        log_fatal(&e);
    return err_exit(&e);
}

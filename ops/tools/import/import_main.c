/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-import - a GGUF file becomes a Hugging Face model folder. The work is in import.c. */
#include <stddef.h>
#include "../../../common/base/log.h"
#include "../../../common/base/opt.h"
#include "../../../common/base/sig.h"
#include "../../../common/base/status.h"
#include "import.h"

struct values {
    const char *pre;
    int dtype, vocab_only, quiet, verbose;
    int64_t status_fd;
};

static const struct opt TABLE[] = {
    {"dtype", OPT_CHOICE, offsetof(struct values, dtype), "TYPE",
     "element type of the tensors written", 0, 0, "bf16|f16|f32"},
    {"vocab-only", OPT_FLAG, offsetof(struct values, vocab_only), NULL,
     "write the tokenizer's files only", 0, 0, NULL},
    {"pre", OPT_TEXT, offsetof(struct values, pre), "NAME",
     "pre-tokenizer (llama-bpe, qwen2, gpt-2 ...) instead of the one the file names, for files "
     "that name none",
     0, 0, NULL},
    {"status-fd", OPT_INT, offsetof(struct values, status_fd), "N",
     "write progress as JSON lines to this descriptor", -1, 1023, NULL},
    {"quiet", OPT_FLAG, offsetof(struct values, quiet), NULL, "say warnings and errors only", 0, 0,
     NULL},
    {"verbose", OPT_FLAG, offsetof(struct values, verbose), NULL, "say more", 0, 0, NULL},
    {NULL, OPT_FLAG, 0, NULL, NULL, 0, 0, NULL}};

static const struct opt_spec SPEC = {
    "ptq-import",
    "make a Hugging Face model folder of a GGUF file",
    "[options] FILE.gguf DIR",
    TABLE,
    "DIR must not exist or be empty. Architectures llama and qwen3; tensor types F32, F16, BF16, "
    "Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, IQ4_NL, IQ4_XS.\n"
    "Example: ptq-import SmolLM2-135M-Instruct.Q4_1.gguf smollm2\n",
    2,
    2};

int main(int argc, char **argv)
{
    static const enum dtype TYPES[] = {DT_BF16, DT_F16, DT_F32};
    struct values v = {.status_fd = -1};
    struct opt_args args = {0};
    struct err e = {ERR_NONE, ""};
    struct import_opts o;
    int rc;

    log_init("import", LOG_NORMAL);
    rc = opt_parse(&SPEC, &v, &args, argc, argv, &e);
    if (rc > 0)
        return 0;
    if (rc < 0)
        goto out;
    log_init("import", v.quiet ? LOG_QUIET : v.verbose ? LOG_VERBOSE : LOG_NORMAL);
    if (sig_init(&e))
        goto out;
    if (!v.quiet || v.status_fd >= 0)
        status_init("import", (int)v.status_fd);
    o = (struct import_opts){args.arg[0], args.arg[1], TYPES[v.dtype], v.vocab_only, v.pre};
    rc = import_run(&o, &e);
    status_end();
    if (rc == 0)
        log_info("'%s' is now in '%s'", o.file, o.dir);
out:
    if (e.kind)
        log_fatal(&e);
    return err_exit(&e);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-rotate - folds a rotation of the residual stream into a checkpoint. The work is in
 * rotate.c. */
#include <stddef.h>
#include <unistd.h>
#include "../../../common/base/log.h"
#include "../../../common/base/opt.h"
#include "../../../common/base/sig.h"
#include "../../../common/base/status.h"
#include "../../../common/tensor/blas.h"
#include "rotate.h"

struct values {
    const char *model;
    int64_t seed, threads, status_fd;
    int kind, dtype, quiet, verbose;
};

static const struct opt TABLE[] = {
    {"model", OPT_TEXT, offsetof(struct values, model), "DIR",
     "checkpoint to rotate: llama, mistral or qwen3, not quantized", 0, 0, NULL},
    {"kind", OPT_CHOICE, offsetof(struct values, kind), "KIND",
     "Hadamard matrix with random signs, the same without, or a random orthogonal matrix", 0, 0,
     "random-hadamard|hadamard|orthogonal"},
    {"seed", OPT_INT, offsetof(struct values, seed), "N", "of the random numbers", 0,
     9007199254740992.0, NULL},
    {"dtype", OPT_CHOICE, offsetof(struct values, dtype), "TYPE",
     "element type of the tensors written; keep: each as in DIR. bf16 rounds every rotated weight "
     "anew (by up to 1/512 of its value), "
     "f32 keeps the function to about 1e-5",
     0, 0, "keep|f32|bf16"},
    {"threads", OPT_INT, offsetof(struct values, threads), "N", "threads; never changes the result",
     1, 1024, NULL},
    {"status-fd", OPT_INT, offsetof(struct values, status_fd), "N",
     "write progress as JSON lines to this descriptor", -1, 1023, NULL},
    {"quiet", OPT_FLAG, offsetof(struct values, quiet), NULL, "say warnings and errors only", 0, 0,
     NULL},
    {"verbose", OPT_FLAG, offsetof(struct values, verbose), NULL, "say more", 0, 0, NULL},
    {NULL, OPT_FLAG, 0, NULL, NULL, 0, 0, NULL}};

static const struct opt_spec SPEC = {
    "ptq-rotate",
    "fold a rotation into a checkpoint: the same model with weights and activations that quantize "
    "better",
    "--model DIR [options] OUT",
    TABLE,
    "OUT must not exist or be empty. The weights of the norms go into the linears behind them. A "
    "model with tied embeddings is\n"
    "untied: OUT has an lm_head.weight of its own, and config.json says so.\n"
    "Example: ptq-rotate --model SmolLM2 rotated && ptq run gptq --model rotated --data c4.jsonl "
    "--bits 3 --out small\n",
    1,
    1};

int main(int argc, char **argv)
{
    static const enum dtype TYPES[] = {DT_COUNT, DT_F32, DT_BF16};
    struct values v = {.seed = 1, .threads = 1, .status_fd = -1};
    struct opt_args args = {0};
    struct err e = {ERR_NONE, ""};
    struct rotate_opts o;
    struct rotate_report report;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int rc;

    log_init("rotate", LOG_NORMAL);
    v.threads = cores < 1 ? 1 : cores > 1024 ? 1024 : cores;
    if (blas_start(argv, &e))
        goto out;
    rc = opt_parse(&SPEC, &v, &args, argc, argv, &e);
    if (rc > 0)
        return 0;
    if (rc < 0)
        goto out;
    log_init("rotate", v.quiet ? LOG_QUIET : v.verbose ? LOG_VERBOSE : LOG_NORMAL);
    if (!v.model) {
        err_set(&e, ERR_USE, "--model is missing: the checkpoint to rotate");
        goto out;
    }
    if (sig_init(&e))
        goto out;
    if (!v.quiet || v.status_fd >= 0)
        status_init("rotate", (int)v.status_fd);
    o = (struct rotate_opts){v.model,          args.arg[0],    (enum rotation_kind)v.kind,
                             (uint64_t)v.seed, TYPES[v.dtype], (size_t)v.threads};
    rc = rotate_run(&o, &report, &e);
    status_end();
    if (rc == 0 && report.core)
        log_info("'%s': %s rotation of order %zu = %zu x %zu%s", o.out, rotation_name(report.kind),
                 report.order, report.core, report.order / report.core,
                 report.untied ? "; embeddings and head are untied now" : "");
    else if (rc == 0)
        log_info("'%s': %s rotation of order %zu%s", o.out, rotation_name(report.kind),
                 report.order, report.untied ? "; embeddings and head are untied now" : "");
out:
    if (e.kind)
        log_fatal(&e);
    return err_exit(&e);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-forward - runs a model block by block over the chunks it is given and emits the inputs of
 * every site. The core is forward.c. */
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../common/base/log.h"
#include "../../common/base/opt.h"
#include "../../common/base/sig.h"
#include "../../common/base/spill.h"
#include "../../common/base/status.h"
#include "../../common/tensor/blas.h"
#include "forward.h"
#include "forward_io.h"
#include "forward_weights.h"

struct forward_main_opts {
    struct forward_ends ends;
    const char *model, *tmp, *modality_weights, *weight_clip;
    int acts, order;
    int64_t threads, status_fd;
    uint64_t mem;
    double weight_min;
    int token_weights, dual, quiet, verbose;
};

static const struct opt table[] = {
    {"model", OPT_TEXT, offsetof(struct forward_main_opts, model), "DIR",
     "checkpoint folder (config.json, safetensors)", 0, 0, NULL},
    {"in", OPT_TEXT, offsetof(struct forward_main_opts, ends.in), "EP",
     "where chunks come from: @URL, URL, a file, or - for stdin", 0, 0, NULL},
    {"out", OPT_TEXT, offsetof(struct forward_main_opts, ends.out), "EP",
     "where rows and weights go", 0, 0, NULL},
    {"commits", OPT_TEXT, offsetof(struct forward_main_opts, ends.commits), "EP",
     "where ptq-write announces commits", 0, 0, NULL},
    {"follow", OPT_TEXT, offsetof(struct forward_main_opts, ends.follow), "DIR",
     "or: the output folder of ptq-write, for pipes", 0, 0, NULL},
    {"order", OPT_CHOICE, offsetof(struct forward_main_opts, order), "ORDER",
     "site: each input comes from the quantized weights before it\nfull: unquantized model "
     "throughout, needs no commits",
     0, 0, "site|full"},
    {"dual", OPT_FLAG, offsetof(struct forward_main_opts, dual), NULL,
     "also run the full-precision model and send its rows beside (solvers that need D: gptaq, qep, "
     "...)",
     0, 0, NULL},
    {"acts", OPT_CHOICE, offsetof(struct forward_main_opts, acts), "TYPE",
     "type of the rows, on the wire and in the products that follow", 0, 0, "bf16|f32"},
    {"token-weights", OPT_CHOICE, offsetof(struct forward_main_opts, token_weights), "KIND",
     "given: those of the chunks, if any\nattention: these times the attention that a token "
     "receives in the block (RSQ)",
     0, 0, "given|attention"},
    {"weight-min", OPT_REAL, offsetof(struct forward_main_opts, weight_min), "R",
     "attention: the least weight beside the largest", 1e-6, 1, NULL},
    {"modality-weights", OPT_TEXT, offsetof(struct forward_main_opts, modality_weights),
     "text=R,image=R", "weigh tokens by what they are; the chunks must say it", 0, 0, NULL},
    {"weight-clip", OPT_TEXT, offsetof(struct forward_main_opts, weight_clip), "LO,HI",
     "bounds of the weights from attention and modality, at mean 1 in each sequence", 0, 0, NULL},
    {"mem", OPT_SIZE, offsetof(struct forward_main_opts, mem), "BYTES",
     "memory for hidden states; the rest goes to a spill file", 0, 0, NULL},
    {"tmp", OPT_TEXT, offsetof(struct forward_main_opts, tmp), "DIR",
     "folder of the spill file (TMPDIR, else /var/tmp)", 0, 0, NULL},
    {"threads", OPT_INT, offsetof(struct forward_main_opts, threads), "N",
     "threads; never changes the result", 1, 1024, NULL},
    {"zstd", OPT_FLAG, offsetof(struct forward_main_opts, ends.zstd), NULL,
     "compress rows (files and networks)", 0, 0, NULL},
    {"status-fd", OPT_INT, offsetof(struct forward_main_opts, status_fd), "FD",
     "descriptor for status lines (-1: none)", -1, 1 << 20, NULL},
    {"insecure", OPT_FLAG, offsetof(struct forward_main_opts, ends.insecure), NULL,
     "allow binding tcp beyond loopback without keys", 0, 0, NULL},
    {"quiet", OPT_FLAG, offsetof(struct forward_main_opts, quiet), NULL, "warnings and errors only",
     0, 0, NULL},
    {"verbose", OPT_FLAG, offsetof(struct forward_main_opts, verbose), NULL, "more lines", 0, 0,
     NULL},
    {NULL, OPT_FLAG, 0, NULL, NULL, 0, 0, NULL},
};

static const struct opt_spec spec = {
    "ptq-forward",
    "runs a model over calibration chunks and emits the inputs of every site",
    "--model DIR (--commits EP | --follow DIR | --order full) [options]",
    table,
    "Environment: TMPDIR; OPENBLAS_CORETYPE (chosen from the CPU when it is not set).",
    0,
    0,
};

static int check(const struct forward_main_opts *o, struct err *e)
{
    int commits = (o->ends.commits != NULL) + (o->ends.follow != NULL);

    if (!o->model)
        return err_set(e, ERR_USE, "--model DIR is needed");
    if (o->order == FORWARD_SITE && commits != 1)
        return err_set(e, ERR_USE,
                       "order 'site' needs either --commits EP or --follow DIR, to get the "
                       "quantized weights back "
                       "(or say --order full)");
    if (o->order == FORWARD_FULL && o->dual)
        return err_set(e, ERR_USE, "order 'full' has one stream only: leave --dual out");
    if (o->order == FORWARD_FULL && commits)
        return err_set(e, ERR_USE,
                       "order 'full' takes no commits: leave --commits and --follow out");
    if (o->weight_clip && o->token_weights != 1 && !o->modality_weights)
        return err_set(e, ERR_USE,
                       "--weight-clip needs --token-weights attention or --modality-weights (those "
                       "of a file are clipped by "
                       "ptq-sample)");
    return 0;
}

static int core_opts(const struct forward_main_opts *o, struct forward_opts *f, struct err *e)
{
    *f = (struct forward_opts){.acts = o->acts ? DT_F32 : DT_BF16,
                               .order = (enum forward_order)o->order,
                               .dual = o->dual,
                               .attention_weights = o->token_weights == 1,
                               .weight_min = o->weight_min,
                               .by_modality = o->modality_weights != NULL,
                               .mem = o->mem,
                               .tmp = o->tmp};
    if (o->modality_weights && weights_parse(o->modality_weights, f->modality, e) < 0)
        return -1;
    return o->weight_clip ? weigh_clip_parse(o->weight_clip, &f->clip, e) : 0;
}

int main(int argc, char **argv)
{
    struct forward_main_opts o = {.ends = {.in = "-", .out = "-"},
                                  .tmp = spill_dir(),
                                  .status_fd = -1,
                                  .threads = sysconf(_SC_NPROCESSORS_ONLN),
                                  .mem = (uint64_t)2 << 30,
                                  .weight_min = 0.005};
    struct forward_opts core;
    struct err e = {0};
    struct forward_io_links *links = NULL;
    struct forward *f = NULL;
    struct model *model = NULL;
    struct par *par = NULL;
    int rc = opt_parse(&spec, &o, NULL, argc, argv, &e);

    if (rc > 0)
        return 0;
    log_init("forward", o.quiet ? LOG_QUIET : o.verbose ? LOG_VERBOSE : LOG_NORMAL);
    if (rc < 0 || check(&o, &e) < 0 || core_opts(&o, &core, &e) < 0 || blas_start(argv, &e) < 0 ||
        sig_init(&e) < 0) {
        rc = -1;
        goto out;
    }
    rc = -1;
    status_init("forward", (int)o.status_fd);
    if (!(par = par_open((size_t)o.threads, &e)) || !(model = model_open(o.model, par, &e)))
        goto out;
    f = forward_open(model, &core, &e);
    links = f ? forward_io_open(&o.ends, &e) : NULL;
    if (links)
        rc = forward_io_run(links, f, &e);
out:
    if (rc < 0)
        log_fatal(&e);
    status_end();
    forward_io_close(&links);
    forward_close(&f);
    model_close(&model);
    par_close(&par);
    return rc < 0 ? err_exit(&e) : 0;
}

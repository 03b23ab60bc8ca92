/* SPDX-License-Identifier: Apache-2.0 */
/* importance_opts - see importance_opts.h. */
#include "importance_opts.h"

#include "../../common/tensor/blas.h"

static const struct opt_choice methods[] = {
    {"tlq", IMPORTANCE_TLQ}, {"vlmq", IMPORTANCE_VLMQ}, {"mbq", IMPORTANCE_MBQ}, {NULL, 0}};
static const struct opt_choice losses[] = {
    {"answers", IMPORTANCE_ANSWERS}, {"all", IMPORTANCE_ALL}, {NULL, 0}};

static const struct opt_choice gifts[] = {{"weights", 0}, {"ratios", 1}, {NULL, 0}};

#define BITS 3
#define GROUP 128
#define AT(field) offsetof(struct importance_command, field)
static const struct opt rows[] = {
    {"model", OPT_TEXT, AT(model), "DIR", .help = "checkpoint folder (config.json, safetensors)",
     .must = 1, .file = OPT_READS},
    {"method", OPT_CHOICE, AT(core.method), "METHOD",
     .help = "tlq: each token at each site by the gradient of its output, of the model's loss\n"
             "vlmq: the same of the local loss of each attention, between the model and one with\n"
             "rounded weights\n"
             "mbq: image tokens by a ratio in each block",
     "tlq", .choices = methods},
    PRODUCTS_OPT(AT(core.products), "f32"),
    {"loss-on", OPT_CHOICE, AT(core.loss), "TOKENS",
     .help = "tlq, mbq: whose predictions the loss is of\nanswers: those of the model's turns, and "
             "of plain text\nall: the prompts' too",
     "answers", .choices = losses},
    {"clip", OPT_TEXT, AT(clip_text), "LO,HI",
     .help = "tlq, vlmq: bounds of the weights at mean 1 in each sequence", "0.1,10"},
    {"select", OPT_REAL, AT(core.select), "P",
     .help = "tlq, vlmq: only this share of the tokens of a sequence counts, those that weigh most",
     "1", 1e-6, 1},
    {"give", OPT_CHOICE, AT(core.ratios), "WHAT",
     .help = "mbq: weights: of tokens, at mean 1 in each sample\nratios: those of image rows, for "
             "ptq-solve --mix auto, and no weights",
     "weights", .choices = gifts},
    {"power", OPT_INT, AT(power), "1|2", .help = "vlmq: weights go by g or by its square", "1", 1,
     2},
    {"bits", OPT_INT, AT(core.bits), "N",
     .help = "vlmq: of the rounded weights (in a run, the solver's)", OPT_NUMBER(BITS), 2, 8},
    {"group", OPT_INT, AT(core.group), "G",
     .help = "vlmq: their groups along the inputs (-1: whole rows)", OPT_NUMBER(GROUP), -1,
     1 << 20},
    {"keep", OPT_TEXT, AT(core.keep), "FILE",
     .help = "also write the raw values: a safetensors file with the mean of |dL/dY| of each token "
             "for each linear, and the loss",
     .file = OPT_WRITES},
    {"fisher", OPT_TEXT, AT(core.fisher), "FILE",
     .help =
         "also write the diagonal of the Fisher information: a safetensors file with the mean of "
         "the\nsquared gradient of each weight over sequences, which must be chunks of their "
         "own, for\nptq-solve --solver squeeze",
     .file = OPT_WRITES},
    {"peers", OPT_INT, AT(peers), "N",
     .help = "wait for so many workers and share the lanes out among them", "1", 1, 1 << 16,
     .wiring = 1},
    {"lease", OPT_TEXT, AT(lease_text), "PLACE/EPOCH",
     .help = "whose lanes these are, by which the sampler deals; should this process be lost, "
             "another\ncomes to its place, with a higher epoch (ptq run gives it)",
     .wiring = 1},
    {.name = NULL},
};

static int check(const struct stage *s, struct err *e)
{
    struct importance_command *c = s->own;
    const int vlmq = c->core.method == IMPORTANCE_VLMQ, mbq = c->core.method == IMPORTANCE_MBQ;

    c->core.mem = s->mem;
    c->core.squared = c->power == 2;
    if (c->power == 2 && !vlmq)
        return err_set(e, ERR_USE, "--power is of --method vlmq: leave it out");
    if (vlmq && c->core.loss == IMPORTANCE_ALL)
        return err_set(e, ERR_USE, "--loss-on is not of --method vlmq, whose loss is local");
    if (vlmq && c->core.fisher)
        return err_set(e, ERR_USE, "--fisher is not of --method vlmq, whose loss is local");
    if (mbq && c->core.select < 1)
        return err_set(e, ERR_USE,
                       "--select is not of --method mbq, which weighs no single tokens");
    if (c->core.ratios && !mbq)
        return err_set(e, ERR_USE, "--give ratios is of --method mbq: leave it out");
    if (c->core.group == 0)
        return err_set(e, ERR_USE, "--group: 0 is no group; -1 means whole rows");
    if (weigh_clip_parse(c->clip_text, &c->core.clip, e) < 0)
        return err_prefix(e, "--clip");
    if (c->lease_text && link_lease_parse(c->lease_text, &c->lease, e) < 0)
        return err_prefix(e, "--lease");
    return 0;
}

const struct stage_spec importance_spec = {
    .name = "importance",
    .about = "weighs the tokens of calibration chunks by gradients",
    .usage = "--model DIR [options]",
    .notes = "Environment: OPENBLAS_CORETYPE, the kernels of OpenBLAS; chosen from the CPU when it "
             "is not set.",
    .in = "chunks",
    .out = "the chunks with weights",
    .mem = "1G",
    .mem_for = "for the hidden states of chunks that go through the blocks together",
    .shared =
        STAGE_THREADS | STAGE_ZSTD | STAGE_STATUS | STAGE_PAUSES | STAGE_INSECURE | STAGE_FAULT,
    .rows = rows,
    .size = sizeof(struct importance_command),
    .check = check,
    .start = blas_start,
};

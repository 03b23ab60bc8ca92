/* SPDX-License-Identifier: Apache-2.0 */
/* slide_opts - see slide_opts.h. */
#include "slide_opts.h"

#include "../../common/format/grid_affine.h"
#include "../../common/model/program.h"
#include "../../common/tensor/blas.h"

static const struct opt_choice answers[] = {{"no", 0}, {"yes", 1}, {NULL, 0}};

static const struct opt_choice roundings[] = {{"nearest", 0}, {"gptq", 1}, {NULL, 0}};

#define AT(field) offsetof(struct slide_command, field)
static const struct opt rows[] = {
    {"model", OPT_TEXT, AT(model), "DIR", .help = "checkpoint folder (config.json, safetensors)",
     .must = 1},
    {"bits", OPT_CHOICE, AT(core.shape.bits), "N", .help = "bits of a code", "4",
     .nth = grid_bits_choice},
    {"group", OPT_INT, AT(core.shape.group), "N",
     .help = "inputs that share a scale, a divisor of every K; -1: a whole row", "-1", -1, 1 << 24},
    {"grid", OPT_CHOICE, AT(grid), "NAME", .help = "integer grid, of equal steps", "asym",
     .nth = grid_choice},
    {"scale-type", OPT_CHOICE, AT(core.shape.scale_type), "TYPE",
     .help = "scales are rounded to it before codes are chosen", "f16", .nth = grid_scale_choice},
    {"zero-min", OPT_INT, AT(core.shape.zero_min), "N",
     .help = "smallest zero point of asym (GPTQ v1 files cannot hold 0)", "1", 0, 1},
    {"act-bits", OPT_INT, AT(act_bits), "N",
     .help = "simulate inputs of linears of N bits, each token by its own scale; 0: as they are",
     "0", 0, ACT_BITS_MAX},
    {"qkv-bits", OPT_INT, AT(qkv_bits), "N",
     .help =
         "round q, k and v to so many bits before attention reads them, each head of a token by "
         "its own scale; 0: not",
     "0", 0, ACT_BITS_MAX},
    PRODUCTS_OPT(AT(core.products), "f32"),
    {"shallow", OPT_INT, AT(core.zones.shallow), "N",
     .help = "windows that grow over the first N blocks", "4", 0, 1 << 16},
    {"window", OPT_INT, AT(core.zones.window), "N", .help = "blocks of the windows between", "2", 1,
     1 << 16},
    {"stride", OPT_INT, AT(core.zones.stride), "N", .help = "blocks from one of them to the next",
     "1", 1, 1 << 16},
    {"deep", OPT_INT, AT(core.zones.deep), "N",
     .help = "windows that shrink over the last N blocks", "4", 0, 1 << 16},
    {"epochs", OPT_INT, AT(core.epochs), "N",
     .help = "passes of each window over all sequences (60 for 2 bits in the paper)", "20", 0,
     1 << 20},
    {"batch", OPT_INT, AT(core.batch), "N", .help = "sequences of one step", "1", 1, 1 << 20},
    {"parts", OPT_INT, AT(core.parts), "N",
     .help = "of a step's sequences, whose gradients are added in their order: so many processes "
             "can\nwork on a step",
     "1", 1, 1 << 16},
    {"jobs", OPT_TEXT, AT(jobs), "EP", .help = "send the parts of steps there, to ptq-slope",
     .wiring = 1},
    {"gradients", OPT_TEXT, AT(gradients), "EP", .help = "and take their gradients from there",
     .wiring = 1},
    {"first-share", OPT_REAL, AT(core.share), "X",
     .help = "the first half of a window's steps rounds this share of the inputs of each linear, "
             "the\nsecond half all; 1: all from the first",
     "1", 1e-6, 1},
    {"sweeps", OPT_INT, AT(core.sweeps), "N",
     .help = "2: one sweep over all windows rounds --first-share, with half of the passes, another "
             "all\n(the authors' code); 1: each window does both",
     "1", 1, 2},
    {"rank", OPT_INT, AT(core.shape.rank), "N",
     .help = "of the low-rank term that is added before rounding; 0: there is none", "4", 0,
     SLIDE_RANK},
    {"lr", OPT_REAL, AT(core.rate[SLIDE_RATE_RANK]), "X",
     .help = "learning rate of the low-rank terms at the first step; it falls to 0", "8e-3", 0, 1},
    {"clip", OPT_CHOICE, AT(core.shape.clips), "WHEN",
     .help = "learn which share of its range each group keeps", "yes", .choices = answers},
    {"clip-lr", OPT_REAL, AT(core.rate[SLIDE_RATE_CLIP]), "X",
     .help = "learning rate of these shares", "0.2", 0, 1},
    {"alpha", OPT_CHOICE, AT(core.shape.scales), "WHEN",
     .help = "learn a factor for each input of the linears behind a norm, which takes it over",
     "no", .choices = answers},
    {"alpha-lr", OPT_REAL, AT(core.rate[SLIDE_RATE_SCALE]), "X",
     .help = "learning rate of these factors", "1e-3", 0, 1},
    {"round", OPT_CHOICE, AT(core.gptq), "HOW",
     .help = "the last rounding of a linear: to nearest as it was learned, or by GPTQ with the "
             "inputs\nthat the block has then",
     "nearest", .choices = roundings},
    {"damp", OPT_REAL, AT(core.damp), "X",
     .help = "of GPTQ: added to the diagonal, as a part of its mean; more when that fails", "0.01",
     0, 10},
    {"seed", OPT_INT, AT(core.seed), "N", .help = "of the first low-rank terms", "1", 0, 1e15},
    {"state", OPT_TEXT, AT(core.state), "DIR",
     .help = "keep what each window has learned there; the same command again goes on behind the "
             "last one",
     .aside = 1},
    {"from-site", OPT_INT, AT(from_site), "N",
     .help = "send no solutions of the first N sites: an earlier run has committed them", "0", 0,
     1 << 30, .wiring = 1},
    {.name = NULL},
};

static int check(const struct stage *s, struct err *e)
{
    struct slide_command *c = s->own;
    struct slide_shape *x = &c->core.shape;
    const struct opt_with with[] = {
        {"damp", "--round gptq", c->core.gptq},
        {"clip-lr", "--clip yes", x->clips},
        {"alpha-lr", "--alpha yes", x->scales},
        {"lr", "a --rank above 0", x->rank > 0},
    };
    char known[128];

    x->grid = grid_at((size_t)c->grid);
    c->core.mem = s->mem;
    c->core.act_bits = (int)c->act_bits;
    c->core.qkv_bits = (int)c->qkv_bits;
    if (c->act_bits && c->act_bits < ACT_BITS_MIN)
        return err_set(e, ERR_USE, "--act-bits %d: activations have %d to %d bits",
                       (int)c->act_bits, ACT_BITS_MIN, ACT_BITS_MAX);
    if (c->qkv_bits && c->qkv_bits < ACT_BITS_MIN)
        return err_set(e, ERR_USE, "--qkv-bits %d: activations have %d to %d bits",
                       (int)c->qkv_bits, ACT_BITS_MIN, ACT_BITS_MAX);
    if (!affine_is(x->grid))
        return err_set(e, ERR_USE, "--grid %s: what is learned needs a grid of equal steps",
                       x->grid->name);
    if (!grid_takes_bits(x->grid, x->bits))
        return err_set(e, ERR_USE, "--bits %d is not of --grid %s", x->bits, x->grid->name);
    if (!(x->grid->scale_types & GRID_BIT(x->scale_type)))
        return err_set(e, ERR_USE, "--scale-type %s is not of --grid %s (all types: %s)",
                       dtype_name(x->scale_type), x->grid->name,
                       grid_name_list(grid_scale_names(), "or", known, sizeof known));
    if (c->core.sweeps == 2 && (c->core.share >= 1 || c->core.epochs < 2))
        return err_set(e, ERR_USE,
                       "--sweeps 2 needs a --first-share below 1 and at least 2 "
                       "--epochs");
    if (!c->jobs != !c->gradients)
        return err_set(e, ERR_USE,
                       "--jobs and --gradients go together: where parts go to, and where "
                       "their gradients come from");
    if (opt_unwanted(rows, c, with, sizeof with / sizeof *with, e) < 0)
        return -1;
    if (x->group == 0)
        return err_set(e, ERR_USE, "--group must be -1 or at least 1");
    if (c->core.zones.stride > c->core.zones.window)
        return err_set(e, ERR_USE,
                       "--stride %zu is longer than --window %zu: blocks between would "
                       "never be learned",
                       c->core.zones.stride, c->core.zones.window);
    return 0;
}

const struct stage_spec slide_spec = {
    .name = "slide",
    .about = "learns how windows of blocks are rounded (SliderQuant)",
    .usage = "--model DIR [--in EP] [--out EP] [options]",
    .notes =
        "The solutions are the same bytes for any number of threads on one type of CPU kernel\n"
        "(OPENBLAS_CORETYPE; chosen from the CPU when it is not set).",
    .in = "chunks",
    .out = "solutions",
    .mem = "4G",
    .mem_for = "for the hidden states of all chunks",
    .shared =
        STAGE_THREADS | STAGE_ZSTD | STAGE_STATUS | STAGE_PAUSES | STAGE_INSECURE | STAGE_FAULT,
    .rows = rows,
    .size = sizeof(struct slide_command),
    .check = check,
    .start = blas_start,
};

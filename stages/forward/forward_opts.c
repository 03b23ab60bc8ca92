/* SPDX-License-Identifier: Apache-2.0 */
/* forward_opts - see forward_opts.h. */
#include "forward_opts.h"

#include "../../common/model/program.h"
#include "../../common/tensor/blas.h"
#include "forward_weights.h"

static const struct opt_choice inputs[] = {
    {"quantized", FORWARD_SITE}, {"full", FORWARD_FULL}, {NULL, 0}};
static const struct opt_choice acts[] = {{"bf16", DT_BF16}, {"f32", DT_F32}, {NULL, 0}};
static const struct opt_choice kinds[] = {{"given", 0}, {"attention", 1}, {NULL, 0}};

static const struct opt_choice visions[] = {{"full", 0}, {"quantize", 1}, {NULL, 0}};
static const struct opt_choice experts[] = {{"routed", 0}, {"all", 1}, {NULL, 0}};
static const struct opt_choice starved[] = {
    {"rtn", STARVED_RTN}, {"all-tokens", STARVED_ALL_TOKENS}, {NULL, 0}};

#define AT(field) offsetof(struct forward_command, field)
static const struct opt rows[] = {
    {"model", OPT_TEXT, AT(model), "DIR", .help = "checkpoint folder (config.json, safetensors)",
     .must = 1, .file = OPT_READS},
    {"commits", OPT_TEXT, AT(commits), "EP", .help = "where ptq-write announces commits",
     .wiring = 1},
    {"follow", OPT_TEXT, AT(follow), "DIR", .help = "or: the output folder of ptq-write, for pipes",
     .wiring = 1},
    {"inputs", OPT_CHOICE, AT(core.order), "OF",
     .help = "quantized: each input comes from the quantized weights before it\nfull: unquantized "
             "model "
             "throughout, needs no commits",
     "quantized", .choices = inputs},
    {"dual", OPT_FLAG, AT(core.dual),
     .help = "also run the full-precision model and send its rows beside (solvers that need D: "
             "gptaq, qep, ...)"},
    {"acts", OPT_CHOICE, AT(core.acts), "TYPE",
     .help = "type of the rows, on the wire and in the products that follow", "bf16",
     .choices = acts},
    PRODUCTS_OPT(AT(core.products), "f32"),
    {"act-bits", OPT_INT, AT(act_bits), "N",
     .help = "round the inputs of every linear to so many bits, each token by its own scale, as "
             "engines do that multiply whole numbers: 8 for W4A8 or W8A8, 4 for W4A4 (0: not)",
     "0", 0, ACT_BITS_MAX},
    {"qkv-bits", OPT_INT, AT(qkv_bits), "N",
     .help =
         "round q, k and v to so many bits before attention reads them, each head of a token by "
         "its own scale; 0: not",
     "0", 0, ACT_BITS_MAX},
    {"token-weights", OPT_CHOICE, AT(core.attention_weights), "KIND",
     .help =
         "given: those of the chunks, if any\nattention: these times the attention that a token "
         "receives in the block (RSQ)",
     "given", .choices = kinds},
    {"weight-min", OPT_REAL, AT(core.weight_min), "R",
     .help = "attention: the least weight beside the largest", "0.005", 1e-6, 1},
    {"modality-weights", OPT_TEXT, AT(modality_text), "text=R,image=R",
     .help = "weigh tokens by what they are; the chunks must say it"},
    {"weight-clip", OPT_TEXT, AT(clip_text), "LO,HI",
     .help = "bounds of the weights from attention and modality, at mean 1 in each sequence"},
    {"images-out", OPT_TEXT, AT(images_out), "EP",
     .help =
         "the rows of images once more, by themselves: for ptq-reduce --partial --rows-of image",
     .wiring = 1},
    {"vision", OPT_CHOICE, AT(core.tower), "HOW",
     .help = "full: the vision tower and its projector stay at full precision\nquantize: the "
             "linears of the tower's blocks are quantized too, before those of the decoder",
     "full", .choices = visions},
    {"experts", OPT_CHOICE, AT(core.expert.every), "WHICH",
     .help = "routed: the sums of an expert are those of the tokens that its router sends there\n"
             "all: those of all tokens, as if each went to every expert (as many times the work "
             "as there are experts for each that a token has)",
     "routed", .choices = experts},
    {"starved", OPT_CHOICE, AT(core.expert.starved), "HOW",
     .help = "an expert with fewer rows than --starved-below:\nrtn: is rounded to nearest\n"
             "all-tokens: gets the sums of all tokens",
     "rtn", .choices = starved},
    {"starved-below", OPT_INT, AT(core.expert.below), "N",
     .help = "rows that an expert needs; with fewer it is starved", OPT_NUMBER(EXPERT_BELOW), 1,
     EXPERT_BELOW_MAX},
    {"mem-rows", OPT_SIZE, AT(core.mem_rows), "BYTES",
     .help = "of --mem, for the rows of sites that wait; the others lie in the spill file, which "
             "the system keeps in its cache as long as that has room: more is faster only where "
             "the disk is slow and memory plenty",
     "4M"},
    {"from-site", OPT_INT, AT(core.from_site), "N",
     .help = "an earlier run has committed the sites before this one: their rows are not sent "
             "(ptq run says which)",
     "0", 0, 1000000, .wiring = 1},
    {"state", OPT_TEXT, AT(core.state), "DIR",
     .help =
         "keep the hidden states there, before each block and at each site; with --from-site go "
         "on from them (ptq run --save-state)",
     .wiring = 1},
    {"lease", OPT_TEXT, AT(lease_text), "PLACE/EPOCH",
     .help = "should this worker be lost, another is started at its place, with a higher epoch "
             "(ptq run gives it)",
     .wiring = 1},
    {.name = NULL},
};

static int check(const struct stage *s, struct err *e)
{
    struct forward_command *c = s->own;
    const struct opt_with min = {"weight-min", "--token-weights attention",
                                 c->core.attention_weights};
    int commits = (c->commits != NULL) + (c->follow != NULL);

    c->core.by_modality = c->modality_text != NULL;
    c->core.images_apart = c->images_out != NULL;
    c->core.act_bits = (int)c->act_bits;
    c->core.qkv_bits = (int)c->qkv_bits;
    c->core.mem = s->mem;
    c->core.tmp = s->tmp;
    if (c->core.order == FORWARD_SITE && commits != 1)
        return err_set(e, ERR_USE,
                       "--inputs quantized needs either --commits EP or --follow DIR, to get the "
                       "quantized weights back (or say --inputs full)");
    if (c->core.products != PRODUCTS_F32 && c->core.acts == DT_F32)
        return err_set(e, ERR_USE,
                       "--products %s rounds the rows that --acts f32 keeps: give --products f32, "
                       "or --acts bf16",
                       products_name(c->core.products));
    if (c->act_bits && c->act_bits < ACT_BITS_MIN)
        return err_set(e, ERR_USE, "--act-bits %d: activations have %d to %d bits",
                       (int)c->act_bits, ACT_BITS_MIN, ACT_BITS_MAX);
    if (c->qkv_bits && c->qkv_bits < ACT_BITS_MIN)
        return err_set(e, ERR_USE, "--qkv-bits %d: activations have %d to %d bits",
                       (int)c->qkv_bits, ACT_BITS_MIN, ACT_BITS_MAX);
    if (c->core.order == FORWARD_FULL && (c->act_bits || c->qkv_bits))
        return err_set(e, ERR_USE,
                       "--inputs full has the activations of the full-precision model: leave "
                       "--%s-bits out",
                       c->act_bits ? "act" : "qkv");
    if (c->core.order == FORWARD_FULL && c->core.dual)
        return err_set(e, ERR_USE, "--inputs full has one stream only: leave --dual out");
    if (c->core.order == FORWARD_FULL && commits)
        return err_set(e, ERR_USE,
                       "--inputs full takes no commits: leave --commits and --follow out");
    if (c->core.order == FORWARD_FULL && c->core.state)
        return err_set(e, ERR_USE,
                       "--state keeps what the commits made: with --inputs full leave it out");
    if (c->images_out && (c->core.expert.every || c->core.expert.starved == STARVED_ALL_TOKENS))
        return err_set(e, ERR_USE,
                       "--images-out sends the rows that a router sent: leave --experts all and "
                       "--starved all-tokens out");
    if (c->core.expert.every && c->core.expert.starved == STARVED_ALL_TOKENS)
        return err_set(e, ERR_USE,
                       "--experts all sums all tokens for every expert: leave --starved out");
    if (c->clip_text && !c->core.attention_weights && !c->modality_text)
        return err_set(e, ERR_USE,
                       "--weight-clip needs --token-weights attention or --modality-weights "
                       "(weights of a file: ptq-sample --weight-file-clip)");
    if (opt_unwanted(rows, c, &min, 1, e) < 0)
        return -1;
    if (c->modality_text &&
        modality_ratios_parse(c->modality_text, "--modality-weights", c->core.modality, e) < 0)
        return -1;
    if (c->lease_text && link_lease_parse(c->lease_text, &c->lease, e) < 0)
        return err_prefix(e, "--lease");
    if (c->clip_text && weigh_clip_parse(c->clip_text, &c->core.clip, e) < 0)
        return err_prefix(e, "--weight-clip");
    return 0;
}

const struct stage_spec forward_spec = {
    .name = "forward",
    .about = "runs a model over calibration chunks and emits the inputs of every site",
    .usage = "--model DIR (--commits EP | --follow DIR | --inputs full) [options]",
    .notes = "Environment: TMPDIR; OPENBLAS_CORETYPE (chosen from the CPU when it is not set).",
    .in = "chunks",
    .out = "rows and weights",
    .mem = "2G",
    .mem_for = "memory for hidden states; the rest goes to a spill file",
    .shared = STAGE_TMP | STAGE_THREADS | STAGE_ZSTD | STAGE_STATUS | STAGE_PAUSES |
              STAGE_INSECURE | STAGE_FAULT,
    .rows = rows,
    .size = sizeof(struct forward_command),
    .check = check,
    .start = blas_start,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* allocate_opts - see allocate_opts.h. */
#include "allocate_opts.h"

static const struct opt_choice scores[] = {
    {"agreed", ALLOCATE_AGREED},       {"relative", ALLOCATE_RELATIVE}, {"loss", ALLOCATE_LOSS},
    {"round-off", ALLOCATE_ROUND_OFF}, {"trace", ALLOCATE_TRACE},       {NULL, 0}};
static const struct opt_choice searches[] = {{"exact", ALLOCATE_EXACT},
                                             {"random", ALLOCATE_RANDOM},
                                             {"explore", ALLOCATE_EXPLORE},
                                             {NULL, 0}};
static const struct opt_choice protections[] = {{"none", 0}, {"ends", 1}, {NULL, 0}};

#define AT(field) offsetof(struct allocate_command, field)
static const struct opt rows[] = {
    {"target-bpw", OPT_REAL, AT(core.target.bpw), "BITS",
     .help = "bits a weight on average, over the linears of all blocks, scales and zero points "
             "counted",
     .min = .5, .max = 16},
    {"target-size", OPT_SIZE, AT(core.target.size), "BYTES",
     .help = "the same as bytes of those linears"},
    {"target-qr", OPT_REAL, AT(core.target.qr), "SHARE",
     .help = "the share of these weights that is quantized; the others stay as they are, at 16 "
             "bits a weight",
     .min = .001, .max = 1},
    {"max-kl", OPT_REAL, AT(core.target.kl), "NATS",
     .help = "as few bits as are foreseen to diverge no more, by the kept figures of the runs "
             "(ptq eval --keep-figures)",
     .min = 1e-9, .max = 1e3},
    {"score", OPT_CHOICE, AT(core.score), "NAME", .choices = scores, .def = "agreed",
     .help =
         "what is to be least in sum: relative losses times the weights of the linears, losses "
         "as they are, the rounding of weights without the inputs, or that times the mean "
         "square of the inputs; agreed: the first, or the third, as far as both call it no worse "
         "than one run throughout"},
    {"search", OPT_CHOICE, AT(core.search), "HOW", .choices = searches, .def = "exact",
     .help =
         "exact; random: the best of random choices within the target, to measure the exact one "
         "by; explore: with --measured, the choice to measure next"},
    {"trials", OPT_INT, AT(core.trials), "N", .help = "random: so many choices", .def = "50",
     .min = 1, .max = 10000000},
    {"seed", OPT_INT, AT(core.seed), "N", .help = "random, explore: of the draws", .def = "1",
     .min = 0, .max = 1e15},
    {"site-weights", OPT_TEXT, AT(core.site_weights), "FILE",
     .help = "losses of each site times these, JSON lines {\"block\", \"site\", \"weight\"}: what "
             "a loss there means for the model",
     .file = OPT_READS},
    {"measured", OPT_TEXTS, AT(measured), "DIR",
     .help =
         "a choice that was made and measured (ptq eval --keep-figures, one text for all): what "
         "a loss at each site means for the model is learned from such; with --max-kl: more "
         "figures"},
    {"protect", OPT_CHOICE, AT(core.protect), "WHAT", .choices = protections, .def = "ends",
     .help = "ends: the first and the last block get no fewer bits than in the largest run that "
             "is within the target"},
    {"keep", OPT_FLAG, AT(core.keep), .help = "a site may also stay as it is, at 16 bits a weight"},
    {"json", OPT_FLAG, AT(json), .help = "one JSON object instead of override lines"},
    {"out", OPT_TEXT, AT(out), "FILE", .help = "write there, for --overrides; - is stdout",
     .def = "-", .file = OPT_WRITES},
    {.name = NULL},
};

static int check(const struct stage *s, struct err *e)
{
    const struct allocate_command *c = s->own;
    const int targets = allocate_target_count(&c->core.target, e);

    if (targets < 1)
        return targets < 0
                   ? -1
                   : err_set(e, ERR_USE,
                             "which target: --target-bpw, --target-size, --target-qr or --max-kl?");
    if (c->core.target.kl > 0.0 && c->core.search != ALLOCATE_EXACT)
        return err_set(e, ERR_USE,
                       "--search %s: within a --target-bpw or --target-size, not for --max-kl",
                       c->core.search == ALLOCATE_RANDOM ? "random" : "explore");
    if (c->core.search == ALLOCATE_EXPLORE && !c->measured.count)
        return err_set(e, ERR_USE, "--search explore: from which measured choices? --measured DIR");
    return 0;
}

const struct stage_spec allocate_spec = {
    .name = "allocate",
    .about = "choose bits and groups for every site, from what finished runs lost there",
    .usage = "[options] RUN RUN...",
    .notes = "RUN is the folder of a finished run; all are of one model and one calibration, "
             "mostly ptq resolve of one recording.\n"
             "Example: ptq-allocate --target-bpw 3.5 --out mixed.txt w2 w3 w4 w8 &&\n"
             "    ptq run gptq --model M --data D --out mixed --overrides mixed.txt\n",
    .args_min = 1,
    .args_max = 64,
    .shared = STAGE_ENDS,
    .rows = rows,
    .size = sizeof(struct allocate_command),
    .check = check,
};

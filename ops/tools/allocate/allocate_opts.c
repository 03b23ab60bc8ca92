/* SPDX-License-Identifier: Apache-2.0 */
/* allocate_opts - see allocate_opts.h. */
#include "allocate_opts.h"

static const struct opt_choice scores[] = {
    {"loss", ALLOCATE_LOSS}, {"relative", ALLOCATE_RELATIVE}, {NULL, 0}};
static const struct opt_choice protections[] = {{"none", 0}, {"ends", 1}, {NULL, 0}};

#define AT(field) offsetof(struct allocate_command, field)
static const struct opt rows[] = {
    {"target-bpw", OPT_REAL, AT(core.bpw), "BITS",
     .help = "bits a weight on average, over the linears of all blocks, scales and zero points "
             "counted",
     .min = .5, .max = 16},
    {"target-size", OPT_SIZE, AT(core.size), "BYTES", .help = "the same as bytes of those linears"},
    {"score", OPT_CHOICE, AT(core.score), "NAME", .choices = scores, .def = "relative",
     .help = "what is to be least in sum: the losses of the sites, or their relative losses, "
             "weighed by their weights"},
    {"site-weights", OPT_TEXT, AT(core.site_weights), "FILE",
     .help = "losses of each site times these, JSON lines {\"block\", \"site\", \"weight\"}: what "
             "a loss there means for the model",
     .file = OPT_READS},
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

    if ((c->core.bpw > 0.0) == (c->core.size > 0))
        return err_set(e, ERR_USE, "say either --target-bpw or --target-size");
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
    .shared = STAGE_PRINTS,
    .rows = rows,
    .size = sizeof(struct allocate_command),
    .check = check,
};

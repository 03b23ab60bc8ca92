/* SPDX-License-Identifier: Apache-2.0 */
/* report_opts - see report_opts.h. */
#include "report_opts.h"

#define AT(field) offsetof(struct report_command, field)
static const struct opt rows[] = {
    {"problems", OPT_TEXT, AT(problems), "FILE",
     .help = "problems that the run recorded (--record): for spectra by length", .file = OPT_READS},
    {"chunks", OPT_TEXT, AT(chunks), "FILE",
     .help = "calibration chunks (ptq-sample --out FILE; ptq-importance --out FILE, with weights): "
             "for the images in them",
     .file = OPT_READS},
    {"blocks", OPT_TEXT, AT(blocks), "LIST",
     .help = "blocks whose spectra are drawn: 0,5,11; by default the first, middle and last"},
    {"out", OPT_TEXT, AT(out), "FILE",
     .help = "the page, or - for stdout; by default OUT/.ptqflow/report.html", .file = OPT_WRITES},
    {.name = NULL},
};

const struct stage_spec report_spec = {
    .name = "report",
    .about = "one HTML page about a run: losses, damping, lengths, Hessian diagonals, time; needs "
             "no network to read",
    .usage = "[options] OUT",
    .notes = "OUT is the folder that ptq run or ptq-write wrote to; a run that is still going, or "
             "failed, is reported as far as it went.\n"
             "Example: ptq-report out --problems problems.ptq --out report.html\n",
    .args_min = 1,
    .args_max = 1,
    .shared = STAGE_ENDS,
    .rows = rows,
    .size = sizeof(struct report_command),
};

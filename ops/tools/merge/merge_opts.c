/* SPDX-License-Identifier: Apache-2.0 */
/* merge_opts - see merge_opts.h. */
#include "merge_opts.h"

static const struct opt_choice ways[] = {
    {"weights", MERGE_WEIGHTS}, {"tokens", MERGE_TOKENS}, {NULL, 0}};

#define AT(field) offsetof(struct merge_command, field)
static const struct opt rows[] = {
    {"by", OPT_CHOICE, AT(by), "WHAT",
     .help = "rows count by the weights they were given, or those of each file by 1 on average",
     "weights", .choices = ways},
    {.name = NULL},
};

const struct stage_spec merge_spec = {
    .name = "merge",
    .about = "adds the sums of several streams of problems",
    .usage = "[options] PROBLEMS PROBLEMS...",
    .notes = "Files of the same model's sites, collected on different data with --override "
             "'*: skip': what one run\nover all of it would have summed.",
    .args_min = 2,
    .args_max = OPT_ARGS_MAX,
    .out = "problems",
    .shared = STAGE_ZSTD,
    .rows = rows,
    .size = sizeof(struct merge_command),
};

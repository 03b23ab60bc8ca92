/* SPDX-License-Identifier: Apache-2.0 */
/* families_opts - see families_opts.h. */
#include "families_opts.h"

#include <stddef.h>

static const struct opt rows[] = {
    {"json", OPT_FLAG, offsetof(struct families_command, json), .help = "one JSON object a line"},
    {.name = NULL},
};

const struct stage_spec families_spec = {
    .name = "families",
    .about = "list the architectures that are known",
    .notes = "What config.json says beyond them, and would change the mathematics, is refused by "
             "name when a model is opened.\n",
    .shared = STAGE_ENDS,
    .rows = rows,
    .size = sizeof(struct families_command),
};

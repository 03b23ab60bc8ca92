/* SPDX-License-Identifier: Apache-2.0 */
/* keys_opts - see keys_opts.h. */
#include "keys_opts.h"

#include <string.h>

#include "../../../common/wire/curve.h"
#include "keys.h"

static const struct opt rows[] = {
    {"worker", OPT_TEXTS, offsetof(struct keys_command, workers), "NAME",
     .help = "make keys for a worker of this name (may be repeated); without: one called 'worker'"},
    {.name = NULL},
};

static int check(const struct stage *s, struct err *e)
{
    const struct keys_command *c = s->own;

    for (size_t i = 0; i < c->workers.count; i++)
        if (!curve_name_fits(c->workers.text[i]) || strcmp(c->workers.text[i], KEYS_HEAD) == 0)
            return err_set(e, ERR_USE,
                           "--worker '%s': a name is letters, digits, '.', '-', '_', and not "
                           "'" KEYS_HEAD "'",
                           c->workers.text[i]);
    return 0;
}

const struct stage_spec keys_spec = {
    .name = "keys",
    .about = "make the keys with which hosts of one run know each other",
    .usage = "[options] DIR",
    .notes =
        "DIR/" KEYS_HEAD " stays on the head, DIR/NAME goes to the worker of that name; each "
        "is what --keys takes there.\nCalled again it adds workers to those that DIR/" KEYS_HEAD
        " lets in. Files *.key are secret.\n",
    .args_min = 1,
    .args_max = 1,
    .rows = rows,
    .size = sizeof(struct keys_command),
    .check = check,
};

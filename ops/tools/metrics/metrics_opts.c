/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_opts - see metrics_opts.h. */
#include "metrics_opts.h"

#define AT(field) offsetof(struct metrics_command, field)
static const struct opt rows[] = {
    {"out", OPT_TEXT, AT(out), "DIR", .help = "of the run that writes to DIR"},
    {"run", OPT_TEXT, AT(run), "DIR",
     .help = "of the run with this folder of sockets, which it says when it starts"},
    {"insecure", OPT_FLAG, AT(insecure), .help = "let others than this host ask"},
    {.name = NULL},
};

static int check(const struct stage *s, struct err *e)
{
    const struct metrics_command *c = s->own;

    return !c->out == !c->run ? err_set(e, ERR_USE, "say which run: --out OUT or --run DIR") : 0;
}

const struct stage_spec metrics_spec = {
    .name = "metrics",
    .about = "how far a run is, for Prometheus: a page of text by HTTP",
    .usage = "--out OUT | --run DIR [options] ADDRESS:PORT",
    .notes = "Says where the page is and ends with the run. ptq run --metrics starts it.\n",
    .args_min = 1,
    .args_max = 1,
    .rows = rows,
    .size = sizeof(struct metrics_command),
    .check = check,
};

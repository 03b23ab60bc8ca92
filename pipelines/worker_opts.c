/* SPDX-License-Identifier: Apache-2.0 */
/* worker_opts - see worker_opts.h. */
#include "worker_opts.h"

#include <string.h>

#include "../common/tensor/blas.h"
#include "../common/wire/curve.h"
#include "../common/wire/link_url.h"

#define AT(field) offsetof(struct worker_command, field)
static const struct opt rows[] = {
    {"forward", OPT_INT, AT(forward), "N",
     .help = "forward processes that it offers, with a reducer of their own (-1: one a thread)",
     "-1", -1, WORKER_SLOTS / 4},
    {"solve", OPT_INT, AT(solve), "N", .help = "solver processes that it offers", "1", 0,
     WORKER_SLOTS / 4},
    {"wait", OPT_INT, AT(wait), "SECONDS",
     .help = "give a head up that says nothing for so long, or is not there yet", "30", 1, 1 << 30},
    {"model", OPT_TEXT, AT(model), "DIR",
     .help = "where the model is on this host (default: where the head has it, else a copy)"},
    {"cache", OPT_TEXT, AT(cache), "DIR",
     .help = "for the copy of a model that the head lends (default: the user's folder for such)"},
    {"fetch", OPT_SIZE, AT(fetch), "SIZE",
     .help = "the largest model that is copied from the head (0: none is)", "256G"},
    {"name", OPT_TEXT, AT(name), "NAME",
     .help = "what the run calls it: letters, digits, '.', '-', '_' (default: that of this host)"},
    {.name = NULL},
};

static int check(const struct stage *s, struct err *e)
{
    struct worker_command *c = s->own;
    const char *url = s->args.count ? s->args.arg[0] : "", *colon = strrchr(url, ':');

    if (strncmp(url, "tcp://", 6) != 0 || colon < url + 7 || strchr(url, ','))
        return err_set(e, ERR_USE, "'%.200s' is not the address of a run: say tcp://HEAD:PORT",
                       url);
    if (url_check(url, 0, 0, e) < 0)
        return -1;
    if (c->name && (!curve_name_fits(c->name) || strlen(c->name) >= WORKER_NAME))
        return err_set(e, ERR_USE,
                       "--name '%.80s': a name is at most %d letters, digits, '.', '-', '_'",
                       c->name, WORKER_NAME - 1);
    if (c->forward < 0)
        c->forward = s->threads < WORKER_SLOTS / 4 ? s->threads : WORKER_SLOTS / 4;
    if (!c->forward && !c->solve)
        return err_set(e, ERR_USE, "--forward 0 --solve 0: there is nothing that it would do");
    return 0;
}

const struct stage_spec worker_spec = {
    .name = "worker",
    .about = "take part in a run of another host (ptq run --listen)",
    .usage = "tcp://HEAD:PORT [options]",
    .notes = "Comes and goes at any time; ends with the run. SIGTERM: what it has in hand is "
             "finished, then it leaves.\nA run takes hosts whose programs and CPU kernels are its "
             "own, so that its result does not depend on them.\n"
             "Environment: XDG_CACHE_HOME, else .cache in HOME, holds the folder ptqflow of copies "
             "of models.\n",
    .args_min = 1,
    .args_max = 1,
    .mem = "0",
    .mem_for = "memory of the forward processes and their reducer (0: as on the head)",
    .shared = STAGE_THREADS | STAGE_INSECURE,
    .rows = rows,
    .size = sizeof(struct worker_command),
    .check = check,
    .start = blas_start,
};

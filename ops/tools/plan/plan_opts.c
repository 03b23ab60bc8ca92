/* SPDX-License-Identifier: Apache-2.0 */
/* plan_opts - see plan_opts.h. */
#include "plan_opts.h"

#include "../../../common/tensor/blas.h"

#define AT(field) offsetof(struct plan_command, field)
static const struct opt rows[] = {
    {"json", OPT_FLAG, AT(json), .help = "one JSON object"},
    {"cores", OPT_INT, AT(cores), "N", .help = "of the machine the run is for (this one's)",
     .min = 1, .max = 4096},
    {"hosts", OPT_INT, AT(hosts), "N",
     .help = "also what it would take on 1, 2, 4 ... N hosts like this one (or of --cores)",
     .min = 1, .max = 1 << 20},
    {"net", OPT_TEXT, AT(net), "RATE", .help = "with --hosts: bits a second of a link",
     .def = PLAN_NET},
    {"gflops", OPT_REAL, AT(core), "GF",
     .help = "with --hosts: best rate of a core, f32 products (default: measured)", .min = .001,
     .max = 1e9},
    {"like", OPT_TEXT, AT(like), "OUT",
     .help =
         "with --hosts: as fast as the finished run OUT was, of any model and length, on such a "
         "host (default: by the rate of a core)"},
    {"target-bpw", OPT_REAL, AT(target.bpw), "BITS",
     .help = "print what ptq run --target-bpw would choose by the losses of earlier runs, with the "
             "runner-up, and plan that",
     .min = .5, .max = 16},
    {"target-size", OPT_SIZE, AT(target.size), "BYTES",
     .help = "the same for ptq run --target-size"},
    {"target-qr", OPT_REAL, AT(target.qr), "SHARE",
     .help = "the same for ptq run --target-qr (by the losses at one width)", .min = .001,
     .max = 1},
    {"max-kl", OPT_REAL, AT(target.kl), "NATS",
     .help = "the same for ptq run --max-kl, as foreseen before anything is measured", .min = 1e-9,
     .max = 1e3},
    {"losses", OPT_TEXTS, AT(losses), "DIR",
     .help = "a finished run, or a folder of such, as ptq run --target-bpw leaves in OUT.mixed "
             "(default: OUT.mixed)"},
    {"keep", OPT_FLAG, AT(keep), .help = "this and those below: as in ptq run, for nothing here"},
    {"dry-run", OPT_FLAG, AT(dry_run), .help = "-"},
    {"log", OPT_TEXT, AT(log), "DIR", .help = "-"},
    {"reserve", OPT_SIZE, AT(reserve), "BYTES", .help = "-"},
    {"stall", OPT_INT, AT(stall), "SECONDS", .help = "-", .min = 2, .max = 1 << 30},
    {"choose-bits", OPT_TEXT, AT(log), "LIST", .help = "-"},
    {"choose-on", OPT_TEXT, AT(log), "FILE", .help = "-"},
    {"choose-trials", OPT_INT, AT(stall), "N", .help = "-", .min = 1, .max = 64},
    {.name = NULL},
};

static size_t groups(void *own, struct opt_group *group, size_t max)
{
    if (!max)
        return 0;
    *group = (struct opt_group){"As in ptq run", line_rows, &((struct plan_command *)own)->line};
    return 1;
}

const struct stage_spec plan_spec = {
    .name = "plan",
    .about = "Says what a run would do: what overrides hit, size, work, memory; runs nothing",
    .usage = "[RECIPE] [options of ptq run RECIPE] [options]",
    .notes = "RECIPE is as in ptq run; without one gptq. --data and --out may be left out.\n"
             "Example: ptq plan gptq --model M --bits 4 --group 64 --override 'mlp.down: bits=8'",
    .shared = STAGE_ENDS | STAGE_PASSES,
    .args_max = OPT_ARGS_MAX,
    .rows = rows,
    .size = sizeof(struct plan_command),
    .groups = groups,
    .start = blas_start,
};

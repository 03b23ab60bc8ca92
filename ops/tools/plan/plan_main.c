/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-plan - a dry run: what overrides hit, what stays at full precision, size, work and memory
 * of a run with these options. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../../common/base/fs.h"
#include "../../../common/base/log.h"
#include "../../../common/base/sig.h"
#include "../../../common/base/stage.h"
#include "../../../common/format/format.h"
#include "../../../common/base/version.h"
#include "../../../pipelines/route.h"
#include "../../../pipelines/shelf.h"
#include "../../../stages/forward/forward_opts.h"
#include "../../../stages/reduce/reduce_opts.h"
#include "../../../stages/sample/sample_opts.h"
#include "../../../stages/solve/solve_opts.h"
#include "../../../stages/write/write_opts.h"
#include "preview.h"

struct plan_command {
    int json, quiet, keep, dry_run;
    int64_t cores;
    const char *log;
    struct opt_texts workers, set; /* taken as they come */
};

#define AT(field) offsetof(struct plan_command, field)
static const struct opt own_rows[] = {
    {"json", OPT_FLAG, AT(json), .help = "one JSON object"},
    {"cores", OPT_INT, AT(cores), "N", .help = "of the machine the run is for (this one's)",
     .min = 1, .max = 4096},
    {"workers", OPT_TEXTS, AT(workers), "S=N,...", .help = "processes of stage S"},
    {"set", OPT_TEXTS, AT(set), "NAME=VALUE", .help = "the same as --NAME VALUE"},
    {"quiet", OPT_FLAG, AT(quiet), .help = "this and those below: as in ptq run, for nothing here"},
    {"keep", OPT_FLAG, AT(keep), .help = "-"},
    {"dry-run", OPT_FLAG, AT(dry_run), .help = "-"},
    {"log", OPT_TEXT, AT(log), "DIR", .help = "-"},
    {.name = NULL},
};
static const char *const own_names[] = {"json", "cores",   "workers", "set", "quiet",
                                        "keep", "dry-run", "log",     NULL};

/* What engines fuse and the overrides tear apart: on stderr, so that it is seen beside --json
 * too. */
static void warn_split(const struct preview *p)
{
    for (size_t i = 0; i < p->nsplit; i++)
        log_warn("%s: its linears differ after the overrides, in %zu of %zu blocks: vLLM and "
                 "SGLang, which fuse them into %s, cannot load that",
                 p->split[i].site->name, p->split[i].blocks, p->config.layers,
                 p->split[i].site->fused);
}

/* Of the stages that a plan is about, and what can be said against their options. */
struct planned {
    const struct stage *sample, *forward, *reduce, *solve, *write;
};

static int planned_find(const struct route *t, struct planned *x, struct err *e)
{
    *x = (struct planned){route_stage(t, &sample_spec, 0), route_stage(t, &forward_spec, 0),
                          route_stage(t, &reduce_spec, 0), route_stage(t, &solve_spec, 0),
                          route_stage(t, &write_spec, 0)};
    if (!x->sample || !x->forward || !x->reduce || !x->solve || !x->write)
        return err_set(e, ERR_USE,
                       "%s: a plan is of a run from text to a checkpoint: of ptq-sample, "
                       "ptq-forward, ptq-reduce, ptq-solve and ptq-write",
                       t->r->path);
    if (!route_model(t))
        return err_set(e, ERR_USE, "--model DIR is missing");
    if (sample_spec.check(x->sample, e) < 0 || reduce_spec.check(x->reduce, e) < 0 ||
        write_spec.check(x->write, e) < 0)
        return -1;
    for (size_t i = 0; i < t->r->nstages; i++)
        if (t->stage[i] && t->stage[i]->spec == &solve_spec && solve_spec.check(t->stage[i], e) < 0)
            return err_prefix(e, "stage '%s'", t->r->stage[i].name);
    return 0;
}

static int plan(const struct plan_command *c, const struct route *t, struct err *e)
{
    struct preview_opts o = {.base = preview_base()};
    const struct format *formats[FORMATS_MAX];
    struct forward_opts forward;
    struct preview p = {.sites = 0};
    struct planned x;
    size_t count;
    int rc;

    if (planned_find(t, &x, e) < 0 ||
        format_parse(((const struct write_command *)x.write->own)->core.formats, formats, &count,
                     e) < 0)
        return -1;
    forward = ((const struct forward_command *)x.forward->own)->core;
    forward.mem = x.forward->mem;
    o.model = route_model(t);
    o.sample = &((const struct sample_command *)x.sample->own)->core;
    o.forward = &forward;
    o.reduce = x.reduce->own;
    o.solve = &((const struct solve_command *)x.solve->own)->core;
    o.format = formats[0];
    o.forwards = route_count(t, &forward_spec);
    o.solvers = route_count(t, &solve_spec);
    o.cores = t->r->cores;
    rc = preview_make(&o, &p, e);
    if (rc == 0) {
        warn_split(&p);
        if (c->json)
            rc = preview_print_json(&p, &o, e);
        else
            preview_print(&p, &o);
    }
    if (rc == 0)
        rc = fs_flush(stdout, e);
    preview_release(&p);
    return rc;
}

static void usage(struct plan_command *c)
{
    const struct opt_group group = {NULL, own_rows, c};

    puts("Usage: ptq plan [RECIPE] [options of ptq run RECIPE] [options]\n"
         "Says what a run would do: what overrides hit, size, work, memory; runs nothing.\n\n"
         "  RECIPE                  as in ptq run; without one gptq. --data and --out may be left\n"
         "                          out");
    opt_print(stdout, &group, NULL, NULL);
    puts("  -h, --help              Show this help\n"
         "  -V, --version           Show the version\n\n"
         "Example: ptq plan gptq --model M --bits 4 --group 64 --override 'mlp.down: bits=8'");
}

/* --help, --version, and --cores, which the recipe is read with. */
static int asked(int argc, char **argv, struct plan_command *c)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0)
            return usage(c), 1;
        if (strcmp(argv[i], "-V") == 0 || strcmp(argv[i], "--version") == 0)
            return printf("ptq-plan %s\n", PTQ_VERSION), 1;
        if (strcmp(argv[i], "--cores") == 0 && i + 1 < argc)
            c->cores = strtol(argv[i + 1], NULL, 10);
        else if (strncmp(argv[i], "--cores=", 8) == 0)
            c->cores = strtol(argv[i] + 8, NULL, 10);
    }
    return 0;
}

static int take_option(struct plan_command *c, struct route *t, int argc, char **argv,
                       struct err *e)
{
    const struct opt_group group = {NULL, own_rows, c};
    const char *eq = strchr(argv[0], '='), *value = eq ? eq + 1 : argc > 1 ? argv[1] : NULL;
    const size_t n = eq ? (size_t)(eq - argv[0]) : strlen(argv[0]);
    const struct opt *row =
        strncmp(argv[0], "--", 2) == 0 ? opt_find(&group, 1, argv[0] + 2, n - 2, NULL) : NULL;

    if (!row)
        return route_option(t, argc, argv, own_names, e);
    if (row->type == OPT_FLAG)
        return opt_set(row, c, row->name, eq ? value : NULL, e) < 0 ? -1 : 1;
    if (!value)
        return err_set(e, ERR_USE, "--%s needs a value", row->name);
    if (strcmp(row->name, "workers") == 0 ? recipe_workers(t->r, value, e)
        : strcmp(row->name, "set") == 0   ? route_pair(t, value, own_names, e)
                                          : opt_set(row, c, row->name, value, e))
        return -1;
    return eq ? 1 : 2;
}

int main(int argc, char **argv)
{
    struct plan_command c = {.cores = 0};
    struct route t = {.stage = NULL};
    struct err e = {0};
    struct recipe *r;
    const int named = argc > 1 && argv[1][0] != '-';
    int rc = 0;

    log_init("plan", LOG_NORMAL);
    if (asked(argc, argv, &c)) {
        if (fs_flush(stdout, &e) == 0)
            return 0;
        log_fatal(&e);
        return err_exit(&e);
    }
    r = shelf_open(named ? argv[1] : "gptq", c.cores > 0 ? (size_t)c.cores : 0, &e);
    if (sig_init_print(&e) < 0 || !r || route_open(&t, r, &e) < 0)
        rc = -1;
    for (int i = named ? 2 : 1, n; i < argc && rc == 0; i += n) {
        n = take_option(&c, &t, argc - i, argv + i, &e);
        rc = n < 0 ? -1 : 0;
    }
    if (rc == 0)
        rc = route_apply(&t, &e) < 0 ? -1 : plan(&c, &t, &e);
    if (rc < 0)
        log_fatal(&e);
    if (r)
        route_close(&t);
    recipe_destroy(&r);
    return rc < 0 ? err_exit(&e) : 0;
}

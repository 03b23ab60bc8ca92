/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-plan - a dry run: what overrides hit, what stays at full precision, size, work and memory
 * of a run with these options. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "../../../common/base/fs.h"
#include "../../../common/base/json.h"
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
#include "forecast.h"

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

/* "4 bits, group 64, gptq" of a class. */
static void class_text(const struct forecast_class *c, const struct forecast_opts *v, char *out,
                       size_t room)
{
    if (c->kept)
        snprintf(out, room, "as it is");
    else
        snprintf(out, room, "%d bits, group %lld, %s%s%s", c->bits, (long long)c->group,
                 (c->grid ? c->grid : v->grid)->name, c->solver ? ", solver " : "",
                 c->solver ? c->solver : "");
}

static void print_classes(const struct forecast *f, const struct forecast_opts *v)
{
    printf("%-40s %8s %14s %14s\n", "linears", "count", "weights", "bytes");
    for (size_t i = 0; i < f->nclasses; i++) {
        char text[120];

        class_text(&f->class[i], v, text, sizeof text);
        printf("  %-38s %8zu %14" PRIu64 " %14" PRIu64 "\n", text, f->class[i].linears,
               f->class[i].weights, f->class[i].bytes);
    }
    printf("  %-38s %8s %14s %14" PRIu64 "\n", "embeddings, norms, biases, head", "", "", f->other);
}

static void print_overrides(const struct overrides *o, const struct forecast *f)
{
    if (o->count)
        printf("\n%-40s %8s %14s %14s\n", "overrides", "linears", "weights", "decides for");
    for (size_t i = 0; i < o->count; i++)
        printf("  %-38s %8zu %14" PRIu64 " %14zu\n", o->at[i].text, f->hit[i].linears,
               f->hit[i].weights, f->hit[i].decides);
}

static void print_places(const char *what, uint64_t held, uint64_t spilled)
{
    printf("%s: %.0f MiB in memory", what, (double)held / (1 << 20));
    printf(spilled ? ", %.0f MiB in its file\n" : "\n", (double)spilled / (1 << 20));
}

static void print_memory(const struct forecast *f, const struct forecast_opts *v)
{
    const struct forecast_memory *m = &f->memory;
    const struct {
        const char *name;
        size_t processes;
        uint64_t bytes;
    } rows[] = {{"sample", 1, m->sample},
                {"forward", v->forwards, m->forward},
                {"reduce", 1, m->reduce},
                {"solve", v->solvers, m->solve},
                {"write", 1, m->write}};

    printf("\n%-10s %9s %14s\n", "stage", "processes", "peak MiB each");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf("%-10s %9zu %14.0f\n", rows[i].name, rows[i].processes,
               (double)rows[i].bytes / (1 << 20));
    printf("%-10s %9zu %14.0f\n", "together", v->forwards + v->solvers + 3,
           (double)m->all / (1 << 20));
    print_places("hidden states of a forward process", m->hidden, m->spilled);
    print_places("sums of the reducer", m->sums, m->sums_spilled);
}

static void print_text(const struct forecast *f, const struct forecast_opts *v,
                       const struct overrides *o)
{
    print_classes(f, v);
    print_overrides(o, f);
    printf("\n%.4f bits a quantized weight; %.4f a weight of the whole checkpoint\n", f->bits,
           f->bits_all);
    printf("tensor bytes: %" PRIu64 " -> %" PRIu64 " (%.1f%%)\n", f->source, f->output,
           f->source ? 100 * (double)f->output / (double)f->source : 0);
    printf("sites: %zu, %zu of them to solve\n", f->sites, f->solved);
    printf("work: %.4g GFLOP forward, %.4g GFLOP sums, %.4g GFLOP solving (fp64)\n",
           f->flops_forward / 1e9, f->flops_reduce / 1e9, f->flops_solve / 1e9);
    print_memory(f, v);
}

/* What engines fuse and the overrides tear apart: on stderr, so that it is seen beside --json
 * too. */
static void warn_split(const struct forecast *f)
{
    for (size_t i = 0; i < f->nsplit; i++)
        log_warn("%s: its linears differ after the overrides, in %zu of %zu blocks: vLLM and "
                 "SGLang, which fuse them into %s, cannot load that",
                 f->split[i].site->name, f->split[i].blocks, f->config.layers,
                 f->split[i].site->fused);
}

static struct json *class_json(const struct forecast_class *c, const struct forecast_opts *v)
{
    struct json *j = json_new_object();
    int bad = json_set_bool(j, "kept", c->kept) ||
              json_set_int(j, "linears", (int64_t)c->linears) ||
              json_set_int(j, "weights", (int64_t)c->weights) ||
              json_set_int(j, "bytes", (int64_t)c->bytes);

    if (!c->kept)
        bad = bad || json_set_int(j, "bits", c->bits) || json_set_int(j, "group", c->group) ||
              json_set_text(j, "grid", (c->grid ? c->grid : v->grid)->name) ||
              (c->solver && json_set_text(j, "solver", c->solver));
    if (bad)
        json_destroy(&j);
    return j;
}

static struct json *hit_json(const struct override *x, const struct forecast_hit *h)
{
    struct json *j = json_new_object();

    if (json_set_text(j, "line", x->text) || json_set_text(j, "from", x->from) ||
        json_set_text(j, "pattern", x->pattern) ||
        json_set_int(j, "linears", (int64_t)h->linears) ||
        json_set_int(j, "weights", (int64_t)h->weights) ||
        json_set_int(j, "decides", (int64_t)h->decides))
        json_destroy(&j);
    return j;
}

static struct json *stage_json(size_t processes, uint64_t bytes)
{
    struct json *j = json_new_object();

    if (json_set_int(j, "processes", (int64_t)processes) ||
        json_set_int(j, "peak_bytes", (int64_t)bytes))
        json_destroy(&j);
    return j;
}

static struct json *memory_json(const struct forecast *f, const struct forecast_opts *v)
{
    const struct forecast_memory *m = &f->memory;
    struct json *j = json_new_object();

    if (json_set(j, "sample", stage_json(1, m->sample)) ||
        json_set(j, "forward", stage_json(v->forwards, m->forward)) ||
        json_set(j, "reduce", stage_json(1, m->reduce)) ||
        json_set(j, "solve", stage_json(v->solvers, m->solve)) ||
        json_set(j, "write", stage_json(1, m->write)) ||
        json_set_int(j, "peak_bytes", (int64_t)m->all) ||
        json_set_int(j, "hidden_bytes", (int64_t)m->hidden) ||
        json_set_int(j, "spilled_bytes", (int64_t)m->spilled) ||
        json_set_int(j, "sums_bytes", (int64_t)m->sums) ||
        json_set_int(j, "sums_spilled_bytes", (int64_t)m->sums_spilled))
        json_destroy(&j);
    return j;
}

static struct json *split_json(const struct forecast *f)
{
    struct json *j = json_new_object();
    int bad = 0;

    for (size_t i = 0; i < f->nsplit; i++)
        bad = bad || json_set_int(j, f->split[i].site->name, (int64_t)f->split[i].blocks);
    if (bad)
        json_destroy(&j);
    return j;
}

static int print_json(const struct forecast *f, const struct forecast_opts *v,
                      const struct overrides *o, struct err *e)
{
    struct json *j = json_new_object(), *classes = json_new_array(), *hits = json_new_array();
    char *text = NULL;
    int bad = 0;

    for (size_t i = 0; i < f->nclasses; i++)
        bad = bad || json_push(classes, class_json(&f->class[i], v));
    for (size_t i = 0; i < o->count; i++)
        bad = bad || json_push(hits, hit_json(&o->at[i], &f->hit[i]));
    bad = json_set(j, "classes", classes) || bad;
    bad = json_set(j, "overrides", hits) || bad;
    bad = bad || json_set(j, "split", split_json(f)) || json_set_real(j, "bits", f->bits) ||
          json_set_real(j, "bits_all", f->bits_all) ||
          json_set_int(j, "bytes_before", (int64_t)f->source) ||
          json_set_int(j, "bytes_after", (int64_t)f->output) ||
          json_set_int(j, "bytes_other", (int64_t)f->other) ||
          json_set_int(j, "sites", (int64_t)f->sites) ||
          json_set_int(j, "solved", (int64_t)f->solved) ||
          json_set_real(j, "flops_forward", f->flops_forward) ||
          json_set_real(j, "flops_reduce", f->flops_reduce) ||
          json_set_real(j, "flops_solve", f->flops_solve) ||
          json_set(j, "memory", memory_json(f, v));
    if (bad)
        err_set(e, ERR_SYS, "out of memory");
    else
        text = json_print(j, 0, e);
    if (text)
        puts(text);
    free(text);
    json_destroy(&j);
    return text ? 0 : -1;
}

/* Bytes of a file of the model; 0: it is not there. */
static uint64_t file_bytes(const char *dir, const char *name)
{
    char *path = fs_join(dir, name, NULL);
    struct stat st;
    const uint64_t n = path && stat(path, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;

    free(path);
    return n;
}

/* Does a solver need the full-precision stream? -1: no such solver. */
static int needs_dual(const char *solver, struct err *e)
{
    struct contenders c;
    int need = 0;

    if (contenders_parse(solver, &c, e))
        return -1;
    for (size_t i = 0; i < c.count; i++)
        need |= (contender_needs(c.name[i]) & SOLVER_NEEDS_D) != 0;
    return need;
}

/* The longest sequence of the calibration. */
static uint64_t longest(const struct sample_opts *s)
{
    uint64_t n = s->nlengths ? 0 : s->length;

    for (size_t i = 0; i < s->nlengths; i++)
        n = s->lengths[i] > n ? s->lengths[i] : n;
    return n;
}

/* Classes of rows whose sums ptq-reduce keeps apart. */
static uint64_t classes_of(unsigned kinds, const struct sample_opts *s)
{
    return (kinds & CLASS_LENGTH ? s->nlengths ? s->nlengths : 1 : 0) +
           (kinds & CLASS_POSITION ? class_bands(longest(s)) : 0);
}

static int solver_dual(const struct solve_command *c, struct err *e)
{
    int dual = needs_dual(c->core.solver, e), one = 0;

    for (size_t i = 0; i < c->lines.count && dual >= 0; i++) {
        if (c->lines.at[i].v.solver && (one = needs_dual(c->lines.at[i].v.solver, e)) < 0)
            return err_prefix(e, "%s: '%s'", c->lines.at[i].from, c->lines.at[i].text);
        dual |= one;
    }
    return dual;
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

static int opts_of(const struct route *t, struct forecast_opts *o, struct err *e)
{
    const struct sample_command *sample;
    const struct forward_command *forward;
    const struct reduce_command *reduce;
    const struct solve_command *solve;
    const struct format *formats[FORMATS_MAX];
    struct planned x;
    size_t count;
    int dual;

    if (planned_find(t, &x, e) < 0)
        return -1;
    sample = x.sample->own;
    forward = x.forward->own;
    reduce = x.reduce->own;
    solve = x.solve->own;
    if (format_parse(((const struct write_command *)x.write->own)->core.formats, formats, &count,
                     e) < 0 ||
        (dual = solver_dual(solve, e)) < 0)
        return -1;
    if (!sample->core.tokens)
        return err_set(e, ERR_USE, "--tokens 0: a plan needs their number");
    *o = (struct forecast_opts){.model = route_model(t),
                                .bits = solve->core.bits,
                                .group = solve->core.group,
                                .scale_type = solve->core.scale_type,
                                .format = formats[0],
                                .grid = solve->core.grid,
                                .overrides = &solve->lines,
                                .solver = solve->core.solver,
                                .tokens = sample->core.tokens,
                                .length = longest(&sample->core),
                                .dual = forward->core.dual || dual == 1,
                                .holdout = reduce->core.how.holdout,
                                .classes = classes_of(reduce->core.how.classes, &sample->core),
                                /* ptq-sample makes text only */
                                .modalities = (reduce->core.how.classes & CLASS_MODALITY) != 0,
                                .plain = reduce->core.how.plain,
                                .acts = forward->core.acts,
                                .mem = x.forward->mem,
                                .sums_mem = x.reduce->mem,
                                .forwards = route_count(t, &forward_spec),
                                .solvers = route_count(t, &solve_spec),
                                .cores = t->r->cores,
                                .tokenizer = file_bytes(route_model(t), "tokenizer.json")};
    return 0;
}

static int plan(const struct plan_command *c, const struct route *t, struct err *e)
{
    struct forecast_opts o = {.model = NULL};
    const struct forecast_base base = forecast_base();
    struct forecast f = {.sites = 0};
    int rc = opts_of(t, &o, e);

    o.base = base;
    if (rc == 0 && (rc = forecast_make(&o, &f, e)) == 0) {
        warn_split(&f);
        if (c->json)
            rc = print_json(&f, &o, o.overrides, e);
        else
            print_text(&f, &o, o.overrides);
    }
    if (rc == 0)
        rc = fs_flush(stdout, e);
    forecast_release(&f);
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

/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-plan - a dry run: what overrides hit, what stays at full precision, size, work and memory
 * of a run with these options. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "../../../common/base/cpu.h"
#include "../../../common/base/fs.h"
#include "../../../common/base/json.h"
#include "../../../common/base/log.h"
#include "../../../common/base/stage.h"
#include "../../../common/format/format.h"
#include "../../../stages/solve/solve_opts.h"
#include "forecast.h"

struct values {
    const char *model, *overrides, *solver;
    struct opt_texts override;
    int bits, scale_type, format, grid, acts, dual, plain, json;
    int64_t group, tokens, length, holdout, classes, forwards, solvers, cores;
    uint64_t mem;
};

static const struct opt_choice sums[] = {{"weighted", 0}, {"both", 1}, {NULL, 0}};
static const struct opt_choice acts[] = {{"bf16", DT_BF16}, {"f32", DT_F32}, {NULL, 0}};

#define AT(field) offsetof(struct values, field)
static const struct opt table[] = {
    {"model", OPT_TEXT, AT(model), "DIR", .help = "checkpoint folder (config.json, safetensors)",
     .must = 1},
    {"bits", OPT_CHOICE, AT(bits), "N", .help = "bits of a code", "4", .nth = grid_bits_choice},
    {"group", OPT_INT, AT(group), "N", .help = "inputs that share a scale; -1: a whole row", "64",
     -1, 1 << 24},
    {"grid", OPT_CHOICE, AT(grid), "NAME", .help = "integer grid", "sym", .nth = grid_choice},
    {"scale-type", OPT_CHOICE, AT(scale_type), "TYPE", .help = "of the scales", "f16",
     .nth = grid_scale_choice},
    {"format", OPT_CHOICE, AT(format), "NAME", .help = "of the output", FORMAT_DEFAULT,
     .nth = format_choice},
    {"solver", OPT_TEXT, AT(solver), "NAME",
     .help = "as in ptq-solve, best:A,B,... too; one that needs the full-precision stream brings "
             "--dual",
     "gptq"},
    {"override", OPT_TEXTS, AT(override), "LINE",
     .help = "'PATTERN: KEY=VALUE ...' or 'PATTERN: skip', as in ptq-solve; may be repeated"},
    {"overrides", OPT_TEXT, AT(overrides), "FILE", .help = "such lines from a file"},
    {"tokens", OPT_INT, AT(tokens), "N", .help = "calibration tokens", "65536", 1, 1e15},
    {"length", OPT_INT, AT(length), "N",
     .help = "tokens of a sequence, of the longest if there are several lengths", "2048", 1,
     1 << 24},
    {"dual", OPT_FLAG, AT(dual),
     .help = "the full-precision stream runs beside (the recipe gptaq, whatever the solver)"},
    {"holdout", OPT_INT, AT(holdout), "N",
     .help = "every Nth chunk is held out to judge solvers on (0: none)", "0", 0, 1000000},
    {"classes", OPT_INT, AT(classes), "N",
     .help = "classes of rows whose sums are kept apart: as many as lengths, and bands of "
             "positions (at "
             "most 6)",
     "0", 0, 64},
    {"sums", OPT_CHOICE, AT(plain), "WHICH", .help = "as in ptq-reduce; both in the recipe maca",
     "weighted", .choices = sums},
    {"acts", OPT_CHOICE, AT(acts), "TYPE", .help = "of the site inputs", "bf16", .choices = acts},
    {"workers", OPT_INT, AT(forwards), "N",
     .help = "forward processes (as many as cores, at most 8)", .min = 1, .max = 1024},
    {"solvers", OPT_INT, AT(solvers), "N", .help = "solver processes", "1", 1, 1024},
    {"cores", OPT_INT, AT(cores), "N", .help = "of the machine the run is for (this one's)",
     .min = 1, .max = 4096},
    {"json", OPT_FLAG, AT(json), .help = "one JSON object"},
    {.name = NULL},
};

static const struct stage_spec spec = {
    .name = "plan",
    .about = "says what a run would do: what overrides hit, size, work, memory; runs nothing",
    .usage = "--model DIR [options]",
    .notes = "Example: ptq-plan --model M --bits 4 --group 64 --override 'mlp.down: bits=8 "
             "group=32' --override 'b0.*: skip'",
    .mem = "2G",
    .mem_for = "memory for hidden states of each forward process, and for the reducer's sums",
    .shared = STAGE_PRINTS,
    .rows = table,
    .size = sizeof(struct values),
};

/* "4 bits, group 64, gptq" of a class. */
static void class_text(const struct forecast_class *c, const struct values *v, char *out,
                       size_t room)
{
    if (c->kept)
        snprintf(out, room, "as it is");
    else
        snprintf(out, room, "%d bits, group %lld, %s%s%s", c->bits, (long long)c->group,
                 (c->grid ? c->grid : grid_at((size_t)v->grid))->name, c->solver ? ", solver " : "",
                 c->solver ? c->solver : "");
}

static void print_classes(const struct forecast *f, const struct values *v)
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

static void print_memory(const struct forecast *f, const struct values *v)
{
    const struct forecast_memory *m = &f->memory;
    const struct {
        const char *name;
        int64_t processes;
        uint64_t bytes;
    } rows[] = {{"sample", 1, m->sample},
                {"forward", v->forwards, m->forward},
                {"reduce", 1, m->reduce},
                {"solve", v->solvers, m->solve},
                {"write", 1, m->write}};

    printf("\n%-10s %9s %14s\n", "stage", "processes", "peak MiB each");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf("%-10s %9lld %14.0f\n", rows[i].name, (long long)rows[i].processes,
               (double)rows[i].bytes / (1 << 20));
    printf("%-10s %9lld %14.0f\n", "together", (long long)(v->forwards + v->solvers + 3),
           (double)m->all / (1 << 20));
    print_places("hidden states of a forward process", m->hidden, m->spilled);
    print_places("sums of the reducer", m->sums, m->sums_spilled);
}

static void print_text(const struct forecast *f, const struct values *v, const struct overrides *o)
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

static struct json *class_json(const struct forecast_class *c, const struct values *v)
{
    struct json *j = json_new_object();
    int bad = json_set_bool(j, "kept", c->kept) ||
              json_set_int(j, "linears", (int64_t)c->linears) ||
              json_set_int(j, "weights", (int64_t)c->weights) ||
              json_set_int(j, "bytes", (int64_t)c->bytes);

    if (!c->kept)
        bad = bad || json_set_int(j, "bits", c->bits) || json_set_int(j, "group", c->group) ||
              json_set_text(j, "grid", (c->grid ? c->grid : grid_at((size_t)v->grid))->name) ||
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

static struct json *stage_json(int64_t processes, uint64_t bytes)
{
    struct json *j = json_new_object();

    if (json_set_int(j, "processes", processes) || json_set_int(j, "peak_bytes", (int64_t)bytes))
        json_destroy(&j);
    return j;
}

static struct json *memory_json(const struct forecast *f, const struct values *v)
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

static int print_json(const struct forecast *f, const struct values *v, const struct overrides *o,
                      struct err *e)
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

static int opts_of(const struct values *v, const struct overrides *lines, struct forecast_opts *o,
                   struct err *e)
{
    int dual = needs_dual(v->solver, e), one = 0;

    for (size_t i = 0; i < lines->count && dual >= 0; i++) {
        if (lines->at[i].v.solver && (one = needs_dual(lines->at[i].v.solver, e)) < 0)
            return err_prefix(e, "%s: '%s'", lines->at[i].from, lines->at[i].text);
        dual |= one;
    }
    *o = (struct forecast_opts){.model = v->model,
                                .bits = v->bits,
                                .group = v->group,
                                .scale_type = (enum dtype)v->scale_type,
                                .format = format_at((size_t)v->format),
                                .grid = grid_at((size_t)v->grid),
                                .overrides = lines,
                                .solver = v->solver,
                                .tokens = (uint64_t)v->tokens,
                                .length = (uint64_t)v->length,
                                .dual = v->dual || dual == 1,
                                .holdout = (uint64_t)v->holdout,
                                .classes = (uint64_t)v->classes,
                                .plain = v->plain,
                                .acts = (enum dtype)v->acts,
                                .mem = v->mem,
                                .forwards = (size_t)v->forwards,
                                .solvers = (size_t)v->solvers,
                                .cores = (size_t)v->cores,
                                .tokenizer = file_bytes(v->model, "tokenizer.json")};
    return dual < 0 ? -1 : 0;
}

static int run(struct stage *s, struct err *e)
{
    struct values *v = s->own;
    struct overrides lines = OVERRIDES_NONE;
    struct forecast_opts o = {.model = NULL};
    const struct forecast_base base = forecast_base();
    struct forecast f = {.sites = 0};
    int rc;

    v->mem = s->mem;
    v->cores = v->cores ? v->cores : (int64_t)cpu_count();
    v->forwards = v->forwards ? v->forwards : v->cores < 8 ? v->cores : 8;
    rc = overrides_load(&lines, v->overrides, v->override.text, v->override.count, e);
    if (rc == 0)
        rc = opts_of(v, &lines, &o, e);
    o.base = base;
    if (rc == 0 && (rc = forecast_make(&o, &f, e)) == 0) {
        warn_split(&f);
        if (v->json)
            rc = print_json(&f, v, &lines, e);
        else
            print_text(&f, v, &lines);
    }
    forecast_release(&f);
    overrides_release(&lines);
    return rc;
}

int main(int argc, char **argv)
{
    return stage_main(&spec, run, argc, argv);
}

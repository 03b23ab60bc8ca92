/* SPDX-License-Identifier: Apache-2.0 */
/* solve_opts - see solve_opts.h. */
#include "solve_opts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "../../common/base/near.h"
#include "../../common/base/version.h"
#include "../../common/format/grid_affine.h"
#include "../../common/run/override.h"
#include "../../common/tensor/blas.h"
#include "solve_beside.h"
#include "solve_fisher.h"
#include "solve_table.h"

/* ---- rows ---- */

static const struct opt_choice fits[] = {{"minmax", FIT_MINMAX},
                                         {"mse", FIT_MSE},
                                         {"hessian", FIT_HESSIAN},
                                         {"neuqi", FIT_NEUQI},
                                         {NULL, 0}};
static const struct opt_choice scales[] = {{"fit", 0}, {"hessian", 1}, {NULL, 0}};
static const struct opt_choice criteria[] = {
    {"asym", CRITERION_ASYM}, {"plain", CRITERION_PLAIN}, {NULL, 0}};
static const struct opt_choice answers[] = {{"no", 0}, {"yes", 1}, {NULL, 0}};
static const struct opt_choice sums[] = {
    {"weighted", SUMS_WEIGHTED}, {"plain", SUMS_PLAIN}, {NULL, 0}};
static const struct opt_choice crosses[] = {{"none", 0}, {"length", 1}, {NULL, 0}};

static const struct opt_choice equalises[] = {
    {"none", EQUALISE_NONE},     {"first", EQUALISE_FIRST},       {"position", EQUALISE_POSITION},
    {"length", EQUALISE_LENGTH}, {"modality", EQUALISE_MODALITY}, {NULL, 0}};

#define AT(field) offsetof(struct solve_command, field)
static const struct opt rows[] = {
    {"solver", OPT_TEXT, AT(core.solver), "NAME",
     .help = "algorithm; --list says what each looks at. qep+NAME shifts the target before it;\n"
             "best:A,B,... keeps the best of several, per site",
     "gptq", .nth = solver_choice},
    {"bits", OPT_CHOICE, AT(core.bits), "N", .help = "bits of a code", "4",
     .nth = grid_bits_choice},
    {"group", OPT_INT, AT(core.group), "N",
     .help = "inputs that share a scale, a divisor of every K; -1: a whole row", "64", -1, 1 << 24},
    {"grid", OPT_CHOICE, AT(grid), "NAME",
     .help = "the numbers that codes stand for: equal steps, or floating-point numbers of 8 bits\n"
             "(fp8: --bits 8 --group -1) or 4 (nvfp4: --group 16, mxfp4: --group 32)",
     "sym", .nth = grid_choice},
    {"fit", OPT_CHOICE, AT(core.fit), "NAME",
     .help = "scales from the whole range, or a search for the best smaller one", "minmax",
     .choices = fits},
    {"scales", OPT_CHOICE, AT(scales_hessian), "NAME",
     .help = "hessian: short for --fit hessian --refine 1 (two-stage group scales)", "fit",
     .choices = scales},
    {"scale-type", OPT_CHOICE, AT(core.scale_type), "TYPE",
     .help = "scales are rounded to it before codes are chosen (nvfp4 and mxfp4 have their own)",
     "f16", .nth = grid_scale_choice},
    {"zero-min", OPT_INT, AT(core.zero_min), "N",
     .help = "smallest zero point of asym (GPTQ v1 files cannot hold 0)", "1", 0, 1},
    {"desc-act", OPT_CHOICE, AT(core.desc_act), "WHEN",
     .help = "yes: a group is of inputs that follow each other in the order of activation, so each "
             "input\nnames its group (g_idx; with --groups dynamic as the official GPTQ does it). "
             "For gptq,\ngptq-v2 and dense",
     "no", .choices = answers},
    {"refine", OPT_INT, AT(core.refine), "N",
     .help = "passes over the scales after the codes are chosen", "0", 0, 100},
    {"refine-alpha", OPT_REAL, AT(core.refine_alpha), "X", .help = "share of D in them", "0.25", 0,
     4},
    {"criterion", OPT_CHOICE, AT(core.criterion), "NAME",
     .help = "best: loss to compare, against the full-precision target (where D is there) or not",
     "asym", .choices = criteria},
    {"refit", OPT_CHOICE, AT(core.refit), "WHEN",
     .help = "best: yes: once the held-out chunks have chosen, the winner solves the site again "
             "from all "
             "chunks",
     "no", .choices = answers},
    {"sums", OPT_CHOICE, AT(core.sums), "NAME",
     .help = "which sums to solve with: those with token weights, or the plain ones of ptq-reduce "
             "--plain-sums",
     "weighted", .choices = sums},
    {"mix", OPT_TEXT, AT(mix), "MIX",
     .help = "text=R,image=R: the sums of each modality times R (ptq-reduce --classes modality; 1 "
             "where not named);\nauto: the ratios of ptq-importance --give ratios; tokens: every "
             "row as it was counted",
     "tokens"},
    {"equalise", OPT_CHOICE, AT(core.equalise), "KIND",
     .help = "weigh the classes of rows at each site so that each loses the same share of its own "
             "output: the first token against the others, or by position, length or modality "
             "(ptq-reduce --classes position, length, modality)",
     "none", .choices = equalises},
    {"equalise-passes", OPT_INT, AT(core.equalise_passes), "N",
     .help = "for which each site is solved so many times more", "3", 1, 100},
    {"override", OPT_TEXTS, AT(override), "LINE",
     .help = "'PATTERN: KEY=VALUE ...': other bits, group, grid, fit, solver or damp for the "
             "linears that "
             "a\nshell pattern hits, or 'PATTERN: skip': leave them as they are. Patterns are on "
             "names\n"
             "(model.layers.*.mlp.down_proj) or sites (mlp.down, b3.attn.*); may be repeated, "
             "later lines "
             "win"},
    {"overrides", OPT_TEXT, AT(overrides), "FILE",
     .help = "such lines from a file; --override wins over it", .file = OPT_READS},
    {"cross", OPT_CHOICE, AT(core.cross), "KIND",
     .help = "length: also solve each site from the sequences of one length alone (ptq-reduce "
             "--classes "
             "length), length by length,\nand note what each such solution costs on each class, "
             "for ptq "
             "report. The solution stays the same",
     "none", .choices = crosses},
    {"only", OPT_TEXTS, AT(only), "PATTERN",
     .help = "take only sites whose name fits, as 'mlp.*', attn.o or b3.mlp.down"},
    {"recorded", OPT_FLAG, AT(core.recorded),
     .help = "say in the provenance that the problems are those of an earlier run: later blocks "
             "have not seen\nthese solutions (the recipe resolve says it)"},
    {"peers", OPT_INT, AT(peers), "N", .help = "reducers whose end is the end of the stream", "1",
     1, 65536, .wiring = 1},
    {"list", OPT_FLAG, AT(list), .help = "show the solvers with the options they look at"},
    {.name = NULL},
};

/* The rows of the sweep, then those of each solver that has some. */
static size_t solver_groups(struct solve_opts *o, struct opt_group *group, size_t max)
{
    const struct solver *s;
    size_t n = 0;

    group[n++] = (struct opt_group){"Solvers that go column by column", sweep_rows, o};
    for (size_t i = 0; (s = solver_at(i)) && n < max; i++)
        if (s->rows)
            group[n++] = (struct opt_group){s->name, s->rows, o};
    return n;
}

static size_t more_groups(void *own, struct opt_group *group, size_t max)
{
    return solver_groups(&((struct solve_command *)own)->core, group, max);
}

/* All rows that fill struct solve_opts. */
static size_t all_groups(struct solve_command *c, struct opt_group group[STAGE_GROUPS])
{
    group[0] = (struct opt_group){NULL, rows, c};
    return 1 + solver_groups(&c->core, group + 1, STAGE_GROUPS - 1);
}

struct solve_opts solve_opts_default(void)
{
    struct solve_command c = {.peers = 0};
    struct opt_group group[STAGE_GROUPS];

    opt_defaults(group, all_groups(&c, group), NULL); /* a unit test checks the rows */
    c.core.grid = grid_at((size_t)c.grid);
    return c.core;
}

static int check(const struct stage *s, struct err *e)
{
    struct solve_command *c = s->own;

    if (c->list)
        return 0;
    c->core.grid = grid_at((size_t)c->grid);
    if (c->scales_hessian) {
        c->core.fit = FIT_HESSIAN;
        c->core.refine = c->core.refine < 1 ? 1 : c->core.refine;
    }
    if (overrides_load(&c->lines, c->overrides, c->override.text, c->override.count, e) < 0)
        return -1;
    c->core.overrides = &c->lines;
    return solve_mix_parse(c->mix, &c->core, e) < 0 || solve_check_opts(&c->core, e) < 0
               ? -1
               : fisher_look(c->core.fisher, e);
}

static void release(void *own)
{
    overrides_release(&((struct solve_command *)own)->lines);
}

const struct stage_spec solve_spec = {
    .name = "solve",
    .about = "quantizes the linears of each problem",
    .usage = "[--in EP] [--out EP] [options]",
    .notes = "The solution is the same bytes for any number of threads on one type of CPU kernel\n"
             "(OPENBLAS_CORETYPE; chosen from the CPU when it is not set).",
    .in = "problems",
    .out = "solutions",
    .shared =
        STAGE_THREADS | STAGE_ZSTD | STAGE_STATUS | STAGE_PAUSES | STAGE_INSECURE | STAGE_FAULT,
    .rows = rows,
    .size = sizeof(struct solve_command),
    .groups = more_groups,
    .check = check,
    .release = release,
    .start = blas_start,
};

/* ---- names ---- */

static const struct solver *inner_of(const char *name)
{
    const char *inner = solver_inner(name);

    return inner ? solver_find(inner) : NULL;
}

unsigned contender_needs(const char *name)
{
    const struct solver *inner = inner_of(name);

    return solver_find(name)->needs | (inner ? inner->needs : 0);
}

int contender_takes(const char *name, const char *option)
{
    const struct solver *inner = inner_of(name);

    return solver_takes(solver_find(name), option) || (inner && solver_takes(inner, option));
}

/* Of "qep+gptqq" the part behind the plus is what was mistyped, if qep is right. */
static int no_solver(const char *name, struct err *e)
{
    const int inner = strncmp(name, "qep+", 4) == 0;
    const char *typed = inner ? name + 4 : name;
    struct near near = near_start(typed, strlen(typed));

    for (size_t i = 0; *typed && solver_at(i); i++)
        near_try(&near, solver_at(i)->name);
    return err_set(e, ERR_USE, "there is no solver '%s'%s%s%s%s; ptq-solve --list shows them", name,
                   near.name ? ": did you mean " : "", near.name && inner ? "qep+" : "",
                   near.name ? near.name : "", near.name ? "?" : "");
}

static int check_name(const char *name, struct err *e)
{
    const char *plus = strchr(name, '+');
    const struct solver *s = solver_find(name), *inner = plus ? solver_find(plus + 1) : NULL;

    if (!s || (plus && (!inner || strchr(plus + 1, '+'))))
        return no_solver(name, e);
    if (plus && strcmp(s->name, "qep") != 0)
        return err_set(e, ERR_USE, "'%s': only qep stands before another solver, as in qep+gptq",
                       name);
    if (plus && (inner->needs & SOLVER_SHIFTS))
        return err_set(e, ERR_USE, "'%s': %s aims at the full-precision target itself", name,
                       inner->name);
    return 0;
}

int contenders_parse(const char *solver, struct contenders *c, struct err *e)
{
    const char *at = solver ? solver : "";

    *c = (struct contenders){.count = 0};
    c->contest = strncmp(at, "best:", 5) == 0;
    at += c->contest ? 5 : 0;
    do {
        const size_t n = c->contest ? strcspn(at, ",") : strlen(at);
        char *name = c->name[c->count];

        if (c->count == CONTENDERS)
            return err_set(e, ERR_USE, "--solver best: takes at most %d solvers", CONTENDERS);
        if (n >= CONTENDER_NAME)
            return no_solver(at, e);
        memcpy(name, at, n);
        if (check_name(name, e))
            return -1;
        for (size_t i = 0; i < c->count; i++)
            if (strcmp(c->name[i], name) == 0)
                return err_set(e, ERR_USE, "--solver names '%s' twice", name);
        c->count++;
        at += n;
    } while (*at++ == ',');
    return 0;
}

/* ---- values ---- */

static int differs(double a, double b)
{
    return a < b || a > b;
}

/* The solvers of overrides look at options too. */
static int taken_by_override(const struct overrides *o, const char *option)
{
    struct contenders c;
    int taken = 0;

    for (size_t i = 0; o && i < o->count && !taken; i++) {
        if (!o->at[i].v.solver || contenders_parse(o->at[i].v.solver, &c, NULL))
            continue;
        for (size_t k = 0; k < c.count && !taken; k++)
            taken = contender_takes(c.name[k], option);
    }
    return taken;
}

static int is_damp(const struct opt *row)
{
    return row->offset == offsetof(struct solve_opts, damp);
}

/* Fits that weigh errors, and refining, damp whatever the solver. */
static int damps(const struct solve_opts *o)
{
    return o->fit >= FIT_HESSIAN || o->refine;
}

/* An option of solvers that none of those named looks at may be given only as what it is anyway,
 * so that a recipe can name them all. */
static int check_unused(const struct solve_opts *o, const struct contenders *c, struct err *e)
{
    struct solve_opts copy = *o;
    const struct solve_opts def = solve_opts_default();
    struct opt_group group[STAGE_GROUPS];
    const size_t n = solver_groups(&copy, group, STAGE_GROUPS);

    for (size_t g = 0; g < n; g++)
        for (const struct opt *row = group[g].rows; row->name; row++) {
            int taken = !opt_changed(row, o) || (is_damp(row) && damps(o)) ||
                        taken_by_override(o->overrides, row->name);

            for (size_t k = 0; k < c->count && !taken; k++)
                taken = contender_takes(c->name[k], row->name);
            if (!taken)
                return err_set(
                    e, ERR_USE,
                    "--%s means nothing to solver %s: leave it out, or choose another solver",
                    row->name, o->solver);
        }
    if (o->criterion != def.criterion && !c->contest)
        return err_set(e, ERR_USE, "--criterion means nothing without --solver best:A,B");
    if (o->refit && !c->contest)
        return err_set(e, ERR_USE, "--refit means nothing without --solver best:A,B");
    if (o->refit && o->sums != SUMS_WEIGHTED)
        return err_set(e, ERR_USE,
                       "--refit adds the held-out sums, which are weighted, to those of --sums "
                       "plain: choose one of them");
    if (o->equalise && (o->mixed || o->sums != SUMS_WEIGHTED || c->contest))
        return err_set(
            e, ERR_USE,
            "--equalise finds the weights of classes for one solver: it does not go with "
            "%s",
            o->mixed     ? "--mix"
            : c->contest ? "--solver best:A,B"
                         : "--sums plain");
    if (o->mixed && o->sums != SUMS_WEIGHTED)
        return err_set(e, ERR_USE,
                       "--mix mixes the weighted sums of each modality: it goes with --sums "
                       "weighted only");
    if (differs(o->refine_alpha, def.refine_alpha) && !o->refine)
        return err_set(e, ERR_USE, "--refine-alpha means nothing without --refine");
    return 0;
}

/* Whoever filled the struct: every value is one that its row allows. */
static int check_rows(const struct solve_opts *o, struct err *e)
{
    struct solve_command c = {.core = *o};
    struct opt_group group[STAGE_GROUPS];
    const size_t n = all_groups(&c, group);

    for (size_t g = 0; g < n; g++)
        for (const struct opt *row = group[g].rows; row->name; row++)
            if ((g > 0 || row->offset < sizeof *o) && opt_valid(row, group[g].values, e) < 0)
                return -1;
    return 0;
}

/* Of the names of widths, or of types of scales, those that a grid has. */
static char *names_of(const char *(*nth)(size_t i, int *value), unsigned has, char *out,
                      size_t room)
{
    const char *names[16], *name;
    size_t n = 0;
    int value;

    for (size_t i = 0; (name = nth(i, &value)) && n < 15; i++)
        if (has & GRID_BIT(value))
            names[n++] = name;
    names[n] = NULL;
    return grid_name_list(names, "or", out, room);
}

static int check_grid(const struct solve_opts *o, struct err *e)
{
    const struct grid *g = o->grid;
    const enum dtype type = grid_scale_type(g, o->scale_type);
    char known[128];

    if (!grid_takes_bits(g, o->bits))
        return err_set(e, ERR_USE, "--bits must be %s, not %d (grid %s)",
                       names_of(grid_bits_choice, g->bits, known, sizeof known), o->bits, g->name);
    if (g->group && o->group != g->group)
        return err_set(e, ERR_USE, "grid %s has groups of %lld: say --group %lld, not %lld",
                       g->name, (long long)g->group, (long long)g->group, (long long)o->group);
    if (!(g->scale_types & GRID_BIT(type)))
        return err_set(e, ERR_USE, "--scale-type must be %s (grid %s)",
                       names_of(grid_scale_choice, g->scale_types, known, sizeof known), g->name);
    return 0;
}

static int check_values(const struct solve_opts *o, struct contenders *c, struct err *e)
{
    if (!o->solver)
        return no_solver("", e);
    if (contenders_parse(o->solver, c, e))
        return -1;
    if (check_grid(o, e) || check_rows(o, e))
        return -1;
    if (o->group == 0)
        return err_set(e, ERR_USE, "--group must be -1 or at least 1");
    if (o->desc_act && o->order != ORDER_ACT)
        return err_set(e, ERR_USE, "--desc-act yes goes with --order act");
    for (size_t i = 0; i < c->count; i++) {
        if (beside_check(o, c->name[i], e) || table_check(o, c->name[i], e))
            return -1;
        if (o->desc_act && !contender_takes(c->name[i], "order"))
            return err_set(e, ERR_USE,
                           "--desc-act yes means nothing to solver %s, which has no order of "
                           "columns",
                           c->name[i]);
        if (o->groups == GROUPS_DYNAMIC && contender_takes(c->name[i], "tries"))
            return err_set(e, ERR_USE, "solver %s needs --groups static", c->name[i]);
        if (!affine_is(o->grid) && contender_takes(c->name[i], "tries"))
            return err_set(e, ERR_USE, "solver %s needs a grid of equal steps, which %s is not",
                           c->name[i], o->grid->name);
    }
    return 0;
}

/* ---- overrides ---- */

static const struct opt fit_row = {"fit", OPT_CHOICE, offsetof(struct solve_opts, fit), "NAME",
                                   .choices = fits};

static int apply(const struct override_values *v, struct solve_opts *o, struct err *e)
{
    o->bits = v->bits ? v->bits : o->bits;
    o->group = v->group ? v->group : o->group;
    o->grid = v->grid ? v->grid : o->grid;
    o->damp = v->damp >= 0.0 ? v->damp : o->damp;
    o->solver = v->solver ? v->solver : o->solver;
    return v->fit ? opt_set(&fit_row, o, fit_row.name, v->fit, e) : 0;
}

/* Each line by itself. Options that its solver does not look at are for the other linears. */
static int check_overrides(const struct solve_opts *o, struct err *e)
{
    for (size_t i = 0; o->overrides && i < o->overrides->count; i++) {
        const struct override *x = &o->overrides->at[i];
        struct solve_opts one = *o;
        struct contenders c;

        if (apply(&x->v, &one, e) || check_values(&one, &c, e))
            return err_prefix(e, "%s: '%.100s'", x->from, x->text);
    }
    return 0;
}

int solve_opts_for(const struct solve_opts *o, size_t block, const char *site, const char *linear,
                   struct solve_opts *out, struct err *e)
{
    struct override_values v;
    struct contenders c;

    *out = *o;
    if (!overrides_of(o->overrides, block, site, linear, &v))
        return 0;
    if (v.skip == 1)
        return 1;
    return apply(&v, out, e) || check_values(out, &c, e)
               ? err_prefix(e, "overrides of '%s'", linear)
               : 0;
}

int solve_opts_same(const struct solve_opts *a, const struct solve_opts *b)
{
    return a->bits == b->bits && a->group == b->group && a->grid == b->grid && a->fit == b->fit &&
           !differs(a->damp, b->damp) && strcmp(a->solver, b->solver) == 0;
}

int solve_check_opts(const struct solve_opts *o, struct err *e)
{
    struct contenders c;

    return check_values(o, &c, e) || check_unused(o, &c, e) || check_overrides(o, e) ? -1 : 0;
}

/* ---- record ---- */

/* One row's value, by its name with underscores. */
static int put_row(struct json *r, const struct opt *row, const struct solve_opts *o)
{
    const void *at = (const char *)o + row->offset;
    char key[64];

    snprintf(key, sizeof key, "%s", row->name);
    for (char *c = key; *c; c++)
        if (*c == '-')
            *c = '_';
    if (row->type == OPT_REAL)
        return json_set_real(r, key, *(const double *)at);
    if (row->type == OPT_CHOICE)
        return json_set_text(r, key, opt_choice_name(row->choices, *(const int *)at));
    return json_set_int(r, key, *(const int64_t *)at);
}

/* What the solver looks at of the options that solvers have. */
static int put_solver_values(struct json *r, const struct solve_opts *o, int has_d)
{
    struct solve_opts used = *o;
    struct opt_group group[STAGE_GROUPS];
    const size_t n = solver_groups(&used, group, STAGE_GROUPS);
    int bad = 0;

    used.alpha = has_d ? o->alpha : 0.0;
    for (size_t g = 0; g < n; g++)
        for (const struct opt *row = group[g].rows; row->name; row++)
            if (row->type != OPT_TEXT &&
                (contender_takes(o->solver, row->name) || (is_damp(row) && damps(o))))
                bad |= put_row(r, row, &used);
    if (o->refine) {
        bad |= json_set_int(r, "refine", o->refine);
        bad |= json_set_real(r, "refine_alpha", has_d ? o->refine_alpha : 0.0);
    }
    return bad;
}

/* The lines as they are: with the options above they say everything about every linear. */
static struct json *override_lines(const struct overrides *o)
{
    struct json *list = json_new_array();

    for (size_t i = 0; list && i < o->count; i++)
        if (json_push(list, json_new_text(o->at[i].text)))
            json_destroy(&list);
    return list;
}

struct json *solve_record(const struct solve_opts *o, int has_d, const char *from)
{
    struct json *r = json_new_object();
    int bad = 0;

    bad |= json_set_text(r, "stage", "solve");
    bad |= json_set_text(r, "version", PTQ_VERSION);
    bad |= json_set_text(r, "solver", o->solver);
    if (from) {
        bad |= json_set_text(r, "chosen_from", from);
        bad |= json_set_text(r, "criterion", opt_choice_name(criteria, (int)o->criterion));
        if (o->refit)
            bad |= json_set_bool(r, "refit", 1);
    }
    bad |= json_set_int(r, "bits", o->bits);
    bad |= json_set_int(r, "group", o->group);
    bad |= json_set_text(r, "grid", o->grid->name);
    bad |= json_set_text(r, "fit", opt_choice_name(fits, (int)o->fit));
    bad |= json_set_text(r, "scale_type", dtype_name(grid_scale_type(o->grid, o->scale_type)));
    bad |= json_set_int(r, "zero_min", o->zero_min);
    if (o->desc_act)
        bad |= json_set_bool(r, "desc_act", 1);
    if (o->recorded)
        bad |= json_set_text(r, "inputs", "recorded");
    if (o->sums != SUMS_WEIGHTED)
        bad |= json_set_text(r, "sums", opt_choice_name(sums, (int)o->sums));
    if (o->equalise) {
        bad |= json_set_text(r, "equalise", opt_choice_name(equalises, (int)o->equalise));
        bad |= json_set_int(r, "equalise_passes", o->equalise_passes);
    }
    if (o->mix_told)
        bad |= json_set_text(r, "mix", "auto");
    else if (o->mixed)
        bad |= json_set(r, "mix", solve_mix_record(o->mix));
    bad |= put_solver_values(r, o, has_d);
    bad |= table_record(r, o);
    bad |= json_set_text(r, "kernel", blas_kernel());
    if (o->overrides && o->overrides->count)
        bad |= json_set(r, "overrides", override_lines(o->overrides));
    if (bad)
        json_destroy(&r);
    return r;
}

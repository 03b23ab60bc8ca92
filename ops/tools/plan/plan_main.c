/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-plan - a dry run: what overrides hit, what stays at full precision, size, work and memory
 * of a run with these options. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/tensor/blas_pace.h"
#include "../../../common/base/log.h"
#include "../../../common/format/format.h"
#include "../../../pipelines/precheck.h"
#include "../../../pipelines/shelf.h"
#include "../../../stages/forward/forward_opts.h"
#include "../../../stages/importance/importance_opts.h"
#include "../../../stages/reduce/reduce_opts.h"
#include "../../../stages/sample/sample_opts.h"
#include "../../../stages/slide/slide_opts.h"
#include "../../../stages/slide/slope_opts.h"
#include "../../../stages/solve/solve_opts.h"
#include "../../../stages/write/write_opts.h"
#include "choice.h"
#include "plan_hosts.h"
#include "plan_opts.h"
#include "preview.h"

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
    const struct stage *importance; /* NULL: there is none */
    const struct stage *slide;      /* NULL: forward, reduce and solve are there */
};

static int planned_find(const struct route *t, struct planned *x, struct err *e)
{
    *x = (struct planned){route_stage(t, &sample_spec, 0), route_stage(t, &forward_spec, 0),
                          route_stage(t, &reduce_spec, 0), route_stage(t, &solve_spec, 0),
                          route_stage(t, &write_spec, 0),  route_stage(t, &importance_spec, 0),
                          route_stage(t, &slide_spec, 0)};
    if (!x->sample || !x->write || (!x->slide && (!x->forward || !x->reduce || !x->solve)))
        return err_set(e, ERR_USE,
                       "%s: a plan is of a run from text to a checkpoint: of ptq-sample, "
                       "ptq-forward, ptq-reduce and ptq-solve, or ptq-slide in their place, and "
                       "ptq-write",
                       t->r->path);
    if (!route_model(t))
        return err_set(e, ERR_USE, "--model DIR is missing");
    if ((x->importance && importance_spec.check(x->importance, e) < 0) ||
        (x->slide ? slide_spec.check(x->slide, e) : reduce_spec.check(x->reduce, e)) < 0 ||
        sample_spec.check(x->sample, e) < 0 || write_spec.check(x->write, e) < 0)
        return -1;
    for (size_t i = 0; i < t->r->nstages; i++)
        if (t->stage[i] && t->stage[i]->spec == &solve_spec && solve_spec.check(t->stage[i], e) < 0)
            return err_prefix(e, "stage '%s'", t->r->stage[i].name);
    return 0;
}

/* What --target-bpw or another target makes of the options of the solver. */
struct chosen {
    struct overrides lines;
    struct solve_opts solve;
};

static int choose(const struct plan_command *c, const struct route *t, const struct planned *x,
                  struct chosen *to, struct err *e)
{
    const struct solve_command *s = x->solve->own;
    char *text = NULL;
    const int rc = choice_make(&c->target, &c->losses, recipe_value(t->r, "out"), &s->override,
                               &to->lines, &text, e);

    to->solve = s->core;
    to->solve.overrides = &to->lines;
    for (char *line = text, *end; rc == 0 && line && (end = strchr(line, '\n')); line = end + 1)
        fprintf(c->json ? stderr : stdout, "%.*s\n", (int)(end - line - 2), line + 2);
    free(text);
    return rc;
}

/* The stages of solvers. */
static void set_solved(const struct route *t, const struct planned *x, struct forward_opts *forward,
                       struct importance_opts *importance, struct preview_opts *o)
{
    *forward = ((const struct forward_command *)x->forward->own)->core;
    forward->mem = x->forward->mem;
    o->reduce = x->reduce->own;
    o->solve = &((const struct solve_command *)x->solve->own)->core;
    if (x->importance) {
        *importance = ((const struct importance_command *)x->importance->own)->core;
        importance->mem = x->importance->mem;
        o->importance = importance;
        o->importances = route_count(t, &importance_spec);
    }
    o->forwards = route_count(t, &forward_spec);
    /* of one stage: they share the sites; of several: each has all of them */
    o->reducers = route_stage(t, &reduce_spec, 1) ? 1 : route_count(t, &reduce_spec);
    o->solvers = route_count(t, &solve_spec);
    o->cores = t->r->cores;
}

/* What the linears become, as a solver would say it. */
static void set_learned(const struct route *t, const struct planned *x, struct solve_opts *solve,
                        struct preview_opts *o)
{
    static const struct overrides none = OVERRIDES_NONE;

    o->slide = &((const struct slide_command *)x->slide->own)->core;
    o->sharers = route_count(t, &slope_spec);
    solve->bits = o->slide->shape.bits;
    solve->group = o->slide->shape.group;
    solve->grid = o->slide->shape.grid;
    solve->scale_type = o->slide->shape.scale_type;
    solve->overrides = &none;
    o->solve = solve;
    o->cores = t->r->cores;
}

/* A run, as its route says it. */
struct subject {
    struct planned planned;
    struct preview_opts o;
    struct forward_opts forward;
    struct importance_opts importance;
    struct solve_opts learned;
};

static int subject_find(const struct route *t, struct subject *x, struct err *e)
{
    if (planned_find(t, &x->planned, e) < 0 ||
        format_parse(((const struct write_command *)x->planned.write->own)->core.formats,
                     x->o.formats, &x->o.nformats, e) < 0)
        return -1;
    x->o.model = route_model(t);
    x->o.sample = &((const struct sample_command *)x->planned.sample->own)->core;
    x->o.forward = &x->forward;
    if (x->planned.slide)
        set_learned(t, &x->planned, &x->learned, &x->o);
    else
        set_solved(t, &x->planned, &x->forward, &x->importance, &x->o);
    return 0;
}

/* Before anything is printed. */
static int check_hosts(const struct plan_command *c, int slide, struct err *e)
{
    double net;

    if (!c->hosts)
        return c->core > 0 || c->like || strcmp(c->net, PLAN_NET) != 0
                   ? err_set(e, ERR_USE, "--net, --gflops and --like go with --hosts")
                   : 0;
    if (c->core > 0 && c->like)
        return err_set(e, ERR_USE, "--gflops and --like say the same: give one");
    if (c->json || slide)
        return err_set(e, ERR_USE, "--hosts goes without --json, and not with ptq-slide");
    return hosts_net(c->net, &net, e);
}

/* What is planned of the run that --like names. */
static int speeds_find(const char *out, const struct preview_base *base, struct hosts_speeds *s,
                       struct err *e)
{
    struct json *run = like_read(out, e);
    struct recipe *r = run ? shelf_open(like_recipe(run), 0, e) : NULL;
    struct route t = {.stage = NULL};
    struct subject x = {.o.base = *base};
    struct preview p = {.sites = 0};
    int rc = -1;

    if (r && route_open(&t, r, e) == 0 && like_apply(run, &t, e) == 0 &&
        subject_find(&t, &x, e) == 0 && preview_make(&x.o, &p, e) == 0)
        rc = like_speeds(run, &t, &p, s, e);
    preview_release(&p);
    route_close(&t);
    recipe_destroy(&r);
    json_destroy(&run);
    return rc;
}

static int print_hosts(const struct plan_command *c, const struct preview *p,
                       const struct preview_opts *o, struct err *e)
{
    struct hosts_rates r = {
        .core = c->core * 1e9, .measured = c->core <= 0 && !c->like, .like = c->like};

    if (hosts_net(c->net, &r.net, e) < 0 || (r.measured && blas_pace(&r.core, e) < 0) ||
        (c->like && speeds_find(c->like, &o->base, &r.of, e) < 0))
        return -1;
    hosts_print(p, o, &r, (size_t)c->hosts);
    return 0;
}

static int check_target(const struct allocate_target *t, int slide, struct err *e)
{
    const int targets = allocate_target_count(t, e);

    return targets > 0 && slide
               ? err_set(e, ERR_USE, "--%s chooses for solvers: ptq-slide has one width",
                         allocate_target_name(t))
               : targets;
}

static int plan(const struct plan_command *c, const struct preview_base *base,
                const struct route *t, struct err *e)
{
    struct subject x = {.o.base = *base};
    struct preview p = {.sites = 0};
    struct chosen chosen = {.lines = OVERRIDES_NONE};
    int rc, choosing;

    if (subject_find(t, &x, e) < 0 || check_hosts(c, x.planned.slide != NULL, e) < 0 ||
        (choosing = check_target(&c->target, x.planned.slide != NULL, e)) < 0)
        return -1;
    rc = choosing ? choose(c, t, &x.planned, &chosen, e) : 0;
    if (rc == 0 && choosing)
        x.o.solve = &chosen.solve;
    rc = rc == 0 ? preview_make(&x.o, &p, e) : rc;
    if (rc == 0 && ((rc = precheck_data(t, &p.config, x.o.model, e)) == 0))
        rc = precheck_head(t, &p.config, x.o.model, e);
    if (rc == 0) {
        warn_split(&p);
        if (c->json)
            rc = preview_print_json(&p, &x.o, e);
        else
            preview_print(&p, &x.o);
    }
    if (rc == 0 && c->hosts)
        rc = print_hosts(c, &p, &x.o, e);
    preview_release(&p);
    overrides_release(&chosen.lines);
    return rc;
}

/* The words that are not its own are the recipe, if they begin with one, and options for it. */
static int take_words(const struct stage *s, struct route *t, size_t first, struct err *e)
{
    const struct plan_command *c = s->own;

    if (line_apply(&c->line, t, s->group, s->ngroups, e) < 0)
        return -1;
    for (size_t i = first, n; i < s->args.count; i += n) {
        const int used =
            route_option(t, (int)(s->args.count - i), s->args.arg + i, s->group, s->ngroups, e);

        if (used < 0)
            return -1;
        n = (size_t)used;
    }
    return route_apply(t, e);
}

static int run(struct stage *s, struct err *e)
{
    const struct plan_command *c = s->own;
    const struct preview_base base = preview_base();
    const int named = s->args.count > 0 && s->args.arg[0][0] != '-';
    struct recipe *r = shelf_open(named ? s->args.arg[0] : "gptq", (size_t)c->cores, e);
    struct route t = {.stage = NULL};
    int rc = -1;

    if (!r)
        return -1;
    if (route_open(&t, r, e) == 0 && take_words(s, &t, (size_t)named, e) == 0)
        rc = plan(c, &base, &t, e);
    route_close(&t);
    recipe_destroy(&r);
    return rc;
}

int main(int argc, char **argv)
{
    return stage_main(&plan_spec, run, argc, argv);
}

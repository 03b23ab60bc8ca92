/* SPDX-License-Identifier: Apache-2.0 */
/* solve_opts - see solve_opts.h. */
#include "solve_opts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "../../common/base/version.h"
#include "../../common/format/grid_affine.h"
#include "../../common/run/override.h"
#include "../../common/tensor/blas.h"
#include "solve.h"

static const char *const fit_names[] = {"minmax", "mse", "hessian", "neuqi"};
static const char *const order_names[] = {"none", "act", "group", "pivot"};
static const char *const groups_names[] = {"static", "dynamic"};
static const char *const dead_names[] = {"keep", "zero"};
static const char *const source_names[] = {"auto", "pre", "pre_clamp", "q"};
static const char *const sums_names[] = {"weighted", "plain"};
static const char *const criterion_names[] = {"asym", "plain"};

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

static int check_name(const char *name, struct err *e)
{
    const char *plus = strchr(name, '+');
    const struct solver *s = solver_find(name), *inner = plus ? solver_find(plus + 1) : NULL;

    if (!s || (plus && (!inner || strchr(plus + 1, '+'))))
        return err_set(e, ERR_USE, "there is no solver '%s'; ptq-solve --list shows them", name);
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
            return err_set(e, ERR_USE, "there is no solver '%s'; ptq-solve --list shows them", at);
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

/* An option that no solver looks at may be given only as what it is anyway, so that a recipe can
 * name them all. */
static int check_unused(const struct solve_opts *o, const struct contenders *c, struct err *e)
{
    const struct solve_opts def = SOLVE_OPTS_DEFAULT;
    const struct {
        const char *name;
        int changed;
    } list[] = {
        {"order", o->order != def.order},
        {"groups", o->groups != def.groups},
        {"damp", differs(o->damp, def.damp) && o->fit < FIT_HESSIAN && !o->refine},
        {"dead", o->dead != def.dead},
        {"block", o->block != def.block},
        {"alpha", differs(o->alpha, def.alpha)},
        {"alpha2", differs(o->alpha2, def.alpha2)},
        {"beta", differs(o->beta, def.beta)},
        {"pull", o->pull != def.pull},
        {"qep-alpha", differs(o->qep_alpha, def.qep_alpha)},
        {"p-source", o->p_source != def.p_source},
        {"tries", o->tries != def.tries},
        {"seed", o->seed != def.seed},
    };

    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        int taken = !list[i].changed || taken_by_override(o->overrides, list[i].name);
        for (size_t k = 0; k < c->count && !taken; k++)
            taken = contender_takes(c->name[k], list[i].name);
        if (!taken)
            return err_set(
                e, ERR_USE,
                "--%s means nothing to solver %s: leave it out, or choose another solver",
                list[i].name, o->solver);
    }
    if (o->criterion != def.criterion && !c->contest)
        return err_set(e, ERR_USE, "--criterion means nothing without --solver best:A,B");
    if (o->refit && !c->contest)
        return err_set(e, ERR_USE, "--refit means nothing without --solver best:A,B");
    if (o->refit && o->sums != SUMS_WEIGHTED)
        return err_set(e, ERR_USE,
                       "--refit adds the held-out sums, which are weighted, to those of --sums "
                       "plain: choose one of them");
    if (differs(o->refine_alpha, def.refine_alpha) && !o->refine)
        return err_set(e, ERR_USE, "--refine-alpha means nothing without --refine");
    return 0;
}

static int check_share(double v, double most, const char *name, struct err *e)
{
    if (v >= 0.0 && v <= most)
        return 0;
    return err_set(e, ERR_USE, "--%s must be from 0 to %g", name, most);
}

static int check_solver_values(const struct solve_opts *o, struct err *e)
{
    if (check_share(o->alpha, 4.0, "alpha", e) || check_share(o->alpha2, 4.0, "alpha2", e) ||
        check_share(o->beta, 1.0, "beta", e) || check_share(o->qep_alpha, 1.0, "qep-alpha", e) ||
        check_share(o->refine_alpha, 4.0, "refine-alpha", e))
        return -1;
    if (o->refine < 0 || o->refine > 100)
        return err_set(e, ERR_USE, "--refine must be from 0 to 100");
    if (o->tries < 1 || o->tries > 10000)
        return err_set(e, ERR_USE, "--tries must be from 1 to 10000");
    if (o->pull < 0)
        return err_set(e, ERR_USE, "--pull must not be negative");
    return 0;
}

static int check_grid(const struct solve_opts *o, struct err *e)
{
    char known[128];

    if (!grid_takes_bits(o->grid, o->bits))
        return err_set(e, ERR_USE, "--bits must be %s, not %d",
                       grid_name_list(grid_bits_names(), "or", known, sizeof known), o->bits);
    if (!(o->grid->scale_types & GRID_BIT(o->scale_type)))
        return err_set(e, ERR_USE, "--scale-type must be %s",
                       grid_name_list(grid_scale_names(), "or", known, sizeof known));
    return 0;
}

static int check_values(const struct solve_opts *o, struct contenders *c, struct err *e)
{
    if (!o->solver)
        return err_set(e, ERR_USE, "there is no solver ''; ptq-solve --list shows them");
    if (contenders_parse(o->solver, c, e))
        return -1;
    if (check_grid(o, e))
        return -1;
    if (o->group != -1 && o->group < 1)
        return err_set(e, ERR_USE, "--group must be -1 or at least 1, not %lld",
                       (long long)o->group);
    if (o->block < 1)
        return err_set(e, ERR_USE, "--block must be at least 1");
    if (!(o->damp >= 0.0 && o->damp <= 10.0))
        return err_set(e, ERR_USE, "--damp must be from 0 to 10");
    if (o->zero_min != 0 && o->zero_min != 1)
        return err_set(e, ERR_USE, "--zero-min must be 0 or 1");
    for (size_t i = 0; i < c->count; i++)
        if (o->groups == GROUPS_DYNAMIC && contender_takes(c->name[i], "tries"))
            return err_set(e, ERR_USE, "solver %s needs --groups static", c->name[i]);
    for (size_t i = 0; i < c->count; i++)
        if (!affine_is(o->grid) && contender_takes(c->name[i], "tries"))
            return err_set(e, ERR_USE, "solver %s needs a grid of equal steps, which %s is not",
                           c->name[i], o->grid->name);
    return check_solver_values(o, e);
}

/* ---- overrides ---- */

static int apply(const struct override_values *v, struct solve_opts *o, struct err *e)
{
    o->bits = v->bits ? v->bits : o->bits;
    o->group = v->group ? v->group : o->group;
    o->grid = v->grid ? v->grid : o->grid;
    o->damp = v->damp >= 0.0 ? v->damp : o->damp;
    o->solver = v->solver ? v->solver : o->solver;
    for (size_t i = 0; v->fit && i < sizeof fit_names / sizeof *fit_names; i++)
        if (strcmp(fit_names[i], v->fit) == 0) {
            o->fit = (enum fit)i;
            return 0;
        }
    return v->fit ? err_set(e, ERR_USE, "fit must be minmax, mse, hessian or neuqi, not '%.40s'",
                            v->fit)
                  : 0;
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

static int put_solver_values(struct json *r, const struct solve_opts *o, int has_d)
{
    int bad = 0;

    if (contender_takes(o->solver, "qep-alpha"))
        bad |= json_set_real(r, "qep_alpha", o->qep_alpha);
    if (contender_takes(o->solver, "alpha"))
        bad |= json_set_real(r, "alpha", has_d ? o->alpha : 0.0);
    if (contender_takes(o->solver, "alpha2"))
        bad |= json_set_real(r, "alpha2", o->alpha2);
    if (contender_takes(o->solver, "p-source"))
        bad |= json_set_text(r, "p_source", source_names[o->p_source]);
    if (contender_takes(o->solver, "beta")) {
        bad |= json_set_real(r, "beta", o->beta);
        bad |= json_set_int(r, "pull", o->pull);
    }
    if (contender_takes(o->solver, "tries")) {
        bad |= json_set_int(r, "tries", o->tries);
        bad |= json_set_int(r, "seed", (int64_t)o->seed);
    }
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
        bad |= json_set_text(r, "criterion", criterion_names[o->criterion]);
        if (o->refit)
            bad |= json_set_bool(r, "refit", 1);
    }
    bad |= json_set_int(r, "bits", o->bits);
    bad |= json_set_int(r, "group", o->group);
    bad |= json_set_text(r, "grid", o->grid->name);
    bad |= json_set_text(r, "fit", fit_names[o->fit]);
    bad |= json_set_text(r, "scale_type", dtype_name(o->scale_type));
    bad |= json_set_int(r, "zero_min", o->zero_min);
    if (o->recorded)
        bad |= json_set_text(r, "inputs", "recorded");
    if (o->sums != SUMS_WEIGHTED)
        bad |= json_set_text(r, "sums", sums_names[o->sums]);
    if (contender_takes(o->solver, "order"))
        bad |= json_set_text(r, "order", order_names[o->order]);
    if (contender_takes(o->solver, "groups"))
        bad |= json_set_text(r, "groups", groups_names[o->groups]);
    if (contender_takes(o->solver, "damp") || o->refine || o->fit >= FIT_HESSIAN)
        bad |= json_set_real(r, "damp", o->damp);
    if (contender_takes(o->solver, "dead"))
        bad |= json_set_text(r, "dead", dead_names[o->dead]);
    if (contender_takes(o->solver, "block"))
        bad |= json_set_int(r, "block", (int64_t)o->block);
    bad |= put_solver_values(r, o, has_d);
    bad |= json_set_text(r, "kernel", blas_kernel());
    if (o->overrides && o->overrides->count)
        bad |= json_set(r, "overrides", override_lines(o->overrides));
    if (bad)
        json_destroy(&r);
    return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* mixed - see mixed.h. */
#include "mixed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/base/fs.h"
#include "../common/base/log.h"
#include "../common/base/mem.h"
#include "../common/run/override.h"
#include "../stages/write/write_opts.h"
#include "mixed_parts.h"
#include "restart.h"

#define PASS_BITS 4 /* where the target is no size */

/* ---- what is asked for ---- */

static int refuse_given(const struct mixed *x, struct err *e)
{
    static const struct {
        const char *name, *why;
    } no[] = {{"overrides", "makes such a file; single lines (--override) win over it"},
              {"record", "records the problems itself"},
              {"bits", "chooses the bits; --choose-bits says among which"}};
    const size_t n = sizeof no / sizeof *no - (x->o->target.qr > 0 ? 1 : 0);
    const struct recipe *r = x->t->r;

    for (size_t i = 0; i < r->ngiven; i++)
        for (size_t k = 0; k < n; k++)
            if (strcmp(r->given[i].name, no[k].name) == 0)
                return err_set(e, ERR_USE, "option '--%s': --%s %s", r->given[i].typed,
                               allocate_target_name(&x->o->target), no[k].why);
    return 0;
}

static int find_solver(struct mixed *x, struct err *e)
{
    size_t n = 0;

    for (size_t i = 0; i < x->t->r->nstages; i++)
        if (x->t->stage[i] && x->t->stage[i]->spec == &solve_spec) {
            x->stage = i;
            x->solve = x->t->stage[i]->own;
            n++;
        }
    return n == 1 ? 0
                  : err_set(e, ERR_USE,
                            "%s: --%s is for a recipe with one stage that solves, this has %zu: "
                            "ptq allocate does it step by step",
                            x->t->r->path, allocate_target_name(&x->o->target), n);
}

/* As stored in all formats together: a code, and its share of scale and zero point. */
double mixed_bits(const struct mixed *x, int bits)
{
    const int64_t group = x->solve->core.group;

    return bits + (group > 0 ? (16.0 + bits) / (double)group : 0.0);
}

/* Can all formats hold it, beside the widths that are there? */
static int is_held(const struct mixed *x, const struct sites *sites, int bits, struct err *e)
{
    const struct stage *w = route_stage(x->t, &write_spec, 0);
    struct format_linear all = {.bits = bits,
                                .group = x->solve->core.group,
                                .grid = x->solve->core.grid,
                                .scale_type = x->solve->core.scale_type},
                         before = all;
    const struct format *formats[FORMATS_MAX];
    size_t n = 0;

    if (w && format_parse(((const struct write_command *)w->own)->core.formats, formats, &n, e) < 0)
        return 0;
    if (overrides_check_shapes(&x->solve->lines, sites, &all, formats, n, e) < 0)
        return 0;
    before.bits = x->count ? x->bits[0] : bits;
    for (size_t i = 0; i < n; i++)
        if (format_beside(formats[i], &all, &before, e) < 0)
            return 0;
    return 1;
}

static int parse_widths(struct mixed *x, const struct sites *sites, struct err *why, struct err *e)
{
    const char *s = x->o->widths;

    for (char *end; *s; s = *end ? end + 1 : end) {
        const long bits = strtol(s, &end, 10);

        if (end == s || (*end && *end != ',') || bits < 2 || bits > 8 || x->count == WIDTHS_MAX ||
            (x->count && bits <= x->bits[x->count - 1]))
            return err_set(e, ERR_USE,
                           "option '--choose-bits': '%s' is no list of widths from 2 to 8, each "
                           "larger than the one before",
                           x->o->widths);
        if (is_held(x, sites, (int)bits, why))
            x->bits[x->count++] = (int)bits;
    }
    return 0;
}

static int take_widths(struct mixed *x, const struct sites *sites, struct err *e)
{
    const double about = x->o->target.kl > 0 ? mixed_bits(x, PASS_BITS) : x->bpw;
    struct err why = {.kind = ERR_NONE};

    if (x->o->target.qr > 0) {
        x->bits[x->count++] = x->first = (int)x->solve->core.bits;
        return 0;
    }
    if (parse_widths(x, sites, &why, e) < 0)
        return -1;
    if (x->count < 2)
        return err_set(e, ERR_USE,
                       "--%s: of the widths --choose-bits %s only %zu can be stored, and two are "
                       "needed%s%s",
                       allocate_target_name(&x->o->target), x->o->widths, x->count,
                       why.kind ? ": " : "", why.kind ? why.text : "");
    for (size_t i = 0; i < x->count; i++)
        if (i == 0 ||
            fabs(mixed_bits(x, x->bits[i]) - about) < fabs(mixed_bits(x, x->first) - about))
            x->first = x->bits[i];
    if (x->o->target.kl > 0 || mixed_bits(x, x->bits[0]) <= x->bpw)
        return 0;
    return err_set(e, ERR_USE,
                   "--%s %.10g: %d bits with their scales take %.10g already: allow fewer bits, or "
                   "a larger --group",
                   allocate_target_name(&x->o->target), allocate_target_value(&x->o->target),
                   x->bits[0],
                   x->o->target.size ? ceil(mixed_bits(x, x->bits[0]) * x->weights / 8)
                                     : mixed_bits(x, x->bits[0]));
}

static int start(struct mixed *x, struct err *e)
{
    const char *out = recipe_value(x->t->r, "out");
    size_t n = out ? strlen(out) : 0;

    while (n > 1 && out[n - 1] == '/')
        n--;
    if (!n)
        return err_set(e, ERR_USE, "--%s: the recipe has no --out",
                       allocate_target_name(&x->o->target));
    return (x->dir = mem_printf(e, "%.*s.mixed", (int)n, out)) &&
                   (x->problems = fs_join(x->dir, "problems.ptq", e)) &&
                   (x->choice = fs_join(x->dir, "choice.txt", e)) &&
                   (x->tries = fs_join(x->dir, "tries", e))
               ? steps_open(&x->steps, x->dir, e)
               : -1;
}

char *mixed_folder(const struct mixed *x, int bits, struct err *e)
{
    return mem_printf(e, "%s/w%d", x->dir, bits);
}

/* ---- steps ---- */

/* They were of other problems. */
static int forget_widths(const struct mixed *x, struct err *e)
{
    char name[32];

    for (int bits = 2; bits <= 8; bits++) {
        snprintf(name, sizeof name, "width-%d", bits);
        if (steps_forget(&x->steps, name, e) < 0)
            return -1;
    }
    return 0;
}

static int step_width(struct mixed *x, int bits, int pass, struct err *e)
{
    char name[32], about[160], *out = mixed_folder(x, bits, e);
    struct words w = {0};
    int rc = -1;

    snprintf(name, sizeof name, pass ? "pass" : "width-%d", bits);
    snprintf(about, sizeof about,
             pass ? "one pass at %d bits, whose problems are recorded"
                  : "the same problems at %d bits: what each site loses",
             bits);
    if (out &&
        (pass ? mixed_words_pass(x, &w, out, e) : mixed_words_resolve(x, &w, bits, out, e)) == 0)
        rc = steps_run(&x->steps, name, about, &w, e);
    if (rc > 0)
        rc = steps_keep_journal(out, e) < 0 || (pass && forget_widths(x, e) < 0) ? -1 : 0;
    words_release(&w);
    free(out);
    return rc < 0 ? -1 : 0;
}

/* What this width diverges on the text. Never done before: the text may be another one by now. */
static int step_held(struct mixed *x, int bits, struct err *e)
{
    char *out = mixed_folder(x, bits, e);
    struct words w = {0}, judge = {0};
    int rc = !out || mixed_words_resolve(x, &w, bits, out, e) < 0 ||
                     steps_run(&x->steps, NULL, "the problems at one width", &w, e) < 0 ||
                     mixed_words_judge(x, &judge, out, e) < 0 ||
                     steps_run(&x->steps, NULL, "its divergence on the text", &judge, e) < 0
                 ? -1
                 : steps_keep_journal(out, e);

    words_release(&w);
    words_release(&judge);
    free(out);
    return rc;
}

/* The problems go when all is done; a width that was not asked for then needs the pass again. */
static int step_losses(struct mixed *x, struct err *e)
{
    char *stamp = fs_join(x->dir, "pass.done", e);
    int missing = 0, rc = stamp ? 0 : -1;

    for (size_t i = 0; i < x->count && rc == 0; i++) {
        char *name = mem_printf(e, "%s/width-%d.done", x->dir, x->bits[i]);

        missing |= x->o->on || (x->bits[i] != x->first && name && !fs_exists(name));
        rc = name ? 0 : -1;
        free(name);
    }
    if (rc == 0 && missing && !fs_exists(x->problems))
        unlink(stamp);
    free(stamp);
    if (rc < 0 || step_width(x, x->first, 1, e) < 0)
        return -1;
    for (size_t i = 0; i < x->count && rc == 0; i++)
        if (x->o->target.kl > 0)
            rc = step_held(x, x->bits[i], e);
        else if (x->bits[i] != x->first)
            rc = step_width(x, x->bits[i], 0, e);
    return rc;
}

static int step_last(struct mixed *x, struct err *e)
{
    struct words w = {0};
    int rc = mixed_words_run(x, &w, x->first, recipe_value(x->t->r, "out"), e);

    if (rc == 0)
        rc = words_option(&w, "overrides", x->choice, e);
    for (int i = 0; i < x->o->argc && rc == 0; i++)
        if (strcmp(x->o->argv[i], "--overwrite") == 0)
            rc = words_add(&w, "--overwrite", e);
    if (rc == 0)
        rc = steps_run(&x->steps, NULL, "the run that follows the choice", &w, e);
    words_release(&w);
    return rc < 0 ? -1 : 0;
}

static double weights_of(const struct sites *sites)
{
    double n = 0;

    for (size_t i = 0; i < sites->count; i++)
        for (size_t k = 0; k < sites->site[i].count; k++)
            n += (double)sites->site[i].linear[k].rows * (double)sites->site[i].inputs;
    return n;
}

static int check(struct mixed *x, const struct sites *sites, struct err *e)
{
    const struct mixed_opts *o = x->o;
    const char *name = allocate_target_name(&o->target);
    char by[32];

    snprintf(by, sizeof by, "--%s", o->on ? "choose-on" : name);
    if (!sites)
        return err_set(e, ERR_USE, "--%s: the recipe has no model", name);
    if (o->target.kl > 0 && !o->on)
        return err_set(e, ERR_USE, "--max-kl: divergence on which text? --choose-on FILE");
    if (restart_refuse_once(x->t, o->on, by, e) < 0)
        return -1;
    if (o->on && !fs_exists(o->on))
        return err_set(e, ERR_USE, "--choose-on: '%s' is not there", o->on);
    x->weights = weights_of(sites);
    x->bpw = allocate_target_bits(&o->target, x->weights);
    return refuse_given(x, e) == 0 && find_solver(x, e) == 0 ? take_widths(x, sites, e) : -1;
}

int mixed_check(const struct mixed_opts *o, const struct route *t, const struct sites *sites,
                struct err *e)
{
    return check(&(struct mixed){.o = o, .t = t}, sites, e);
}

/* What the states are of may be another text by now. */
static int forget_states(const struct mixed *x, struct err *e)
{
    char *states = fs_join(x->dir, MIXED_STATES, e);
    const int rc = states && fs_exists(states) && unlink(states)
                       ? err_sys(e, "cannot remove '%s'", states)
                   : states ? 0
                            : -1;

    free(states);
    return rc;
}

int mixed_run(const struct mixed_opts *o, const struct route *t, const struct sites *sites,
              struct err *e)
{
    struct mixed x = {.o = o, .t = t};
    int rc = -1;

    if (check(&x, sites, e) == 0 && start(&x, e) == 0 && forget_states(&x, e) == 0) {
        x.steps.total = o->on ? 0 : x.count + 2;
        if (step_losses(&x, e) == 0 && mixed_choose(&x, e) == 0 && forget_states(&x, e) == 0 &&
            step_last(&x, e) == 0) {
            unlink(x.problems);
            log_info("what the widths lose stays in %s: another target takes it from there", x.dir);
            rc = 0;
        }
    }
    free(x.dir);
    free(x.problems);
    free(x.choice);
    free(x.tries);
    return rc;
}

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
#include "../stages/solve/solve_opts.h"
#include "../stages/write/write_opts.h"
#include "restart.h"
#include "steps.h"

#define WIDTHS_MAX 8
#define CHOICE_MAX ((size_t)16 << 20)

struct mixed {
    const struct mixed_opts *o;
    const struct route *t;
    size_t stage; /* of the solver, in the recipe */
    const struct solve_command *solve;
    size_t count;
    int bits[WIDTHS_MAX]; /* to choose among, ascending */
    int first;            /* of the pass */
    char *dir, *problems, *choice;
    struct steps steps;
};

/* ---- what is asked for ---- */

static int refuse_given(const struct mixed *x, struct err *e)
{
    static const struct {
        const char *name, *why;
    } no[] = {
        {"bits", "--target-bpw chooses the bits; --choose-bits says among which"},
        {"overrides", "--target-bpw makes such a file; single lines (--override) win over it"},
        {"record", "--target-bpw records the problems itself"}};
    const struct recipe *r = x->t->r;

    for (size_t i = 0; i < r->ngiven; i++)
        for (size_t k = 0; k < sizeof no / sizeof *no; k++)
            if (strcmp(r->given[i].name, no[k].name) == 0)
                return err_set(e, ERR_USE, "option '--%s': %s", r->given[i].typed, no[k].why);
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
                            "%s: --target-bpw is for a recipe with one stage that solves, this has "
                            "%zu: ptq allocate does it step by step",
                            x->t->r->path, n);
}

/* As stored in all formats together: a code, and its share of scale and zero point. */
static double bits_stored(const struct mixed *x, int bits)
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

static int take_widths(struct mixed *x, const struct sites *sites, struct err *e)
{
    const char *s = x->o->widths;
    struct err why = {.kind = ERR_NONE};

    for (char *end; *s; s = *end ? end + 1 : end) {
        const long bits = strtol(s, &end, 10);

        if (end == s || (*end && *end != ',') || bits < 2 || bits > 8 || x->count == WIDTHS_MAX ||
            (x->count && bits <= x->bits[x->count - 1]))
            return err_set(e, ERR_USE,
                           "option '--choose-bits': '%s' is no list of widths from 2 to 8, each "
                           "larger than the one before",
                           x->o->widths);
        if (is_held(x, sites, (int)bits, &why))
            x->bits[x->count++] = (int)bits;
    }
    if (x->count < 2)
        return err_set(e, ERR_USE,
                       "--target-bpw: of the widths --choose-bits %s only %zu can be stored, and "
                       "two are needed%s%s",
                       x->o->widths, x->count, why.kind ? ": " : "", why.kind ? why.text : "");
    for (size_t i = 0; i < x->count; i++)
        if (i == 0 || fabs(bits_stored(x, x->bits[i]) - x->o->bpw) <
                          fabs(bits_stored(x, x->first) - x->o->bpw))
            x->first = x->bits[i];
    return bits_stored(x, x->bits[0]) <= x->o->bpw
               ? 0
               : err_set(e, ERR_USE,
                         "--target-bpw %.4g: %d bits with their scales take %.4g already: allow "
                         "fewer bits, or a larger --group",
                         x->o->bpw, x->bits[0], bits_stored(x, x->bits[0]));
}

static int start(struct mixed *x, struct err *e)
{
    const char *out = recipe_value(x->t->r, "out");
    size_t n = out ? strlen(out) : 0;

    while (n > 1 && out[n - 1] == '/')
        n--;
    if (!n)
        return err_set(e, ERR_USE, "--target-bpw: the recipe has no --out");
    return (x->dir = mem_printf(e, "%.*s.mixed", (int)n, out)) &&
                   (x->problems = fs_join(x->dir, "problems.ptq", e)) &&
                   (x->choice = fs_join(x->dir, "choice.txt", e))
               ? steps_open(&x->steps, x->dir, e)
               : -1;
}

/* ---- command lines ---- */

static const char *const own_options[] = {"out",  "target-bpw", "choose-bits", "choose-on",
                                          "bits", "record",     NULL};
static const char *const own_flags[] = {"overwrite", NULL};
static const char *const no_names[] = {NULL};

/* `ptq run RECIPE` with what the user says, into another folder. */
static int words_run(const struct mixed *x, struct words *w, int bits, const char *out,
                     struct err *e)
{
    char text[16];

    snprintf(text, sizeof text, "%d", bits);
    return words_add(w, "run", e) < 0 || words_add(w, x->o->recipe, e) < 0 ||
                   words_without(w, x->o->argc, x->o->argv, own_options, own_flags, e) < 0 ||
                   words_option(w, "out", out, e) < 0 || words_option(w, "bits", text, e) < 0
               ? -1
               : 0;
}

static int words_pass(const struct mixed *x, struct words *w, const char *out, struct err *e)
{
    static const char *const format[] = {"format", NULL};
    struct words all = {0};
    int rc = words_run(x, &all, x->first, out, e);

    if (rc == 0)
        rc = words_without(w, (int)all.count, all.word, format, no_names, e) < 0 ||
                     words_option(w, "format", "dense", e) < 0 ||
                     words_option(w, "record", x->problems, e) < 0 ||
                     words_option(w, "overwrite", NULL, e) < 0
                 ? -1
                 : 0;
    words_release(&all);
    return rc;
}

/* Options of the solver that stand in the recipe's own line, and are not wired there. */
static int words_of_recipe(const struct mixed *x, struct words *w, struct err *e)
{
    const struct recipe_stage *st = &x->t->r->stage[x->stage];

    for (size_t i = 1; i < st->nwords; i++) {
        const char *value =
            i + 1 < st->nwords && strncmp(st->word[i + 1], "--", 2) != 0 ? st->word[i + 1] : NULL;
        const char *name = st->word[i] + 2;

        if (strncmp(st->word[i], "--", 2) != 0)
            continue;
        i += value != NULL;
        if ((value && (strchr(value, '%') || strstr(value, "${"))) || strcmp(name, "bits") == 0 ||
            recipe_gave(x->t->r, x->stage, name, strlen(name)))
            continue;
        if (words_option(w, name, value, e) < 0)
            return -1;
    }
    return 0;
}

static int words_resolve(const struct mixed *x, struct words *w, int bits, const char *out,
                         struct err *e)
{
    char text[16];

    snprintf(text, sizeof text, "%d", bits);
    if (words_add(w, "resolve", e) < 0 || words_option(w, "model", route_model(x->t), e) < 0 ||
        words_option(w, "problems", x->problems, e) < 0 || words_option(w, "out", out, e) < 0 ||
        words_option(w, "bits", text, e) < 0 || words_option(w, "format", "dense", e) < 0 ||
        words_option(w, "overwrite", NULL, e) < 0 || words_option(w, "quiet", NULL, e) < 0 ||
        words_of_recipe(x, w, e) < 0)
        return -1;
    return words_given(w, x->t->r, x->stage, no_names, e);
}

static char *folder_of(const struct mixed *x, int bits, struct err *e)
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
    char name[32], about[160], *out = folder_of(x, bits, e);
    struct words w = {0};
    int rc = -1;

    snprintf(name, sizeof name, pass ? "pass" : "width-%d", bits);
    snprintf(about, sizeof about,
             pass ? "one pass at %d bits, whose problems are recorded"
                  : "the same problems at %d bits: what each site loses",
             bits);
    if (out && (pass ? words_pass(x, &w, out, e) : words_resolve(x, &w, bits, out, e)) == 0)
        rc = steps_run(&x->steps, name, about, &w, e);
    if (rc > 0)
        rc = steps_keep_journal(out, e) < 0 || (pass && forget_widths(x, e) < 0) ? -1 : 0;
    words_release(&w);
    free(out);
    return rc < 0 ? -1 : 0;
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
    for (size_t i = 0; i < x->count; i++)
        if (x->bits[i] != x->first && step_width(x, x->bits[i], 0, e) < 0)
            return -1;
    return 0;
}

/* What stands above the lines of the choice. */
static int say_choice(const struct mixed *x, struct err *e)
{
    char *text = fs_read(x->choice, CHOICE_MAX, NULL, e);

    for (char *s = text, *end; s && *s == '#' && (end = strchr(s, '\n')); s = end + 1)
        log_info("%.*s", (int)(end - s - 2), s + 2);
    free(text);
    return text ? 0 : -1;
}

/* Ways of choosing that may be measured; the first is that of a run that measures none. */
static const struct chosen_by {
    const char *name, *score, *protect; /* score NULL: the same bits everywhere */
} chosen_by[] = {{"relative losses", "relative", "ends"},
                 {"relative losses, no block protected", "relative", "none"},
                 {"round-off", "round-off", "ends"},
                 {"the same bits everywhere", NULL, NULL}};
#define WAYS (sizeof chosen_by / sizeof *chosen_by)

/* One width, where it is within the target. */
static int choose_one(const struct mixed *x, const char *file, struct err *e)
{
    char text[80];

    snprintf(text, sizeof text, "# the same bits everywhere: %d\n*: bits=%d\n", x->first, x->first);
    return fs_publish(file, text, strlen(text), e);
}

static int choose(struct mixed *x, const struct chosen_by *by, const char *file, struct err *e)
{
    struct words w = {0};
    char bpw[32];
    int rc;

    if (!by->score)
        return choose_one(x, file, e);
    snprintf(bpw, sizeof bpw, "%.17g", x->o->bpw);
    rc = words_add(&w, "allocate", e) < 0 || words_option(&w, "target-bpw", bpw, e) < 0 ||
                 words_option(&w, "score", by->score, e) < 0 ||
                 words_option(&w, "protect", by->protect, e) < 0 ||
                 words_option(&w, "out", file, e) < 0
             ? -1
             : 0;
    for (size_t i = 0; i < x->count && rc == 0; i++) {
        char *dir = folder_of(x, x->bits[i], e);

        rc = dir ? words_add(&w, dir, e) : -1;
        free(dir);
    }
    if (rc == 0)
        rc = steps_run(&x->steps, NULL, by->name, &w, e);
    words_release(&w);
    return rc < 0 ? -1 : 0;
}

/* The recording solved as it was chosen, and its divergence. */
static int measure(struct mixed *x, const struct chosen_by *by, const char *file, const char *out,
                   const char *states, double *kl, struct err *e)
{
    struct words w = {0}, judge = {0};
    struct divergence d;
    int rc = -1;

    if (words_resolve(x, &w, x->first, out, e) < 0 || words_option(&w, "overrides", file, e) < 0 ||
        steps_run(&x->steps, NULL, "the recording, solved so", &w, e) < 0)
        goto out;
    if (words_add(&judge, "eval", e) < 0 || words_option(&judge, "model", out, e) < 0 ||
        words_option(&judge, "ref", route_model(x->t), e) < 0 ||
        words_option(&judge, "data", x->o->on, e) < 0 ||
        words_option(&judge, "ref-states", states, e) < 0 ||
        words_option(&judge, "keep-figures", NULL, e) < 0 ||
        words_option(&judge, "quiet", NULL, e) < 0 ||
        steps_run(&x->steps, NULL, "its divergence on the text", &judge, e) < 0 ||
        steps_divergence(out, &d, e) < 0)
        goto out;
    *kl = d.kl;
    log_info("%s: KL %.4g \u00b1 %.2g", by->name, d.kl, d.se);
    rc = fs_remove_tree(out, e);
out:
    words_release(&w);
    words_release(&judge);
    return rc;
}

static int choose_on(struct mixed *x, struct err *e)
{
    char *out = fs_join(x->dir, "try", e), *states = fs_join(x->dir, "states.safetensors", e);
    char *file = fs_join(x->dir, "try.txt", e);
    const int one = bits_stored(x, x->first) <= x->o->bpw;
    double kl, least = INFINITY;
    int rc = out && states && file ? 0 : -1;

    if (rc == 0)
        unlink(states); /* of a measurement that ended early, perhaps on another text */
    for (size_t i = 0; i < WAYS && rc == 0; i++) {
        if (!chosen_by[i].score && !one)
            continue;
        if (choose(x, &chosen_by[i], file, e) < 0 ||
            measure(x, &chosen_by[i], file, out, states, &kl, e) < 0)
            rc = -1;
        else if (kl < least) {
            least = kl;
            rc = fs_copy(file, x->choice, e);
        }
    }
    if (states)
        unlink(states);
    if (file)
        unlink(file);
    free(out);
    free(states);
    free(file);
    return rc;
}

static int step_choice(struct mixed *x, struct err *e)
{
    if ((x->o->on ? choose_on(x, e) : choose(x, &chosen_by[0], x->choice, e)) < 0)
        return -1;
    return say_choice(x, e);
}

static int step_last(struct mixed *x, struct err *e)
{
    struct words w = {0};
    int rc = words_run(x, &w, x->first, recipe_value(x->t->r, "out"), e);

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

static int check(struct mixed *x, const struct sites *sites, struct err *e)
{
    if (!sites)
        return err_set(e, ERR_USE, "--target-bpw: the recipe has no model");
    if (restart_refuse_once(x->t, x->o->on, x->o->on ? "--choose-on" : "--target-bpw", e) < 0)
        return -1;
    if (x->o->on && !fs_exists(x->o->on))
        return err_set(e, ERR_USE, "--choose-on: '%s' is not there", x->o->on);
    return refuse_given(x, e) == 0 && find_solver(x, e) == 0 ? take_widths(x, sites, e) : -1;
}

int mixed_check(const struct mixed_opts *o, const struct route *t, const struct sites *sites,
                struct err *e)
{
    return check(&(struct mixed){.o = o, .t = t}, sites, e);
}

int mixed_run(const struct mixed_opts *o, const struct route *t, const struct sites *sites,
              struct err *e)
{
    struct mixed x = {.o = o, .t = t};
    int rc = -1;

    if (check(&x, sites, e) == 0 && start(&x, e) == 0) {
        x.steps.total = x.count + 2 + (o->on ? 3 * WAYS - 3 : 0);
        if (step_losses(&x, e) == 0 && step_choice(&x, e) == 0 && step_last(&x, e) == 0) {
            unlink(x.problems);
            log_info("what the widths lose stays in %s: another target takes it from there", x.dir);
            rc = 0;
        }
    }
    free(x.dir);
    free(x.problems);
    free(x.choice);
    return rc;
}

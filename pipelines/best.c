/* SPDX-License-Identifier: Apache-2.0 */
/* best - see best.h. */
#include "best.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/base/fs.h"
#include "../common/base/log.h"
#include "../common/base/mem.h"
#include "../stages/sample/sample_opts.h"
#include "../stages/solve/solve_opts.h"
#include "../stages/write/write_opts.h"
#include "best_parts.h"
#include "restart.h"

#define PROBE_LEAST 4096
#define WINDOW 1024
#define CLOSE 1.1 /* what changes less than a tenth on few tokens may do the reverse on many */
#define GAIN .01  /* a change is kept when it takes off so much of the divergence */
#define AGAIN 3   /* changes that are tried on half of the tokens too */

/* ---- what is asked for ---- */

int best_wanted(const struct recipe *r, struct err *e)
{
    const char *search = recipe_value(r, "search");

    if (!search || strcmp(search, "none") == 0)
        return 0;
    return strcmp(search, "best") == 0
               ? 1
               : err_set(e, ERR_USE, "--search %s: it is best, or none", search);
}

/* A variable of the recipe that is a number. */
static int number(const struct recipe *r, const char *name, double least, double *v, struct err *e)
{
    const char *text = recipe_value(r, name);
    char *end = NULL;

    *v = text ? strtod(text, &end) : NAN;
    return text && *text && !*end && *v >= least && *v < 1e15
               ? 0
               : err_set(e, ERR_USE, "--%s %s: a number from %g on is wanted", name,
                         text ? text : "?", least);
}

static int gave(const struct route *t, const char *name)
{
    for (size_t i = 0; i < t->r->nstages; i++)
        if (recipe_gave(t->r, i, name, strlen(name)))
            return 1;
    return 0;
}

static int read_variables(struct best *x, struct err *e)
{
    const struct recipe *r = x->t->r;
    const char *rotate = recipe_value(r, "rotate");
    double probe, held, budget;

    if (number(r, "probe", 0, &probe, e) < 0 || number(r, "held", 1, &held, e) < 0 ||
        number(r, "budget", 0, &budget, e) < 0)
        return -1;
    if (!rotate || (strcmp(rotate, "yes") != 0 && strcmp(rotate, "no") != 0))
        return err_set(e, ERR_USE, "--rotate %s: it is yes or no", rotate ? rotate : "?");
    x->rotate = strcmp(rotate, "yes") == 0;
    x->probe = (int64_t)probe;
    x->held = (int64_t)held;
    x->budget = budget;
    x->judge = recipe_value(r, "judge");
    return 0;
}

/* Are there rows behind those of the calibration? */
static int check_rows(const struct best *x, const struct sample_command *s, struct err *e)
{
    if (x->judge)
        return fs_exists(x->judge) ? 0
                                   : err_set(e, ERR_USE, "--judge: '%s' is not there", x->judge);
    if (x->config->vision)
        return err_set(e, ERR_USE,
                       "the model sees images, and no rows of such data are left to judge trials "
                       "on: --judge FILE of text, with --mode whole where --data has images");
    if (s->core.tokens == 0)
        return err_set(e, ERR_USE, "--tokens 0 leaves no rows to judge trials on: --judge FILE");
    if (gave(x->t, "lengths") || (gave(x->t, "mode") && s->core.mode != SAMPLE_CONCAT))
        return err_set(e, ERR_USE,
                       "rows that are drawn from all over the data leave none to judge trials on: "
                       "--judge FILE, or --mode concat");
    return 0;
}

static int prepare(struct best *x, struct err *e)
{
    const struct stage *s = route_stage(x->t, &sample_spec, 0);
    const struct sample_command *c = s ? s->own : NULL;
    const char *out = recipe_value(x->t->r, "out");
    size_t n = out ? strlen(out) : 0;
    int64_t context;

    if (!c || !n || !x->config || !route_stage(x->t, &solve_spec, 0))
        return err_set(e, ERR_USE, "%s: a search needs a model, data, a solver and --out",
                       x->t->r->path);
    if (read_variables(x, e) < 0 ||
        restart_refuse_once(x->t, x->judge, "the search for the best recipe", e) < 0 ||
        check_rows(x, c, e) < 0)
        return -1;
    context = (int64_t)x->config->context;
    x->tokens = (int64_t)c->core.tokens;
    x->length = (int64_t)c->core.length < context ? (int64_t)c->core.length : context;
    x->window = context < WINDOW ? context : WINDOW;
    if (!x->probe)
        x->probe = x->tokens / 8 > PROBE_LEAST ? x->tokens / 8 : PROBE_LEAST;
    x->probe = x->tokens && x->probe > x->tokens ? x->tokens : x->probe;
    if (x->probe < x->length)
        x->probe = x->length;
    while (n > 1 && out[n - 1] == '/')
        n--;
    return (x->dir = mem_printf(e, "%.*s.best", (int)n, out)) ? steps_open(&x->steps, x->dir, e)
                                                              : -1;
}

/* ---- trials ---- */

/* One thing that may be changed. */
struct move {
    const char *what;
    int rotated;
    int64_t length;
    double first_weight;
    const char *solver, *fit;
};

static const struct move rotation = {.what = "a rotated model", .rotated = 1},
                         heavy = {.what = "the first token of a row times 16", .first_weight = 16},
                         rows_512 = {.what = "rows of 512", .length = 512},
                         rows_128 = {.what = "rows of 128", .length = 128},
                         qronos = {.what = "solver qronos", .solver = "qronos"},
                         narrow = {.what = "scales of the least square error", .fit = "mse"};

/* In the order of what helped elsewhere: rotation where the grid is coarse, the first token where
 * it is not; short rows have more of it, and on a fine grid the shortest were best. Returns how
 * many. */
static size_t moves_make(const struct best *x, const struct move *m[TRIALS_MAX])
{
    const struct stage *s = route_stage(x->t, &solve_spec, 0);
    const struct solve_opts *o = &((const struct solve_command *)s->own)->core;
    const int coarse = o->bits <= 3 || o->group<0, sink = x->sink.energy> BEST_SINK,
              weight = sink && !gave(x->t, "first-weight"),
              rows = sink && !gave(x->t, "length") && !gave(x->t, "lengths") && x->length > 512,
              solver = x->way.dual,
              fit = !gave(x->t, "fit") && !gave(x->t, "scales") && !gave(x->t, "refine");
    size_t n = 0;

    if (coarse && x->rotate)
        m[n++] = &rotation;
    if (coarse && fit)
        m[n++] = &narrow;
    if (coarse && solver)
        m[n++] = &qronos;
    if (rows)
        m[n++] = coarse ? &rows_512 : &rows_128;
    if (weight)
        m[n++] = &heavy;
    if (!coarse && fit)
        m[n++] = &narrow;
    if (!coarse && x->rotate)
        m[n++] = &rotation;
    if (!coarse && solver)
        m[n++] = &qronos;
    return n;
}

/* Short rows that were kept have given the first token its weight. */
static int needless(const struct best *x, const struct move *m)
{
    return m->first_weight > 0 && x->way.length > 0;
}

static size_t count_left(const struct best *x, const struct move *const *m, size_t n)
{
    size_t left = 0;

    for (size_t i = 0; i < n; i++)
        left += !needless(x, m[i]);
    return left;
}

/* 1: there is a rotated model, 0: this one cannot be rotated, -1. */
static int rotated_make(struct best *x, struct err *e)
{
    struct words w = {0};
    int rc;

    if (x->rotated)
        return 1;
    if (!(x->rotated = fs_join(x->dir, "rotated", e)))
        return -1;
    rc = words_add(&w, "rotate", e) < 0 || words_option(&w, "model", route_model(x->t), e) < 0 ||
                 words_option(&w, "quiet", NULL, e) < 0 || words_add(&w, x->rotated, e) < 0
             ? -1
             : steps_run(&x->steps, "rotate", "a rotated model, the same function", &w, e);
    words_release(&w);
    if (rc < 0 && e->kind != ERR_USE)
        return -1;
    return rc >= 0;
}

static void follow(struct best *x, struct trial *t)
{
    t->kept = 1;
    x->way = t->way;
    x->of = t->of;
}

/* A trial of another way than the best so far. */
static int compare(struct best *x, struct trial *t, struct err *e)
{
    t->before = x->way;
    if (best_trial(x, t, 0, e) < 0)
        return -1;
    t->gain = log(x->of.kl / t->of.kl);
    return 0;
}

/* Keeps what takes off a hundredth of the divergence, and more than is in doubt. */
static void decide(struct best *x, struct trial *t, double gain, double doubt)
{
    const int kept = gain > -log(1 - GAIN) && gain > doubt;

    log_info("%s: KL %.4g, %s %.4g before", t->what, t->of.kl,
             kept ? "kept, against" : "no better than", x->of.kl);
    if (kept)
        follow(x, t);
}

static int try_move(struct best *x, const struct move *m, struct err *e)
{
    struct trial *t = &x->trial[x->count++];
    int rc;

    *t = (struct trial){.way = x->way, .tokens = x->probe, .of = {.kl = NAN}, .gain = NAN};
    snprintf(t->what, sizeof t->what, "%s", m->what);
    if (m->rotated && (rc = rotated_make(x, e)) <= 0) {
        if (rc == 0) {
            log_info("this model cannot be rotated, see above: the search goes on without");
            *e = (struct err){.kind = ERR_NONE};
        }
        return rc;
    }
    t->way.rotated |= m->rotated;
    t->way.length = m->length ? m->length : t->way.length;
    t->way.first_weight = m->first_weight > 0 ? m->first_weight : t->way.first_weight;
    t->way.solver = m->solver ? m->solver : t->way.solver;
    t->way.fit = m->fit ? m->fit : t->way.fit;
    if (compare(x, t, e) < 0)
        return -1;
    decide(x, t, t->gain, steps_doubt(&t->of, &x->of) / x->of.kl);
    return 0;
}

static int try_first(struct best *x, struct err *e)
{
    const struct stage *s = route_stage(x->t, &solve_spec, 0);
    const struct solve_opts *o = &((const struct solve_command *)s->own)->core;
    struct trial *t = &x->trial[x->count++];

    /* what helped nearly everywhere, unless the user says otherwise, or experts have no rows of a
     * second stream */
    if (!gave(x->t, "solver") && !gave(x->t, "dual") && !x->config->experts) {
        x->way.dual = 1;
        x->way.solver = "qep+gptq";
    }
    *t = (struct trial){.way = x->way, .tokens = x->probe, .gain = NAN};
    snprintf(t->what, sizeof t->what, "%.40s, rows of %lld",
             x->way.solver ? x->way.solver : o->solver, (long long)x->length);
    if (best_trial(x, t, 1, e) < 0)
        return -1;
    follow(x, t);
    log_info("%s: KL %.4g; the whole run will take about %.3g CPU seconds, trials so far took %.3g",
             t->what, t->of.kl, x->plain, x->spent);
    if (x->sink.energy > BEST_SINK)
        log_info("the first token of a row holds %.3g%% of the energy at b%llu.%s",
                 100 * x->sink.energy, (unsigned long long)x->sink.block, x->sink.site);
    return 0;
}

/* w, with what is different between two others. */
static struct way moved(struct way w, const struct way *from, const struct way *to)
{
    if (from->rotated != to->rotated)
        w.rotated = to->rotated;
    if (from->length != to->length)
        w.length = to->length;
    if (from->first_weight != to->first_weight)
        w.first_weight = to->first_weight;
    if (from->solver != to->solver)
        w.solver = to->solver;
    if (from->fit != to->fit)
        w.fit = to->fit;
    return w;
}

/* The changes that few tokens leave in doubt, kept or not, those first that made the least
 * difference. Returns how many. */
static size_t doubtful(const struct best *x, const struct trial *list[TRIALS_MAX])
{
    size_t n = 0;

    for (size_t i = 1; i < x->count; i++) {
        const struct trial *t = &x->trial[i];
        size_t at = n;

        if (isnan(t->gain) || fabs(t->gain) > log(CLOSE))
            continue;
        while (at > 0 && fabs(list[at - 1]->gain) > fabs(t->gain)) {
            list[at] = list[at - 1];
            at--;
        }
        list[at] = t;
        n++;
    }
    return n < AGAIN ? n : AGAIN;
}

/* The best so far on half of the tokens. */
static int again_first(struct best *x, struct err *e)
{
    struct trial *t = &x->trial[x->count++];

    *t = (struct trial){.way = x->way, .tokens = x->tokens / 2, .gain = NAN};
    snprintf(t->what, sizeof t->what, "the best so far, half of the tokens");
    if (best_trial(x, t, 0, e) < 0)
        return -1;
    x->of = t->of;
    log_info("%s: KL %.4g", t->what, t->of.kl);
    return 0;
}

/* A change once more: made where it was not kept, taken back where it was. What it gains on all
 * tokens is foreseen from both trials: as it goes on from a few to half of them, so to all. */
static int again(struct best *x, const struct trial *few, struct err *e)
{
    struct trial *t = &x->trial[x->count++];
    const double half = (double)x->tokens / 2,
                 more = log((double)x->tokens / half) / log(half / (double)few->tokens);

    *t = (struct trial){.tokens = x->tokens / 2, .gain = NAN};
    t->way =
        few->kept ? moved(x->way, &few->way, &few->before) : moved(x->way, &few->before, &few->way);
    snprintf(t->what, sizeof t->what, "%s%.48s, half of the tokens", few->kept ? "without " : "",
             few->what);
    if (compare(x, t, e) < 0)
        return -1;
    decide(x, t, t->gain + more * (t->gain - (few->kept ? -few->gain : few->gain)), 0);
    return 0;
}

/* One change gains more from many rows than another: what was close on few tokens is tried on half
 * of them, as far as the budget goes. first: what the first trial took. */
static int close_calls(struct best *x, double first, struct err *e)
{
    const struct trial *list[TRIALS_MAX];
    const size_t n = doubtful(x, list);
    double next = x->plain; /* two trials */

    if (n == 0 || x->probe >= x->tokens / 2 || x->count + 1 + n > TRIALS_MAX)
        return 0;
    for (size_t i = 0; i < n; i++) {
        double before = x->spent;

        if (before - first + next > x->budget * x->plain) {
            x->left_out += n - i;
            log_info("%s was close, and half of the tokens would tell: --budget allows more",
                     list[i]->what);
            break;
        }
        if (i == 0 && again_first(x, e) < 0)
            return -1;
        before = x->spent;
        if (again(x, list[i], e) < 0)
            return -1;
        next = x->spent - before;
    }
    return 0;
}

static int search(struct best *x, struct err *e)
{
    const struct move *m[TRIALS_MAX];
    double first, last;
    size_t n;

    if (x->judge ? !(x->text = mem_text(x->judge, e)) : best_held(x, e) < 0)
        return -1;
    if (try_first(x, e) < 0)
        return -1;
    first = last = x->spent;
    n = moves_make(x, m);
    for (size_t i = 0; i < n; i++) {
        const double before = x->spent;

        if (x->spent - first + last > x->budget * x->plain) {
            x->left_out = count_left(x, m + i, n - i);
            log_info("%zu more trials would cost more than %g times the run: --budget allows more",
                     x->left_out, x->budget);
            break;
        }
        if (needless(x, m[i]))
            continue;
        if (try_move(x, m[i], e) < 0)
            return -1;
        last = x->spent > before ? x->spent - before : last;
    }
    return close_calls(x, first, e);
}

/* ---- the run ---- */

static int last_run(struct best *x, const char *note, struct err *e)
{
    struct words w = {0};
    int rc = best_words(x, &w, &x->way, recipe_value(x->t->r, "out"), e);

    for (int i = 0; i < x->o->argc && rc == 0; i++)
        if (strcmp(x->o->argv[i], "--overwrite") == 0)
            rc = words_add(&w, "--overwrite", e);
    if (rc == 0)
        rc = words_option(&w, "note", note, e) < 0
                 ? -1
                 : steps_run(&x->steps, NULL, "the run itself", &w, e);
    words_release(&w);
    return rc < 0 ? -1 : 0;
}

/* What is as large as the model goes; what was found stays. */
static int clear(struct best *x, struct err *e)
{
    char *states = fs_join(x->dir, BEST_STATES, e);
    int rc = states ? 0 : -1;

    if (rc == 0 && fs_exists(states) && unlink(states))
        rc = err_sys(e, "cannot remove '%s'", states);
    if (rc == 0 && x->rotated && fs_exists(x->rotated))
        rc = steps_forget(&x->steps, "rotate", e) < 0 ? -1 : fs_remove_tree(x->rotated, e);
    free(states);
    return rc;
}

static int finish(struct best *x, struct err *e)
{
    char *text = best_note(x, e), *path = text ? fs_join(x->dir, "note.md", e) : NULL;
    int rc = path && fs_publish(path, text, strlen(text), e) == 0 ? last_run(x, path, e) : -1;

    if (rc == 0)
        rc = clear(x, e);
    if (rc == 0)
        log_info("what was tried, and why it is so, stands in its README.md");
    free(path);
    free(text);
    return rc;
}

int best_run(const struct best_opts *o, const struct route *t, const struct config *c,
             struct err *e)
{
    struct best x = {.o = o, .t = t, .config = c};
    int rc = prepare(&x, e);

    if (rc == 0) {
        log_info(
            "trials on %lld of %lld tokens each, in %s: the first, then as many of up to 5, and of "
            "close ones on half of the tokens, as take %g times the CPU time of the run itself",
            (long long)x.probe, (long long)x.tokens, x.dir, x.budget);
        rc = search(&x, e) < 0 ? -1 : finish(&x, e);
    }
    free(x.dir);
    free(x.text);
    free(x.rotated);
    return rc;
}

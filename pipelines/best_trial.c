/* SPDX-License-Identifier: Apache-2.0 */
/* best_trial - one short run and what the held-out text says of it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/base/fs.h"
#include "../common/base/json.h"
#include "../common/base/mem.h"
#include "../common/run/journal.h"
#include "../common/run/journal_site.h"
#include "../stages/solve/solve_opts.h"
#include "../stages/write/write_opts.h"
#include "best_parts.h"

/* ---- command lines ---- */

static int words_way(struct words *w, const struct way *way, struct err *e)
{
    char text[32];

    if (way->length) {
        snprintf(text, sizeof text, "%lld", (long long)way->length);
        if (words_option(w, "length", text, e) < 0)
            return -1;
    }
    if (way->first_weight > 0) {
        snprintf(text, sizeof text, "%g", way->first_weight);
        if (words_option(w, "first-weight", text, e) < 0)
            return -1;
    }
    if (way->dual && words_option(w, "dual", NULL, e) < 0)
        return -1;
    if (way->fit && words_option(w, "fit", way->fit, e) < 0)
        return -1;
    return way->solver ? words_option(w, "solver", way->solver, e) : 0;
}

int best_words(const struct best *x, struct words *w, const struct way *way, const char *out,
               struct err *e)
{
    static const char *const own[] = {"out",    "model",  "search", "probe", "held",
                                      "budget", "rotate", "judge",  NULL},
                             *const flags[] = {"overwrite", NULL};

    return words_add(w, "run", e) < 0 || words_add(w, x->o->recipe, e) < 0 ||
                   words_without(w, x->o->argc, x->o->argv, own, flags, e) < 0 ||
                   words_option(w, "model", way->rotated ? x->rotated : route_model(x->t), e) < 0 ||
                   words_option(w, "out", out, e) < 0 || words_option(w, "search", "none", e) < 0 ||
                   words_way(w, way, e) < 0
               ? -1
               : 0;
}

static int words_trial(const struct best *x, struct words *w, const struct trial *t, int first,
                       const char *out, struct err *e)
{
    static const char *const not_here[] = {"tokens", "format", "classes", "record", NULL},
                             *const flags[] = {"save-state", NULL};
    struct words all = {0};
    char tokens[32];
    int rc = best_words(x, &all, &t->way, out, e);

    snprintf(tokens, sizeof tokens, "%lld", (long long)t->tokens);
    if (rc == 0)
        rc = words_without(w, (int)all.count, all.word, not_here, flags, e) < 0 ||
                     words_option(w, "tokens", tokens, e) < 0 ||
                     words_option(w, "format", "dense", e) < 0 ||
                     words_option(w, "overwrite", NULL, e) < 0 ||
                     (first && words_option(w, "classes", "position", e) < 0)
                 ? -1
                 : 0;
    words_release(&all);
    return rc;
}

static int words_trial_judge(const struct best *x, struct words *w, const char *out, struct err *e)
{
    char window[32], *states = fs_join(x->dir, BEST_STATES, e);
    int rc;

    snprintf(window, sizeof window, "%lld", (long long)x->window);
    rc = states ? words_judge(w, x->t, out, x->text, window, states, e) : -1;
    free(states);
    return rc;
}

/* ---- what came of it ---- */

/* Energy, weight and loss of the first token among those of all positions of a site. */
static void look_first(struct sink *sink, const struct journal_site *s)
{
    double energy = 0, weight = 0, first_energy = 0, first_weight = 0, first_loss = 0;

    for (size_t i = 0; i < json_count(s->classes); i++) {
        const struct json *c = json_at(s->classes, i);
        const double one = json_real_or(c, "energy", 0), w = json_real_or(c, "sum_w", 0);

        if (strcmp(json_text_or(c, "kind", ""), "position") != 0)
            continue;
        energy += one;
        weight += w;
        if (strcmp(json_text_or(c, "name", ""), "0") != 0)
            continue;
        first_energy = one;
        first_weight = w;
        first_loss = json_real_or(c, "loss", 0);
    }
    if (!(energy > 0) || !(first_energy > 0))
        return;
    sink->lost = fmax(sink->lost, first_loss / first_energy);
    if (first_energy / energy <= sink->energy)
        return;
    sink->block = s->block;
    snprintf(sink->site, sizeof sink->site, "%s", s->name);
    sink->energy = first_energy / energy;
    sink->weight = first_weight / weight;
}

static int read_journal(struct best *x, struct trial *t, const char *dir, int first, struct err *e)
{
    char *path = mem_printf(e, "%s/.ptqflow/" JOURNAL_NAME, dir);
    int cut, rc = -1;
    struct json *records = path ? journal_read(path, &cut, e) : NULL;
    double sum = 0;
    size_t n = 0;

    for (size_t i = 0; i < json_count(records); i++) {
        struct journal_site s = {0};

        if (strcmp(json_text_or(json_at(records, i), "record", ""), "site") != 0)
            continue;
        if (journal_site_read(json_at(records, i), &s, path, e) < 0)
            goto out;
        sum += s.rel_loss;
        n++;
        if (first)
            look_first(&x->sink, &s);
        journal_site_release(&s);
    }
    t->rel_loss = n ? sum / (double)n : NAN;
    rc = records ? 0 : -1;
out:
    json_destroy(&records);
    free(path);
    return rc;
}

/* Does the time that this stage takes grow with the tokens? */
static int grows(const struct route *t, const char *name)
{
    for (size_t i = 0; i < t->r->nstages; i++)
        if (strcmp(t->r->stage[i].name, name) == 0 && t->stage[i])
            return t->stage[i]->spec != &solve_spec && t->stage[i]->spec != &write_spec;
    return 1;
}

/* What the whole run will take, by what the stages of this one took. */
static int read_costs(struct best *x, const char *dir, struct err *e)
{
    char *path = mem_printf(e, "%s/.ptqflow/run.json", dir);
    struct json *run = path ? json_read(path, e) : NULL;
    const struct json *stages = json_get(run, "stages");

    x->plain = 0;
    for (size_t i = 0; i < json_count(stages); i++) {
        const struct json *s = json_at(stages, i);
        const double cpu = json_real_or(s, "cpu_s", 0);

        x->plain += grows(x->t, json_text_or(s, "name", ""))
                        ? cpu * (double)x->tokens / (double)x->probe
                        : cpu;
    }
    free(path);
    json_destroy(&run);
    return x->plain > 0 ? 0 : -1;
}

/* ---- a trial ---- */

static int run(struct best *x, struct trial *t, size_t number, int first, const char *out,
               struct err *e)
{
    struct words w = {0}, judge = {0};
    char name[32], about[160];
    int ran, rc = -1;

    snprintf(name, sizeof name, "trial-%zu", number);
    snprintf(about, sizeof about, "trial %zu, %s", number, t->what);
    if (words_trial(x, &w, t, first, out, e) < 0 || words_trial_judge(x, &judge, out, e) < 0 ||
        (ran = steps_run(&x->steps, name, about, &w, e)) < 0)
        goto out;
    x->spent += x->steps.cpu;
    snprintf(name, sizeof name, BEST_JUDGE, number);
    if (ran && steps_forget(&x->steps, name, e) < 0)
        goto out;
    if (steps_run(&x->steps, name, "its divergence on the held-out text", &judge, e) < 0)
        goto out;
    x->spent += x->steps.cpu;
    rc = steps_keep_journal(out, e);
out:
    words_release(&w);
    words_release(&judge);
    return rc;
}

int best_trial(struct best *x, struct trial *t, int first, struct err *e)
{
    const size_t number = (size_t)(t - x->trial);
    char *out = mem_printf(e, "%s/trial-%zu", x->dir, number);
    int rc = -1;

    t->of = (struct divergence){.kl = NAN, .se = NAN};
    if (out && run(x, t, number, first, out, e) == 0)
        rc = steps_divergence(out, &t->of, e) < 0 || read_journal(x, t, out, first, e) < 0 ||
                     (first && read_costs(x, out, e) < 0)
                 ? -1
                 : 0;
    free(out);
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* law_points - see law_points.h. */
#include "law_points.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/fs.h"
#include "../../../common/base/json.h"
#include "../../../common/base/mem.h"
#include "../../../common/run/evals.h"
#include "../../../common/run/journal.h"
#include "../../../common/run/journal_site.h"

/* ---- what a run quantized ---- */

struct tally {
    double weights, quantized, scales;
    char kind[128]; /* of its quantized linears */
    size_t sites;
};

static int tally_kind(struct tally *t, const struct journal_linear *l, const char *solver,
                      const char *what, struct err *e)
{
    char kind[sizeof t->kind];

    snprintf(kind, sizeof kind, "%s, %lld bits, %s", l->solver ? l->solver : solver,
             (long long)l->bits, l->grid ? l->grid : "?");
    if (*t->kind && strcmp(t->kind, kind) != 0)
        return err_set(e, ERR_USE,
                       "%s: linears of two kinds (%s; %s): a law is fitted to runs that quantize "
                       "a share of the model in one way and keep the rest",
                       what, t->kind, kind);
    memcpy(t->kind, kind, sizeof kind);
    return 0;
}

static int tally_site(struct tally *t, const struct journal_site *s, const char *what,
                      struct err *e)
{
    if (s->inputs <= 0)
        return err_set(e, ERR_USE, "%s: site '%s' does not say how many inputs it has", what,
                       s->name);
    for (size_t i = 0; i < s->nlinears; i++) {
        const struct journal_linear *l = &s->linear[i];
        const double K = (double)s->inputs, rows = (double)l->rows;

        t->weights += rows * K;
        if (l->kept)
            continue;
        if (l->group == 0)
            return err_set(e, ERR_USE, "%s: '%s' does not say its group", what, l->name);
        t->quantized += rows * K;
        t->scales += rows * (l->group < 0 ? 1.0 : ceil(K / (double)l->group));
        if (tally_kind(t, l, s->solver, what, e) < 0)
            return -1;
    }
    t->sites++;
    return 0;
}

/* The journal of an output. *model is a copy of what it says was quantized. */
static int tally_run(struct tally *t, const char *dir, char **model, struct err *e)
{
    char *path = mem_printf(e, "%s/.ptqflow/" JOURNAL_NAME, dir);
    struct json *records;
    int rc = -1, cut, done = 0;

    *model = NULL;
    if (!path)
        return -1;
    if (!(records = journal_read(path, &cut, e)))
        goto out;
    for (size_t i = 0; i < json_count(records); i++) {
        const struct json *r = json_at(records, i);
        const char *record = json_text_or(r, "record", "");
        struct journal_site s = {0};
        int bad = 0;

        if (strcmp(record, "start") == 0 && !*model)
            bad = !(*model = mem_text(json_text_or(r, "model", "?"), e));
        else if (strcmp(record, "site") == 0)
            bad = journal_site_read(r, &s, path, e) < 0 || tally_site(t, &s, path, e) < 0;
        else
            done |= strcmp(record, "done") == 0;
        journal_site_release(&s);
        if (bad)
            goto out;
    }
    rc = done && *model && t->sites
             ? 0
             : err_set(e, ERR_USE, "'%s': this run is not finished: let it end first", dir);
out:
    json_destroy(&records);
    free(path);
    if (rc < 0) {
        free(*model);
        *model = NULL;
    }
    return rc;
}

/* ---- what it cost ---- */

static double delta_of(const struct json *figures, enum law_measure measure)
{
    switch (measure) {
    case LAW_NLL:
        return json_real_or(figures, "dnll", NAN);
    case LAW_KL:
        return json_real_or(figures, "kld_mean", NAN);
    default:
        return json_real_or(figures, "perplexity", NAN) /
                   json_real_or(figures, "ref_perplexity", NAN) -
               1.0;
    }
}

/* The evaluation of that data, or the only one against a reference. */
static const struct json *choose(const struct json *evals, const char *dir, const char *data,
                                 struct err *e)
{
    const struct json *found = NULL;

    for (size_t i = 0; i < json_count(evals); i++) {
        const struct json *x = json_at(evals, i);

        int complete = 1;

        json_opt_bool(x, "complete", 1, &complete, dir, NULL);
        if (!json_has(x, "ref") || !complete ||
            (data && strcmp(json_text_or(x, "data", ""), data) != 0))
            continue;
        if (found) {
            err_set(e, ERR_USE,
                    "'%s' has several evaluations ('%s', '%s'): say by --data which one counts, "
                    "and keep one of each data",
                    dir, json_text_or(found, "data", "?"), json_text_or(x, "data", "?"));
            return NULL;
        }
        found = x;
    }
    if (!found)
        err_set(e, ERR_USE,
                "'%s' has no evaluation%s%s%s against a reference: ptq eval --model %s --ref "
                "MODEL --data FILE --keep-figures makes one",
                dir, data ? " of '" : "", data ? data : "", data ? "'" : "", dir);
    return found;
}

/* ---- points ---- */

static int point_check(const struct law_point *x, struct err *e)
{
    if (!(x->params > 0.0) || !isfinite(x->params))
        return err_set(e, ERR_USE, "%s: field 'params': %g parameters", x->from, x->params);
    if (!(x->qr >= 0.0 && x->qr <= 1.0))
        return err_set(e, ERR_USE, "%s: field 'qr': %g is no share between 0 and 1", x->from,
                       x->qr);
    if (!(x->qb >= 1.0) || !isfinite(x->qb))
        return err_set(e, ERR_USE, "%s: field 'qb': %g values cannot share a scale", x->from,
                       x->qb);
    return isfinite(x->delta) ? 0
                              : err_set(e, ERR_USE, "%s: field 'delta' is not a number", x->from);
}

/* Takes the texts of *x over in any case. */
static int points_add(struct law_points *p, struct law_point *x, struct err *e)
{
    int rc = -1;

    if (point_check(x, e) < 0)
        goto out;
    if (!(x->delta > 0.0) || x->qr == 0.0) {
        p->dropped++;
        rc = 0;
        goto out;
    }
    if (p->count && strcmp(p->at[0].kind, x->kind) != 0) {
        err_set(e, ERR_USE,
                "'%s' is of another kind (%s) than '%s' (%s): a law holds for one; name the runs "
                "of one kind",
                x->from, x->kind, p->at[0].from, p->at[0].kind);
        goto out;
    }
    if (p->count == p->cap &&
        mem_grow((void **)&p->at, &p->cap, p->count + 1, sizeof *p->at, e) < 0)
        goto out;
    p->at[p->count++] = *x;
    return 0;
out:
    free(x->model);
    free(x->from);
    free(x->kind);
    return rc;
}

static int read_run(struct law_points *p, const char *dir, enum law_measure measure,
                    const char *data, struct err *e)
{
    struct tally t = {0};
    struct law_point x = {0};
    struct json *evals = NULL;
    const struct json *figures;
    int rc = -1;

    if (tally_run(&t, dir, &x.model, e) < 0)
        return -1;
    if (!(evals = evals_read(dir, e)) || !(figures = choose(evals, dir, data, e)))
        goto out;
    x.params = t.weights;
    x.qr = t.weights > 0.0 ? t.quantized / t.weights : 0.0;
    x.qb = t.scales > 0.0 ? t.quantized / t.scales : 1.0;
    x.delta = delta_of(figures, measure);
    x.from = mem_text(dir, e);
    x.kind = mem_text(t.kind, e);
    if (x.from && x.kind) {
        rc = points_add(p, &x, e);
        x = (struct law_point){0};
    }
out:
    json_destroy(&evals);
    free(x.model);
    free(x.from);
    free(x.kind);
    return rc;
}

static int read_line(void *ctx, const struct json *j, const char *what, struct err *e)
{
    struct law_point x = {.from = mem_text(what, e)};
    const char *model = x.from ? json_need_text(j, "model", what, e) : NULL;
    int rc = -1;

    if (model && json_need_real(j, "params", &x.params, what, e) == 0 &&
        json_need_real(j, "qr", &x.qr, what, e) == 0 &&
        json_need_real(j, "qb", &x.qb, what, e) == 0 &&
        json_need_real(j, "delta", &x.delta, what, e) == 0 && (x.model = mem_text(model, e)) &&
        (x.kind = mem_text(json_text_or(j, "kind", ""), e))) {
        rc = points_add(ctx, &x, e);
        x = (struct law_point){0};
    }
    free(x.model);
    free(x.from);
    free(x.kind);
    return rc;
}

#define LINES_MAX ((size_t)64 << 20)

int law_points_read(struct law_points *p, const char *const *sources, size_t count,
                    enum law_measure measure, const char *data, struct err *e)
{
    *p = (struct law_points){0};
    for (size_t i = 0; i < count; i++)
        if ((fs_is_dir(sources[i]) ? read_run(p, sources[i], measure, data, e)
                                   : json_read_lines(sources[i], LINES_MAX, read_line, p, e)) < 0) {
            law_points_release(p);
            return -1;
        }
    return 0;
}

void law_points_release(struct law_points *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->at[i].model);
        free(p->at[i].from);
        free(p->at[i].kind);
    }
    free(p->at);
    *p = (struct law_points){0};
}

/* SPDX-License-Identifier: Apache-2.0 */
/* solve_mix - see solve_mix.h. */
#include "solve_mix.h"

#include <inttypes.h>
#include <string.h>

#include "../../common/model/sites.h"

/* Which modality a class is of; MODALITIES: none that is known, or another kind of class. */
static size_t modality_of(const struct problem_class *c)
{
    size_t m = strcmp(c->kind, "modality") == 0 ? 0 : MODALITIES;

    while (m < MODALITIES && strcmp(c->name, modality_name(m)) != 0)
        m++;
    return m;
}

/* The classes must be all of the problem, or mixing them would lose rows. */
static int check(const struct work *w, struct err *e)
{
    const struct problem_view *v = &w->v;
    uint64_t tokens = 0;
    size_t n = 0;

    for (size_t i = 0; i < v->nclasses; i++) {
        const struct problem_class *c = &v->classes[i];

        if (modality_of(c) == MODALITIES)
            continue;
        n++;
        tokens += c->tokens;
        if ((c->sum_w > 0) != (c->sum_w2 > 0) || !c->D != !v->D)
            return err_set(e, ERR_USE, "%s: --mix: the sums of modality %s lack %s", w->problem->id,
                           c->name, !c->D != !v->D ? "D" : "sum_w2");
    }
    if (n == 0)
        return err_set(e, ERR_USE,
                       "%s: --mix: this problem holds no sums by modality; run ptq-reduce "
                       "--classes modality",
                       w->problem->id);
    if (tokens != v->tokens)
        return err_set(e, ERR_USE, "%s: --mix: its modalities have %" PRIu64 " rows of %" PRIu64,
                       w->problem->id, tokens, v->tokens);
    return 0;
}

/* Adds one class; sequences: those of a single one are its own, of several those of the problem. */
static void add(struct work *w, const struct problem_class *c, double ratio)
{
    struct problem_sums *s = &w->sums;

    w->mix[w->nmix++] = (struct expand_part){c->S, c->D, ratio};
    s->tokens += c->tokens;
    s->sequences = w->nmix == 1 ? c->sequences : w->v.sequences;
    s->sum_w += ratio * c->sum_w;
    s->sum_w2 += ratio * ratio * c->sum_w2;
}

static int ratios_choose(struct work *w, struct err *e)
{
    memcpy(w->ratio, w->o->mix, sizeof w->ratio);
    for (size_t m = 0; m < MODALITIES && site_is_of_tower(w->v.site); m++)
        w->ratio[m] = 1; /* there is nothing to mix */
    if (site_is_of_tower(w->v.site))
        return 0;
    if (!w->o->mix_told || modality_ratios_read(w->v.ratios, w->ratio) == 0)
        return 0;
    return err_set(e, ERR_USE,
                   "%s: --mix auto: this problem does not say how much each modality is to count; "
                   "run ptq-importance --method mbq --give ratios before ptq-forward, as the "
                   "recipe vlm-weighted does, or give ratios",
                   w->problem->id);
}

int solve_mix_choose(struct work *w, struct err *e)
{
    const struct problem_view *v = &w->v;
    int as_counted = 1;

    if (ratios_choose(w, e))
        return -1;
    if (v->tokens == 0) { /* an expert that no token goes to */
        w->nmix = 0;
        w->sums = (struct problem_sums){.S = v->S, .D = v->D};
        return 0;
    }
    if (check(w, e))
        return -1;
    w->sums = (struct problem_sums){.S = v->S, .D = v->D};
    for (size_t i = 0; i < v->nclasses; i++) {
        const size_t m = modality_of(&v->classes[i]);

        if (m == MODALITIES || v->classes[i].tokens == 0)
            continue;
        as_counted &= w->ratio[m] >= 1 && w->ratio[m] <= 1;
        if (w->ratio[m] > 0)
            add(w, &v->classes[i], w->ratio[m]);
    }
    if (!as_counted)
        return 0;
    w->nmix = 0;
    w->sums = (struct problem_sums){.S = v->S,
                                    .D = v->D,
                                    .tokens = v->tokens,
                                    .sequences = v->sequences,
                                    .sum_w = v->sum_w,
                                    .sum_w2 = v->sum_w2};
    return 0;
}

int solve_mix_parse(const char *text, struct solve_opts *o, struct err *e)
{
    o->mixed = strcmp(text, "tokens") != 0;
    o->mix_told = strcmp(text, "auto") == 0;
    if (!o->mixed || o->mix_told)
        return 0;
    return modality_ratios_parse(text, "--mix", o->mix, e);
}

struct json *solve_mix_record(const double ratio[MODALITIES])
{
    struct json *x = json_new_object();

    if (modality_ratios_put(x, ratio))
        json_destroy(&x);
    return x;
}

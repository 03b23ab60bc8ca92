/* SPDX-License-Identifier: Apache-2.0 */
/* mixed_words - the command lines of a run that chooses its bits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/base/fs.h"
#include "../common/base/mem.h"
#include "mixed_parts.h"

static const char *const own_options[] = {"out",    "target-bpw",  "target-size", "target-qr",
                                          "max-kl", "choose-bits", "choose-on",   "choose-trials",
                                          "bits",   "record",      NULL};
static const char *const own_flags[] = {"overwrite", NULL};
static const char *const no_names[] = {NULL};

/* `ptq run RECIPE` with what the user says, into another folder. */
int mixed_words_run(const struct mixed *x, struct words *w, int bits, const char *out,
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

int mixed_words_pass(const struct mixed *x, struct words *w, const char *out, struct err *e)
{
    static const char *const format[] = {"format", NULL};
    struct words all = {0};
    int rc = mixed_words_run(x, &all, x->first, out, e);

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

int mixed_words_resolve(const struct mixed *x, struct words *w, int bits, const char *out,
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

int mixed_words_judge(const struct mixed *x, struct words *w, const char *out, struct err *e)
{
    char *states = fs_join(x->dir, MIXED_STATES, e);
    const int rc = states ? words_judge(w, x->t, out, x->o->on, NULL, states, e) : -1;

    free(states);
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* words - see words.h. */
#include "words.h"

#include <stdlib.h>
#include <string.h>

#include "../common/base/mem.h"
#include "../stages/forward/forward_opts.h"

int words_add(struct words *w, const char *word, struct err *e)
{
    if (mem_grow((void **)&w->word, &w->cap, w->count + 2, sizeof *w->word, e) < 0 ||
        !(w->word[w->count] = mem_text(word, e)))
        return -1;
    w->word[++w->count] = NULL;
    return 0;
}

int words_option(struct words *w, const char *name, const char *value, struct err *e)
{
    char *option = mem_printf(e, "--%s", name);
    int rc = option ? words_add(w, option, e) : -1;

    free(option);
    return rc == 0 && value ? words_add(w, value, e) : rc;
}

/* Is it "--NAME", "--NAME=..." or "--STAGE.NAME", of one of these? */
static int is_one(const char *word, const char *const *names)
{
    const size_t n = strncmp(word, "--", 2) == 0 ? strcspn(word, "=") : 0;
    const char *dot = n ? memchr(word, '.', n) : NULL, *name = dot ? dot + 1 : word + 2;
    const size_t length = n ? n - (size_t)(name - word) : 0;

    for (size_t i = 0; n && names[i]; i++)
        if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0)
            return 1;
    return 0;
}

int words_without(struct words *w, int argc, char *const *argv, const char *const *options,
                  const char *const *flags, struct err *e)
{
    for (int i = 0; i < argc; i++) {
        if (is_one(argv[i], options))
            i += !strchr(argv[i], '=');
        else if (!is_one(argv[i], flags) && words_add(w, argv[i], e) < 0)
            return -1;
    }
    return 0;
}

/* NULL: as everything does that is not told otherwise. */
static const char *products_of(const struct route *t)
{
    const struct stage *s = route_stage(t, &forward_spec, 0);
    const struct forward_command *c = s ? s->own : NULL;

    return c && c->core.products != PRODUCTS_F32 ? products_name(c->core.products) : NULL;
}

int words_judge(struct words *w, const struct route *t, const char *out, const char *text,
                const char *window, const char *states, struct err *e)
{
    const char *products = products_of(t);

    return words_add(w, "eval", e) < 0 || words_option(w, "model", out, e) < 0 ||
                   words_option(w, "ref", route_model(t), e) < 0 ||
                   words_option(w, "data", text, e) < 0 ||
                   (window && words_option(w, "window", window, e) < 0) ||
                   (products && words_option(w, "products", products, e) < 0) ||
                   words_option(w, "ref-states", states, e) < 0 ||
                   words_option(w, "keep-figures", NULL, e) < 0 ||
                   words_option(w, "quiet", NULL, e) < 0
               ? -1
               : 0;
}

void words_release(struct words *w)
{
    for (size_t i = 0; i < w->count; i++)
        free(w->word[i]);
    free(w->word);
    *w = (struct words){0};
}

int words_given(struct words *w, const struct recipe *r, size_t stage, const char *const *except,
                struct err *e)
{
    for (size_t i = 0; i < r->ngiven; i++) {
        const struct recipe_given *g = &r->given[i];
        size_t k = 0;

        while (except[k] && strcmp(except[k], g->name) != 0)
            k++;
        if (g->stage == stage && !except[k] && words_option(w, g->name, g->value, e) < 0)
            return -1;
    }
    return 0;
}

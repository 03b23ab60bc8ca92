/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_recipe - recipes, and the command line that goes with one: what is taken can be turned into
 * commands or is refused with words, whatever stands in it. The first line is a command line, its
 * words split at blanks; the rest is the recipe. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../pipelines/route.h"

#define WORDS 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t split(char *line, char *word[WORDS])
{
    size_t n = 0;

    for (char *at = strtok(line, " "); at && n + 1 < WORDS; at = strtok(NULL, " "))
        word[n++] = at;
    word[n] = NULL;
    return n;
}

static void take(struct route *t, size_t n, char *word[WORDS], struct err *e)
{
    int used = 1;

    for (size_t i = 0; i < n && used > 0; i += (size_t)used)
        used = route_option(t, (int)(n - i), (const char *const *)word + i, NULL, 0, e);
    if (used < 0 && !e->text[0])
        abort();
}

/* Programs that are not there end it early, as they should. */
static void start(struct route *t, struct err *e)
{
    struct launch *p = launch_create(t->r, "/r", 0, e);

    if (!p && !e->text[0])
        abort();
    if (p && route_parse(t, p, e) == 0)
        route_check(t, e);
    launch_destroy(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct route t = {.stage = NULL};
    struct err e = {0};
    struct recipe *r;
    char *text = malloc(size + 1), *word[WORDS], *line = text, *rest;
    size_t n;

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    rest = strchr(text, '\n');
    if (rest)
        *rest++ = '\0';
    n = split(line, word);
    r = recipe_parse(rest ? rest : "", "fuzz.pipe", 4, &e);
    if (!r && !e.text[0])
        abort();
    if (r && route_open(&t, r, &e) == 0) {
        memset(&e, 0, sizeof e);
        take(&t, n, word, &e);
        if (!e.text[0])
            start(&t, &e);
    }
    if (r)
        route_close(&t);
    recipe_destroy(&r);
    free(text);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* loads - see loads.h. */
#include "loads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/base/log.h"
#include "../common/base/mem.h"
#include "../common/run/journal.h"
#include "../common/run/journal_site.h"
#include "../common/run/override.h"
#include "../common/wire/follow.h"
#include "../stages/solve/solve_forecast.h"

#define ENGINES_TEXT 512

void loads_start(struct loads *l, const struct format *const *formats, size_t count, int act_bits)
{
    l->act_bits = act_bits;
    l->count = count;
    for (size_t i = 0; i < count; i++) {
        l->format[i] = formats[i];
        engine_start(&l->look[i], formats[i]);
    }
}

void loads_add(struct loads *l, const struct solve_command *c, const struct sites *s)
{
    const struct format_linear all = solve_forecast_linear(&c->core, l->act_bits);

    for (size_t i = 0; i < l->count; i++)
        overrides_engines(&c->lines, s, &all, &l->look[i]);
}

static void say(const struct loads *l, size_t i, const char *when)
{
    char text[ENGINES_TEXT];

    if (engine_text(&l->look[i], text, sizeof text))
        log_info("the %s checkpoint %s in %s", l->format[i]->name, when, text);
    else
        log_warn("the %s checkpoint %s in %s", l->format[i]->name, when, text);
}

void loads_say(const struct loads *l)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->look[i].kind.bits) /* else nothing is quantized, or by a solver that is not ours */
            say(l, i, "will load");
}

int loads_fewer(const struct loads *before, const struct loads *after, char text[LOADS_TEXT])
{
    char old[ENGINES_TEXT], new[ENGINES_TEXT];

    *text = '\0';
    for (size_t i = 0; i < after->count; i++) {
        const size_t n = strlen(text);

        if (engine_text(&after->look[i], new, sizeof new) <
            engine_text(&before->look[i], old, sizeof old))
            snprintf(text + n, LOADS_TEXT - n, "%sthe %s checkpoint will load in %s", n ? "; " : "",
                     after->format[i]->name, new);
    }
    return *text != '\0';
}

/* A site as it was solved. */
static void add_solved(struct loads *l, const struct journal_site *x, const struct site *s)
{
    for (size_t k = 0; k < x->nlinears; k++) {
        const struct journal_linear *j = &x->linear[k];
        const struct grid *grid = j->grid ? grid_find(j->grid) : NULL;
        struct format_linear f = {.K = s->inputs,
                                  .N = j->rows > 0 ? (size_t)j->rows : 0,
                                  .site = s->order,
                                  .fused = s->fused,
                                  .experts = site_experts(s),
                                  .kept = j->kept,
                                  .bits = j->bits > 0 ? (int)j->bits : 0,
                                  .group = j->group,
                                  .grid = grid,
                                  .act_bits = l->act_bits,
                                  .symmetric = !grid || !grid->zeros};

        snprintf(f.name, sizeof f.name, "%s", j->name ? j->name : "");
        for (size_t i = 0; i < l->count; i++)
            engine_add(&l->look[i], &f);
    }
}

void loads_end(const struct loads *start, const char *out, const struct sites *s)
{
    struct loads now;
    char *path = mem_printf(NULL, "%s/" FOLLOW_DIR "/" JOURNAL_NAME, out);
    char old[ENGINES_TEXT], new[ENGINES_TEXT];
    int cut;
    struct json *list = path ? journal_read(path, &cut, NULL) : NULL;

    loads_start(&now, start->format, start->count, start->act_bits);
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *j = json_at(list, i);
        const char *kind = json_as_text(json_get(j, "record"));
        struct journal_site x = {.nlinears = 0};
        const struct site *site = NULL;

        if (!kind || strcmp(kind, "site") != 0)
            continue;
        if (journal_site_read(j, &x, path, NULL) == 0)
            site = sites_find(s, (size_t)x.block, x.name);
        if (site)
            add_solved(&now, &x, site);
        journal_site_release(&x);
    }
    for (size_t i = 0; i < now.count; i++) {
        engine_text(&start->look[i], old, sizeof old);
        engine_text(&now.look[i], new, sizeof new);
        if (start->look[i].kind.bits && strcmp(old, new) != 0)
            say(&now, i, "loads, other than was said at the start,");
    }
    json_destroy(&list);
    free(path);
}

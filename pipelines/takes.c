/* SPDX-License-Identifier: Apache-2.0 */
/* takes - see takes.h. */
#include "takes.h"

#include <stdio.h>
#include <string.h>

#include "../common/wire/link.h"
#include "../stages/reduce/reduce_opts.h"
#include "../stages/solve/solve_opts.h"

/* The patterns of --only of a stage that takes some sites only; NULL: it has no such option. */
static const struct opt_texts *only_of(const struct stage *s)
{
    return s->spec == &solve_spec    ? &((const struct solve_command *)s->own)->only
           : s->spec == &reduce_spec ? &((const struct reduce_command *)s->own)->only
                                     : NULL;
}

/* A share, as 2/3, is of one process; the others of its stage have the rest. */
static int only_takes(const struct opt_texts *only, const struct site *x)
{
    char key[64];
    int all = only->count == 0;

    snprintf(key, sizeof key, "b%zu.%s", x->block, x->name);
    for (size_t i = 0; i < only->count; i++)
        all |= strchr(only->text[i], '/') != NULL;
    return all || link_accepts(only->text, only->count, key);
}

static int check_hits(const struct stage *st, const struct sites *s, struct err *e)
{
    const struct opt_texts *only = only_of(st);

    for (size_t i = 0; only && i < only->count; i++) {
        const struct opt_texts one = {.count = 1, .text = {only->text[i]}};
        size_t k = 0;

        while (k < s->count && !only_takes(&one, &s->site[k]))
            k++;
        if (k == s->count)
            return err_set(e, ERR_USE,
                           "--only '%.200s' of ptq-%s hits no site of this model; sites are like "
                           "'%s' or 'b%zu.%s'",
                           only->text[i], st->spec->name, s->site[0].name, s->site[0].block,
                           s->site[0].name);
    }
    return 0;
}

/* A site that nobody takes would be waited for. */
static int check_taken(const struct route *t, const struct stage_spec *spec, const struct sites *s,
                       struct err *e)
{
    for (size_t k = 0; k < s->count && route_stage(t, spec, 0); k++) {
        const struct stage *st;
        size_t i = 0;

        while ((st = route_stage(t, spec, i)) && !only_takes(only_of(st), &s->site[k]))
            i++;
        if (!st)
            return err_set(e, ERR_USE, "no ptq-%s takes site b%zu.%s: widen --only", spec->name,
                           s->site[k].block, s->site[k].name);
    }
    return 0;
}

int takes_check(const struct route *t, const struct sites *s, struct err *e)
{
    int foreign = 0; /* of another program nobody knows what it takes */

    for (size_t i = 0; i < t->r->nstages; i++) {
        foreign |= !t->stage[i];
        if (t->stage[i] && check_hits(t->stage[i], s, e) < 0)
            return -1;
    }
    return foreign                                  ? 0
           : check_taken(t, &reduce_spec, s, e) < 0 ? -1
                                                    : check_taken(t, &solve_spec, s, e);
}

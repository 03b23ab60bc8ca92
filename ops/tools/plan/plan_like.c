/* SPDX-License-Identifier: Apache-2.0 */
/* plan_like - see plan_like.h. */
#include "plan_like.h"

#include <stdlib.h>
#include <string.h>

#include "../../../common/base/mem.h"
#include "../../../stages/forward/forward_opts.h"
#include "../../../stages/reduce/reduce_opts.h"
#include "../../../stages/solve/solve_opts.h"

struct json *like_read(const char *out, struct err *e)
{
    char *path = mem_printf(e, "%s/.ptqflow/run.json", out);
    struct json *run = path ? json_read(path, e) : NULL;

    if (path && !run)
        err_prefix(e, "--like %s: the output of a finished run is wanted", out);
    else if (run && (!json_as_text(json_get(run, "recipe")) ||
                     json_kind(json_get(run, "variables")) != JSON_KIND_OBJECT ||
                     json_kind(json_get(run, "stages")) != JSON_KIND_ARRAY)) {
        err_set(e, ERR_USE, "--like: %s: 'recipe', 'variables' or 'stages' is missing", path);
        json_destroy(&run);
    }
    free(path);
    return run;
}

const char *like_recipe(const struct json *run)
{
    return json_as_text(json_get(run, "recipe"));
}

/* value: the text, or for an option without one true. */
static int option(struct route *t, const char *name, const struct json *value, struct err *e)
{
    const char *text = json_as_text(value);
    char *typed = mem_printf(e, "--%s", name);
    const char *word[] = {typed, text};
    const int rc = typed ? route_option(t, text ? 2 : 1, word, NULL, 0, e) : -1;

    free(typed);
    return rc < 0 ? -1 : 0;
}

/* It is the work that counts, not where it came from or went to. */
static int is_place(const char *name)
{
    static const char *const places[] = {"data", "out", "record"};

    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (strcmp(name, places[i]) == 0)
            return 1;
    return 0;
}

int like_apply(const struct json *run, struct route *t, struct err *e)
{
    const struct json *all = json_get(run, "variables");

    for (size_t i = 0; i < json_count(all); i++) {
        const char *name;
        const struct json *value = json_member(all, i, &name);
        const int list = json_kind(value) == JSON_KIND_ARRAY;

        if (is_place(name) || json_kind(value) == JSON_KIND_NULL)
            continue;
        for (size_t k = 0; k < (list ? json_count(value) : 1); k++)
            if (option(t, name, list ? json_at(value, k) : value, e) < 0)
                return err_prefix(e, "--like");
    }
    return route_apply(t, e);
}

/* CPU seconds of all stages of that program; spec NULL: of those of none of the three. */
static double seconds_of(const struct json *run, const struct route *t,
                         const struct stage_spec *spec)
{
    const struct json *stages = json_get(run, "stages");
    double sum = 0;

    for (size_t i = 0; i < json_count(stages); i++) {
        const char *name = json_text_or(json_at(stages, i), "name", "");

        for (size_t k = 0; k < t->r->nstages; k++) {
            const struct stage_spec *is = t->stage[k] ? t->stage[k]->spec : NULL;
            const int other = is != &forward_spec && is != &reduce_spec && is != &solve_spec;

            if (strcmp(t->r->stage[k].name, name) == 0 && (spec ? is == spec : other))
                sum += json_real_or(json_at(stages, i), "cpu_s", 0);
        }
    }
    return sum;
}

int like_speeds(const struct json *run, const struct route *t, const struct preview *p,
                struct hosts_speeds *s, struct err *e)
{
    const double forward = seconds_of(run, t, &forward_spec),
                 sums = seconds_of(run, t, &reduce_spec), solve = seconds_of(run, t, &solve_spec);

    if (!(forward > 0 && sums > 0 && solve > 0))
        return err_set(e, ERR_USE,
                       "--like: the run has no stage that ran ptq-forward, ptq-reduce or ptq-solve "
                       "and took time");
    *s = (struct hosts_speeds){.forward = p->flops_forward / forward,
                               .sums = p->flops_reduce / sums,
                               .solve = p->flops_solve / solve,
                               .beside = seconds_of(run, t, NULL)};
    return 0;
}

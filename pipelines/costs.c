/* SPDX-License-Identifier: Apache-2.0 */
/* costs - wall, CPU and memory of a run's stages, from what the kernel counted (wait4). */
#include "costs.h"

#include <stdlib.h>
#include <string.h>

#include "../common/base/fs.h"
#include "../common/base/json.h"
#include "../common/base/mem.h"
#include "../common/base/version.h"

struct stage_cost {
    size_t processes;
    double wall; /* of the longest of them */
    double cpu;
    double rss_max, rss_sum; /* MiB, peak */
};

static void stage_cost_add(struct stage_cost *sum, const struct child *c)
{
    double wall = c->ended - c->started, rss = (double)c->usage.ru_maxrss / 1024;

    sum->processes++;
    sum->wall = wall > sum->wall ? wall : sum->wall;
    sum->cpu += (double)c->usage.ru_utime.tv_sec + (double)c->usage.ru_utime.tv_usec * 1e-6 +
                (double)c->usage.ru_stime.tv_sec + (double)c->usage.ru_stime.tv_usec * 1e-6;
    sum->rss_max = rss > sum->rss_max ? rss : sum->rss_max;
    sum->rss_sum += c->past ? 0 : rss; /* those that take their place stand beside the others */
}

/* stage == r->nstages: of all. */
static struct stage_cost stage_cost_of(const struct recipe *r, const struct supervise *s,
                                       size_t stage)
{
    struct stage_cost sum = {0};

    for (size_t i = 0; i < s->plan->count; i++)
        if (s->child[i].exited && (stage == r->nstages || s->plan->process[i].stage == stage))
            stage_cost_add(&sum, &s->child[i]);
    return sum;
}

void costs_print(FILE *f, const struct recipe *r, const struct supervise *s)
{
    struct stage_cost c = stage_cost_of(r, s, r->nstages);

    fprintf(f, "%-10s %9s %9s %9s %7s %14s\n", "stage", "processes", "wall s", "CPU s", "load",
            "peak MiB each");
    for (size_t i = 0; i < r->nstages; i++) {
        struct stage_cost one = stage_cost_of(r, s, i);

        fprintf(f, "%-10s %9zu %9.1f %9.1f %6.0f%% %14.0f\n", r->stage[i].name, one.processes,
                one.wall, one.cpu, one.wall > 0 ? 100 * one.cpu / one.wall : 0, one.rss_max);
    }
    fprintf(f, "%-10s %9zu %9.1f %9.1f %6.0f%% %14.0f (sum)\n", "all", c.processes, s->seconds,
            c.cpu, s->seconds > 0 ? 100 * c.cpu / s->seconds : 0, c.rss_sum);
}

static int stage_cost_fill(struct json *o, const char *name, const struct stage_cost *c)
{
    return json_set_text(o, "name", name) || json_set_int(o, "processes", (int64_t)c->processes) ||
           json_set_real(o, "wall_s", c->wall) || json_set_real(o, "cpu_s", c->cpu) ||
           json_set_real(o, "peak_rss_mib", c->rss_max) ||
           json_set_real(o, "peak_rss_sum_mib", c->rss_sum);
}

/* What the user gave of the stages' options, as typed; what was given several times is an array. */
static struct json *given(struct json *o, const struct recipe *r)
{
    for (size_t i = 0; o && i < r->ngiven; i++) {
        const struct recipe_given *g = &r->given[i];
        struct json *value = NULL;

        if (json_get(o, g->typed))
            continue;
        for (size_t k = i; k < r->ngiven; k++) {
            const struct recipe_given *x = &r->given[k];
            struct json *one, *list;

            if (x->stage != g->stage || strcmp(x->typed, g->typed) != 0)
                continue; /* the same option of another stage has the same values */
            one = x->value ? json_new_text(x->value) : json_new_bool(1);
            if (value && json_kind(value) != JSON_KIND_ARRAY) {
                list = json_new_array();
                json_push(list, value);
                value = list;
            }
            if (value)
                json_push(value, one);
            else
                value = one;
        }
        if (json_set(o, g->typed, value) != 0)
            json_destroy(&o);
    }
    return o;
}

static struct json *variables(const struct recipe *r)
{
    struct json *o = json_new_object();

    for (size_t i = 0; i < r->nvars; i++) {
        const struct recipe_var *v = &r->var[i];
        struct json *value = v->is_list ? json_new_array()
                             : v->count ? json_new_text(v->value[0])
                                        : json_new_null();

        for (size_t k = 0; v->is_list && k < v->count; k++)
            json_push(value, json_new_text(v->value[k]));
        if (json_set(o, v->name, value) != 0)
            json_destroy(&o);
    }
    return given(o, r);
}

static struct json *record(const struct recipe *r, const struct supervise *s)
{
    struct json *o = json_new_object(), *stages = json_new_array();
    struct stage_cost all = stage_cost_of(r, s, r->nstages);

    all.wall = s->seconds;
    for (size_t i = 0; i < r->nstages; i++) {
        struct stage_cost one = stage_cost_of(r, s, i);
        struct json *j = json_new_object();

        if (stage_cost_fill(j, r->stage[i].name, &one) != 0 || json_push(stages, j) != 0)
            json_destroy(&stages);
    }
    if (stage_cost_fill(o, "all", &all) != 0 || json_set_text(o, "version", PTQ_VERSION) != 0 ||
        json_set_text(o, "recipe", r->path) != 0 || json_set(o, "variables", variables(r)) != 0 ||
        json_set(o, "stages", stages) != 0)
        json_destroy(&o);
    return o;
}

int costs_write(const char *out, const struct recipe *r, const struct supervise *s, struct err *e)
{
    struct json *o = record(r, s);
    char *text = o ? json_print(o, 2, e) : NULL;
    char *dir = mem_printf(e, "%s/.ptqflow", out);
    char *path = dir ? fs_join(dir, "run.json", e) : NULL;
    int rc = -1;

    if (!o)
        err_set(e, ERR_SYS, "no memory for the record of the run");
    if (text && path && fs_mkdir(dir, e) == 0)
        rc = fs_publish(path, text, strlen(text), e);
    free(path);
    free(dir);
    free(text);
    json_destroy(&o);
    return rc;
}

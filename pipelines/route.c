/* SPDX-License-Identifier: Apache-2.0 */
/* route - see route.h. */
#include "route.h"

#include <stdlib.h>
#include <string.h>

#include "../common/base/mem.h"
#include "../common/base/near.h"
#include "specs.h"

#define NAME_MAX_BYTES 80

/* Asked of ptq run, or of a stage that runs alone. */
static const char *const kept[] = {"quiet", "list", NULL};

int route_open(struct route *t, struct recipe *r, struct err *e)
{
    t->r = r;
    t->stage = mem_array(r->nstages, sizeof *t->stage, e);
    for (size_t i = 0; t->stage && i < r->nstages; i++) {
        const struct stage_spec *spec = specs_find(r->stage[i].word[0]);

        if (spec && !(t->stage[i] = stage_open(spec, e)))
            return -1;
    }
    return t->stage ? 0 : -1;
}

void route_close(struct route *t)
{
    for (size_t i = 0; t->stage && i < t->r->nstages; i++)
        stage_close(&t->stage[i]);
    free(t->stage);
    t->stage = NULL;
}

static int is_kept(const char *name)
{
    for (size_t i = 0; kept[i]; i++)
        if (strcmp(kept[i], name) == 0)
            return 1;
    return 0;
}

static const struct opt *row_of(const struct route *t, size_t stage, const char *name)
{
    const struct stage *s = t->stage[stage];

    return s && !is_kept(name) ? opt_find(s->group, s->ngroups, name, strlen(name), NULL) : NULL;
}

/* What the recipe's line says of an option: its value, "" for a flag, NULL: nothing. */
static const char *said(const struct recipe_stage *st, const struct opt *row)
{
    const size_t n = strlen(row->name);

    for (size_t i = 1; i < st->nwords; i++) {
        const char *word = st->word[i];

        if (strncmp(word, "--", 2) != 0 || strncmp(word + 2, row->name, n) != 0)
            continue;
        if (word[n + 2] == '=')
            return word + n + 3;
        if (!word[n + 2])
            return row->type == OPT_FLAG || i + 1 == st->nwords ? "" : st->word[i + 1];
    }
    return NULL;
}

static int is_wired(const struct recipe_stage *st, const struct opt *row)
{
    const char *value = said(st, row);

    return row->wiring || (value && (strchr(value, '%') || strstr(value, "${")));
}

/* ---- one option ---- */

struct name {
    char typed[NAME_MAX_BYTES];
    const char *name; /* behind the stage, in typed */
    size_t stage;     /* SIZE_MAX: all */
    const char *value;
};

static int stage_at(const struct recipe *r, const char *name, size_t n, size_t *at)
{
    for (*at = 0; *at < r->nstages; (*at)++)
        if (strlen(r->stage[*at].name) == n && memcmp(r->stage[*at].name, name, n) == 0)
            return 0;
    return -1;
}

static int taken(const struct route *t, size_t stage, const char *name)
{
    const struct opt *row = row_of(t, stage, name);

    return row && !is_wired(&t->r->stage[stage], row);
}

static void each_of_stage(const struct route *t, size_t stage, route_take *take, void *ctx)
{
    struct route_choice x = {.stage = t->r->stage[stage].name};

    for (size_t g = 0; t->stage[stage] && g < t->stage[stage]->ngroups; g++)
        for (const struct opt *o = t->stage[stage]->group[g].rows; o->name; o++) {
            if (!taken(t, stage, o->name))
                continue;
            x.name = o->name;
            x.row = o;
            x.again = recipe_find(t->r, o->name) != NULL;
            for (size_t i = 0; i < stage && !x.again; i++)
                x.again = taken(t, i, o->name);
            take(ctx, &x);
        }
}

void route_each(const struct route *t, route_take *take, void *ctx)
{
    for (size_t i = 0; i < t->r->nvars; i++)
        take(ctx, &(struct route_choice){.name = t->r->var[i].name, .var = &t->r->var[i]});
    for (size_t i = 0; i < t->r->nstages; i++)
        each_of_stage(t, i, take, ctx);
}

static void try_choice(void *near, const struct route_choice *x)
{
    near_try(near, x->name);
}

static int unknown(const struct route *t, const struct name *x, const struct opt_group *own,
                   size_t nown, struct err *e)
{
    struct near near = near_start(x->name, strlen(x->name));

    near_try(&near, "help");
    for (size_t g = 0; g < nown; g++)
        for (const struct opt *o = own[g].rows; o->name; o++)
            near_try(&near, o->name);
    route_each(t, try_choice, &near);
    return err_set(e, ERR_USE, "unknown option '--%s'%s%s%s (see ptq run %s --help)", x->typed,
                   near.name ? ": did you mean --" : "", near.name ? near.name : "",
                   near.name ? "?" : "", t->r->path);
}

/* Of the stages that x is for, those whose programs have the option: how many, how many of these
 * the recipe wires itself, and one row of it. */
static size_t find_rows(const struct route *t, const struct name *x, size_t *wired, size_t *where,
                        const struct opt **row)
{
    size_t found = 0;

    *wired = 0;
    for (size_t i = 0; i < t->r->nstages; i++) {
        const struct opt *one =
            x->stage == SIZE_MAX || x->stage == i ? row_of(t, i, x->name) : NULL;

        if (!one)
            continue;
        *wired += (size_t)is_wired(&t->r->stage[i], one);
        if (!found++ || *wired + 1 == found) { /* the first, or the first that is not wired */
            *row = one;
            *where = i;
        }
    }
    return found;
}

static int give(struct route *t, const struct name *x, struct err *e)
{
    for (size_t i = 0; i < t->r->nstages; i++) {
        const struct opt *row =
            x->stage == SIZE_MAX || x->stage == i ? row_of(t, i, x->name) : NULL;

        if (row && !is_wired(&t->r->stage[i], row) &&
            (opt_check(row, x->typed, x->value, e) < 0 ||
             recipe_give(t->r, i, x->typed, x->name, x->value, row->type == OPT_TEXTS, e) < 0))
            return -1;
    }
    return 0;
}

static int split_name(const struct route *t, const char *word, struct name *x, struct err *e)
{
    const char *eq = strchr(word, '='), *dot;
    const size_t n = eq ? (size_t)(eq - word) : strlen(word);

    if (strncmp(word, "--", 2) != 0 || n < 3)
        return err_set(e, ERR_USE,
                       "'%s' is one word too many: after the recipe come options (--name value)",
                       word);
    if (n - 2 >= sizeof x->typed)
        return err_set(e, ERR_USE, "unknown option '%.80s'", word);
    memcpy(x->typed, word + 2, n - 2);
    x->typed[n - 2] = '\0';
    x->value = eq ? eq + 1 : NULL;
    x->stage = SIZE_MAX;
    x->name = x->typed;
    dot = strchr(x->typed, '.');
    if (!dot)
        return 0;
    x->name = dot + 1;
    if (stage_at(t->r, x->typed, (size_t)(dot - x->typed), &x->stage) < 0)
        return err_set(e, ERR_USE, "option '--%s': %s has no stage '%.*s'", x->typed, t->r->path,
                       (int)(dot - x->typed), x->typed);
    if (!t->stage[x->stage])
        return err_set(e, ERR_USE,
                       "option '--%s': stage '%s' runs '%s', whose options stand in the recipe",
                       x->typed, t->r->stage[x->stage].name, t->r->stage[x->stage].word[0]);
    return 0;
}

/* The next word is the value, unless the option has it already or takes none. */
static int take_value(struct name *x, int flag, int argc, const char *const *argv, struct err *e)
{
    if (x->value || flag)
        return 1;
    if (argc < 2)
        return err_set(e, ERR_USE, "option '--%s' needs a value", x->typed);
    x->value = argv[1];
    return 2;
}

int route_option(struct route *t, int argc, const char *const *argv, const struct opt_group *own,
                 size_t nown, struct err *e)
{
    struct name x = {.name = NULL};
    const struct recipe_var *v;
    const struct opt *row = NULL;
    size_t wired = 0, found, where = 0;
    int n;

    if (split_name(t, argv[0], &x, e) < 0)
        return -1;
    v = recipe_find(t->r, x.typed);
    if (v) {
        n = take_value(&x, v->is_flag, argc, argv, e);
        if (n < 0 || recipe_set(t->r, v->name, v->is_flag && !x.value ? argv[0] : x.value, e) < 0)
            return -1;
        return n;
    }
    found = find_rows(t, &x, &wired, &where, &row);
    if (!found)
        return unknown(t, &x, own, nown, e);
    if (found == wired) {
        const char *value = said(&t->r->stage[where], row);
        const int cores = value && strstr(value, ".threads}");

        return err_set(e, ERR_USE,
                       "option '--%s': how stage '%s' is run is the recipe's to say%s%s%s", x.typed,
                       t->r->stage[where].name, value ? ": " : "", value ? value : "",
                       cores ? ", the cores shared out among its processes; to use fewer cores: "
                               "taskset -c 0-1 ptq run ...; fewer processes: --workers STAGE=N"
                             : "");
    }
    n = take_value(&x, row->type == OPT_FLAG, argc, argv, e);
    return n < 0 || give(t, &x, e) < 0 ? -1 : n;
}

int route_variables(const struct route *t, const char *command, const struct opt_group *own,
                    size_t nown, struct err *e)
{
    void *values;

    for (size_t i = 0; i < t->r->nvars; i++) {
        const char *name = t->r->var[i].name;

        if (strcmp(name, "help") == 0 || opt_find(own, nown, name, strlen(name), &values))
            return err_set(e, ERR_USE,
                           "%s: a variable cannot be called '%s': %s has an option of that name",
                           t->r->path, name, command);
    }
    return 0;
}

int route_pair(struct route *t, const char *pair, const struct opt_group *own, size_t nown,
               struct err *e)
{
    char *word = mem_printf(e, "--%s", pair);
    const char *argv[] = {word, NULL};
    int rc = -1;

    if (word && !strchr(pair, '='))
        err_set(e, ERR_USE, "option '--set': '%.80s' is not NAME=VALUE", pair);
    else if (word)
        rc = route_option(t, 1, argv, own, nown, e);
    if (rc < 0 && word && strchr(pair, '='))
        err_prefix(e, "--set %.80s", pair);
    free(word);
    return rc < 0 ? -1 : 0;
}

/* ---- all of them ---- */

/* A stage takes its arguments' first letter '-' for that of an option. */
static int check_out_name(const struct route *t, struct err *e)
{
    const char *out = recipe_value(t->r, "out");

    return !out || out[0] != '-'
               ? 0
               : err_set(e, ERR_USE, "--out '%s' would be taken for an option: say --out ./%s", out,
                         out);
}

int route_parse(struct route *t, const struct launch *p, struct err *e)
{
    if (check_out_name(t, e) < 0)
        return -1;
    for (size_t i = 0; i < p->count; i++) {
        const size_t k = p->process[i].stage;
        int rc;

        if (!t->stage[k] || (i > 0 && p->process[i - 1].stage == k))
            continue;
        rc = stage_parse(t->stage[k], (int)p->process[i].argc, p->process[i].argv, e);
        if (rc > 0)
            return err_set(e, ERR_USE, "%s:%d: stage '%s' only asks for help", t->r->path,
                           t->r->stage[k].line, t->r->stage[k].name);
        if (rc < 0)
            return err_prefix(e, "stage '%s'", t->r->stage[k].name);
    }
    return 0;
}

int route_check(const struct route *t, struct err *e)
{
    for (size_t i = 0; i < t->r->nstages; i++)
        if (t->stage[i] && stage_check(t->stage[i], e) < 0)
            return err_prefix(e, "stage '%s'", t->r->stage[i].name);
    return 0;
}

const struct stage *route_stage(const struct route *t, const struct stage_spec *spec, size_t i)
{
    for (size_t k = 0; k < t->r->nstages; k++)
        if (t->stage[k] && t->stage[k]->spec == spec && i-- == 0)
            return t->stage[k];
    return NULL;
}

size_t route_count(const struct route *t, const struct stage_spec *spec)
{
    size_t n = 0;

    for (size_t i = 0; i < t->r->nstages; i++)
        n += t->stage[i] && t->stage[i]->spec == spec ? t->r->stage[i].count : 0;
    return n;
}

/* What the recipe's line gives an option, if that is a plain value or a variable's; else NULL. */
static const char *plain(const struct recipe *r, const char *value)
{
    char name[NAME_MAX_BYTES];
    const size_t n = value ? strlen(value) : 0;

    if (!value || strchr(value, '%'))
        return NULL;
    if (!strstr(value, "${"))
        return value;
    if (n < 4 || n - 3 >= sizeof name || strncmp(value, "${", 2) != 0 || value[n - 1] != '}')
        return NULL;
    memcpy(name, value + 2, n - 3);
    name[n - 3] = '\0';
    return recipe_value(r, name);
}

static int apply_row(struct route *t, size_t i, const struct opt *o, void *values, struct err *e)
{
    const struct recipe *r = t->r;
    const char *value;

    if (o->wiring)
        return 0;
    for (size_t k = 0; k < r->ngiven; k++)
        if (r->given[k].stage == i && strcmp(r->given[k].name, o->name) == 0 &&
            opt_set(o, values, r->given[k].typed, r->given[k].value, e) < 0)
            return -1;
    value = plain(r, said(&r->stage[i], o));
    if (!value || recipe_gave(r, i, o->name, strlen(o->name)) ||
        opt_set(o, values, o->name, o->type == OPT_FLAG ? NULL : value, e) == 0)
        return 0;
    return err_prefix(e, "%s:%d", r->path, r->stage[i].line);
}

int route_apply(struct route *t, struct err *e)
{
    for (size_t i = 0; i < t->r->nstages; i++)
        for (size_t g = 0; t->stage[i] && g < t->stage[i]->ngroups; g++)
            for (const struct opt *o = t->stage[i]->group[g].rows; o->name; o++)
                if (apply_row(t, i, o, t->stage[i]->group[g].values, e) < 0)
                    return -1;
    return 0;
}

const char *route_model(const struct route *t)
{
    for (size_t i = 0; i < t->r->nstages; i++) {
        const struct stage *s = t->stage[i];
        void *values = NULL;
        const struct opt *o = s ? opt_find(s->group, s->ngroups, "model", 5, &values) : NULL;
        const char *text =
            o && o->type == OPT_TEXT
                ? *(const char *const *)(const void *)((const char *)values + o->offset)
                : NULL;

        if (text)
            return text;
    }
    return NULL;
}

/* ---- help ---- */

struct shown {
    const struct route *t;
    size_t stage;
};

/* How many stages take the option from the command line. */
static size_t takers(const struct route *t, const char *name)
{
    size_t n = 0;

    for (size_t i = 0; i < t->r->nstages; i++)
        n += (size_t)taken(t, i, name);
    return n;
}

/* Not of this stage alone: wired, asked of ptq run, or in the list of those of several. */
static int drop(void *ctx, const char *name)
{
    const struct shown *x = ctx;

    return !taken(x->t, x->stage, name) || recipe_find(x->t->r, name) || takers(x->t, name) > 1;
}

/* Not of several stages, or shown for a stage before. */
static int drop_single(void *ctx, const char *name)
{
    const struct shown *x = ctx;

    if (!taken(x->t, x->stage, name) || recipe_find(x->t->r, name) || takers(x->t, name) < 2)
        return 1;
    for (size_t i = 0; i < x->stage; i++)
        if (taken(x->t, i, name))
            return 1;
    return 0;
}

/* Those of one stage; of the groups that all programs share the title says nothing. */
static void help_of(const struct route *t, size_t i, FILE *f, const char *title)
{
    for (size_t g = 0; g < t->stage[i]->ngroups; g++) {
        struct opt_group group = t->stage[i]->group[g];
        const int named = group.title && group.rows != t->stage[i]->row;
        struct shown x = {t, i};
        char text[200];

        snprintf(text, sizeof text, "%.110s%s%.80s", title, named ? ": " : "",
                 named ? group.title : "");
        group.title = text;
        opt_print(f, &group, drop, &x);
    }
}

static void help_shared(const struct route *t, FILE *f)
{
    int said = 0;

    for (size_t i = 0; i < t->r->nstages; i++)
        for (size_t g = 0; t->stage[i] && g < t->stage[i]->ngroups; g++) {
            struct opt_group group = t->stage[i]->group[g];
            struct shown x = {t, i};

            for (const struct opt *o = group.rows; o->name && !said; o++)
                if (!drop_single(&x, o->name) && (said = 1))
                    fprintf(f, "\nOf several stages (--STAGE.NAME: of one of them):\n");
            group.title = "";
            opt_print(f, &group, drop_single, &x);
        }
}

void route_help(const struct route *t, FILE *f)
{
    char title[120];

    help_shared(t, f);
    for (size_t i = 0; i < t->r->nstages; i++) {
        snprintf(title, sizeof title, "Stage %s (%s)", t->r->stage[i].name, t->r->stage[i].word[0]);
        if (t->stage[i])
            help_of(t, i, f, title);
        else
            fprintf(f, "\n%s: its options stand in the recipe\n", title);
    }
}

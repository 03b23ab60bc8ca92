/* SPDX-License-Identifier: Apache-2.0 */
/* recipe - parsing of recipes (format: recipe.h). Leaves out what a shell has: quotes, globs,
 * conditions. */
#include "recipe.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/base/mem.h"
#include "../common/base/near.h"
#include "../stages/sample/sample.h"

#define WORKERS_MAX 1024

static int name_ok(const char *s, size_t n)
{
    if (n == 0 || n > 63 || !islower((unsigned char)s[0]))
        return 0;
    for (size_t i = 0; i < n; i++)
        if (!islower((unsigned char)s[i]) && !isdigit((unsigned char)s[i]) && s[i] != '-' &&
            s[i] != '_')
            return 0;
    return 1;
}

static char *text_n(const char *s, size_t n, struct err *e)
{
    char *t = mem_array(n + 1, 1, e);

    if (t)
        memcpy(t, s, n);
    return t;
}

/* A copy of s[0..n) without blanks at both ends. */
static char *text_trim(const char *s, size_t n, struct err *e)
{
    while (n && isspace((unsigned char)*s)) {
        s++;
        n--;
    }
    while (n && isspace((unsigned char)s[n - 1]))
        n--;
    return text_n(s, n, e);
}

static int bad(const struct recipe *r, int line, struct err *e, const char *fmt, const char *arg)
{
    err_set(e, ERR_USE, fmt, arg);
    return err_prefix(e, "%s:%d", r->path, line);
}

/* `name = value   # help`, after the keyword. */
static int parse_var(struct recipe *r, const char *s, size_t n, const char *keyword, int line,
                     struct err *e)
{
    const char *eq = memchr(s, '=', n);
    const char *hash = NULL, *end = s + n;
    struct recipe_var *v;
    char *value = NULL;
    void *grown;

    if (!eq)
        return bad(r, line, e, "expected '%s name = value   # help'", keyword);
    for (const char *p = eq + 1; p < end && !hash; p++)
        if (*p == '#' && isspace((unsigned char)p[-1]))
            hash = p;
    grown = realloc(r->var, (r->nvars + 1) * sizeof *r->var);
    if (!grown)
        return err_sys(e, "%s", r->path);
    r->var = grown;
    v = &r->var[r->nvars];
    memset(v, 0, sizeof *v);
    v->line = line;
    v->is_list = strcmp(keyword, "list") == 0 || strcmp(keyword, "options") == 0;
    v->is_flag = strcmp(keyword, "flag") == 0;
    v->is_option = v->is_flag || strncmp(keyword, "option", 6) == 0;
    v->name = text_trim(s, (size_t)(eq - s), e);
    v->help = hash ? text_trim(hash + 1, (size_t)(end - hash - 1), e) : text_n("", 0, e);
    value = text_trim(eq + 1, (size_t)((hash ? hash : end) - eq - 1), e);
    r->nvars++;
    if (!v->name || !v->help || !value) {
        free(value);
        return -1;
    }
    if (*value)
        v->value[v->count++] = value;
    else
        free(value);
    if (v->is_flag && v->count)
        return bad(r, line, e, "flag '%s' cannot have a value: it is given or not", v->name);
    if (!name_ok(v->name, strlen(v->name)))
        return bad(r, line, e, "'%s' is no name for a variable: use a-z, 0-9, - and _", v->name);
    if (strcmp(v->name, "cores") == 0)
        return bad(r, line, e, "a variable cannot be called '%s': ${cores} is the machine's",
                   v->name);
    if (recipe_find(r, v->name) != v)
        return bad(r, line, e, "variable '%s' is set a second time", v->name);
    return 0;
}

static int parse_count(struct recipe *r, struct recipe_stage *st, const char *s, size_t n,
                       struct err *e)
{
    char text[32], *end;
    unsigned long v;

    snprintf(text, sizeof text, "%.*s", (int)(n < 31 ? n : 31), s);
    st->many = 1;
    if (strcmp(text, "cores") == 0) {
        /* more workers than lanes have nothing to do */
        st->count = r->cores < SAMPLE_LANES ? r->cores : SAMPLE_LANES;
        return 0;
    }
    v = isdigit((unsigned char)*text) ? strtoul(text, &end, 10) : 0;
    if (v < 1 || v > WORKERS_MAX || *end)
        return bad(r, st->line, e,
                   "count '%s' of a stage: expected a number from 1 to 1024, or cores", text);
    st->count = v;
    return 0;
}

static int parse_words(struct recipe *r, struct recipe_stage *st, const char *s, const char *end,
                       struct err *e)
{
    while (s < end) {
        const char *from;
        void *grown;

        while (s < end && isspace((unsigned char)*s))
            s++;
        if (s == end)
            break;
        if (*s == '#')
            break;
        for (from = s; s < end && !isspace((unsigned char)*s); s++)
            ;
        grown = realloc(st->word, (st->nwords + 1) * sizeof *st->word);
        if (!grown)
            return err_sys(e, "%s", r->path);
        st->word = grown;
        st->word[st->nwords] = text_n(from, (size_t)(s - from), e);
        if (!st->word[st->nwords])
            return -1;
        st->nwords++;
    }
    return st->nwords ? 0 : bad(r, st->line, e, "stage '%s' has no command", st->name);
}

/* What stands between a stage's name and its colon: nothing, or the mark. */
static int parse_mark(struct recipe *r, struct recipe_stage *st, const char *s, const char *end,
                      struct err *e)
{
    char *mark = text_trim(s, (size_t)(end - s), e);
    int rc = mark ? 0 : -1;

    if (mark && *mark && strcmp(mark, "elastic") != 0)
        rc = bad(r, st->line, e, "'%s' before the colon of a stage: only 'elastic' may stand there",
                 mark);
    st->elastic = mark && *mark;
    free(mark);
    return rc;
}

/* `name*count elastic: command` */
static int parse_stage(struct recipe *r, const char *s, size_t n, int line, struct err *e)
{
    const char *end = s + n, *colon = memchr(s, ':', n), *name_end = s, *star;
    struct recipe_stage *st;
    void *grown;

    while (name_end < end && *name_end != ':' && !isspace((unsigned char)*name_end))
        name_end++;
    if (!colon) {
        char head[40];

        snprintf(head, sizeof head, "%.*s", (int)(n < 39 ? n : 39), s);
        return bad(
            r, line, e,
            "'%s': expected 'name: command', 'name*count: command', 'name elastic: command', "
            "'set', 'list', 'option', 'options' or 'flag'",
            head);
    }
    grown = realloc(r->stage, (r->nstages + 1) * sizeof *r->stage);
    if (!grown)
        return err_sys(e, "%s", r->path);
    r->stage = grown;
    st = &r->stage[r->nstages++];
    memset(st, 0, sizeof *st);
    st->line = line;
    st->count = 1;
    star = memchr(s, '*', (size_t)(name_end - s));
    st->name = text_n(s, (size_t)((star ? star : name_end) - s), e);
    if (!st->name)
        return -1;
    if (!name_ok(st->name, strlen(st->name)))
        return bad(r, line, e, "'%s' is no name for a stage: use a-z, 0-9, - and _", st->name);
    for (size_t i = 0; i + 1 < r->nstages; i++)
        if (strcmp(r->stage[i].name, st->name) == 0)
            return bad(r, line, e,
                       "stage '%s' is there already: name*count gives it more processes", st->name);
    if (star && parse_count(r, st, star + 1, (size_t)(name_end - star - 1), e) < 0)
        return -1;
    if (parse_mark(r, st, name_end, colon, e) < 0)
        return -1;
    return parse_words(r, st, colon + 1, end, e);
}

static int parse_line(struct recipe *r, const char *s, size_t n, int line, struct err *e)
{
    static const char *const keywords[] = {"set", "list", "option", "options", "flag"};

    while (n && isspace((unsigned char)*s)) {
        s++;
        n--;
    }
    while (n && isspace((unsigned char)s[n - 1]))
        n--;
    if (n == 0)
        return 0;
    if (*s == '#') {
        if (!*r->about && n > 2 && r->nvars == 0 && r->nstages == 0) {
            free(r->about);
            r->about = text_trim(s + 1, n - 1, e);
        }
        return r->about ? 0 : -1;
    }
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
        size_t k = strlen(keywords[i]);

        if (n > k + 1 && memcmp(s, keywords[i], k) == 0 && isspace((unsigned char)s[k]))
            return parse_var(r, s + k + 1, n - k - 1, keywords[i], line, e);
    }
    return parse_stage(r, s, n, line, e);
}

/* Joins lines that end in a backslash and hands each logical line on with the number of its
 * first. */
static int parse_lines(struct recipe *r, const char *text, struct err *e)
{
    char *joined = mem_array(strlen(text) + 1, 1, e);
    size_t n = 0;
    int line = 0, first = 0, rc = joined ? 0 : -1;

    if (strncmp(text, "\xEF\xBB\xBF", 3) == 0) /* a byte order mark */
        text += 3;
    while (rc == 0 && *text) {
        size_t len = strcspn(text, "\n"), keep = len;

        line++;
        if (n == 0)
            first = line;
        if (keep && text[keep - 1] == '\r')
            keep--;
        if (keep && text[keep - 1] == '\\') {
            memcpy(joined + n, text, keep - 1);
            n += keep - 1;
            joined[n++] = ' ';
        } else {
            memcpy(joined + n, text, keep);
            rc = parse_line(r, joined, n + keep, first, e);
            n = 0;
        }
        text += len + (text[len] == '\n');
    }
    if (rc == 0 && n)
        rc = parse_line(r, joined, n, first, e);
    free(joined);
    return rc;
}

struct recipe *recipe_parse(const char *text, const char *path, size_t cores, struct err *e)
{
    struct recipe *r = mem_array(1, sizeof *r, e);

    if (!r)
        return NULL;
    r->cores = cores ? cores : 1;
    r->path = mem_text(path, e);
    r->about = mem_text("", e);
    if (!r->path || !r->about || parse_lines(r, text, e) < 0)
        goto bad;
    if (r->nstages == 0) {
        err_set(e, ERR_USE, "%s: a recipe needs a stage: 'name: command'", path);
        goto bad;
    }
    return r;
bad:
    recipe_destroy(&r);
    return NULL;
}

void recipe_destroy(struct recipe **rp)
{
    struct recipe *r = *rp;

    if (!r)
        return;
    for (size_t i = 0; i < r->nvars; i++) {
        for (size_t k = 0; k < r->var[i].count; k++)
            free(r->var[i].value[k]);
        free(r->var[i].name);
        free(r->var[i].help);
    }
    for (size_t i = 0; i < r->nstages; i++) {
        for (size_t k = 0; k < r->stage[i].nwords; k++)
            free(r->stage[i].word[k]);
        free(r->stage[i].word);
        free(r->stage[i].name);
    }
    for (size_t i = 0; i < r->ngiven; i++) {
        free(r->given[i].typed);
        free(r->given[i].name);
        free(r->given[i].value);
    }
    free(r->given);
    free(r->var);
    free(r->stage);
    free(r->path);
    free(r->about);
    free(r);
    *rp = NULL;
}

const struct recipe_var *recipe_find(const struct recipe *r, const char *name)
{
    for (size_t i = 0; i < r->nvars; i++)
        if (r->var[i].name && strcmp(r->var[i].name, name) == 0)
            return &r->var[i];
    return NULL;
}

const char *recipe_value(const struct recipe *r, const char *name)
{
    const struct recipe_var *v = recipe_find(r, name);

    return v && v->count ? v->value[0] : NULL;
}

int recipe_set(struct recipe *r, const char *name, const char *value, struct err *e)
{
    const struct recipe_var *found = recipe_find(r, name);
    struct recipe_var *v;
    char *copy;

    if (!found)
        return err_set(e, ERR_USE, "%s has no variable '%s'", r->path, name);
    v = &r->var[found - r->var];
    if (!*value)
        return err_set(e, ERR_USE, "option '--%s' has an empty value", name);
    if (v->is_flag && (strncmp(value, "--", 2) != 0 || strcmp(value + 2, name) != 0))
        return err_set(e, ERR_USE, "option '--%s' takes no value", name);
    if (v->given && !v->is_list)
        return err_set(e, ERR_USE, "option '--%s' is given twice", name);
    if (v->given && v->count == RECIPE_VALUES)
        return err_set(e, ERR_USE, "option '--%s' is given more than %d times", name,
                       RECIPE_VALUES);
    copy = mem_text(value, e);
    if (!copy)
        return -1;
    if (!v->given)
        while (v->count)
            free(v->value[--v->count]);
    v->given = 1;
    v->value[v->count++] = copy;
    return 0;
}

/* What is given already of this option: forgets what was said of all stages when this is said of
 * one. 1: the new value is not wanted, 0, -1. */
static int give_again(struct recipe *r, size_t stage, const char *typed, const char *name, int own,
                      int many, struct err *e)
{
    for (size_t i = 0; i < r->ngiven; i++) {
        struct recipe_given *g = &r->given[i];

        if (g->stage != stage || strcmp(g->name, name) != 0)
            continue;
        if (g->own > own)
            return 1;
        if (g->own == own && !many)
            return err_set(e, ERR_USE, "option '--%s' is given twice", typed);
        if (g->own < own) {
            free(g->typed);
            free(g->name);
            free(g->value);
            *g = r->given[--r->ngiven];
            i--;
        }
    }
    return 0;
}

int recipe_give(struct recipe *r, size_t stage, const char *typed, const char *name,
                const char *value, int many, struct err *e)
{
    const int own = strchr(typed, '.') != NULL;
    int rc = give_again(r, stage, typed, name, own, many, e);
    struct recipe_given *g;
    void *grown;

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    grown = realloc(r->given, (r->ngiven + 1) * sizeof *r->given);
    if (!grown)
        return err_sys(e, "%s", r->path);
    r->given = grown;
    g = &r->given[r->ngiven++];
    *g = (struct recipe_given){stage, own, mem_text(typed, e), mem_text(name, e),
                               value ? mem_text(value, e) : NULL};
    return g->typed && g->name && (g->value || !value) ? 0 : -1;
}

int recipe_gave(const struct recipe *r, size_t stage, const char *name, size_t n)
{
    for (size_t i = 0; i < r->ngiven; i++)
        if (r->given[i].stage == stage && strlen(r->given[i].name) == n &&
            memcmp(r->given[i].name, name, n) == 0)
            return 1;
    return 0;
}

static int no_stage(const struct recipe *r, const char *name, size_t n, struct err *e)
{
    struct near near = near_start(name, n);
    char all[256] = "";
    size_t used = 0;

    for (size_t i = 0; i < r->nstages; i++) {
        near_try(&near, r->stage[i].name);
        if (used < sizeof all)
            used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "",
                                     r->stage[i].name);
    }
    return err_set(e, ERR_USE, "option '--workers': %s has no stage '%.*s'%s%s%s (it has %s)",
                   r->path, (int)n, name, near.name ? ": did you mean " : "",
                   near.name ? near.name : "", near.name ? "?" : "", all);
}

static int set_workers(struct recipe *r, const char *item, size_t n, struct err *e)
{
    const char *eq = memchr(item, '=', n);
    char text[24], *end;
    unsigned long v;

    if (!eq)
        return err_set(e, ERR_USE, "option '--workers': '%.*s' is not STAGE=COUNT", (int)n, item);
    snprintf(text, sizeof text, "%.*s",
             (int)((size_t)(item + n - eq - 1) < 23 ? item + n - eq - 1 : 23), eq + 1);
    v = isdigit((unsigned char)*text) ? strtoul(text, &end, 10) : 0;
    if (v < 1 || v > WORKERS_MAX || *end)
        return err_set(e, ERR_USE, "option '--workers': count '%s' is not a number from 1 to %d",
                       text, WORKERS_MAX);
    for (size_t i = 0; i < r->nstages; i++) {
        struct recipe_stage *st = &r->stage[i];

        if (strlen(st->name) != (size_t)(eq - item) ||
            memcmp(st->name, item, (size_t)(eq - item)) != 0)
            continue;
        if (!st->many && v != 1)
            return err_set(e, ERR_USE, "option '--workers': stage '%s' of %s is one process",
                           st->name, r->path);
        st->count = v;
        return 0;
    }
    return no_stage(r, item, (size_t)(eq - item), e);
}

/* The stage of the item has one before it in the list. */
static int is_again(const char *list, const char *item)
{
    const size_t n = strcspn(item, "=,");

    for (const char *p = list; p < item; p += strcspn(p, ",") + 1)
        if (strcspn(p, "=,") == n && memcmp(p, item, n) == 0)
            return 1;
    return 0;
}

int recipe_workers(struct recipe *r, const char *text, struct err *e)
{
    const char *list = text;

    for (;;) {
        size_t n = strcspn(text, ",");

        if (is_again(list, text))
            return err_set(e, ERR_USE, "option '--workers': '%.*s' is given twice",
                           (int)strcspn(text, "=,"), text);
        if (set_workers(r, text, n, e) < 0)
            return -1;
        if (!text[n])
            return 0;
        text += n + 1;
    }
}

int recipe_complete(const struct recipe *r, struct err *e)
{
    for (size_t i = 0; i < r->nvars; i++)
        if (r->var[i].count == 0 && !r->var[i].is_option)
            return err_set(e, ERR_USE, "'--%s VALUE' is missing: %s", r->var[i].name,
                           *r->var[i].help ? r->var[i].help : "the recipe has no default for it");
    return 0;
}

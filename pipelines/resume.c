/* SPDX-License-Identifier: Apache-2.0 */
/* resume - see resume.h. */
#include "resume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/base/fs.h"
#include "../common/base/log.h"
#include "../common/base/mem.h"
#include "../common/base/version.h"
#include "../common/run/journal.h"
#include "../common/run/journal_site.h"
#include "../common/wire/follow.h"
#include "../stages/forward/forward_opts.h"
#include "../stages/solve/solve_opts.h"
#include "../stages/write/write_opts.h"

#define JOB_MAX ((size_t)16 << 20)

/* ---- what is asked for ---- */

static int is_shared(const struct stage *s, const struct opt *row)
{
    return row >= s->row && row < s->row + STAGE_SHARED;
}

/* The option of a word "--name" or "--name=value" when a number depends on it; *takes: the next
 * word is its value. */
static const struct opt *counts(const struct stage *s, const char *word, int *takes)
{
    const size_t n = strcspn(word, "=");
    const struct opt *row =
        strncmp(word, "--", 2) == 0 ? opt_find(s->group, s->ngroups, word + 2, n - 2, NULL) : NULL;

    *takes = row && row->type != OPT_FLAG && !word[n];
    return row && !row->wiring && !row->aside && !is_shared(s, row) ? row : NULL;
}

static int note(struct json *options, const char *name, const char *value, int many)
{
    struct json *list = many ? json_clone(json_get(options, name)) : NULL;

    if (!list)
        list = json_new_array();
    if (json_push(list, json_new_text(value)) != 0)
        json_destroy(&list);
    return json_set(options, name, list);
}

static struct json *options_of(const struct stage *s, const struct launch_process *p)
{
    struct json *options = json_new_object();

    for (size_t i = 1; i < p->argc && options; i++) {
        int takes;
        const struct opt *row = counts(s, p->argv[i], &takes);
        const char *eq = strchr(p->argv[i], '='), *value = takes && i + 1 < p->argc ? p->argv[i + 1]
                                                           : eq                     ? eq + 1
                                                                                    : "";

        if (row && note(options, row->name, value, row->type == OPT_TEXTS) != 0)
            json_destroy(&options);
        i += (size_t)takes;
    }
    return options;
}

/* Of a program that is not ours every word may count. */
static struct json *words_of(const struct launch_process *p)
{
    struct json *options = json_new_object();

    for (size_t i = 1; i < p->argc && options; i++)
        if (!strstr(p->argv[i], "ipc://") && note(options, "words", p->argv[i], 1) != 0)
            json_destroy(&options);
    return options;
}

static struct json *stage_of(const struct route *t, const struct launch_process *p)
{
    const struct stage *s = t->stage[p->stage];
    struct json *j = json_new_object();

    if (json_set_text(j, "name", t->r->stage[p->stage].name) ||
        json_set_text(j, "program", p->argv[0]) ||
        json_set(j, "options", s ? options_of(s, p) : words_of(p)))
        json_destroy(&j);
    return j;
}

struct json *resume_job(const struct route *t, const struct launch *p, struct err *e)
{
    struct json *j = json_new_object(), *list = json_new_array();

    for (size_t i = 0; i < p->count; i++)
        if ((i == 0 || p->process[i].stage != p->process[i - 1].stage) &&
            json_push(list, stage_of(t, &p->process[i])) != 0)
            json_destroy(&list);
    if (json_set_text(j, "recipe", t->r->path) || json_set_text(j, "version", PTQ_VERSION) ||
        json_set(j, "stages", list))
        json_destroy(&j);
    if (!j)
        err_set(e, ERR_SYS, "out of memory");
    return j;
}

/* ---- is it the same? ---- */

static const char *shown(const struct json *list, char *out, size_t size)
{
    size_t n = 0;

    snprintf(out, size, "%s", list ? "" : "nothing");
    for (size_t i = 0; i < json_count(list) && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%.60s", i ? " " : "'",
                              json_as_text(json_at(list, i)));
    if (list && n + 1 < size)
        snprintf(out + n, size - n, "'");
    return out;
}

static int same_list(const struct json *a, const struct json *b)
{
    size_t n = json_count(a);

    if (!a != !b || n != json_count(b))
        return 0;
    for (size_t i = 0; i < n; i++) {
        const char *x = json_as_text(json_at(a, i)), *y = json_as_text(json_at(b, i));

        if (!x || !y || strcmp(x, y) != 0)
            return 0;
    }
    return 1;
}

/* Options of a that b has not, or otherwise. swapped: a is the new run. */
static int differ(const char *stage, const struct json *a, const struct json *b, int swapped,
                  struct err *e)
{
    const char *name;
    char then[300], now[300];

    for (size_t i = 0; i < json_count(a); i++) {
        const struct json *x = json_member(a, i, &name), *y = json_get(b, name);

        if (!same_list(x, y))
            return err_set(e, ERR_USE, "stage '%s': --%s was %s and is %s now", stage, name,
                           shown(swapped ? y : x, then, sizeof then),
                           shown(swapped ? x : y, now, sizeof now));
    }
    return 0;
}

static int same_stage(const struct json *a, const struct json *b, struct err *e)
{
    const char *name = json_as_text(json_get(a, "name")),
               *other = json_as_text(json_get(b, "name")),
               *program = json_as_text(json_get(a, "program")),
               *now = json_as_text(json_get(b, "program"));
    const struct json *x = json_get(a, "options"), *y = json_get(b, "options");

    if (!name || !other || !program || !now || strcmp(name, other) != 0 ||
        strcmp(program, now) != 0)
        return err_set(e, ERR_USE, "its stage '%s' (%s) is '%s' (%s) now", name ? name : "?",
                       program ? program : "?", other ? other : "?", now ? now : "?");
    return differ(name, x, y, 0, e) < 0 || differ(name, y, x, 1, e) < 0 ? -1 : 0;
}

static int same_job(const struct json *a, const struct json *b, struct err *e)
{
    const struct json *x = json_get(a, "stages"), *y = json_get(b, "stages");
    const char *version = json_as_text(json_get(a, "version"));

    if (!version || strcmp(version, PTQ_VERSION) != 0)
        return err_set(e, ERR_USE, "it is of version %s, this is %s", version ? version : "?",
                       PTQ_VERSION);
    if (json_count(x) != json_count(y))
        return err_set(e, ERR_USE, "its recipe had %zu stages, this one has %zu", json_count(x),
                       json_count(y));
    for (size_t i = 0; i < json_count(x); i++)
        if (same_stage(json_at(x, i), json_at(y, i), e) < 0)
            return -1;
    return 0;
}

/* ---- what is there ---- */

/* How many sites from the first on are in the journal; they end a stop. */
static uint64_t committed(const struct json *journal, const struct sites *s, unsigned char *there)
{
    uint64_t n = 0;

    for (size_t i = 0; i < json_count(journal); i++) {
        const char *kind = json_as_text(json_get(json_at(journal, i), "record"));
        int64_t order;

        if (kind && strcmp(kind, "site") == 0 &&
            json_as_int(json_get(json_at(journal, i), "order"), &order) == 0 && order >= 0 &&
            (uint64_t)order < s->count)
            there[order] = 1;
    }
    while (n < s->count && there[n])
        n++;
    while (n && n < s->count && s->site[n].block == s->site[n - 1].block &&
           s->site[n].stop == s->site[n - 1].stop)
        n--;
    return n;
}

static int has_record(const struct json *journal, const char *name)
{
    for (size_t i = 0; i < json_count(journal); i++) {
        const char *kind = json_as_text(json_get(json_at(journal, i), "record"));

        if (kind && strcmp(kind, name) == 0)
            return 1;
    }
    return 0;
}

/* The journal of a run in `out`: 1, 0: there is none, -1. */
static int journal_of(const char *out, struct json **journal, struct err *e)
{
    char *path = mem_printf(e, "%s/" FOLLOW_DIR "/" JOURNAL_NAME, out);
    int cut, rc = path ? fs_exists(path) : -1;

    *journal = NULL;
    if (rc == 1 && !(*journal = journal_read(path, &cut, e)))
        rc = err_prefix(e, "'%s' holds an unfinished run (--overwrite starts again)", out);
    free(path);
    return rc;
}

/* The journal of an unfinished run with sites: 1, 0: there is none, -1. */
static int unfinished(const char *out, struct json **journal, struct err *e)
{
    int rc = journal_of(out, journal, e);

    if (rc == 1)
        rc = has_record(*journal, "site") && !has_record(*journal, "done");
    return rc;
}

int resume_is_unfinished(const char *out, struct err *e)
{
    struct json *journal;
    int rc = unfinished(out, &journal, e);

    json_destroy(&journal);
    return rc;
}

int resume_has_no_site(const char *out, struct err *e)
{
    struct json *journal;
    int rc = journal_of(out, &journal, e);

    if (rc == 1)
        rc = !has_record(journal, "site") && !has_record(journal, "publish") &&
             !has_record(journal, "done");
    json_destroy(&journal);
    return rc;
}

static int check_job(const char *out, const struct json *job, struct err *e)
{
    char *path = mem_printf(e, "%s/" FOLLOW_DIR "/" JOURNAL_JOB, out), *text = NULL;
    struct json *then = NULL;
    size_t n;
    int rc = -1;

    if (!path)
        return -1;
    if (!fs_exists(path)) {
        err_set(e, ERR_USE, "it was not started by ptq run, or ended before it could say for what");
    } else if (fs_check_regular(path, e) == 0 && (text = fs_read(path, JOB_MAX, &n, e)) &&
               (then = json_parse(text, n, path, e))) {
        rc = same_job(then, job, e);
    }
    json_destroy(&then);
    free(text);
    free(path);
    return rc < 0 ? err_prefix(e,
                               "'%s' holds an unfinished run, which goes on when the same is asked "
                               "for (--overwrite starts again)",
                               out)
                  : 0;
}

int resume_find(const char *out, const struct json *job, const struct sites *s, uint64_t *from,
                struct err *e)
{
    unsigned char *there = mem_array(s->count, 1, e);
    struct json *journal = NULL;
    int rc = there ? unfinished(out, &journal, e) : -1;

    *from = 0;
    if (rc == 1) {
        rc = check_job(out, job, e);
        *from = rc < 0 ? 0 : committed(journal, s, there);
    }
    json_destroy(&journal);
    free(there);
    return rc;
}

int resume_look(const char *out, const struct sites *s, uint64_t *from, int *complete,
                struct err *e)
{
    unsigned char *there = mem_array(s->count, 1, e);
    struct json *journal = NULL;
    int rc = there ? unfinished(out, &journal, e) : -1;

    *from = rc == 1 ? committed(journal, s, there) : 0;
    *complete = rc == 0 && has_record(journal, "done");
    json_destroy(&journal);
    free(there);
    return rc < 0 ? -1 : 0;
}

int resume_keep_state(const struct route *t, struct launch *p, struct err *e)
{
    const struct stage *w = route_stage(t, &write_spec, 0);
    char *dir;
    int rc = -1;

    if (!w || !route_stage(t, &forward_spec, 0))
        return err_set(e, ERR_USE, "--save-state: the recipe has no %s",
                       w ? "ptq-forward" : "ptq-write");
    if ((dir = fs_join(((const struct write_command *)w->own)->core.out, FOLLOW_STATE, e)))
        rc = 0;
    for (size_t i = 0; i < p->count && rc == 0; i++) {
        const struct stage *s = t->stage[p->process[i].stage];

        if (s && s->spec == &forward_spec)
            rc = launch_give(&p->process[i], "--state", dir, e);
    }
    free(dir);
    return rc;
}

int resume_has_state(const char *out, struct err *e)
{
    char *dir = fs_join(out, FOLLOW_STATE, e);
    int rc = dir ? fs_is_dir(dir) : -1;

    free(dir);
    return rc;
}

/* ---- what was swapped ---- */

/* May a solver of this run, an override's among them, have made it? */
static int is_known(const struct route *t, const struct journal_site *x)
{
    const struct stage *s;
    struct contenders c;

    if (x->starved || x->ncontenders || strcmp(x->solver, "none") == 0)
        return 1;
    for (size_t i = 0; i < x->nlinears; i++)
        if (x->linear[i].solver)
            return 1;
    for (size_t i = 0; (s = route_stage(t, &solve_spec, i)); i++) {
        const struct solve_command *k = s->own;

        for (size_t n = 0; n < k->lines.count; n++)
            if (k->lines.at[n].v.solver)
                return 1; /* it may, and more is not looked at */
        if (contenders_parse(k->core.solver, &c, NULL) < 0)
            return 1;
        for (size_t n = 0; n < c.count; n++)
            if (strcmp(c.name[n], x->solver) == 0)
                return 1;
    }
    return 0;
}

/* by[order]: who made it, where that is no solver of this run; borrowed from the journal. */
static int strangers(const struct route *t, const struct json *journal, uint64_t from,
                     const char **by, struct err *e)
{
    for (size_t i = 0; i < json_count(journal); i++) {
        const struct json *j = json_at(journal, i);
        const char *kind = json_as_text(json_get(j, "record"));
        struct journal_site x = {.nlinears = 0};

        if (!kind || strcmp(kind, "site") != 0)
            continue;
        if (journal_site_read(j, &x, JOURNAL_NAME, e) < 0)
            return -1;
        if (x.order < from)
            by[x.order] = is_known(t, &x) ? NULL : x.solver;
        journal_site_release(&x);
    }
    return 0;
}

int resume_warn_swapped(const struct route *t, const char *out, const struct sites *s,
                        uint64_t from, struct err *e)
{
    const struct stage *solve = route_stage(t, &solve_spec, 0);
    const char **by = mem_array(s->count, sizeof *by, e);
    struct json *journal = NULL;
    char text[400] = "";
    size_t n = 0;
    int rc = by ? unfinished(out, &journal, e) : -1;

    if (rc == 1 && solve)
        rc = strangers(t, journal, from, by, e);
    for (size_t i = 0, end; rc == 0 && i < from; i = end) {
        for (end = i + 1; by[i] && end < from && by[end] && strcmp(by[i], by[end]) == 0;)
            end++;
        if (by[i] && n < sizeof text && end == i + 1)
            n += (size_t)snprintf(text + n, sizeof text - n, "%ssite %zu by %s", n ? ", " : "", end,
                                  by[i]);
        else if (by[i] && n < sizeof text)
            n += (size_t)snprintf(text + n, sizeof text - n, "%ssites %zu to %zu by %s",
                                  n ? ", " : "", i + 1, end, by[i]);
    }
    if (n)
        log_warn("the earlier run had swapped its solver: it solved %s; those behind site %llu are "
                 "solved by %s again: swap again, or start anew by that solver with --overwrite",
                 text, (unsigned long long)from,
                 ((const struct solve_command *)solve->own)->core.solver);
    json_destroy(&journal);
    free(by);
    return rc < 0 ? -1 : 0;
}

int resume_give(const struct route *t, struct launch *p, uint64_t from, struct err *e)
{
    char text[24];

    snprintf(text, sizeof text, "%llu", (unsigned long long)from);
    for (size_t i = 0; i < p->count; i++) {
        const struct stage *s = t->stage[p->process[i].stage];

        if (s && opt_find(s->group, s->ngroups, "from-site", 9, NULL) &&
            launch_give(&p->process[i], "--from-site", text, e) < 0)
            return -1;
    }
    return 0;
}

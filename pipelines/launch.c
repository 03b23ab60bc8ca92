/* SPDX-License-Identifier: Apache-2.0 */
/* launch - from recipe to argument vectors. No shell is involved: a value never becomes two words,
 * whatever is in it. */
#include "launch.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "../common/base/fs.h"
#include "../common/base/mem.h"

#define WORD_MAX ((size_t)64 << 10)

struct word { /* a word in the making */
    char *text;
    size_t n, cap;
};

static int put(struct word *w, const char *s, size_t n, struct err *e)
{
    if (w->n + n >= WORD_MAX)
        return err_set(e, ERR_USE, "a word of a command is longer than %zu bytes", WORD_MAX);
    if (mem_grow((void **)&w->text, &w->cap, w->n + n + 1, 1, e) < 0)
        return -1;
    if (n)
        memcpy(w->text + w->n, s, n);
    w->n += n;
    w->text[w->n] = '\0';
    return 0;
}

static const struct recipe_stage *stage_find(const struct recipe *r, const char *name, size_t n)
{
    for (size_t i = 0; i < r->nstages; i++)
        if (strlen(r->stage[i].name) == n && memcmp(r->stage[i].name, name, n) == 0)
            return &r->stage[i];
    return NULL;
}

/* What ${name} stands for in the command of p; turn picks the value of a list. number: room for a
 * value made here. */
static const char *lookup(const struct recipe *r, const struct launch_process *p, const char *name,
                          size_t turn, char number[24], struct err *e)
{
    const struct recipe_var *v = recipe_find(r, name);
    const char *dot = strchr(name, '.');
    const struct recipe_stage *st = dot ? stage_find(r, name, (size_t)(dot - name)) : NULL;

    if (v && v->count == 0) {
        err_set(e, ERR_USE, "'--%s VALUE' is missing: %s", name, v->help);
        return NULL;
    }
    if (v)
        return v->value[turn < v->count ? turn : 0];
    if (strcmp(name, "cores") == 0) {
        snprintf(number, 24, "%zu", r->cores);
        return number;
    }
    if (st && strcmp(dot, ".count") == 0) {
        snprintf(number, 24, "%zu", st->count);
        return number;
    }
    if (st == &r->stage[p->stage] && strcmp(dot, ".number") == 0) {
        snprintf(number, 24, "%zu", p->number);
        return number;
    }
    if (st && strcmp(dot, ".threads") == 0) {
        snprintf(number, 24, "%zu", r->cores > st->count ? r->cores / st->count : 1);
        return number;
    }
    err_set(e, ERR_USE, "unknown variable '${%s}'", name);
    return NULL;
}

/* One name of a variable out of a word at `${`; returns the length including the closing brace,
 * 0 when there is none. */
static size_t variable_at(const char *s, char name[80])
{
    const char *close;

    if (s[0] != '$' || s[1] != '{' || !(close = strchr(s, '}')) || close - s - 2 > 79 ||
        close - s < 3)
        return 0;
    snprintf(name, 80, "%.*s", (int)(close - s - 2), s + 2);
    return (size_t)(close - s + 1);
}

static int expand(const struct recipe *r, const struct launch_process *p, const char *word,
                  size_t turn, struct word *out, struct err *e)
{
    if (put(out, "", 0, e) != 0)
        return -1;
    while (*word) {
        char name[80], number[24];
        size_t n = variable_at(word, name);
        const char *value;

        if (n == 0) {
            if (put(out, word, 1, e) != 0)
                return -1;
            word++;
            continue;
        }
        value = lookup(r, p, name, turn, number, e);
        if (!value || put(out, value, strlen(value), e) != 0)
            return -1;
        word += n;
    }
    return 0;
}

/* How often a word stands in the command: once, once for each value of the list it names, or
 * never: an option without a value. */
static size_t repeats(const struct recipe *r, const char *word)
{
    for (; *word; word++) {
        char name[80];
        size_t n = variable_at(word, name);
        const struct recipe_var *v = n ? recipe_find(r, name) : NULL;

        if (v && ((v->is_list && v->count > 1) || (v->is_option && v->count == 0)))
            return v->count;
    }
    return 1;
}

/* An option whose value is the next word. */
static int takes_value(const char *word, const char *next)
{
    return strncmp(word, "--", 2) == 0 && !strchr(word, '=') && strncmp(next, "--", 2) != 0;
}

/* Takes over text, also on error. */
static int add_word(struct launch_process *p, char *text, struct err *e)
{
    char **grown = text ? realloc(p->argv, (p->argc + 2) * sizeof *grown) : NULL;

    if (!grown) {
        free(text);
        return err_sys(e, "command of %s", p->label);
    }
    p->argv = grown;
    p->argv[p->argc++] = text;
    p->argv[p->argc] = NULL;
    return 0;
}

/* "%name" or "@%name": length of the mark, 0 for any other word. */
static size_t endpoint_mark(const char *word)
{
    return word[0] == '%' && word[1] ? 1 : word[0] == '@' && word[1] == '%' && word[2] ? 2 : 0;
}

static int add_endpoint(struct launch_process *p, const char *word, const char *sockets,
                        struct err *e)
{
    size_t mark = endpoint_mark(word);
    struct sockaddr_un limit;
    size_t n = strlen(sockets) + 1 + strlen(word + mark);

    if (strchr(word + mark, '/') || strchr(word + mark, '%') || strchr(word + mark, '$'))
        return err_set(e, ERR_USE, "'%s' is no name of a socket", word);
    if (n >= sizeof limit.sun_path)
        return err_set(e, ERR_USE,
                       "socket path '%s/%s' is %zu bytes, the system takes %zu: set "
                       "XDG_RUNTIME_DIR to a shorter folder",
                       sockets, word + mark, n, sizeof limit.sun_path - 1);
    return add_word(p, mem_printf(e, "%sipc://%s/%s", mark == 2 ? "@" : "", sockets, word + mark),
                    e);
}

static int add_expanded(const struct recipe *r, struct launch_process *p, const char *word,
                        size_t turn, struct err *e)
{
    struct word w = {0};

    if (expand(r, p, word, turn, &w, e) < 0) {
        free(w.text);
        return -1;
    }
    return add_word(p, w.text, e);
}

static const char *base_name(const char *program)
{
    const char *slash = strrchr(program, '/');

    return slash ? slash + 1 : program;
}

static int is_ours(const char *program)
{
    return strncmp(base_name(program), "ptq-", 4) == 0;
}

/* How many words at i the user's own options take the place of; 0: none. */
static size_t replaced(const struct recipe *r, const struct recipe_stage *st, size_t i)
{
    const char *word = st->word[i];

    if (i == 0 || strncmp(word, "--", 2) != 0 ||
        !recipe_gave(r, (size_t)(st - r->stage), word + 2, strcspn(word + 2, "=")))
        return 0;
    for (size_t k = 0; k < r->ngiven; k++) /* a flag is a word, anything else has a value */
        if (!r->given[k].value && strcmp(r->given[k].name, word + 2) == 0)
            return 1;
    return strchr(word, '=') ? 1 : 2;
}

static int add_given(const struct recipe *r, const struct recipe_stage *st,
                     struct launch_process *p, struct err *e)
{
    for (size_t k = 0; k < r->ngiven; k++) {
        const struct recipe_given *g = &r->given[k];

        if (&r->stage[g->stage] != st)
            continue;
        if (add_word(p, mem_printf(e, "--%s", g->name), e) < 0 ||
            (g->value && add_word(p, mem_text(g->value, e), e) < 0))
            return -1;
    }
    return 0;
}

static int add_command(const struct recipe *r, const struct recipe_stage *st,
                       struct launch_process *p, const char *sockets, int quiet, struct err *e)
{
    p->ours = is_ours(st->word[0]);
    for (size_t i = 0; i < st->nwords; i++) {
        size_t times = repeats(r, st->word[i]), taken = replaced(r, st, i);

        if (taken) {
            i += taken - 1;
            continue;
        }
        if (endpoint_mark(st->word[i])) {
            if (add_endpoint(p, st->word[i], sockets, e) < 0)
                return -1;
            continue;
        }
        if (i + 1 < st->nwords && takes_value(st->word[i], st->word[i + 1]) &&
            repeats(r, st->word[i + 1]) == 0)
            continue;
        for (size_t turn = 0; turn < times; turn++) {
            if (turn && i && takes_value(st->word[i - 1], st->word[i]) &&
                add_expanded(r, p, st->word[i - 1], turn, e) < 0)
                return -1;
            if (add_expanded(r, p, st->word[i], turn, e) < 0)
                return -1;
        }
        if (i == 0 && quiet && p->ours && add_word(p, mem_text("--quiet", e), e) < 0)
            return -1;
    }
    if (add_given(r, st, p, e) < 0)
        return -1;
    if (p->argc == 0 || !*p->argv[0])
        return err_set(e, ERR_USE, "the command is empty: its first word must name a program");
    p->program = launch_find_program(p->argv[0], e);
    return p->program ? 0 : -1;
}

/* Every socket: bound by one process, connected to by another. */
static int check_socket(const struct recipe *r, const struct recipe_stage *at, const char *name,
                        struct err *e)
{
    size_t binders = 0, connectors = 0;

    for (size_t i = 0; i < r->nstages; i++)
        for (size_t k = 0; k < r->stage[i].nwords; k++) {
            const char *word = r->stage[i].word[k];
            size_t mark = endpoint_mark(word);

            if (!mark || strcmp(word + mark, name) != 0)
                continue;
            *(mark == 2 ? &binders : &connectors) += r->stage[i].count;
        }
    if (binders == 1 && connectors)
        return 0;
    if (binders == 0)
        err_set(e, ERR_USE, "stage '%s': no stage binds '%s': one process says '@%%%s'", at->name,
                name, name);
    else if (binders > 1)
        err_set(e, ERR_USE, "stage '%s': %zu processes bind '%s': only one can", at->name, binders,
                name);
    else
        err_set(e, ERR_USE, "stage '%s': no stage connects to '%s': another says '%%%s'", at->name,
                name, name);
    return -1;
}

static int check_sockets(const struct recipe *r, struct err *e)
{
    for (size_t i = 0; i < r->nstages; i++)
        for (size_t k = 0; k < r->stage[i].nwords; k++) {
            size_t mark = endpoint_mark(r->stage[i].word[k]);

            if (mark && check_socket(r, &r->stage[i], r->stage[i].word[k] + mark, e) < 0)
                return err_prefix(e, "%s:%d", r->path, r->stage[i].line);
        }
    return 0;
}

void launch_own_dir(char *dir, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", dir, size - 1);
    char *slash;

    dir[n > 0 ? n : 0] = '\0';
    slash = strrchr(dir, '/');
    if (slash)
        *slash = '\0';
}

static int is_program(const char *path)
{
    return access(path, X_OK) == 0 && !fs_is_dir(path);
}

char *launch_find_program(const char *name, struct err *e)
{
    char dir[PATH_MAX];
    const char *path = getenv("PATH");
    char *found;

    if (strchr(name, '/')) {
        if (is_program(name))
            return mem_text(name, e);
        err_set(e, ERR_USE, "cannot execute '%s'%s", name, fs_is_dir(name) ? ": a folder" : "");
        return NULL;
    }
    launch_own_dir(dir, sizeof dir);
    found = mem_printf(e, "%s/%s", dir, name);
    while (found && !is_program(found)) {
        size_t n = path ? strcspn(path, ":") : 0;

        free(found);
        if (!path || !*path) {
            err_set(e, ERR_USE, "command '%s' is not beside ptq and not in PATH", name);
            return NULL;
        }
        found = mem_printf(e, "%.*s/%s", n ? (int)n : 1, n ? path : ".", name);
        path += n + (path[n] == ':');
    }
    return found;
}

struct launch *launch_create(const struct recipe *r, const char *sockets, int quiet, struct err *e)
{
    struct launch *p;
    size_t total = 0;

    if (recipe_complete(r, e) < 0 || check_sockets(r, e) < 0)
        return NULL;
    for (size_t i = 0; i < r->nstages; i++)
        total += r->stage[i].count;
    p = mem_array(1, sizeof *p, e);
    if (!p)
        return NULL;
    p->room = total + LAUNCH_SPARE;
    p->process = mem_array(p->room, sizeof *p->process, e);
    for (size_t i = 0; p->process && i < r->nstages; i++)
        for (size_t k = 0; k < r->stage[i].count; k++) {
            const struct recipe_stage *st = &r->stage[i];
            struct launch_process *one = &p->process[p->count++];

            one->stage = i;
            one->number = k + 1;
            one->elastic = st->elastic;
            one->label =
                st->count > 1 ? mem_printf(e, "%s.%zu", st->name, k + 1) : mem_text(st->name, e);
            if (one->label && add_command(r, st, one, sockets, quiet, e) == 0)
                continue;
            err_prefix(e, "%s:%d: stage '%s'", r->path, st->line, st->name);
            launch_destroy(&p);
            return NULL;
        }
    if (!p->process)
        launch_destroy(&p);
    return p;
}

static int is_option(const char *word)
{
    return strncmp(word, "--", 2) == 0 && word[2];
}

static int same_option(const char *a, const char *b)
{
    size_t n = strcspn(a, "=");

    return is_option(a) && is_option(b) && n == strcspn(b, "=") && memcmp(a, b, n) == 0;
}

/* Does the command say itself where its data come from and go? */
static int has_endpoints(size_t nwords, const char *const *word)
{
    for (size_t i = 1; i < nwords; i++)
        if (endpoint_mark(word[i]))
            return 1;
    return 0;
}

static int keeps(const char *option, int same, size_t nwords, const char *const *word)
{
    for (size_t i = 1; i < nwords; i++)
        if (same_option(option, word[i]))
            return 0;
    return same || ((same_option(option, "--in") || same_option(option, "--out")) &&
                    !has_endpoints(nwords, word));
}

/* What stays of the old command, then the words of the new one. */
static int add_changed(struct launch_process *p, const struct launch_process *like, size_t nwords,
                       const char *const *word, const char *sockets, struct err *e)
{
    const char *program = nwords ? word[0] : like->argv[0];
    /* an interpreter is what its script is: python3 round.py */
    const int script = nwords > 1 && !is_option(word[1]);
    int same = !script && strcmp(base_name(program), base_name(like->argv[0])) == 0, keep = 0;

    if (add_word(p, mem_text(program, e), e) < 0)
        return -1;
    for (size_t i = 1; i < like->argc; i++) {
        int first = is_option(like->argv[i]),
            value = i > 1 && is_option(like->argv[i - 1]) && !strchr(like->argv[i - 1], '=');

        keep = first ? keeps(like->argv[i], same, nwords, word) : value ? keep : same;
        if (keep && add_word(p, mem_text(like->argv[i], e), e) < 0)
            return -1;
    }
    for (size_t i = 1; i < nwords; i++)
        if (is_option(word[i]) && word[i][strlen(word[i]) - 1] == '=')
            continue; /* it only takes the old one away */
        else if (endpoint_mark(word[i]) ? add_endpoint(p, word[i], sockets, e)
                                        : add_word(p, mem_text(word[i], e), e))
            return -1;
    return 0;
}

static void process_release(struct launch_process *p)
{
    for (size_t k = 0; k < p->argc; k++)
        free(p->argv[k]);
    free(p->argv);
    free(p->label);
    free(p->program);
}

int launch_add(struct launch *p, const struct recipe *r, size_t like, size_t nwords,
               const char *const *word, const char *sockets, struct err *e)
{
    const struct launch_process *old = &p->process[like];
    struct launch_process one = {.stage = old->stage, .elastic = old->elastic};
    size_t number = 1;

    if (p->count == p->room)
        return err_set(e, ERR_USE,
                       "%d processes have been added to this run, which is all it can take",
                       LAUNCH_SPARE);
    for (size_t i = 0; i < p->count; i++)
        number += p->process[i].stage == old->stage;
    one.number = number;
    one.label = mem_printf(e, "%s.%zu", r->stage[old->stage].name, number);
    if (!one.label || add_changed(&one, old, nwords, word, sockets, e) < 0 ||
        !(one.program = launch_find_program(one.argv[0], e))) {
        process_release(&one);
        return -1;
    }
    one.ours = is_ours(one.argv[0]);
    p->process[p->count] = one;
    return (int)p->count++;
}

int launch_give(struct launch_process *p, const char *option, const char *value, struct err *e)
{
    if (add_word(p, mem_text(option, e), e) < 0)
        return -1;
    return value ? add_word(p, mem_text(value, e), e) : 0;
}

void launch_withhold(struct launch_process *p, const char *option, int takes_value)
{
    size_t n = 0, go = 0;

    for (size_t i = 0; i < p->argc; i++) {
        if (!go && i && same_option(p->argv[i], option))
            go = takes_value && !strchr(p->argv[i], '=') ? 2 : 1;
        if (go) {
            free(p->argv[i]);
            go--;
        } else {
            p->argv[n++] = p->argv[i];
        }
    }
    p->argv[p->argc = n] = NULL;
}

const char *launch_value(const struct launch_process *p, const char *option)
{
    const size_t n = strlen(option);

    for (size_t i = 1; i < p->argc; i++) {
        if (strncmp(p->argv[i], option, n) != 0)
            continue;
        if (p->argv[i][n] == '=')
            return p->argv[i] + n + 1;
        if (!p->argv[i][n] && i + 1 < p->argc)
            return p->argv[i + 1];
    }
    return NULL;
}

int launch_binds(const struct launch_process *p, const char *here)
{
    const size_t n = strlen(here);

    for (size_t i = 1; i < p->argc; i++)
        if (p->argv[i][0] == '@' && strncmp(p->argv[i] + 1, here, n) == 0 &&
            (!p->argv[i][1 + n] || p->argv[i][1 + n] == ','))
            return 1;
    return 0;
}

void launch_take_back(struct launch *p)
{
    process_release(&p->process[--p->count]);
    p->process[p->count] = (struct launch_process){.argv = NULL};
}

void launch_destroy(struct launch **pp)
{
    struct launch *p = *pp;

    if (!p)
        return;
    for (size_t i = 0; i < p->count; i++)
        process_release(&p->process[i]);
    free(p->process);
    free(p);
    *pp = NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* worker_slot - see worker_slot.h. */
#include "worker_slot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/base/clock.h"
#include "../common/base/mem.h"
#include "../common/base/stage.h"
#include "specs.h"

#define WORDS 256

static const char *const programs[] = {"ptq-solve", "ptq-forward", "ptq-reduce", "ptq-importance",
                                       NULL};
/* Options with a text that is no name of a file; the model is one that is only read. */
static const char *const texts[] = {
    "in",       "out",  "commits",          "model",       "solver", "mix",
    "override", "only", "modality-weights", "weight-clip", "lease",  "clip",
    NULL};
static const char *const ends[] = {"in", "out", "commits", NULL};
/* Bound by one of a worker's processes for others: for all, or with .1 for the first of them. */
static const char *const here[] = {"%acts", "%chunks", NULL};

static int is_among(const char *const *list, const char *name, size_t n)
{
    for (; *list; list++)
        if (strlen(*list) == n && memcmp(*list, name, n) == 0)
            return 1;
    return 0;
}

/* "%chunks.2" or "@%acts": the name without the marks; NULL: it is none that is bound here. */
static const char *here_find(const char *word)
{
    const char *name = word + (*word == '@');
    const size_t n = strcspn(name, "."), digits = name[n] ? strspn(name + n + 1, "0123456789") : 0;

    if (!is_among(here, name, n) || (name[n] && (!digits || digits > 4 || name[n + 1 + digits])))
        return NULL;
    return name + 1;
}

static const char *value_of(const struct launch_process *p, size_t i)
{
    const char *eq = strchr(p->argv[i], '=');

    return eq ? eq + 1 : i + 1 < p->argc ? p->argv[i + 1] : "";
}

const struct opt *slot_file_option(const struct stage *st, const char *word)
{
    const char *name = word + 2;
    const size_t n = strcspn(word, "=") - 2;
    const struct opt *row =
        strncmp(word, "--", 2) == 0 ? opt_find(st->group, st->ngroups, name, n, NULL) : NULL;
    const int is_text = row && (row->type == OPT_TEXT || row->type == OPT_TEXTS);

    return is_text && !is_among(texts, name, n) ? row : NULL;
}

/* The option at word i. */
static int option_check(const struct stage *st, const struct launch_process *p, size_t i,
                        struct err *e)
{
    const char *name = p->argv[i] + 2;
    const size_t n = strcspn(name, "=");
    const struct opt *row = opt_find(st->group, st->ngroups, name, n, NULL);

    if (!row)
        return 0; /* a value, or what the parser refuses */
    if (slot_file_option(st, p->argv[i]))
        return err_set(e, ERR_USE, "%s --%s '%.100s' may name a file, which a worker is not told",
                       p->argv[0], row->name, value_of(p, i));
    if (!is_among(ends, name, n) || strncmp(value_of(p, i), "tcp://*:", 8) == 0 ||
        here_find(value_of(p, i)))
        return 0;
    return err_set(e, ERR_USE, "%s --%s '%.100s' is no place on the head", p->argv[0], row->name,
                   value_of(p, i));
}

/* The whole command, as the program itself would take it. */
static int command_check(const struct launch_process *p, struct err *e)
{
    const struct stage_spec *spec = specs_find(p->argv[0]);
    struct stage *st = spec ? stage_open(spec, e) : NULL;
    int rc = st ? stage_parse(st, (int)p->argc, p->argv, e) : -1, said = 0;

    for (size_t i = 1; rc == 0 && i < p->argc; i++) {
        said += strncmp(p->argv[i], "--in", 4) == 0 || strncmp(p->argv[i], "--out", 5) == 0;
        if (strncmp(p->argv[i], "--", 2) == 0)
            rc = option_check(st, p, i, e);
    }
    if (rc > 0 || (rc == 0 && said < 2))
        rc = err_set(e, ERR_USE, "%s is told no work", p->argv[0]);
    if (rc == 0)
        rc = stage_check(st, e);
    stage_close(&st);
    return rc;
}

/* Takes over text. */
static int word_add(struct launch_process *p, char *text)
{
    if (!text)
        return -1;
    p->argv[p->argc++] = text;
    p->argv[p->argc] = NULL;
    return 0;
}

/* An end as it is called on this host; NULL: it is none. */
static char *end_of(const struct slot *s, const char *word, const struct worker_terms *t,
                    struct err *e)
{
    const char *name = here_find(word);

    if (name)
        return mem_printf(e, "%sipc://%s/%s.%lld", *word == '@' ? "@" : "", t->sockets, name,
                          (long long)s->epoch);
    return strncmp(word, "tcp://*:", 8) == 0 ? mem_printf(e, "%s%s", t->host, word + 7) : NULL;
}

static int ends_put(struct slot *s, const struct worker_terms *t, struct err *e)
{
    for (size_t i = 1; i < s->plan.argc; i++) {
        char *text = end_of(s, s->plan.argv[i], t, e);

        if (!text)
            continue;
        free(s->plan.argv[i]);
        s->plan.argv[i] = text;
    }
    return 0;
}

static int give(struct launch_process *p, const char *option, char *value, struct err *e)
{
    if (value && word_add(p, mem_text(option, e)) == 0 && word_add(p, value) == 0)
        return 0;
    free(value);
    return -1;
}

int64_t slot_threads(const struct worker_terms *t, int64_t among)
{
    return t->threads > among ? t->threads / among : 1;
}

/* With what is ours to say. */
static int command_finish(struct slot *s, const struct worker_terms *t, struct err *e)
{
    struct launch_process *p = &s->plan;
    const int solves = strcmp(p->argv[0], "ptq-solve") == 0,
              reduces = strcmp(p->argv[0], "ptq-reduce") == 0;
    const int64_t among = solves ? t->solve : reduces ? 1 : t->forward;
    const uint64_t mem = reduces ? t->mem / 2 : t->mem / 2 / (uint64_t)t->forward;

    if (ends_put(s, t, e) < 0 ||
        give(p, "--threads", mem_printf(e, "%lld", (long long)slot_threads(t, among)), e) < 0 ||
        (t->keys && give(p, "--keys", mem_text(t->keys, e), e) < 0) ||
        (t->mem && !solves &&
         give(p, "--mem", mem_printf(e, "%lluK", (unsigned long long)(mem + 1023) / 1024), e) < 0))
        return -1;
    if (!solves && !reduces && t->model) {
        launch_withhold(p, "--model", 1);
        if (give(p, "--model", mem_text(t->model, e), e) < 0)
            return -1;
    }
    p->ours = 1;
    return (p->program = launch_find_program(p->argv[0], e)) ? 0 : -1;
}

static int command_read(struct launch_process *p, const struct json *said, struct err *e)
{
    const struct json *list = json_get(said, "command");
    const char *name = json_need_text(said, "name", "work", e), *word;

    if (!name || !(p->label = mem_text(name, e)) ||
        !(p->argv = mem_array(WORDS + 16, sizeof *p->argv, e)))
        return -1;
    if (json_kind(list) != JSON_KIND_ARRAY || !json_count(list) || json_count(list) > WORDS)
        return err_set(e, ERR_USE, "work: '%.60s': field 'command' must be 1 to %d words", name,
                       WORDS);
    for (size_t i = 0; i < json_count(list); i++) {
        if (!(word = json_as_text(json_at(list, i))))
            return err_set(e, ERR_USE, "work: '%.60s': word %zu is no text", name, i);
        if (word_add(p, mem_text(word, e)) < 0)
            return -1;
    }
    return is_among(programs, p->argv[0], strlen(p->argv[0]))
               ? 0
               : err_set(e, ERR_USE, "work: '%.100s' is no program that a worker runs", p->argv[0]);
}

struct slot *slot_create(const struct json *said, const struct worker_terms *t, struct err *e)
{
    struct slot *s = mem_array(1, sizeof *s, e);

    if (!s)
        return NULL;
    s->child.err.fd = s->child.status.fd = -1;
    json_as_int(json_get(said, "epoch"), &s->epoch);
    if ((s->said = json_print(said, 0, e)) && command_read(&s->plan, said, e) == 0 &&
        command_check(&s->plan, e) == 0 && command_finish(s, t, e) == 0)
        return s;
    slot_destroy(&s);
    return NULL;
}

void slot_destroy(struct slot **sp)
{
    struct slot *s = *sp;

    *sp = NULL;
    if (!s)
        return;
    child_close(&s->child);
    for (size_t i = 0; i < s->plan.argc; i++)
        free(s->plan.argv[i]);
    free(s->plan.argv);
    free(s->plan.label);
    free(s->plan.program);
    free(s->said);
    json_destroy(&s->waited);
    free(s);
}

int slot_is(const struct slot *s, const struct json *said)
{
    char *text = json_print(said, 0, NULL);
    int same = text && strcmp(text, s->said) == 0;

    free(text);
    return same;
}

struct json *slot_describe(const struct slot *s)
{
    const int ended = s->child.exited;
    struct json *o = json_new_object();

    if (json_set_text(o, "name", s->plan.label) || json_set_int(o, "epoch", s->epoch) ||
        (s->waited && !ended &&
         (json_set_real(o, "age", clock_wall() - s->child.started) ||
          json_set(o, "waited", json_clone(s->waited)))) ||
        (*s->lanes && json_set_text(o, "lanes", s->lanes)) ||
        (ended && s->child.code == 0 && json_set_bool(o, "done", 1)))
        json_destroy(&o);
    return o;
}

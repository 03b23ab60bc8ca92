/* SPDX-License-Identifier: Apache-2.0 */
/* chat - finds a model's template, keeps its variables, renders. The language, from
 * below: chat_str, chat_value, chat_print, chat_text, chat_ops, chat_call, chat_filter do what
 * values can; chat_lex, chat_node, chat_expr, chat_parse make nodes; chat_eval runs them. */
#include "chat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/fs.h"
#include "../base/hash.h"
#include "../base/mem.h"
#include "../text/model_file.h"
#include "chat_eval.h"
#include "chat_lex.h"
#include "chat_parse.h"

enum {
    TEMPLATE_BYTES = 1 << 20,
    PARSE_BYTES = 64 << 20,
    RENDER_BYTES = 256 << 20,
    RENDER_STEPS = 20000000
};

struct chat {
    char *what;
    struct arena arena; /* of the nodes */
    struct node *body;
    struct json *vars;
    uint64_t text_digest;
    size_t steps, bytes;
    int year, month, day; /* 0: no date */
};

struct chat *chat_parse(const char *text, size_t length, const char *what, struct err *e)
{
    struct chat *c = mem_array(1, sizeof *c, e);
    struct toks t = {0};

    if (!c)
        return NULL;
    c->steps = RENDER_STEPS;
    c->bytes = RENDER_BYTES;
    c->arena.max = PARSE_BYTES;
    c->text_digest = hash_bytes(text, length);
    if (!(c->what = mem_text(what, e)) || !(c->vars = json_new_object()))
        goto fail;
    if (length > TEMPLATE_BYTES) {
        err_set(e, ERR_USE, "%s: a template of more than %d bytes", what, TEMPLATE_BYTES);
        goto fail;
    }
    if (chat_lex(text, length, what, &c->arena, &t, e) < 0)
        goto fail;
    if (!(c->body = chat_parse_toks(&t, what, &c->arena, e)))
        goto fail;
    free(t.tok);
    return c;
fail:
    free(t.tok);
    chat_close(&c);
    return NULL;
}

void chat_close(struct chat **c)
{
    if (!c || !*c)
        return;
    arena_release(&(*c)->arena);
    json_destroy(&(*c)->vars);
    free((*c)->what);
    free(*c);
    *c = NULL;
}

uint64_t chat_digest(const struct chat *c)
{
    char date[32], *vars = json_print(c->vars, 0, NULL);
    struct hash h;

    snprintf(date, sizeof date, "%d-%d-%d", c->year, c->month, c->day);
    hash_start(&h);
    hash_add(&h, &c->text_digest, sizeof c->text_digest);
    if (vars)
        hash_add(&h, vars, strlen(vars));
    hash_add(&h, date, strlen(date));
    free(vars);
    return hash_end(&h);
}

int chat_set(struct chat *c, const char *name, const struct json *value, struct err *e)
{
    return json_set(c->vars, name, json_clone(value)) == 0
               ? 0
               : err_set(e, ERR_SYS, "no memory for a variable of the chat template");
}

static int date_read(const char *date, int *y, int *m, int *d, struct err *e)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int end = 0, leap;

    if (sscanf(date, "%4d-%2d-%2d%n", y, m, d, &end) != 3 || date[end] || end != 10 || *y < 1000 ||
        *m < 1 || *m > 12 || *d < 1)
        return err_set(e, ERR_USE, "'%s' is no date: YYYY-MM-DD", date);
    leap = *m == 2 && (*y % 4 == 0 && (*y % 100 || *y % 400 == 0));
    if (*d > days[*m - 1] + leap)
        return err_set(e, ERR_USE, "'%s' is no date: that month is shorter", date);
    return 0;
}

int chat_check_date(const char *date, struct err *e)
{
    int y, m, d;

    return date_read(date, &y, &m, &d, e);
}

int chat_set_date(struct chat *c, const char *date, struct err *e)
{
    int y, m, d;

    if (date_read(date, &y, &m, &d, e) < 0)
        return -1;
    c->year = y;
    c->month = m;
    c->day = d;
    return 0;
}

void chat_limit(struct chat *c, size_t steps, size_t bytes)
{
    c->steps = steps;
    c->bytes = bytes;
}

/* ---- of a model folder ---- */

/* The text of the template in tokenizer_config.json, NULL when it has none. */
static const struct json *config_template(const struct json *config, const char *what,
                                          struct err *e)
{
    const struct json *t = json_get(config, "chat_template");

    if (json_kind(t) == JSON_KIND_TEXT)
        return t;
    for (size_t i = 0; json_kind(t) == JSON_KIND_ARRAY && i < json_count(t); i++) {
        const char *name = json_as_text(json_get(json_at(t, i), "name"));
        const struct json *text = json_get(json_at(t, i), "template");

        if (name && strcmp(name, "default") == 0 && json_as_text(text))
            return text;
    }
    err_set(e, ERR_USE, "%s: no \"chat_template\"%s: chats need one; give a file", what,
            json_kind(t) == JSON_KIND_ARRAY ? " of the name \"default\"" : "");
    return NULL;
}

/* bos_token and its like: texts, or objects with "content". */
static int special_tokens(struct chat *c, const struct json *config, struct err *e)
{
    static const char *const names[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                        "pad_token", "cls_token", "mask_token"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct json *v = json_get(config, names[i]);

        if (json_kind(v) == JSON_KIND_OBJECT)
            v = json_get(v, "content");
        if (json_as_text(v) && chat_set(c, names[i], v, e) < 0)
            return -1;
    }
    return 0;
}

static struct chat *file_parse(const char *path, struct err *e)
{
    size_t n;
    char *text = fs_read(path, TEMPLATE_BYTES, &n, e);
    struct chat *c = text ? chat_parse(text, n, path, e) : NULL;

    if (!text && e)
        e->kind = ERR_USE;
    free(text);
    return c;
}

/* A file of JSON, if it is there; else *j is NULL. */
static int config_read(const char *dir, const char *name, struct json **j, struct err *e)
{
    *j = NULL;
    return model_file_is(dir, name) && !(*j = model_file_json(dir, name, e)) ? -1 : 0;
}

static struct chat *config_parse(const struct json *config, const char *what, struct err *e)
{
    const struct json *found = config_template(config, what, e);

    return found ? chat_parse(json_as_text(found), json_text_length(found), what, e) : NULL;
}

struct chat *chat_open(const char *dir, const char *file, struct err *e)
{
    char *own = fs_join(dir, "chat_template.jinja", e),
         *path = fs_join(dir, "tokenizer_config.json", e),
         *beside = fs_join(dir, "chat_template.json", e);
    struct json *config = NULL, *processor = NULL;
    struct chat *c = NULL;

    if (!own || !path || !beside || config_read(dir, "tokenizer_config.json", &config, e) < 0)
        goto out;
    if (file || fs_is_named(own))
        c = file_parse(file ? file : own, e);
    else if (config_read(dir, "chat_template.json", &processor, e) == 0)
        c = processor ? config_parse(processor, beside, e) : config_parse(config, path, e);
    if (c && special_tokens(c, config, e) < 0)
        chat_close(&c);
out:
    json_destroy(&config);
    json_destroy(&processor);
    free(beside);
    free(path);
    free(own);
    return c;
}

/* ---- rendering ---- */

static int root_set(struct render *r, struct scope *f, const char *name, const struct json *value)
{
    struct var *v = f->var;

    while (v && !str_same(v->name, name))
        v = v->next;
    if (!v) {
        struct value text;

        if (!(v = arena_get(&r->arena, sizeof *v, r->e)) ||
            value_text(r, name, strlen(name), &text) < 0)
            return -1;
        v->name = text.u.s;
        v->next = f->var;
        f->var = v;
    }
    return value_json(r, value, &v->value);
}

static int root_fill(struct render *r, const struct json *always, const struct json *vars)
{
    const struct json *from[] = {always, vars};
    struct json *no = json_new_bool(0);
    const char *name;
    int rc;

    if (!(r->scope = arena_get(&r->arena, sizeof *r->scope, r->e)) || !no) {
        json_destroy(&no);
        return -1;
    }
    rc = root_set(r, r->scope, "tools", NULL) < 0 || root_set(r, r->scope, "documents", NULL) < 0 ||
         root_set(r, r->scope, "add_generation_prompt", no) < 0;
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; !rc && i < json_count(from[k]); i++) {
            const struct json *v = json_member(from[k], i, &name);

            rc = root_set(r, r->scope, name, v) < 0;
        }
    json_destroy(&no);
    return rc ? -1 : 0;
}

char *chat_render(const struct chat *c, const struct json *vars, size_t *length, struct err *e)
{
    return chat_render_spans(c, vars, length, NULL, e);
}

char *chat_render_spans(const struct chat *c, const struct json *vars, size_t *length,
                        struct chat_spans *spans, struct err *e)
{
    struct render r = {.what = c->what,
                       .arena = {.max = c->bytes},
                       .steps_max = c->steps,
                       .bytes_max = c->bytes,
                       .year = c->year,
                       .month = c->month,
                       .day = c->day,
                       .spans = spans,
                       .e = e};
    char *out = NULL;

    if (json_kind(vars) != JSON_KIND_OBJECT ||
        json_kind(json_get(vars, "messages")) != JSON_KIND_ARRAY) {
        err_set(e, ERR_USE, "\"messages\" must be an array");
        return NULL;
    }
    if (root_fill(&r, c->vars, vars) == 0 && chat_run(&r, c->body) == 0 &&
        render_add(&r, "", 0) == 0) {
        out = r.out.data;
        *length = r.out.n;
        r.out.data = NULL;
    }
    free(r.out.data);
    arena_release(&r.arena);
    return out;
}

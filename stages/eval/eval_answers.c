/* SPDX-License-Identifier: Apache-2.0 */
/* eval_answers - see eval_answers.h. */
#include "eval_answers.h"

#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/jinja/chat_ids.h"
#include "../../common/jinja/chat_images.h"
#include "../../common/model/config_read.h"
#include "eval_images.h"

#define FILE_MOST ((size_t)1 << 30)

struct gather {
    const struct windows_opts *o;
    struct windows *w;
    struct tokenizer *t;
    struct chat *chat;
    int32_t bos;
    size_t ids_room, roles_room, starts_room;
};

/* ---- a line ---- */

static struct json *part_text(const char *text)
{
    struct json *p = json_new_object();

    if (json_set_text(p, "type", "text") || json_set_text(p, "text", text))
        json_destroy(&p);
    return p;
}

static struct json *part_image(const char *source)
{
    struct json *p = json_new_object();

    if (json_set_text(p, "type", "image") || json_set_text(p, "path", source))
        json_destroy(&p);
    return p;
}

/* Takes the parts over. */
static struct json *message(const char *role, struct json *content)
{
    struct json *m = json_new_object();

    if (json_set_text(m, "role", role)) {
        json_destroy(&content);
        json_destroy(&m);
    } else if (json_set(m, "content", content))
        json_destroy(&m);
    return m;
}

struct json *answers_chat(const struct json *line, const char *what, struct err *e)
{
    const char *question = json_need_text(line, "question", what, e),
               *answer = question ? json_need_text(line, "answer", what, e) : NULL, *image = NULL;
    struct json *chat, *list, *user, *reply;
    int bad;

    if (!answer || (json_has(line, "image") && !(image = json_need_text(line, "image", what, e))))
        return NULL;
    chat = json_new_object();
    list = json_new_array();
    user = json_new_array();
    reply = json_new_array();
    bad = (image && json_push(user, part_image(image))) || json_push(user, part_text(question)) ||
          json_push(reply, part_text(answer));
    bad = json_push(list, message("user", user)) || bad;
    bad = json_push(list, message("assistant", reply)) || bad;
    bad = json_set(chat, "messages", list) || bad;
    if (!bad)
        return chat;
    json_destroy(&chat);
    err_set(e, ERR_SYS, "out of memory for a chat");
    return NULL;
}

/* ---- windows ---- */

static int window_add(struct gather *g, const struct chat_row *row, struct err *e)
{
    struct windows *w = g->w;
    const size_t n = w->tokens + row->n;

    if (mem_grow((void **)&w->ids, &g->ids_room, n, sizeof *w->ids, e) < 0 ||
        mem_grow((void **)&w->role, &g->roles_room, n, sizeof *w->role, e) < 0 ||
        mem_grow((void **)&w->start, &g->starts_room, w->count + 2, sizeof *w->start, e) < 0)
        return -1;
    memcpy(w->ids + w->tokens, row->ids, row->n * sizeof *w->ids);
    memcpy(w->role + w->tokens, row->role, row->n);
    w->start[0] = 0;
    w->start[++w->count] = w->tokens = n;
    return 0;
}

/* The pictures of a chat, and the texts that stand for them. */
static int pictures_take(struct gather *g, const struct json *sources, char ***text, struct err *e)
{
    if (!json_count(sources))
        return 0;
    if (!g->w->pictures && !(g->w->pictures = mem_array(1, sizeof *g->w->pictures, e)))
        return -1;
    g->w->pictures->data = g->o->data;
    return window_pictures_list(g->w->pictures, g->o->dir, sources, g->w->count, text, e);
}

static int chat_add(struct gather *g, struct json *chat, struct err *e)
{
    struct json *sources = NULL;
    struct chat_row row = {0};
    char **text = NULL;
    int rc = chat_images_take(chat, NULL, &sources, e);
    const size_t n = rc == 0 ? json_count(sources) : 0;

    if (rc == 0)
        rc = pictures_take(g, sources, &text, e);
    if (rc == 0) {
        const struct chat_insert insert = {.mark = n ? window_pictures_mark(g->w->pictures) : NULL,
                                           .text = (const char *const *)text,
                                           .n = n};

        rc = chat_ids(
            g->chat, g->t, chat,
            &(struct chat_ids_opts){.bos = g->bos, .roles = 1, .insert = n ? &insert : NULL}, &row,
            e);
    }
    if (rc == 0 && n)
        rc = window_pictures_check(g->w->pictures, g->w->count, row.ids, row.n, e);
    if (rc == 0)
        rc = window_add(g, &row, e);
    for (size_t i = 0; text && i < n; i++)
        free(text[i]);
    free(text);
    free(row.ids);
    free(row.role);
    json_destroy(&sources);
    return rc;
}

static int line_add(void *ctx, const struct json *line, const char *what, struct err *e)
{
    struct gather *g = ctx;
    struct json *chat = answers_chat(line, what, e);
    int rc = chat ? 0 : -1;

    if (rc == 0 && chat_add(g, chat, e) < 0)
        rc = err_prefix(e, "%s", what);
    json_destroy(&chat);
    return rc == 0 && g->o->max && g->w->count == g->o->max ? 1 : rc;
}

int answers_read(const struct windows_opts *o, struct windows *w, struct err *e)
{
    struct gather g = {.o = o, .w = w};
    int rc = -1;

    memset(w, 0, sizeof *w);
    if ((g.t = tokenizer_open(o->dir, e)) && windows_chat_open(o, g.t, &g.chat, &g.bos, e) == 0)
        rc = json_read_lines(o->data, FILE_MOST, line_add, &g, e);
    if (rc == 0 && !w->count)
        rc = err_set(e, ERR_DATA, "%s: no questions", o->data);
    tokenizer_close(&g.t);
    chat_close(&g.chat);
    if (rc < 0)
        windows_release(w);
    return rc;
}

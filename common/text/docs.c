/* SPDX-License-Identifier: Apache-2.0 */
/* docs - reading .txt and .jsonl. Streams line by line, so that memory is one document. Leaves
 * out: compressed files, images. */
#include "docs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../base/fs.h"
#include "../base/json.h"
#include "../base/mem.h"

enum { DOC_BYTES = 1 << 30 };

struct docs {
    char *path;
    FILE *file; /* .jsonl */
    int whole;  /* .txt: 1 until it was given */
    char *line;
    size_t room, number;
    int kind; /* of the documents so far: 0 none, 't' text, 'i' ids, 'c' chats */
};

static int ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

struct docs *docs_open(const char *path, struct err *e)
{
    struct docs *r = mem_array(1, sizeof *r, e);

    if (!r || !(r->path = mem_text(path, e)))
        goto fail;
    if (ends_with(path, ".txt")) {
        r->whole = 1;
        return r;
    }
    if (!ends_with(path, ".jsonl")) {
        err_set(e, ERR_USE, "%s: data is a .txt or a .jsonl file", path);
        goto fail;
    }
    r->file = fopen(path, "rb");
    if (r->file)
        return r;
    err_sys(e, "%s", path);
    if (e)
        e->kind = ERR_USE;
fail:
    docs_close(&r);
    return NULL;
}

void docs_close(struct docs **r)
{
    if (!*r)
        return;
    if ((*r)->file)
        fclose((*r)->file);
    free((*r)->line);
    free((*r)->path);
    free(*r);
    *r = NULL;
}

void doc_release(struct doc *d)
{
    free(d->text);
    free(d->ids);
    json_destroy(&d->chat);
    memset(d, 0, sizeof *d);
}

static int read_ids(const struct json *list, const char *what, struct doc *d, struct err *e)
{
    int64_t id;

    if (json_kind(list) != JSON_KIND_ARRAY)
        return err_set(e, ERR_USE, "%s: input_ids must be an array", what);
    if (json_count(list) == 0)
        return err_set(e, ERR_USE, "%s: input_ids is empty", what);
    d->count = json_count(list);
    d->ids = mem_array(d->count, sizeof *d->ids, e);
    if (!d->ids)
        return -1;
    for (size_t i = 0; i < d->count; i++) {
        if (json_as_int(json_at(list, i), &id) != 0 || id < 0 || id > INT32_MAX)
            return err_set(e, ERR_USE, "%s: input_ids[%zu] is not a token id", what, i);
        d->ids[i] = (int32_t)id;
    }
    return 0;
}

static int read_chat(const struct json *line, const char *what, struct doc *d, struct err *e)
{
    static const char *const names[] = {"messages", "tools", "documents"};
    const struct json *list = json_get(line, "messages"),
                      *more = json_get(line, "chat_template_kwargs"), *v;
    const char *name;
    int bad = 0;

    if (json_kind(list) != JSON_KIND_ARRAY || !json_count(list))
        return err_set(e, ERR_USE, "%s: \"messages\" must be an array of at least one message",
                       what);
    for (size_t i = 0; i < json_count(list); i++)
        if (!json_as_text(json_get(json_at(list, i), "role")))
            return err_set(e, ERR_USE, "%s: messages[%zu] has no \"role\"", what, i);
    if (more && json_kind(more) != JSON_KIND_OBJECT && json_kind(more) != JSON_KIND_NULL)
        return err_set(e, ERR_USE, "%s: \"chat_template_kwargs\" must be an object", what);
    d->chat = json_new_object();
    for (size_t i = 0; i < json_count(more); i++) {
        v = json_member(more, i, &name);
        bad |= json_set(d->chat, name, json_clone(v)) != 0;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if ((v = json_get(line, names[i])))
            bad |= json_set(d->chat, names[i], json_clone(v)) != 0;
    return bad ? err_set(e, ERR_SYS, "%s: no memory for the chat", what) : 0;
}

int doc_parse(const char *line, size_t length, const char *what, struct doc *d, struct err *e)
{
    struct json *j = json_parse(line, length, what, e);
    const struct json *text, *ids, *chat;
    int rc = -1;

    memset(d, 0, sizeof *d);
    if (!j)
        return -1;
    text = json_get(j, "text");
    ids = json_get(j, "input_ids");
    chat = json_get(j, "messages");
    if (!!text + !!ids + !!chat != 1)
        err_set(e, ERR_USE, "%s: a line needs either \"text\" or \"input_ids\" or \"messages\"",
                what);
    else if (chat)
        rc = read_chat(j, what, d, e);
    else if (ids)
        rc = read_ids(ids, what, d, e);
    else if (!json_as_text(text))
        err_set(e, ERR_USE, "%s: \"text\" must be a text", what);
    else {
        d->length = json_text_length(text);
        d->text = mem_raw(d->length + 1, 1, e);
        if (d->text) {
            memcpy(d->text, json_as_text(text), d->length);
            d->text[d->length] = '\0';
            rc = 0;
        }
    }
    if (rc != 0)
        doc_release(d);
    json_destroy(&j);
    return rc;
}

static int blank(const char *line, size_t n)
{
    while (n > 0 && strchr(" \t\r\n", line[n - 1]) && line[n - 1])
        n--;
    return n == 0;
}

static int next_line(struct docs *r, struct doc *d, struct err *e)
{
    char what[512];
    ssize_t n;
    int kind;

    do {
        n = getline(&r->line, &r->room, r->file);
        if (n < 0)
            return ferror(r->file) || !feof(r->file) ? err_sys(e, "%s", r->path) : 0;
        r->number++;
    } while (blank(r->line, (size_t)n));
    snprintf(what, sizeof what, "%s:%zu", r->path, r->number);
    if (n > DOC_BYTES)
        return err_set(e, ERR_USE, "%s: a line of more than 1 GiB", what);
    if (doc_parse(r->line, (size_t)n, what, d, e) != 0)
        return -1;
    d->line = r->number;
    kind = d->text ? 't' : d->ids ? 'i' : 'c';
    if (r->kind && r->kind != kind) {
        doc_release(d);
        return err_set(e, ERR_USE,
                       "%s: \"text\", \"input_ids\" and \"messages\" do not mix in one file", what);
    }
    r->kind = kind;
    return 1;
}

int docs_next(struct docs *r, struct doc *d, struct err *e)
{
    memset(d, 0, sizeof *d);
    if (r->file)
        return next_line(r, d, e);
    if (!r->whole)
        return 0;
    r->whole = 0;
    d->line = 1;
    d->text = fs_read(r->path, DOC_BYTES, &d->length, e);
    return d->text ? 1 : -1;
}

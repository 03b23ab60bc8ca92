/* SPDX-License-Identifier: Apache-2.0 */
/* chat_images - see chat_images.h. */
#include "chat_images.h"

#include <string.h>

#define MARK "<image>"

struct taker {
    const struct json *images; /* of the line */
    size_t next;               /* of them */
    struct json *sources;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_SYS, "no memory for the chat");
}

/* NULL: it is no text, or one with a zero in it, of which a name would be the first part alone. */
static const char *text_of(const struct json *v)
{
    const char *text = json_as_text(v);

    return text && strlen(text) == json_text_length(v) ? text : NULL;
}

/* A source as it is written: a text, or an object that holds it. */
static const char *source_of(const struct json *v)
{
    static const char *const names[] = {"path", "image", "url", "image_url"};

    if (json_as_text(v))
        return text_of(v);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct json *inner = json_get(v, names[i]);

        if (json_kind(inner) == JSON_KIND_OBJECT)
            inner = json_get(inner, "url");
        if (json_as_text(inner))
            return text_of(inner);
    }
    return NULL;
}

/* The next picture of the line. */
static const char *line_next(struct taker *t)
{
    if (json_kind(t->images) != JSON_KIND_ARRAY)
        return t->next++ ? NULL : source_of(t->images);
    return t->next < json_count(t->images) ? source_of(json_at(t->images, t->next++)) : NULL;
}

static int image_push(struct taker *t, struct json *parts, const char *source, struct err *e)
{
    struct json *part = json_new_object();

    if (!source || !*source) {
        json_destroy(&part);
        return err_set(e, ERR_USE,
                       "image %zu of the chat has no source: neither \"path\", \"image\" or "
                       "\"url\" in its part nor one left in \"images\" of the line",
                       json_count(t->sources) + 1);
    }
    if (json_set_text(part, "type", "image") < 0 || json_push(parts, part) < 0 ||
        json_push(t->sources, json_new_text(source)) < 0)
        return no_memory(e);
    return 0;
}

static int text_push(struct json *parts, const char *text, size_t n, struct err *e)
{
    struct json *part = json_new_object();

    if (json_set_text(part, "type", "text") < 0 ||
        json_set(part, "text", json_new_text_n(text, n)) < 0 || json_push(parts, part) < 0)
        return no_memory(e);
    return 0;
}

/* "<image>\nWhat is this?": the line break belongs to the mark. */
static int text_split(struct taker *t, struct json *parts, const char *text, struct err *e)
{
    const char *mark;

    while (t->images && (mark = strstr(text, MARK))) {
        size_t n = (size_t)(mark - text);

        if (n && text[n - 1] == '\n')
            n--;
        if ((n && text_push(parts, text, n, e) < 0) || image_push(t, parts, line_next(t), e) < 0)
            return -1;
        text = mark + strlen(MARK);
        text += *text == '\n';
    }
    return *text || !json_count(parts) ? text_push(parts, text, strlen(text), e) : 0;
}

static int part_take(struct taker *t, struct json *parts, const struct json *part, struct err *e)
{
    const char *type = json_text_or(part, "type", "");
    const char *source;

    if (strcmp(type, "image") == 0 || strcmp(type, "image_url") == 0) {
        source = source_of(part);
        return image_push(t, parts, source ? source : line_next(t), e);
    }
    if (strncmp(type, "video", 5) == 0 || strncmp(type, "audio", 5) == 0 ||
        strncmp(type, "input_audio", 11) == 0)
        return err_set(e, ERR_USE, "a part of the type \"%.20s\": only images and texts are read",
                       type);
    return json_push(parts, json_clone(part)) < 0 ? no_memory(e) : 0;
}

/* The content of a message as a list of parts. */
static struct json *content_take(struct taker *t, const struct json *content, struct err *e)
{
    struct json *parts = json_new_array();
    int bad = 0;

    if (json_as_text(content))
        bad = text_split(t, parts, json_as_text(content), e) < 0;
    for (size_t i = 0; !bad && json_kind(content) == JSON_KIND_ARRAY && i < json_count(content);
         i++)
        bad = part_take(t, parts, json_at(content, i), e) < 0;
    if (bad)
        json_destroy(&parts);
    else if (!parts)
        no_memory(e);
    return parts;
}

static struct json *message_take(struct taker *t, const struct json *message, struct err *e)
{
    const struct json *content = json_get(message, "content");
    struct json *to = json_clone(message), *parts;

    if (!to)
        no_memory(e);
    if (!to || json_kind(content) == JSON_KIND_NULL)
        return to;
    if (!(parts = content_take(t, content, e))) {
        json_destroy(&to);
    } else if (json_set(to, "content", parts) < 0) {
        no_memory(e);
        json_destroy(&to);
    }
    return to;
}

static int messages_take(struct taker *t, const struct json *messages, struct json *to,
                         struct err *e)
{
    for (size_t i = 0; i < json_count(messages); i++) {
        struct json *message = message_take(t, json_at(messages, i), e);

        if (!message)
            return err_prefix(e, "messages[%zu]", i);
        if (json_push(to, message) < 0)
            return no_memory(e);
    }
    return 0;
}

int chat_images_list(const struct json *images, struct json **sources, struct err *e)
{
    struct taker t = {.images = images, .sources = json_new_array()};
    const size_t n = json_kind(images) == JSON_KIND_ARRAY ? json_count(images) : images != NULL;
    struct json *parts = json_new_array();
    int rc = 0;

    while (rc == 0 && json_count(t.sources) < n)
        rc = image_push(&t, parts, line_next(&t), e);
    json_destroy(&parts);
    if (rc < 0)
        json_destroy(&t.sources);
    *sources = t.sources;
    return rc;
}

int chat_images_take(struct json *chat, const struct json *images, struct json **sources,
                     struct err *e)
{
    struct taker t = {.images = images, .sources = json_new_array()};
    struct json *messages = json_new_array();
    const size_t given = json_kind(images) == JSON_KIND_ARRAY ? json_count(images) : images != NULL;

    *sources = NULL;
    if (messages_take(&t, json_get(chat, "messages"), messages, e) < 0)
        goto fail;
    if (t.next < given) {
        err_set(e, ERR_USE, "%zu images of the line, and only %zu places for them (\"" MARK "\")",
                given, t.next);
        goto fail;
    }
    if (json_count(t.sources)) {
        if (json_set(chat, "messages", messages) < 0) {
            messages = NULL;
            no_memory(e);
            goto fail;
        }
    } else {
        json_destroy(&messages);
    }
    *sources = t.sources;
    return 0;
fail:
    json_destroy(&messages);
    json_destroy(&t.sources);
    return -1;
}

int chat_images_refuse(struct json *chat, const struct json *images, const char *instead,
                       struct err *e)
{
    struct json *sources = NULL;
    int rc = chat_images_take(chat, images, &sources, e);

    if (rc == 0 && json_count(sources))
        rc = err_set(e, ERR_USE, "a chat with images: they are not read here%s", instead);
    json_destroy(&sources);
    return rc;
}

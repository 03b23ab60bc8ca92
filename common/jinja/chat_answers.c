/* SPDX-License-Identifier: Apache-2.0 */
/* chat_answers - see chat_answers.h. Renders the conversation once more for each answer, with one
 * letter in its place: the span is what lies between the common beginning and the common end. */
#include "chat_answers.h"

#include <stdlib.h>
#include <string.h>

static int is_answer(const struct json *message)
{
    const char *role = json_as_text(json_get(message, "role"));

    return role && (!strcmp(role, "assistant") || !strcmp(role, "model"));
}

/* First and last byte of a text, white space aside. */
static void edges_add(const struct json *j, char seen[static 8], size_t *used)
{
    const char *text = json_as_text(j), *end = text ? text + json_text_length(j) : NULL;

    while (text && text < end && *text && strchr(" \t\r\n", *text))
        text++;
    while (text && end > text && end[-1] && strchr(" \t\r\n", end[-1]))
        end--;
    if (text < end && *used + 2 <= 8) {
        seen[(*used)++] = text[0];
        seen[(*used)++] = end[-1];
    }
}

/* A letter with which the message neither begins nor ends. */
static char letter_for(const struct json *message)
{
    static const char letters[] = "xyzqwvkjf";
    const struct json *content = json_get(message, "content");
    char seen[8] = "";
    size_t used = 0, i = 0;

    edges_add(content, seen, &used);
    edges_add(json_get(message, "reasoning_content"), seen, &used);
    if (json_kind(content) == JSON_KIND_ARRAY && json_count(content)) {
        edges_add(json_get(json_at(content, 0), "text"), seen, &used);
        edges_add(json_get(json_at(content, json_count(content) - 1), "text"), seen, &used);
    }
    while (memchr(seen, letters[i], used))
        i++;
    return letters[i];
}

/* The message with one letter for all that it says; NULL: no memory. */
static struct json *message_masked(const struct json *message)
{
    static const char *const words[] = {"tool_calls", "reasoning_content", "reasoning", "thinking"};
    struct json *m = json_clone(message);
    char letter[2] = {letter_for(message), 0};
    int bad = !m;

    for (size_t i = 0; m && i < sizeof words / sizeof *words; i++)
        if (json_get(m, words[i]))
            json_del(m, words[i]);
    if (m && json_kind(json_get(m, "content")) == JSON_KIND_ARRAY) {
        struct json *list = json_new_array(), *part = json_new_object();

        bad = json_set_text(part, "type", "text") < 0 || json_set_text(part, "text", letter) < 0;
        if (!bad)
            bad = json_push(list, part) < 0;
        else
            json_destroy(&part);
        bad = json_set(m, "content", list) < 0 || bad;
    } else if (m) {
        bad = json_set_text(m, "content", letter) < 0;
    }
    if (bad)
        json_destroy(&m);
    return m;
}

/* vars with message k masked; NULL: no memory. */
static struct json *vars_masked(const struct json *vars, size_t k)
{
    const struct json *from = json_get(vars, "messages");
    struct json *messages = json_new_array(), *all = json_new_object();
    int bad = !messages || !all;

    for (size_t i = 0; !bad && i < json_count(vars); i++) {
        const char *name;
        const struct json *v = json_member(vars, i, &name);

        if (strcmp(name, "messages") != 0)
            bad = json_set(all, name, json_clone(v)) < 0;
    }
    for (size_t i = 0; !bad && i < json_count(from); i++)
        bad = json_push(messages, i == k ? message_masked(json_at(from, i))
                                         : json_clone(json_at(from, i))) < 0;
    if (!all || json_set(all, "messages", messages) < 0 || bad)
        json_destroy(&all);
    return all;
}

static int is_inside(char byte) /* of a character */
{
    return ((unsigned char)byte & 0xC0) == 0x80;
}

/* What is different in a, in whole characters. */
static struct chat_span differs(const char *a, size_t n, const char *b, size_t m)
{
    size_t start = 0, end = 0, least = n < m ? n : m;

    while (start < least && a[start] == b[start])
        start++;
    while (end < least - start && a[n - 1 - end] == b[m - 1 - end])
        end++;
    while (start && start < n && is_inside(a[start]))
        start--;
    while (end && is_inside(a[n - end]))
        end--;
    return (struct chat_span){start, n - end};
}

static int answer_find(const struct chat *c, const struct json *vars, size_t k, const char *text,
                       size_t n, struct chat_spans *spans, struct err *e)
{
    struct json *other = vars_masked(vars, k);
    struct err why = {0};
    struct chat_span s = {0};
    char *masked = NULL;
    size_t m;
    int rc = 0;

    if (!other)
        return err_set(e, ERR_SYS, "no memory for a conversation");
    if ((masked = chat_render(c, other, &m, &why)))
        s = differs(text, n, masked, m);
    else if (why.kind != ERR_USE) {
        rc = -1;
        if (e)
            *e = why;
    }
    if (spans->n && s.start < spans->at[spans->n - 1].end)
        s.start = spans->at[spans->n - 1].end;
    if (s.start < s.end)
        rc = chat_spans_push(spans, s, e);
    json_destroy(&other);
    free(masked);
    return rc;
}

int chat_answers(const struct chat *c, const struct json *vars, const char *text, size_t n,
                 size_t first, struct chat_spans *spans, struct err *e)
{
    const struct json *messages = json_get(vars, "messages");

    if (spans->n && !first)
        return 1;
    spans->n = 0;
    for (size_t k = first; k < json_count(messages); k++)
        if (is_answer(json_at(messages, k)) && answer_find(c, vars, k, text, n, spans, e) < 0)
            return -1;
    return 0;
}

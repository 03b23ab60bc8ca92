/* SPDX-License-Identifier: Apache-2.0 */
/* doc_line - one line of a .jsonl file, or one element of a .json list, to a document.
 *
 * Only the members that are read are judged: the rest of a line may hold what JSON does not know
 * (NaN, Infinity), numbers without bounds or a key twice, as other writers of such files leave
 * it. So the line is first cut into its members, and the few that count are parsed one by one.
 * What is broken in a way that has one obvious repair is repaired and counted: bytes that are no
 * UTF-8, and halves of surrogate pairs, become U+FFFD. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "doc_parts.h"
#include "unicode.h"

#define DEPTH_MAX 1024 /* of values that are passed over */

const char *const doc_names[DOC_FIELDS + 1] = {
    "text",          "input_ids", "attention_mask", "labels",
    "messages",      "tools",     "documents",      "chat_template_kwargs",
    "conversations", "system",    "instruction",    "input",
    "output",        "prompt",    "completion",     "image",
    "images",        NULL};

const char *const *doc_members(void)
{
    return doc_names;
}

struct line {
    const char *p, *end, *start;
    const char *what;
    const char *column; /* the only member that is read; NULL: those of doc_names */
    char texts[160];    /* names of others that hold texts */
};

/* ---- repairs ---- */

/* The code of "\uXXXX" at p, else -1. */
static int escape_code(const char *p, const char *end)
{
    int code = 0;

    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        if (!isxdigit((unsigned char)p[i]))
            return -1;
        code = code * 16 + (isdigit((unsigned char)p[i]) ? p[i] - '0' : (p[i] | 32) - 'a' + 10);
    }
    return code;
}

/* Halves of surrogate pairs, in place; returns how many. */
static size_t surrogates_repair(char *line, size_t n)
{
    char *p = line, *end = line + n;
    size_t count = 0;

    while ((p = memchr(p, '\\', (size_t)(end - p))) != NULL) {
        int code = escape_code(p, end), next;

        if (code < 0) {
            p += end - p > 1 ? 2 : 1;
            continue;
        }
        next = code >= 0xD800 && code < 0xDC00 ? escape_code(p + 6, end) : -1;
        if (next >= 0xDC00 && next < 0xE000) {
            p += 12;
            continue;
        }
        if (code >= 0xD800 && code < 0xE000) {
            memcpy(p + 2, "fffd", 4);
            count++;
        }
        p += 6;
    }
    return count;
}

static char *bytes_copy(const char *text, size_t n, struct err *e)
{
    char *copy = mem_raw(n + 1, 1, e);

    if (!copy)
        return NULL;
    if (n)
        memcpy(copy, text, n);
    copy[n] = '\0';
    return copy;
}

/* A repaired copy of the line where it may need one (*copy, the caller's), or none. *count: how
 * many characters became U+FFFD in it. */
static int line_repair(const char *line, size_t *n, char **copy, size_t *count, struct err *e)
{
    *count = unicode_broken(line, *n);
    *copy = NULL;
    if (*count)
        *copy = unicode_repair(line, *n, n, e);
    else if (memmem(line, *n, "\\ud", 3) || memmem(line, *n, "\\uD", 3))
        *copy = bytes_copy(line, *n, e);
    else
        return 0;
    if (!*copy)
        return -1;
    *count += surrogates_repair(*copy, *n);
    return 0;
}

/* ---- the members of a line ---- */

static void space_pass(struct line *l)
{
    while (l->p < l->end && strchr(" \t\r\n", *l->p) && *l->p)
        l->p++;
}

static int broken(const struct line *l, const char *why, struct err *e)
{
    return err_set(e, ERR_USE, "%s: not valid JSON: %s (column %zu)", l->what, why,
                   (size_t)(l->p - l->start) + 1);
}

/* l->p is at the opening quote; afterwards behind the closing one. */
static int string_pass(struct line *l, struct err *e)
{
    const char *open = l->p++;

    for (; l->p < l->end && *l->p != '"'; l->p++)
        l->p += *l->p == '\\';
    if (l->p >= l->end) {
        l->p = open;
        return broken(l, "a text without an end", e);
    }
    l->p++;
    return 0;
}

static int word_pass(struct line *l, struct err *e)
{
    const char *from = l->p;

    while (l->p < l->end && (isalnum((unsigned char)*l->p) || (*l->p && strchr("+-.", *l->p))))
        l->p++;
    return l->p > from ? 0 : broken(l, "a value is missing", e);
}

/* Any value: texts have an end, brackets close; what is between is not looked at. */
static int value_pass(struct line *l, struct err *e)
{
    char close[DEPTH_MAX];
    size_t depth = 0;

    if (l->p < l->end && *l->p == '"')
        return string_pass(l, e);
    if (l->p >= l->end || !strchr("[{", *l->p) || !*l->p)
        return word_pass(l, e);
    do {
        char c = *l->p;

        if (c == '"') {
            if (string_pass(l, e) < 0)
                return -1;
            continue;
        }
        if (c == '[' || c == '{') {
            if (depth == DEPTH_MAX)
                return broken(l, "nested too deep", e);
            close[depth++] = c == '[' ? ']' : '}';
        } else if ((c == ']' || c == '}') && close[--depth] != c) {
            return broken(l, "brackets that do not match", e);
        }
        l->p++;
    } while (depth && l->p < l->end);
    return depth ? broken(l, "the line ends too early", e) : 0;
}

/* Which of ours a key is: DOC_FIELDS none. */
static int key_find(const struct line *l, const char *key, size_t n)
{
    int i = 0;

    if (l->column)
        return strlen(l->column) == n && !memcmp(key, l->column, n) ? DOC_TEXT : DOC_FIELDS;
    while (i < DOC_FIELDS && (strlen(doc_names[i]) != n || memcmp(key, doc_names[i], n) != 0))
        i++;
    return i;
}

/* A key as it is read; -1: broken. */
static int key_read(struct line *l, struct err *e)
{
    const char *at = l->p + 1;
    struct json *j = NULL;
    size_t n;
    int k;

    if (string_pass(l, e) < 0)
        return -1;
    n = (size_t)(l->p - at) - 1;
    if (memchr(at, '\\', n)) { /* written with escapes */
        if (!(j = json_parse(at - 1, n + 2, l->what, e)))
            return -1;
        k = key_find(l, json_as_text(j), json_text_length(j));
    } else {
        k = key_find(l, at, n);
    }
    json_destroy(&j);
    return k;
}

/* A member that is not looked at, but could have been meant. */
static void texts_note(struct line *l, const char *key, const char *key_end)
{
    const size_t used = strlen(l->texts), n = (size_t)(key_end - key);

    if (used + n + 3 < sizeof l->texts)
        snprintf(l->texts + used, sizeof l->texts - used, "%s%.*s", used ? ", " : "", (int)n, key);
}

static int member_read(struct line *l, struct doc_member *f, struct err *e)
{
    const char *at, *key = l->p, *key_end;
    int k;

    if (l->p >= l->end || *l->p != '"')
        return broken(l, "a key is missing", e);
    if ((k = key_read(l, e)) < 0)
        return -1;
    key_end = l->p;
    space_pass(l);
    if (l->p >= l->end || *l->p != ':')
        return broken(l, "a ':' is missing", e);
    l->p++;
    space_pass(l);
    at = l->p;
    if (value_pass(l, e) < 0)
        return -1;
    if (k == DOC_FIELDS) {
        if (*at == '"')
            texts_note(l, key, key_end);
        return 0;
    }
    if (f[k].seen)
        return err_set(e, ERR_USE, "%s: \"%s\" is there twice", l->what,
                       l->column ? l->column : doc_names[k]);
    f[k].seen = 1;
    f[k].n = (size_t)(l->p - at);
    f[k].at = f[k].n == 4 && !memcmp(at, "null", 4) ? NULL : at;
    return 0;
}

static int members_read(struct line *l, struct doc_member *f, struct err *e)
{
    space_pass(l);
    if (l->p >= l->end || *l->p != '{')
        return broken(l, "a line is one object", e);
    l->p++;
    space_pass(l);
    if (l->p < l->end && *l->p == '}')
        l->p++;
    else
        for (;;) {
            space_pass(l);
            if (member_read(l, f, e) < 0)
                return -1;
            space_pass(l);
            if (l->p >= l->end || (*l->p != ',' && *l->p != '}'))
                return broken(l, l->p < l->end ? "a ',' is missing" : "the line ends too early", e);
            if (*l->p++ == '}')
                break;
        }
    space_pass(l);
    return l->p < l->end ? broken(l, "something stands behind the object", e) : 0;
}

/* ---- the whole ---- */

char *doc_member_text(const struct doc_member *m, const char *name, const char *what,
                      size_t *length, struct err *e)
{
    struct json *j = json_parse(m->at, m->n, what, e);
    char *text = NULL;

    if (j && !json_as_text(j)) {
        err_set(e, ERR_USE, "%s: \"%s\" must be a text", what, name);
    } else if (j) {
        *length = json_text_length(j);
        text = bytes_copy(json_as_text(j), *length, e);
    }
    json_destroy(&j);
    return text;
}

static int text_read(const struct doc_member *m, const char *name, const char *what, struct doc *d,
                     struct err *e)
{
    d->text = doc_member_text(m, name, what, &d->length, e);
    return d->text ? 0 : -1;
}

static int nothing_read(const struct line *l, const struct docs_opts *o, struct err *e)
{
    const int can = o->bad_lines != DOCS_BAD_FINAL && l->texts[0];

    if (l->column)
        return err_set(e, ERR_USE, "%s: no text \"%s\", as --text-column says%s%.170s", l->what,
                       l->column, l->texts[0] ? "; there are " : "", l->texts);
    return err_set(e, ERR_USE,
                   "%s: a line needs either \"text\" or \"input_ids\" or \"messages\" or "
                   "\"conversations\", or \"instruction\" with \"output\", or \"prompt\" with "
                   "\"completion\"%s%.170s%s",
                   l->what, can ? " (--text-column NAME reads another: " : "", can ? l->texts : "",
                   can ? ")" : "");
}

/* The kinds of which a line has one; then those that count where there is none of these, since
 * they were made into one of them or are no chat without their other half. */
static int kind_read(const struct line *l, const struct docs_opts *o, const struct doc_member *f,
                     struct doc *d, struct err *e)
{
    static const enum doc_field kinds[] = {DOC_TEXT, DOC_IDS, DOC_MESSAGES};
    const char *what = l->what;
    int first = -1;

    for (size_t i = 0; i < 3; i++) {
        if (!f[kinds[i]].at)
            continue;
        if (first >= 0)
            return err_set(e, ERR_USE,
                           "%s: both \"%s\" and \"%s\" are there, and which is meant is not said: "
                           "a line has either \"text\" or \"input_ids\" or \"messages\"%s",
                           what, doc_names[first], doc_names[kinds[i]],
                           first == DOC_TEXT && o->bad_lines != DOCS_BAD_FINAL
                               ? " (--text-column text reads that alone)"
                               : "");
        first = (int)kinds[i];
    }
    switch (first) {
    case DOC_TEXT:
        return text_read(&f[DOC_TEXT], l->column ? l->column : doc_names[DOC_TEXT], what, d, e);
    case DOC_IDS:
        return doc_ids_read(f, what, d, e) < 0 ? -1 : doc_images_read(f, what, d, e);
    case DOC_MESSAGES:
        return doc_messages_read(f, what, d, e);
    default:
        break;
    }
    if (f[DOC_CONVERSATIONS].at)
        return doc_conversations_read(f, what, d, e);
    if (f[DOC_INSTRUCTION].at && f[DOC_OUTPUT].at)
        return doc_instruction_read(f, what, d, e);
    if (f[DOC_PROMPT].at && f[DOC_COMPLETION].at)
        return doc_prompt_read(f, what, d, e);
    return nothing_read(l, o, e);
}

static int line_read(struct line *l, const struct docs_opts *o, struct doc *d, struct err *e)
{
    struct doc_member f[DOC_FIELDS] = {{0}}, whole;

    space_pass(l);
    if (l->p < l->end && *l->p == '"' && !l->column) { /* a text by itself */
        whole = (struct doc_member){.at = l->p};
        if (string_pass(l, e) < 0)
            return -1;
        whole.n = (size_t)(l->p - whole.at);
        space_pass(l);
        return l->p < l->end ? broken(l, "something stands behind the text", e)
                             : text_read(&whole, doc_names[DOC_TEXT], l->what, d, e);
    }
    return members_read(l, f, e) < 0 ? -1 : kind_read(l, o, f, d, e);
}

int doc_parse(const char *line, size_t length, const char *what, const struct docs_opts *o,
              struct doc *d, struct err *e)
{
    struct line l = {.what = what, .column = o->text_column};
    char *copy = NULL;
    size_t repaired;
    int rc;

    memset(d, 0, sizeof *d);
    if (line_repair(line, &length, &copy, &repaired, e) < 0)
        return -1;
    d->repaired = repaired;
    l.start = l.p = copy ? copy : line;
    l.end = l.p + length;
    rc = line_read(&l, o, d, e);
    if (rc != 0)
        doc_release(d);
    free(copy);
    return rc;
}

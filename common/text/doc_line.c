/* SPDX-License-Identifier: Apache-2.0 */
/* doc_line - one line of a .jsonl file to a document.
 *
 * Only the members that are read are judged: the rest of a line may hold what JSON does not know
 * (NaN, Infinity), numbers without bounds or a key twice, as other writers of such files leave
 * it. So the line is first cut into its members, and the few that count are parsed one by one.
 * What is broken in a way that has one obvious repair is repaired and counted: bytes that are no
 * UTF-8, and halves of surrogate pairs, become U+FFFD. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "docs.h"
#include "unicode.h"

#define DEPTH_MAX 1024 /* of values that are passed over */

enum { TEXT, IDS, MASK, MESSAGES, TOOLS, DOCUMENTS, KWARGS, FIELDS };
static const char *const NAMES[FIELDS] = {"text",  "input_ids", "attention_mask",      "messages",
                                          "tools", "documents", "chat_template_kwargs"};

struct field {
    const char *at; /* its value; NULL: absent, or null */
    size_t n;
    int seen;
};

struct line {
    const char *p, *end, *start;
    const char *what;
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

/* A repaired copy of the line where it may need one (*copy, the caller's), or none. Returns
 * whether it did, or -1. */
static int line_repair(const char *line, size_t *n, char **copy, struct err *e)
{
    int bytes = unicode_valid(line, *n) < *n;

    *copy = NULL;
    if (bytes)
        *copy = unicode_repair(line, *n, n, e);
    else if (memmem(line, *n, "\\ud", 3) || memmem(line, *n, "\\uD", 3))
        *copy = bytes_copy(line, *n, e);
    else
        return 0;
    if (!*copy)
        return -1;
    return (surrogates_repair(*copy, *n) > 0) | bytes;
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

/* A key as it is read: FIELDS when it is none of ours, -1 broken. */
static int key_read(struct line *l, struct err *e)
{
    const char *at = l->p + 1;
    struct json *j = NULL;
    const char *text;
    char key[32];
    size_t n;
    int i;

    if (string_pass(l, e) < 0)
        return -1;
    n = (size_t)(l->p - at) - 1;
    if (memchr(at, '\\', n)) { /* written with escapes */
        if (!(j = json_parse(at - 1, n + 2, l->what, e)))
            return -1;
        text = json_as_text(j);
        n = json_text_length(j);
    } else {
        text = at;
    }
    n = n < sizeof key - 1 ? n : sizeof key - 1;
    memcpy(key, text, n);
    key[n] = '\0';
    json_destroy(&j);
    for (i = 0; i < FIELDS && strcmp(key, NAMES[i]); i++) {
    }
    return i;
}

static int member_read(struct line *l, struct field *f, struct err *e)
{
    const char *at;
    int k;

    if (l->p >= l->end || *l->p != '"')
        return broken(l, "a key is missing", e);
    if ((k = key_read(l, e)) < 0)
        return -1;
    space_pass(l);
    if (l->p >= l->end || *l->p != ':')
        return broken(l, "a ':' is missing", e);
    l->p++;
    space_pass(l);
    at = l->p;
    if (value_pass(l, e) < 0)
        return -1;
    if (k == FIELDS)
        return 0;
    if (f[k].seen)
        return err_set(e, ERR_USE, "%s: \"%s\" is there twice", l->what, NAMES[k]);
    f[k].seen = 1;
    f[k].n = (size_t)(l->p - at);
    f[k].at = f[k].n == 4 && !memcmp(at, "null", 4) ? NULL : at;
    return 0;
}

static int members_read(const char *line, size_t n, const char *what, struct field *f,
                        struct err *e)
{
    struct line l = {line, line + n, line, what};

    space_pass(&l);
    if (l.p >= l.end || *l.p != '{')
        return broken(&l, "a line is one object", e);
    l.p++;
    space_pass(&l);
    if (l.p < l.end && *l.p == '}')
        l.p++;
    else
        for (;;) {
            space_pass(&l);
            if (member_read(&l, f, e) < 0)
                return -1;
            space_pass(&l);
            if (l.p >= l.end || (*l.p != ',' && *l.p != '}'))
                return broken(&l, l.p < l.end ? "a ',' is missing" : "the line ends too early", e);
            if (*l.p++ == '}')
                break;
        }
    space_pass(&l);
    return l.p < l.end ? broken(&l, "something stands behind the object", e) : 0;
}

/* ---- token ids ---- */

/* A list in a list of one, as a batch of one row is written, is that list. */
static struct json *list_parse(const struct field *f, const char *name, const char *what,
                               const struct json **list, struct err *e)
{
    struct json *j = json_parse(f->at, f->n, what, e);

    *list = j;
    if (json_kind(j) == JSON_KIND_ARRAY && json_count(j) == 1 &&
        json_kind(json_at(j, 0)) == JSON_KIND_ARRAY)
        *list = json_at(j, 0);
    if (j && json_kind(*list) != JSON_KIND_ARRAY) {
        err_set(e, ERR_USE, "%s: %s must be an array", what, name);
        json_destroy(&j);
    }
    return j;
}

/* 1 or 0, -1 for anything else. */
static int mask_at(const struct json *mask, size_t i)
{
    const struct json *v = json_at(mask, i);
    int64_t n = -1;
    int b = -1;

    if (json_as_bool(v, &b) == 0)
        return b;
    return json_as_int(v, &n) == 0 && (n == 0 || n == 1) ? (int)n : -1;
}

/* Tokens that the mask rules out are no part of the row, so positions count without them. */
static int ids_take(const struct json *list, const struct json *mask, const char *what,
                    struct doc *d, struct err *e)
{
    size_t n = json_count(list);
    int64_t id;

    if (n == 0)
        return err_set(e, ERR_USE, "%s: input_ids is empty", what);
    if (mask && json_count(mask) != n)
        return err_set(e, ERR_USE, "%s: attention_mask has %zu numbers, input_ids %zu", what,
                       json_count(mask), n);
    if (!(d->ids = mem_array(n, sizeof *d->ids, e)))
        return -1;
    for (size_t i = 0; i < n; i++) {
        int on = mask ? mask_at(mask, i) : 1;

        if (on < 0)
            return err_set(e, ERR_USE, "%s: attention_mask[%zu] is neither 0 nor 1", what, i);
        if (!on)
            continue;
        if (json_as_int(json_at(list, i), &id) != 0 || id < 0 || id > INT32_MAX)
            return err_set(e, ERR_USE, "%s: input_ids[%zu] is not a token id", what, i);
        d->ids[d->count++] = (int32_t)id;
    }
    d->masked = n - d->count;
    return d->count ? 0 : err_set(e, ERR_USE, "%s: attention_mask rules out every token", what);
}

static int ids_read(const struct field *f, const char *what, struct doc *d, struct err *e)
{
    const struct json *list, *mask = NULL;
    struct json *i = list_parse(&f[IDS], NAMES[IDS], what, &list, e), *m = NULL;
    int rc = -1;

    if (i && (!f[MASK].at || (m = list_parse(&f[MASK], NAMES[MASK], what, &mask, e))))
        rc = ids_take(list, mask, what, d, e);
    json_destroy(&m);
    json_destroy(&i);
    return rc;
}

/* ---- chats ---- */

/* A value of the line; one that was stored as JSON text is what that text says. NULL with *rc
 * -1: refused. */
static struct json *value_of(const struct json *v, const char *name, const char *what,
                             struct err *e)
{
    const char *text = json_as_text(v);
    struct json *j;

    if (!text)
        return json_clone(v);
    while (*text && strchr(" \t\r\n", *text))
        text++;
    if (!*text)
        return json_new_null();
    if (!(j = json_parse(text, strlen(text), what, NULL)))
        err_set(e, ERR_USE, "%s: \"%s\" is a text, and not one of JSON", what, name);
    return j;
}

static int objects_check(const struct json *list, const char *name, const char *what, struct err *e)
{
    int bad = json_kind(list) != JSON_KIND_ARRAY;

    for (size_t i = 0; !bad && i < json_count(list); i++)
        bad = json_kind(json_at(list, i)) != JSON_KIND_OBJECT;
    return bad ? err_set(e, ERR_USE,
                         "%s: \"%s\" must be a list of objects (or that list as JSON text)", what,
                         name)
               : 0;
}

/* Sets a variable of the template; takes v. Absent and null are the same. */
static int var_set(struct doc *d, const char *name, struct json *v, const char *what, struct err *e)
{
    if (v && json_kind(v) == JSON_KIND_NULL) {
        json_destroy(&v);
        return 0;
    }
    return v && json_set(d->chat, name, v) == 0
               ? 0
               : err_set(e, ERR_SYS, "%s: no memory for the chat", what);
}

static int is_list(const char *name)
{
    return !strcmp(name, NAMES[MESSAGES]) || !strcmp(name, NAMES[TOOLS]) ||
           !strcmp(name, NAMES[DOCUMENTS]);
}

static int list_set(struct doc *d, const char *name, const struct json *from, const char *what,
                    struct err *e)
{
    struct json *v = value_of(from, name, what, e);

    if (!v)
        return -1;
    if (json_kind(v) != JSON_KIND_NULL && objects_check(v, name, what, e) < 0) {
        json_destroy(&v);
        return -1;
    }
    return var_set(d, name, v, what, e);
}

static int kwargs_set(struct doc *d, const struct json *from, const char *what, struct err *e)
{
    struct json *more = value_of(from, NAMES[KWARGS], what, e);
    const char *name;
    int rc = more ? 0 : -1;

    if (more && json_kind(more) != JSON_KIND_OBJECT && json_kind(more) != JSON_KIND_NULL)
        rc = err_set(e, ERR_USE, "%s: \"chat_template_kwargs\" must be an object", what);
    for (size_t i = 0; rc == 0 && i < json_count(more); i++) {
        const struct json *v = json_member(more, i, &name);

        rc = is_list(name) ? list_set(d, name, v, what, e)
             : json_set(d->chat, name, json_clone(v)) != 0
                 ? err_set(e, ERR_SYS, "%s: no memory for the chat", what)
                 : 0;
    }
    json_destroy(&more);
    return rc;
}

static int messages_check(const struct json *list, const char *what, struct err *e)
{
    if (!json_count(list))
        return err_set(e, ERR_USE, "%s: \"messages\" must be an array of at least one message",
                       what);
    for (size_t i = 0; i < json_count(list); i++)
        if (!json_as_text(json_get(json_at(list, i), "role")))
            return err_set(e, ERR_USE, "%s: messages[%zu] has no \"role\"", what, i);
    return 0;
}

static int chat_read(const struct field *f, const char *what, struct doc *d, struct err *e)
{
    static const int order[] = {KWARGS, MESSAGES, TOOLS, DOCUMENTS};

    if (!(d->chat = json_new_object()))
        return err_set(e, ERR_SYS, "%s: no memory for the chat", what);
    for (size_t k = 0; k < sizeof order / sizeof *order; k++) {
        const struct field *x = &f[order[k]];
        struct json *v;
        int rc;

        if (!x->at)
            continue;
        if (!(v = json_parse(x->at, x->n, what, e)))
            return -1;
        rc = order[k] == KWARGS ? kwargs_set(d, v, what, e)
                                : list_set(d, NAMES[order[k]], v, what, e);
        json_destroy(&v);
        if (rc < 0)
            return -1;
    }
    return messages_check(json_get(d->chat, "messages"), what, e);
}

/* ---- the whole ---- */

static int text_read(const struct field *f, const char *what, struct doc *d, struct err *e)
{
    struct json *j = json_parse(f->at, f->n, what, e);
    int rc = -1;

    if (j && !json_as_text(j))
        err_set(e, ERR_USE, "%s: \"text\" must be a text", what);
    else if (j) {
        d->length = json_text_length(j);
        d->text = bytes_copy(json_as_text(j), d->length, e);
        rc = d->text ? 0 : -1;
    }
    json_destroy(&j);
    return rc;
}

static int kind_read(const struct field *f, const char *what, struct doc *d, struct err *e)
{
    static const int kinds[] = {TEXT, IDS, MESSAGES};
    int first = -1;

    for (size_t i = 0; i < 3; i++) {
        if (!f[kinds[i]].at)
            continue;
        if (first >= 0)
            return err_set(e, ERR_USE,
                           "%s: both \"%s\" and \"%s\" are there, and which is meant is not said: "
                           "a line has either \"text\" or \"input_ids\" or \"messages\"",
                           what, NAMES[first], NAMES[kinds[i]]);
        first = kinds[i];
    }
    switch (first) {
    case TEXT:
        return text_read(&f[TEXT], what, d, e);
    case IDS:
        return ids_read(f, what, d, e);
    case MESSAGES:
        return chat_read(f, what, d, e);
    default:
        return err_set(e, ERR_USE,
                       "%s: a line needs either \"text\" or \"input_ids\" or \"messages\"", what);
    }
}

int doc_parse(const char *line, size_t length, const char *what, struct doc *d, struct err *e)
{
    struct field f[FIELDS] = {{0}};
    char *copy = NULL;
    int repaired, rc = -1;

    memset(d, 0, sizeof *d);
    if ((repaired = line_repair(line, &length, &copy, e)) < 0)
        return -1;
    d->repaired = repaired;
    if (members_read(copy ? copy : line, length, what, f, e) == 0)
        rc = kind_read(f, what, d, e);
    if (rc != 0)
        doc_release(d);
    free(copy);
    return rc;
}

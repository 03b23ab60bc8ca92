/* SPDX-License-Identifier: Apache-2.0 */
/* doc_chat - documents that are chats: the variables of the template, checked. */
#include <string.h>
#include "doc_parts.h"

#define CALLS "tool_calls" /* of a message */

struct json *doc_value_of(const struct json *v, const char *name, const char *what, struct err *e)
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

int doc_objects_check(const struct json *list, const char *name, const char *what, struct err *e)
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
    return !strcmp(name, doc_names[DOC_MESSAGES]) || !strcmp(name, doc_names[DOC_TOOLS]) ||
           !strcmp(name, doc_names[DOC_DOCUMENTS]);
}

static int list_set(struct doc *d, const char *name, const struct json *from, const char *what,
                    struct err *e)
{
    struct json *v = doc_value_of(from, name, what, e);

    if (!v)
        return -1;
    if (json_kind(v) != JSON_KIND_NULL && doc_objects_check(v, name, what, e) < 0) {
        json_destroy(&v);
        return -1;
    }
    return var_set(d, name, v, what, e);
}

static int kwargs_set(struct doc *d, const struct json *from, const char *what, struct err *e)
{
    struct json *more = doc_value_of(from, doc_names[DOC_KWARGS], what, e);
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

/* Calls of tools may be stored as JSON text, as tools may. */
static int calls_settle(struct json *message, const char *what, struct err *e)
{
    const struct json *calls = json_get(message, CALLS);
    struct json *v = calls ? doc_value_of(calls, CALLS, what, e) : NULL;

    if (calls && !v)
        return -1;
    if (v && json_kind(v) != JSON_KIND_NULL && doc_objects_check(v, CALLS, what, e) < 0) {
        json_destroy(&v);
        return -1;
    }
    return v && json_set(message, CALLS, v) < 0
               ? err_set(e, ERR_SYS, "%s: no memory for the chat", what)
               : 0;
}

/* list: of d->chat, which is ours. */
static int messages_settle(const struct json *list, const char *what, struct err *e)
{
    if (!json_count(list))
        return err_set(e, ERR_USE, "%s: \"messages\" must be an array of at least one message",
                       what);
    for (size_t i = 0; i < json_count(list); i++) {
        struct json *message = (struct json *)(uintptr_t)json_at(list, i);

        if (!json_as_text(json_get(message, "role")))
            return err_set(e, ERR_USE, "%s: messages[%zu] has no \"role\"", what, i);
        if (calls_settle(message, what, e) < 0)
            return -1;
    }
    return 0;
}

int doc_images_read(const struct doc_member *m, const char *what, struct doc *d, struct err *e)
{
    const enum doc_field k = m[DOC_IMAGES].at ? DOC_IMAGES : DOC_IMAGE;

    if (!m[k].at)
        return 0;
    if (m[DOC_IMAGE].at && m[DOC_IMAGES].at)
        return err_set(e, ERR_USE, "%s: both \"image\" and \"images\" are there", what);
    d->images = json_parse(m[k].at, m[k].n, what, e);
    return d->images ? 0 : -1;
}

int doc_chat_start(const struct doc_member *m, const char *what, struct doc *d, struct err *e)
{
    static const enum doc_field order[] = {DOC_KWARGS, DOC_TOOLS, DOC_DOCUMENTS};

    if (!(d->chat = json_new_object()))
        return err_set(e, ERR_SYS, "%s: no memory for the chat", what);
    if (doc_images_read(m, what, d, e) < 0)
        return -1;
    for (size_t k = 0; k < sizeof order / sizeof *order; k++) {
        const struct doc_member *x = &m[order[k]];
        struct json *v;
        int rc;

        if (!x->at)
            continue;
        if (!(v = json_parse(x->at, x->n, what, e)))
            return -1;
        rc = order[k] == DOC_KWARGS ? kwargs_set(d, v, what, e)
                                    : list_set(d, doc_names[order[k]], v, what, e);
        json_destroy(&v);
        if (rc < 0)
            return -1;
    }
    return 0;
}

int doc_chat_messages(struct doc *d, struct json *messages, const char *what, struct err *e)
{
    if (var_set(d, doc_names[DOC_MESSAGES], messages, what, e) < 0)
        return -1;
    return messages_settle(json_get(d->chat, doc_names[DOC_MESSAGES]), what, e);
}

int doc_messages_read(const struct doc_member *m, const char *what, struct doc *d, struct err *e)
{
    struct json *v = NULL;
    int rc = -1;

    if (doc_chat_start(m, what, d, e) == 0 &&
        (v = json_parse(m[DOC_MESSAGES].at, m[DOC_MESSAGES].n, what, e)) &&
        list_set(d, doc_names[DOC_MESSAGES], v, what, e) == 0)
        rc = messages_settle(json_get(d->chat, doc_names[DOC_MESSAGES]), what, e);
    json_destroy(&v);
    return rc;
}

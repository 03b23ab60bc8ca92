/* SPDX-License-Identifier: Apache-2.0 */
/* link_kinds - sets of message kinds: their names in hello and in messages, what an end takes. */
#include <stdio.h>
#include <string.h>
#include "link_impl.h"

#define LIST_MAX 64
#define NAME_MAX_KIND 31

const char *kinds_text(unsigned kinds, char out[KINDS_TEXT])
{
    size_t n = 0;

    snprintf(out, KINDS_TEXT, "nothing");
    for (int k = MSG_CHUNK; k <= MSG_COMMIT && n < KINDS_TEXT; k++)
        if (kinds & LINK_KIND(k))
            n += (size_t)snprintf(out + n, KINDS_TEXT - n, "%s%s", n ? ", " : "",
                                  msg_kind_name((enum msg_kind)k));
    return out;
}

struct json *kinds_list(unsigned kinds)
{
    struct json *list = json_new_array();

    for (int k = MSG_CHUNK; list && k <= MSG_COMMIT; k++)
        if (kinds & LINK_KIND(k) && json_push(list, json_new_text(msg_kind_name((enum msg_kind)k))))
            json_destroy(&list);
    return list;
}

int kinds_read(const struct json *list, const char *field, int sent, unsigned *kinds, struct err *e)
{
    size_t n = json_count(list);

    *kinds = 0;
    if (json_kind(list) != JSON_KIND_ARRAY || n > LIST_MAX)
        return err_set(e, ERR_USE, "hello: field '%s' must be an array of at most %d kinds", field,
                       LIST_MAX);
    for (size_t i = 0; i < n; i++) {
        const char *name = json_as_text(json_at(list, i));
        enum msg_kind k;

        if (!name || !*name || strlen(name) > NAME_MAX_KIND)
            return err_set(e, ERR_USE, "hello: field '%s' holds what is no name of a kind", field);
        if (msg_kind_parse(name, &k) == 0 && msg_kind_is_data(k))
            *kinds |= LINK_KIND(k);
        else if (sent)
            return err_set(e, ERR_USE, "it sends '%s', which is no kind of data known here", name);
    }
    return 0;
}

static int kind_check(const struct link *l, const struct msg *m, const char *from, struct err *e)
{
    char takes[KINDS_TEXT];

    if (!l->o.takes || l->o.takes & LINK_KIND(m->kind))
        return 0;
    return err_set(e, ERR_USE, "%s sends '%s', a message of kind %s, but %s takes %s", from, m->id,
                   msg_kind_name(m->kind), *l->name ? l->name : "this end",
                   kinds_text(l->o.takes, takes));
}

int message_check(const struct link *l, const struct msg *m, const char *from, struct err *e)
{
    if (kind_check(l, m, from, e) < 0)
        return -1;
    return run_id_check(l->run, m->run, 1, e) == 0 ? 0 : err_prefix(e, "'%s' from %s", m->id, from);
}

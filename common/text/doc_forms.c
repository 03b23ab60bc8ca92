/* SPDX-License-Identifier: Apache-2.0 */
/* doc_forms - chats as collections of other forms hold them, to messages: ShareGPT's
 * "conversations" (from, value), Alpaca's "instruction", "input" and "output", "prompt" and
 * "completion". */
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "doc_parts.h"

/* {"role", "content"}; NULL: no memory. */
static struct json *message_new(const char *role, const char *text, size_t n)
{
    struct json *m = json_new_object();

    if (json_set_text(m, "role", role) < 0 || json_set(m, "content", json_new_text_n(text, n)) < 0)
        json_destroy(&m);
    return m;
}

/* The line's "system", in front of all. */
static int system_push(struct json *to, const struct doc_member *m, const char *what, struct err *e)
{
    size_t n;
    char *text;
    int rc = 0;

    if (!m[DOC_SYSTEM].at)
        return 0;
    if (!(text = doc_member_text(&m[DOC_SYSTEM], doc_names[DOC_SYSTEM], what, &n, e)))
        return -1;
    if (n && json_push(to, message_new("system", text, n)) < 0)
        rc = err_set(e, ERR_SYS, "%s: no memory for the chat", what);
    free(text);
    return rc;
}

/* ---- conversations ---- */

static const char *role_of(const char *from)
{
    static const char *const names[][2] = {
        {"human", "user"},          {"user", "user"},       {"gpt", "assistant"},
        {"assistant", "assistant"}, {"model", "assistant"}, {"chatgpt", "assistant"},
        {"bot", "assistant"},       {"system", "system"},   {"tool", "tool"},
        {"observation", "tool"},
    };

    for (size_t i = 0; from && i < sizeof names / sizeof *names; i++)
        if (!strcmp(from, names[i][0]))
            return names[i][1];
    return NULL;
}

/* One turn; some files have role and content in the same list. NULL: refused. */
static struct json *turn_read(const struct json *turn, size_t i, const char *what, struct err *e)
{
    const char *from = json_as_text(json_get(turn, "from")), *role = role_of(from);
    const struct json *value = json_get(turn, "value");
    struct json *m = NULL;

    if (!from && json_as_text(json_get(turn, "role")))
        m = json_clone(turn);
    else if (!from)
        err_set(e, ERR_USE, "%s: conversations[%zu] has neither \"from\" nor \"role\"", what, i);
    else if (!role)
        err_set(e, ERR_USE,
                "%s: conversations[%zu] is from '%.60s', which is none of human, user, gpt, "
                "assistant, model, chatgpt, bot, system, tool, observation",
                what, i, from);
    else if (!json_as_text(value))
        err_set(e, ERR_USE, "%s: conversations[%zu]: \"value\" must be a text", what, i);
    else
        m = message_new(role, json_as_text(value), json_text_length(value));
    return m;
}

static int turns_push(struct json *to, const struct json *list, const char *what, struct err *e)
{
    for (size_t i = 0; i < json_count(list); i++) {
        struct err why = {0};
        struct json *m = turn_read(json_at(list, i), i, what, &why);

        if (m && json_push(to, m) == 0)
            continue;
        if (why.kind && e)
            *e = why;
        return why.kind ? -1 : err_set(e, ERR_SYS, "%s: no memory for the chat", what);
    }
    return 0;
}

int doc_conversations_read(const struct doc_member *m, const char *what, struct doc *d,
                           struct err *e)
{
    const struct doc_member *x = &m[DOC_CONVERSATIONS];
    const char *name = doc_names[DOC_CONVERSATIONS], *first;
    struct json *v = json_parse(x->at, x->n, what, e), *list = NULL, *to = json_new_array();
    int rc = -1;

    if (v && to && (list = doc_value_of(v, name, what, e)) &&
        doc_objects_check(list, name, what, e) == 0 && doc_chat_start(m, what, d, e) == 0) {
        first = json_text_or(json_at(list, 0), "from", "");
        rc = strcmp(first, "system") ? system_push(to, m, what, e) : 0;
        if (rc == 0)
            rc = turns_push(to, list, what, e);
        if (rc == 0) {
            rc = doc_chat_messages(d, to, what, e);
            to = NULL;
        }
    } else if (!to) {
        err_set(e, ERR_SYS, "%s: no memory for the chat", what);
    }
    json_destroy(&to);
    json_destroy(&list);
    json_destroy(&v);
    return rc;
}

/* ---- instruction, input, output ---- */

/* One text behind the other, `between` between two that are not empty. Frees both, where they
 * are; NULL: one of them is not. */
static char *texts_join(char *a, size_t na, const char *between, char *b, size_t nb, size_t *n,
                        struct err *e)
{
    const size_t gap = na && nb ? strlen(between) : 0;
    char *out = a && b ? mem_array(na + gap + nb + 1, 1, e) : NULL;

    if (out) {
        memcpy(out, a, na);
        memcpy(out + na, between, gap);
        memcpy(out + na + gap, b, nb);
        *n = na + gap + nb;
    }
    free(a);
    free(b);
    return out;
}

int doc_instruction_read(const struct doc_member *m, const char *what, struct doc *d, struct err *e)
{
    size_t na = 0, nb = 0, nask = 0, nout = 0;
    struct json *to = json_new_array();
    char *out = NULL, *ask, *more = NULL;
    int rc = -1;

    ask = doc_member_text(&m[DOC_INSTRUCTION], doc_names[DOC_INSTRUCTION], what, &na, e);
    if (ask && m[DOC_INPUT].at) {
        more = doc_member_text(&m[DOC_INPUT], doc_names[DOC_INPUT], what, &nb, e);
        ask = texts_join(ask, na, "\n\n", more, nb, &na, e);
    }
    nask = na;
    if (ask && (out = doc_member_text(&m[DOC_OUTPUT], doc_names[DOC_OUTPUT], what, &nout, e)) &&
        doc_chat_start(m, what, d, e) == 0 && system_push(to, m, what, e) == 0) {
        if (json_push(to, message_new("user", ask, nask)) < 0 ||
            json_push(to, message_new("assistant", out, nout)) < 0)
            json_destroy(&to);
        rc = doc_chat_messages(d, to, what, e);
        to = NULL;
    }
    json_destroy(&to);
    free(ask);
    free(out);
    return rc;
}

/* ---- prompt, completion ---- */

/* Both lists of messages: what the completion says are the answers. */
static int prompt_chat(const struct doc_member *m, struct json *prompt,
                       const struct json *completion, const char *what, struct doc *d,
                       struct err *e)
{
    const char *name = doc_names[DOC_COMPLETION];
    struct json *to = NULL;

    if (doc_objects_check(prompt, doc_names[DOC_PROMPT], what, e) < 0 ||
        doc_objects_check(completion, name, what, e) < 0 || doc_chat_start(m, what, d, e) < 0)
        return -1;
    d->first_answer = json_count(prompt);
    to = json_clone(prompt);
    for (size_t i = 0; to && i < json_count(completion); i++)
        if (json_push(to, json_clone(json_at(completion, i))) < 0)
            json_destroy(&to);
    return doc_chat_messages(d, to, what, e);
}

int doc_prompt_read(const struct doc_member *m, const char *what, struct doc *d, struct err *e)
{
    const struct doc_member *p = &m[DOC_PROMPT], *c = &m[DOC_COMPLETION];
    struct json *prompt = json_parse(p->at, p->n, what, e),
                *completion = prompt ? json_parse(c->at, c->n, what, e) : NULL;
    size_t n, np;
    char *a, *b;
    int rc = -1;

    if (completion && json_kind(prompt) == JSON_KIND_ARRAY) {
        rc = prompt_chat(m, prompt, completion, what, d, e);
    } else if (completion && (a = doc_member_text(p, doc_names[DOC_PROMPT], what, &np, e))) {
        b = doc_member_text(c, doc_names[DOC_COMPLETION], what, &n, e);
        d->text = texts_join(a, np, "", b, n, &d->length, e);
        d->prompt = np;
        d->parted = 1;
        rc = d->text ? 0 : -1;
    }
    json_destroy(&completion);
    json_destroy(&prompt);
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* chat_ids - see chat_ids.h. */
#include "chat_ids.h"

#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "chat_answers.h"

/* The end of an answer, with the special token that ends its turn. */
static size_t turn_end(const struct tokenizer *t, int32_t bos, const char *text, size_t n,
                       size_t end)
{
    size_t at = end, length;
    int32_t id;

    while (at < n && text[at] == ' ')
        at++;
    id = tokenizer_special(t, text + at, n - at, &length);
    return id >= 0 && id != bos ? at + length : end;
}

/* Tokens of the text, and the role of each. */
static int roles_encode(const struct tokenizer *t, const char *text, size_t n,
                        const struct chat_spans *spans, struct chat_row *row, struct err *e)
{
    const size_t places = 2 * spans->n;
    size_t *at = mem_array(places + 1, 2 * sizeof *at, e), *tokens = at + places;
    int rc = -1;

    if (!at)
        return -1;
    for (size_t i = 0; i < spans->n; i++) {
        at[2 * i] = spans->at[i].start;
        at[2 * i + 1] = spans->at[i].end;
    }
    if (tokenizer_encode_at(t, text, n, at, places, tokens, &row->ids, &row->n, e) < 0 ||
        !(row->role = mem_array(row->n + 1, 1, e)))
        goto out;
    memset(row->role, ROLE_PROMPT, row->n);
    for (size_t i = 0; i < places; i += 2)
        if (tokens[i] < tokens[i + 1])
            memset(row->role + tokens[i], ROLE_ANSWER, tokens[i + 1] - tokens[i]);
    rc = 0;
out:
    free(at);
    return rc;
}

static int row_insert(const struct chat_ids_opts *o, char **text, size_t *n,
                      struct chat_spans *spans, struct err *e)
{
    return o->insert ? chat_insert(o->insert, text, n, spans, e) : 0;
}

static int row_encode(const struct chat *c, const struct tokenizer *t, const struct json *vars,
                      const struct chat_ids_opts *o, struct chat_row *row, struct err *e)
{
    struct chat_spans spans = {0};
    size_t n;
    char *text = chat_render_spans(c, vars, &n, o->roles ? &spans : NULL, e);
    int rc = -1, marked = -1;

    if (text && !o->roles && row_insert(o, &text, &n, NULL, e) == 0)
        rc = tokenizer_encode(t, text, n, 0, 1, &row->ids, &row->n, e);
    else if (text && o->roles)
        marked = chat_answers(c, vars, text, n, o->first_answer, &spans, e);
    for (size_t i = 0; marked == 0 && i < spans.n; i++) {
        size_t next = i + 1 < spans.n ? spans.at[i + 1].start : n;

        spans.at[i].end = turn_end(t, o->bos, text, next, spans.at[i].end);
    }
    if (marked >= 0 && row_insert(o, &text, &n, &spans, e) == 0)
        rc = roles_encode(t, text, n, &spans, row, e);
    free(spans.at);
    free(text);
    return rc;
}

int chat_ids(const struct chat *c, const struct tokenizer *t, const struct json *vars,
             const struct chat_ids_opts *o, struct chat_row *row, struct err *e)
{
    const int32_t bos = o->bos;

    memset(row, 0, sizeof *row);
    if (row_encode(c, t, vars, o, row, e) < 0) {
        free(row->ids);
        free(row->role);
        memset(row, 0, sizeof *row);
        return -1;
    }
    if (row->n && bos >= 0 && row->ids[0] == bos &&
        (o->bare || (row->n > 1 && row->ids[1] == bos))) {
        memmove(row->ids, row->ids + 1, --row->n * sizeof *row->ids);
        if (row->role)
            memmove(row->role, row->role + 1, row->n);
        row->bos_removed = 1;
    }
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* chat_insert - see chat_insert.h. */
#include "chat_insert.h"

#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"

/* The next mark at or behind `from`; n: there is none. */
static size_t mark_find(const char *text, size_t n, size_t from, const char *mark)
{
    const char *at = memmem(text + from, n - from, mark, strlen(mark));

    return at ? (size_t)(at - text) : n;
}

/* A place of the old text in the new one; one inside of a mark is behind it. */
static size_t moved(const struct chat_insert *in, const char *text, size_t n, size_t place)
{
    const size_t length = strlen(in->mark);
    size_t to = place, at = 0;

    for (size_t i = 0; i < in->n; i++) {
        at = mark_find(text, n, at, in->mark);
        if (at >= place)
            break;
        if (place < at + length)
            to += at + length - place;
        to += strlen(in->text[i]) - length;
        at += length;
    }
    return to;
}

int chat_insert(const struct chat_insert *in, char **text, size_t *n, struct chat_spans *spans,
                struct err *e)
{
    const size_t length = strlen(in->mark);
    size_t marks = 0, size = *n, at, from = 0, to = 0;
    char *out;

    for (at = mark_find(*text, *n, 0, in->mark); at < *n; marks++)
        at = mark_find(*text, *n, at + length, in->mark);
    if (marks != in->n)
        return err_set(e, ERR_USE,
                       "the text of the chat has %zu places for images ('%s'), and the chat %zu "
                       "images: see the chat template",
                       marks, in->mark, in->n);
    for (size_t i = 0; i < in->n; i++)
        size += strlen(in->text[i]) - length;
    if (!(out = mem_raw(size + 1, 1, e)))
        return -1;
    for (size_t i = 0; i < in->n; i++) {
        at = mark_find(*text, *n, from, in->mark);
        memcpy(out + to, *text + from, at - from);
        to += at - from;
        memcpy(out + to, in->text[i], strlen(in->text[i]));
        to += strlen(in->text[i]);
        from = at + length;
    }
    memcpy(out + to, *text + from, *n - from);
    out[size] = '\0';
    for (size_t i = 0; spans && i < spans->n; i++) {
        spans->at[i].start = moved(in, *text, *n, spans->at[i].start);
        spans->at[i].end = moved(in, *text, *n, spans->at[i].end);
    }
    free(*text);
    *text = out;
    *n = size;
    return 0;
}

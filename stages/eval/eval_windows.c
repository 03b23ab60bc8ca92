/* SPDX-License-Identifier: Apache-2.0 */
/* eval_windows - data to windows of tokens. */
#include <stdlib.h>
#include <string.h>
#include "../../common/base/fs.h"
#include "../../common/base/mem.h"
#include "../../common/text/docs.h"
#include "../../common/text/tokenizer.h"
#include "eval.h"

struct gather {
    struct windows *w;
    size_t room, starts_room; /* elements in ids and in start */
    struct tokenizer *t;
    const char *data, *dir;
    size_t length, max;
};

void windows_release(struct windows *w)
{
    free(w->start);
    free(w->ids);
    memset(w, 0, sizeof *w);
}

static int append(struct gather *g, const int32_t *ids, size_t n, struct err *e)
{
    if (mem_grow((void **)&g->w->ids, &g->room, g->w->tokens + n, sizeof *ids, e) < 0)
        return -1;
    if (n)
        memcpy(g->w->ids + g->w->tokens, ids, n * sizeof *ids);
    g->w->tokens += n;
    return 0;
}

/* The window that ends at token `end`. */
static int window_end(struct gather *g, size_t end, struct err *e)
{
    if (mem_grow((void **)&g->w->start, &g->starts_room, g->w->count + 2, sizeof *g->w->start, e) !=
        0)
        return -1;
    g->w->start[0] = 0;
    g->w->start[++g->w->count] = end;
    return 0;
}

static int add_text(struct gather *g, const struct doc *d, struct err *e)
{
    int32_t *ids = NULL;
    size_t n;
    int rc;

    if (!g->t && !(g->t = tokenizer_open(g->dir, e)))
        return -1;
    if (tokenizer_encode(g->t, d->text, d->length, 0, 1, &ids, &n, e) < 0)
        return err_prefix(e, "%s:%zu", g->data, d->line);
    rc = append(g, ids, n, e);
    free(ids);
    return rc;
}

static int full(const struct gather *g, int text)
{
    return g->max && (text ? g->w->tokens / g->length : g->w->count) >= g->max;
}

/* Joined text becomes windows of one length. */
static int cut(struct gather *g, struct err *e)
{
    size_t n = g->w->tokens / g->length;

    if (n == 0)
        return err_set(e, ERR_DATA, "%s: %zu tokens do not fill one window of %zu", g->data,
                       g->w->tokens, g->length);
    if (g->max && n > g->max)
        n = g->max;
    for (size_t i = 0; i < n; i++)
        if (window_end(g, (i + 1) * g->length, e) < 0)
            return -1;
    g->w->tokens = n * g->length;
    return 0;
}

int windows_read(const char *data, const char *dir, size_t length, size_t max, struct windows *w,
                 struct err *e)
{
    struct gather g = {.w = w, .data = data, .dir = dir, .length = length, .max = max};
    struct docs *docs = docs_open(data, e);
    struct doc d;
    int got = -1, text = 0, rc = -1;

    memset(w, 0, sizeof *w);
    while (docs && (got = docs_next(docs, &d, e)) == 1) {
        text = d.text != NULL;
        if (text ? add_text(&g, &d, e) < 0
                 : append(&g, d.ids, d.count, e) < 0 || window_end(&g, w->tokens, e) < 0)
            got = -1;
        doc_release(&d);
        if (got < 0 || full(&g, text))
            break;
    }
    if (got >= 0 && (text ? cut(&g, e) == 0 : w->count > 0))
        rc = 0;
    else if (got >= 0 && !text)
        err_set(e, ERR_DATA, "%s: no documents", data);
    tokenizer_close(&g.t);
    docs_close(&docs);
    if (rc != 0)
        windows_release(w);
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* eval_windows - data to windows of tokens. */
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/base/plural.h"
#include "../../common/jinja/chat_ids.h"
#include "../../common/jinja/chat_images.h"
#include "../../common/model/config.h"
#include "../../common/model/config_read.h"
#include "eval_images.h"
#include "eval_windows.h"

struct gather {
    const struct windows_opts *o;
    struct windows *w;
    size_t room, starts_room; /* elements in ids and in start */
    struct tokenizer *t;
    struct chat *chat;
    int32_t bos;  /* of the model; -1: none */
    size_t vocab; /* of the model; 0: not asked yet */
};

void windows_release(struct windows *w)
{
    if (w->pictures)
        window_pictures_release(w->pictures);
    free(w->pictures);
    free(w->start);
    free(w->role);
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

int windows_chat_open(const struct windows_opts *o, const struct tokenizer *t, struct chat **chat,
                      int32_t *bos, struct err *e)
{
    struct config c;

    if (config_read(o->dir, &c, e) < 0)
        return -1;
    *bos = tokenizer_bos(t) >= 0 ? tokenizer_bos(t) : (int32_t)c.bos;
    config_release(&c);
    if (!(*chat = chat_open(o->dir, o->chat_template, e)))
        return -1;
    return o->date ? chat_set_date(*chat, o->date, e) : 0;
}

/* The reference is given the ids of the model's tokenizer: with another vocabulary they are another
 * text to it. One without a tokenizer is taken as it is. */
static int check_reference(const struct gather *g, struct err *e)
{
    struct tokenizer *t = NULL;
    int rc = 0;
    int32_t id;

    if (g->o->ref && tokenizer_is_there(g->o->ref)) {
        rc = (t = tokenizer_open(g->o->ref, e)) ? 0 : -1;
        if (t && !tokenizer_same_ids(g->t, t, &id))
            rc = err_set(e, ERR_USE,
                         "the tokenizers of '%s' and '%s' differ, the first time at id %d: the "
                         "same ids are not the same text to both (rows of input_ids can be "
                         "compared)",
                         g->o->dir, g->o->ref, (int)id);
    }
    tokenizer_close(&t);
    return rc;
}

/* Text, or a chat, which is the text that the template makes of it. 1, 0: the document cannot be
 * used, as *e says, or -1. */
static int add_text(struct gather *g, const struct doc *d, struct err *e)
{
    struct chat_row row = {0};
    int rc;

    if (d->chat && chat_images_refuse(d->chat, d->images,
                                      "; answers to questions about pictures are measured with "
                                      "--answers, of lines {\"question\", \"answer\", \"image\"}",
                                      e) < 0)
        return err_prefix(e, "%s:%zu", d->file, d->line);
    if ((!g->t && (!(g->t = tokenizer_open(g->o->dir, e)) || check_reference(g, e) < 0)) ||
        (d->chat && !g->chat && windows_chat_open(g->o, g->t, &g->chat, &g->bos, e) < 0))
        return -1;
    rc = d->chat ? chat_ids(g->chat, g->t, d->chat, &(struct chat_ids_opts){.bos = g->bos}, &row, e)
                 : tokenizer_encode(g->t, d->text, d->length, 0, 1, &row.ids, &row.n, e);
    if (rc < 0) {
        err_prefix(e, "%s:%zu", d->file, d->line);
        return d->chat && e->kind == ERR_USE ? 0 : -1;
    }
    rc = append(g, row.ids, row.n, e);
    free(row.ids);
    return rc < 0 ? -1 : 1;
}

static int add_pictures(struct gather *g, const struct doc *d, struct err *e)
{
    struct windows *w = g->w;

    if (!w->pictures) {
        if (!(w->pictures = mem_array(1, sizeof *w->pictures, e)))
            return -1;
        w->pictures->data = g->o->data;
    }
    return window_pictures_add(w->pictures, g->o->dir, d->images, w->count, d->ids, d->count, e) < 0
               ? err_prefix(e, "%s:%zu", d->file, d->line)
               : 0;
}

static int check_ids(struct gather *g, const struct doc *d, struct err *e)
{
    struct config c;

    if (!g->vocab) {
        if (config_read(g->o->dir, &c, e) < 0)
            return -1;
        g->vocab = c.vocab;
        config_release(&c);
    }
    for (size_t i = 0; i < d->count; i++)
        if (d->ids[i] < 0 || (size_t)d->ids[i] >= g->vocab)
            return err_set(e, ERR_USE,
                           "%s:%zu: token id %ld is not below the model's vocab_size %zu", d->file,
                           d->line, (long)d->ids[i], g->vocab);
    return 0;
}

/* A row of token ids is a window as it is. */
static int add_ids(struct gather *g, const struct doc *d, struct err *e)
{
    if (check_ids(g, d, e) < 0)
        return -1;
    if (d->images && add_pictures(g, d, e) < 0)
        return -1;
    return append(g, d->ids, d->count, e) < 0 || window_end(g, g->w->tokens, e) < 0 ? -1 : 1;
}

static int full(const struct gather *g, int text)
{
    return g->o->max && (text ? g->w->tokens / g->o->length : g->w->count) >= g->o->max;
}

/* Joined text becomes windows of one length. */
static int cut(struct gather *g, struct err *e)
{
    size_t n = g->w->tokens / g->o->length;

    if (n == 0)
        return err_set(
            e, ERR_DATA,
            "%s: %zu token%s not fill one window of %zu; more --data, or a smaller --window",
            g->o->data, g->w->tokens, plural_word(g->w->tokens, " does", "s do"), g->o->length);
    if (g->o->max && n > g->o->max)
        n = g->o->max;
    for (size_t i = 0; i < n; i++)
        if (window_end(g, (i + 1) * g->o->length, e) < 0)
            return -1;
    g->w->tokens = n * g->o->length;
    return 0;
}

/* All documents that are needed; *text: they were text. */
static int gather_all(struct gather *g, struct docs *docs, int *text, struct err *e)
{
    struct doc d;
    int got;

    while ((got = docs_next(docs, &d, e)) == 1) {
        struct err why = {0};

        *text = !d.ids;
        got = *text ? add_text(g, &d, &why) : add_ids(g, &d, &why);
        doc_release(&d);
        if (got == 0 && docs_reject(docs, &why) == 0)
            continue;
        if (got <= 0 && e)
            *e = why;
        if (got <= 0)
            return -1;
        if (full(g, *text))
            return 0;
    }
    return got;
}

int windows_read(const struct windows_opts *o, struct windows *w, struct err *e)
{
    struct gather g = {.o = o, .w = w};
    struct data_file f;
    struct docs *docs = NULL;
    int text = 0, rc = -1;

    memset(w, 0, sizeof *w);
    if (o->length < 2) {
        err_set(e, ERR_USE, "--window %zu: a window has at least 2 tokens", o->length);
        return -1;
    }
    if (data_file_open(&f, o->data, e) == 0 && (docs = docs_open(&f, &o->docs, e)) &&
        gather_all(&g, docs, &text, e) == 0) {
        w->read = *docs_counted(docs);
        if (text)
            rc = cut(&g, e);
        else if (w->count == 0)
            err_set(e, ERR_DATA, "%s: no documents", o->data);
        else if (w->tokens == w->count)
            err_set(e, ERR_DATA, "%s: rows of one token, which predict nothing", o->data);
        else
            rc = 0;
    }
    tokenizer_close(&g.t);
    chat_close(&g.chat);
    docs_close(&docs);
    data_file_close(&f);
    if (rc != 0)
        windows_release(w);
    return rc;
}

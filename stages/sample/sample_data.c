/* SPDX-License-Identifier: Apache-2.0 */
/* sample_data - documents to tokens: reads every file, tokenizes, checks ids against the model's
 * vocabulary, counts for the audit. */
#include <stdlib.h>
#include <string.h>

#include "../../common/base/hash.h"
#include "../../common/base/mem.h"
#include "sample_impl.h"

struct sample_reader {
    struct sample *s;
    struct docs *docs;
    size_t file, end;
    int again;
};

int sample_digest(struct sample *s, struct err *e)
{
    struct hash h;
    size_t i;

    hash_start(&h);
    for (i = 0; i < s->o.ndata; i++) {
        uint64_t digest;

        if (hash_file(s->o.data[i], &digest, e) < 0) {
            /* a file that cannot be read is wrong use, not a failing system */
            if (e)
                e->kind = ERR_USE;
            return -1;
        }
        hash_add(&h, &digest, sizeof digest);
    }
    s->data_digest = hash_end(&h);
    return 0;
}

struct sample_reader *sample_reader_open(struct sample *s, const struct part *p, int again,
                                         struct err *e)
{
    struct sample_reader *r = mem_array(1, sizeof *r, e);

    if (r)
        *r = (struct sample_reader){.s = s, .file = p->file, .end = p->end, .again = again};
    return r;
}

void sample_reader_close(struct sample_reader **r)
{
    if (!r || !*r)
        return;
    docs_close(&(*r)->docs);
    free(*r);
    *r = NULL;
}

/* 1 when the digest was there before. */
static int seen_add(struct sample *s, uint64_t digest, struct err *e)
{
    size_t i, old = s->seen_slots;
    uint64_t *table;

    digest += !digest;
    if (s->nseen >= old / 2) {
        s->seen_slots = old ? 2 * old : 1024;
        if (!(table = mem_array(s->seen_slots, sizeof *table, e))) {
            s->seen_slots = old;
            return -1;
        }
        for (i = 0; i < old; i++) {
            size_t at = s->seen[i] & (s->seen_slots - 1);

            if (!s->seen[i])
                continue;
            while (table[at])
                at = (at + 1) & (s->seen_slots - 1);
            table[at] = s->seen[i];
        }
        free(s->seen);
        s->seen = table;
    }
    for (i = digest & (s->seen_slots - 1); s->seen[i]; i = (i + 1) & (s->seen_slots - 1))
        if (s->seen[i] == digest)
            return 1;
    s->seen[i] = digest;
    s->nseen++;
    return 0;
}

static int check_ids(const struct sample *s, const char *path, const struct doc *d,
                     const struct source *x, struct err *e)
{
    size_t i;

    for (i = 0; i < x->n; i++)
        if (x->ids[i] < 0 || (size_t)x->ids[i] >= s->config.vocab)
            return err_set(e, ERR_USE,
                           "%s:%zu: token id %d is not below the model's vocab_size %zu%s", path,
                           d->line, x->ids[i], s->config.vocab,
                           d->text ? ": tokenizer and model do not belong together" : "");
    return 0;
}

/* A chat rendered and tokenized; the template says itself where BOS stands. */
static int chat_read(struct sample *s, const struct json *vars, struct source *x, struct err *e)
{
    int32_t bos = s->bos >= 0 ? s->bos : (int32_t)s->config.bos;
    char *text = NULL;
    size_t n, drop;
    int rc = -1;

    if (!s->chat && !(s->chat = chat_open(s->o.model, s->o.chat_template, e)))
        return -1;
    if (s->o.date && chat_set_date(s->chat, s->o.date, e) < 0)
        return -1;
    if (!(text = chat_render(s->chat, vars, &n, e)))
        goto out;
    if (tokenizer_encode(s->tokenizer, text, n, 0, 1, &x->ids, &x->n, e) < 0)
        goto out;
    drop = x->n && bos >= 0 && x->ids[0] == bos &&
           ((x->n > 1 && x->ids[1] == bos) ||
            (s->o.bos == SAMPLE_BOS_YES && s->o.mode != SAMPLE_CONCAT));
    if (drop)
        memmove(x->ids, x->ids + 1, --x->n * sizeof *x->ids);
    x->bos_removed = (int)drop;
    rc = 0;
out:
    free(text);
    return rc;
}

static int source_read(struct sample *s, const char *path, struct doc *d, struct source *x,
                       struct err *e)
{
    *x = (struct source){.text = d->text != NULL};
    if ((d->text || d->chat) && !s->tokenizer)
        return err_set(e, ERR_USE, "%s:%zu: text, but '%s' has no tokenizer.json", path, d->line,
                       s->o.model);
    if (d->text) {
        if (tokenizer_encode(s->tokenizer, d->text, d->length, 0, 1, &x->ids, &x->n, e) < 0)
            return err_prefix(e, "%s:%zu", path, d->line);
    } else if (d->chat) {
        x->chat = 1;
        if (chat_read(s, d->chat, x, e) < 0)
            return err_prefix(e, "%s:%zu", path, d->line);
    } else {
        x->ids = d->ids;
        x->n = d->count;
        d->ids = NULL;
    }
    return check_ids(s, path, d, x, e);
}

static int count(struct sample_reader *r, const struct source *x, struct err *e)
{
    struct sample *s = r->s;
    int twice = x->n ? seen_add(s, hash_bytes(x->ids, x->n * sizeof *x->ids), e) : 0;

    if (twice < 0)
        return -1;
    s->audit.read++;
    s->audit.chats += (uint64_t)x->chat;
    s->audit.bos_removed += (uint64_t)x->bos_removed;
    s->audit.duplicates += (uint64_t)twice;
    s->file_tokens[r->file] += x->n;
    return 0;
}

int sample_reader_next(struct sample_reader *r, struct source *x, int (*skip)(void *ctx), void *ctx,
                       struct err *e)
{
    struct sample *s = r->s;
    struct doc d;
    int got;

    while (r->file < r->end) {
        const char *path = s->o.data[r->file];

        if (!r->docs && !(r->docs = docs_open(path, e)))
            return -1;
        if ((got = docs_next(r->docs, &d, e)) < 0)
            return -1;
        if (!got) {
            docs_close(&r->docs);
            r->file++;
            continue;
        }
        if (skip && skip(ctx)) {
            s->audit.passed++;
            doc_release(&d);
            continue;
        }
        got = source_read(s, path, &d, x, e);
        doc_release(&d);
        if (got < 0 || (!r->again && count(r, x, e) < 0)) {
            free(x->ids);
            return -1;
        }
        return 1;
    }
    return 0;
}

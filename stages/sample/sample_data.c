/* SPDX-License-Identifier: Apache-2.0 */
/* sample_data - documents to tokens: reads every file, tokenizes, checks ids against the model's
 * vocabulary, counts for the audit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/base/hash.h"
#include "../../common/base/log.h"
#include "../../common/base/mem.h"
#include "../../common/base/plural.h"
#include "sample_images.h"
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
    if (!(s->file = mem_array(s->o.ndata, sizeof *s->file, e)))
        return -1;
    for (i = 0; i < s->o.ndata; i++) {
        uint64_t digest;

        s->nfile = i + 1;
        if (data_file_open(&s->file[i], s->o.data[i], e) < 0 ||
            data_file_digest(&s->file[i], &digest, e) < 0)
            return -1;
        hash_add(&h, &digest, sizeof digest);
    }
    s->data_digest = hash_end(&h);
    return 0;
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

void sample_files_log(const struct sample *s)
{
    for (size_t i = 0; i < s->nfile; i++) {
        const struct data_file *f = &s->file[i];

        if (f->parts)
            log_info("%s: %zu %s file%s taken, from %s to %s", f->name, f->parts,
                     f->part[0].kind == DATA_ROWS ? ".parquet" : ".jsonl", plural_s(f->parts),
                     base_of(f->part[0].name), base_of(f->part[f->parts - 1].name));
    }
}

struct sample_reader *sample_reader_open(struct sample *s, const struct file_group *p, int again,
                                         struct err *e)
{
    struct sample_reader *r = mem_array(1, sizeof *r, e);

    if (r)
        *r = (struct sample_reader){.s = s, .file = p->file, .end = p->end, .again = again};
    return r;
}

/* What the reading of a file said of its lines. */
static void docs_done(struct sample_reader *r)
{
    struct sample_audit *a = &r->s->audit;

    if (r->docs && !r->again) {
        const struct docs_count *c = docs_counted(r->docs);

        if (!a->lines_skipped)
            snprintf(a->first_skipped, sizeof a->first_skipped, "%s", c->first);
        a->lines_skipped += c->skipped;
        if (!a->chats_refused)
            snprintf(a->first_refused, sizeof a->first_refused, "%s", c->first_refused);
        a->chats_refused += c->refused;
        if (!a->repaired)
            snprintf(a->first_repaired, sizeof a->first_repaired, "%s", c->first_repaired);
        a->repaired += c->repaired;
        a->replaced += c->replaced;
        a->tokens_masked += c->masked;
    }
    docs_close(&r->docs);
}

void sample_reader_close(struct sample_reader **r)
{
    if (!r || !*r)
        return;
    docs_done(*r);
    free(*r);
    *r = NULL;
}

void document_release(struct document *x)
{
    free(x->ids);
    free(x->role);
    x->ids = NULL;
    x->role = NULL;
    document_images_release(x);
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
                     const struct document *x, struct err *e)
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

/* What became of a chat. */
enum { CHAT_FAILED = -1, CHAT_REFUSED, CHAT_READ, CHAT_BAD_IMAGE };

/* With these texts in place of its images. */
static int chat_encode(struct sample *s, const struct doc *d, const struct image_texts *t,
                       struct document *x, struct err *e)
{
    const struct chat_insert insert = {
        .mark = t->n ? prepare_mark(s->prepare) : "",
        .text = (const char *const *)t->text,
        .n = t->n,
    };
    const struct chat_ids_opts o = {
        .bos = s->bos >= 0 ? s->bos : (int32_t)s->config.bos,
        .bare = s->o.bos == SAMPLE_BOS_YES && s->o.mode != SAMPLE_CONCAT,
        .roles = 1,
        .first_answer = d->first_answer,
        .insert = t->n ? &insert : NULL,
    };
    struct chat_row row;

    if (chat_ids(s->chat, s->tokenizer, d->chat, &o, &row, e) < 0)
        return e->kind == ERR_USE ? CHAT_REFUSED : CHAT_FAILED;
    x->ids = row.ids;
    x->role = row.role;
    x->n = row.n;
    x->bos_removed = row.bos_removed;
    return sample_images_check(s, x, e) < 0 ? CHAT_FAILED : CHAT_READ;
}

static int chat_read(struct sample *s, const struct data_file *f, const struct doc *d,
                     struct document *x, struct err *e)
{
    struct image_texts texts;
    int got;

    if (!s->chat && !(s->chat = chat_open(s->o.model, s->o.chat_template, e)))
        return CHAT_FAILED;
    if (s->o.date && chat_set_date(s->chat, s->o.date, e) < 0)
        return CHAT_FAILED;
    switch (sample_images_read(s, f, d, x, &texts, e)) {
    case 0:
        return CHAT_BAD_IMAGE;
    case 1:
        got = chat_encode(s, d, &texts, x, e);
        break;
    case 2:
        return CHAT_REFUSED;
    default:
        return CHAT_FAILED;
    }
    image_texts_release(&texts);
    return got;
}

/* A text; of a prompt with its completion the tokens behind the prompt are the answer. */
static int text_read(struct sample *s, const struct doc *d, struct document *x, struct err *e)
{
    size_t given;

    if (!d->parted)
        return tokenizer_encode(s->tokenizer, d->text, d->length, 0, 1, &x->ids, &x->n, e);
    if (tokenizer_encode_at(s->tokenizer, d->text, d->length, &d->prompt, 1, &given, &x->ids, &x->n,
                            e) < 0 ||
        !(x->role = mem_array(x->n + 1, 1, e)))
        return -1;
    memset(x->role, ROLE_PROMPT, given);
    memset(x->role + given, ROLE_ANSWER, x->n - given);
    return 0;
}

/* Pictures beside ids, which hold the image tokens already. */
static int ids_images(struct sample *s, const struct data_file *f, const struct doc *d,
                      struct document *x, struct err *e)
{
    struct image_texts texts;
    const int got = sample_images_read(s, f, d, x, &texts, e);

    image_texts_release(&texts);
    if (got == 1)
        return sample_images_check(s, x, e) < 0 ? CHAT_FAILED : CHAT_READ;
    return got == 0 ? CHAT_BAD_IMAGE : CHAT_FAILED;
}

/* CHAT_READ also of what is no chat. */
static int document_read(struct sample *s, const struct data_file *f, struct doc *d,
                         struct document *x, struct err *e)
{
    const char *path = d->file;
    int got;

    *x = (struct document){.text = d->text != NULL};
    if ((d->text || d->chat) && !s->tokenizer)
        return err_set(e, ERR_USE,
                       "%s:%zu: text, but '%s' has no tokenizer.json (nor tokenizer.model)", path,
                       d->line, s->o.model);
    if (d->text) {
        if (text_read(s, d, x, e) < 0)
            return err_prefix(e, "%s:%zu", path, d->line);
    } else if (d->chat) {
        x->chat = 1;
        if ((got = chat_read(s, f, d, x, e)) != CHAT_READ) {
            err_prefix(e, "%s:%zu", path, d->line);
            return got;
        }
    } else {
        x->ids = d->ids;
        x->role = d->role;
        x->n = d->count;
        d->ids = NULL;
        d->role = NULL;
        if (d->images && (got = ids_images(s, f, d, x, e)) != CHAT_READ) {
            err_prefix(e, "%s:%zu", path, d->line);
            return got;
        }
    }
    return check_ids(s, path, d, x, e) < 0 ? CHAT_FAILED : CHAT_READ;
}

static int count(struct sample_reader *r, const struct document *x, struct err *e)
{
    struct sample *s = r->s;
    int twice = x->n ? seen_add(s, document_digest(x), e) : 0;

    if (twice < 0)
        return -1;
    s->roles |= x->role != NULL;
    s->audit.read++;
    s->audit.chats += (uint64_t)x->chat;
    s->audit.images += x->nimages;
    s->audit.bos_removed += (uint64_t)x->bos_removed;
    s->audit.duplicates += (uint64_t)twice;
    s->file_tokens[r->file] += x->n;
    return 0;
}

/* The chat that came last has an image that cannot be used, as *e says: 0 when it is left out. */
static int image_reject(struct sample *s, struct err *e)
{
    if (s->o.bad_images == SAMPLE_IMAGES_REFUSE)
        return err_prefix(e, "--bad-images skip leaves such chats out, and counts them");
    if (!s->audit.images_bad++)
        snprintf(s->audit.first_bad, sizeof s->audit.first_bad, "%.255s", e->text);
    *e = (struct err){0};
    return 0;
}

int sample_reader_next(struct sample_reader *r, struct document *x, int (*skip)(void *ctx),
                       void *ctx, struct err *e)
{
    struct sample *s = r->s;
    struct doc d;
    int got;

    while (r->file < r->end) {
        const struct data_file *f = &s->file[r->file];
        struct err why = {0};

        if (!r->docs && !(r->docs = docs_open(f, &s->o.docs, e)))
            return -1;
        if ((got = docs_next(r->docs, &d, e)) < 0)
            return -1;
        if (!got) {
            docs_done(r);
            r->file++;
            continue;
        }
        if (skip && skip(ctx)) {
            s->audit.passed++;
            doc_release(&d);
            continue;
        }
        got = document_read(s, f, &d, x, &why);
        x->file = r->file;
        doc_release(&d);
        if ((got == CHAT_REFUSED && docs_reject(r->docs, &why) == 0) ||
            (got == CHAT_BAD_IMAGE && image_reject(s, &why) == 0)) {
            document_release(x);
            continue;
        }
        if (got != CHAT_READ && e)
            *e = why;
        if (got != CHAT_READ || (!r->again && count(r, x, e) < 0)) {
            document_release(x);
            return -1;
        }
        return 1;
    }
    return 0;
}

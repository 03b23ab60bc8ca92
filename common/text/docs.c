/* SPDX-License-Identifier: Apache-2.0 */
/* docs - reading .txt and .jsonl. Streams line by line, so that memory is one document. Leaves
 * out: compressed files, images. */
#include "docs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../base/fs.h"
#include "../base/mem.h"
#include "unicode.h"

enum { DOC_BYTES = 1 << 30 };
#define MARK "\xEF\xBB\xBF" /* the byte order mark of UTF-8 */

const struct opt_choice docs_bad_choices[] = {
    {"refuse", DOCS_BAD_REFUSE}, {"skip", DOCS_BAD_SKIP}, {NULL, 0}};

struct docs {
    const struct data_file *from;
    enum docs_bad bad;
    FILE *file; /* .jsonl */
    int whole;  /* .txt: 1 until it was given */
    char *line;
    size_t room, number;
    int kind; /* of the documents so far: 0 none, 't' text, 'i' ids, 'c' chats */
    struct docs_count count;
};

struct docs *docs_open(const struct data_file *f, enum docs_bad bad, struct err *e)
{
    struct docs *r = mem_array(1, sizeof *r, e);

    if (!r)
        return NULL;
    r->from = f;
    r->bad = bad;
    r->whole = !f->lines;
    if (!f->lines || (r->file = fopen(f->path, "rbe")))
        return r;
    err_sys(e, "%s", f->name);
    if (e)
        e->kind = ERR_USE;
    docs_close(&r);
    return NULL;
}

void docs_close(struct docs **r)
{
    if (!*r)
        return;
    if ((*r)->file)
        fclose((*r)->file);
    free((*r)->line);
    free(*r);
    *r = NULL;
}

void doc_release(struct doc *d)
{
    free(d->text);
    free(d->ids);
    json_destroy(&d->chat);
    memset(d, 0, sizeof *d);
}

const struct docs_count *docs_counted(const struct docs *r)
{
    return &r->count;
}

int docs_reject(struct docs *r, struct err *e)
{
    struct err why = *e;

    if (r->bad == DOCS_BAD_REFUSE && r->file)
        return err_set(e, why.kind, "%.450s (--bad-lines skip leaves such lines out)", why.text);
    if (r->bad != DOCS_BAD_SKIP)
        return -1;
    if (r->count.skipped++ == 0)
        snprintf(r->count.first, sizeof r->count.first, "%.255s", why.text);
    *e = (struct err){0};
    return 0;
}

static int is_utf16(const char *text, size_t n)
{
    return n >= 2 && (!memcmp(text, "\xFF\xFE", 2) || !memcmp(text, "\xFE\xFF", 2));
}

static int blank(const char *line, size_t n)
{
    while (n > 0 && strchr(" \t\r\n", line[n - 1]) && line[n - 1])
        n--;
    return n == 0;
}

/* The next line that is not blank: 1 and where it begins, 0 the end, -1. */
static int line_read(struct docs *r, const char **at, size_t *n, struct err *e)
{
    for (;;) {
        ssize_t got = getline(&r->line, &r->room, r->file);

        if (got < 0)
            return ferror(r->file) || !feof(r->file) ? err_sys(e, "%s", r->from->name) : 0;
        r->number++;
        *at = r->line;
        *n = (size_t)got;
        if (r->number == 1 && is_utf16(*at, *n))
            return err_set(e, ERR_USE, "%s: text in UTF-16; UTF-8 is needed", r->from->name);
        if (*n >= 3 && !memcmp(*at, MARK, 3)) { /* files joined have it inside */
            *at += 3;
            *n -= 3;
        }
        if (!blank(*at, *n))
            return 1;
    }
}

static int line_parse(struct docs *r, const char *at, size_t n, struct doc *d, struct err *e)
{
    char what[512];
    int kind;

    snprintf(what, sizeof what, "%s:%zu", r->from->name, r->number);
    if (n > DOC_BYTES)
        return err_set(e, ERR_USE, "%s: a line of more than 1 GiB", what);
    if (doc_parse(at, n, what, d, e) != 0)
        return -1;
    d->line = r->number;
    kind = d->text ? 't' : d->ids ? 'i' : 'c';
    if (r->kind && r->kind != kind) {
        doc_release(d);
        return err_set(e, ERR_USE,
                       "%s: \"text\", \"input_ids\" and \"messages\" do not mix in one file", what);
    }
    r->kind = kind;
    return 0;
}

static int next_line(struct docs *r, struct doc *d, struct err *e)
{
    for (;;) {
        struct err why = {0};
        const char *at = NULL;
        size_t n = 0;
        int got = line_read(r, &at, &n, e);

        if (got <= 0)
            return got;
        if (line_parse(r, at, n, d, &why) == 0)
            return 1;
        if (why.kind == ERR_USE && docs_reject(r, &why) == 0)
            continue;
        if (e)
            *e = why;
        return -1;
    }
}

static int whole_read(struct docs *r, struct doc *d, struct err *e)
{
    if (!(d->text = fs_read(r->from->path, DOC_BYTES, &d->length, e)))
        return -1;
    if (is_utf16(d->text, d->length)) {
        doc_release(d);
        return err_set(e, ERR_USE, "%s: text in UTF-16; UTF-8 is needed", r->from->name);
    }
    if (d->length >= 3 && !memcmp(d->text, MARK, 3))
        memmove(d->text, d->text + 3, (d->length -= 3) + 1);
    d->line = 1;
    d->repaired = unicode_valid(d->text, d->length) < d->length;
    return 1;
}

int docs_next(struct docs *r, struct doc *d, struct err *e)
{
    int got = 0;

    memset(d, 0, sizeof *d);
    if (r->file)
        got = next_line(r, d, e);
    else if (r->whole)
        got = whole_read(r, d, e);
    r->whole = 0;
    if (got == 1) {
        r->count.repaired += (uint64_t)d->repaired;
        r->count.masked += d->masked;
    }
    return got;
}

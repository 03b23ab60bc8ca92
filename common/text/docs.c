/* SPDX-License-Identifier: Apache-2.0 */
/* docs - reading .txt, .jsonl, .json and .parquet. Streams line by line, element by element, or
 * row by row, so that memory is one document. Leaves out: images. */
#include "docs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../base/fs.h"
#include "../base/mem.h"
#include "parquet.h"
#include "unicode.h"

enum { DOC_BYTES = 1 << 30, LINE_BYTES = 128 << 20, READ_BYTES = 64 << 10 };

const struct opt_choice docs_bad_choices[] = {
    {"refuse", DOCS_BAD_REFUSE}, {"skip", DOCS_BAD_SKIP}, {NULL, 0}};
const struct opt_choice docs_chat_choices[] = {
    {"stop", DOCS_BAD_REFUSE}, {"skip", DOCS_BAD_SKIP}, {NULL, 0}};

struct docs {
    const struct data_file *all;  /* may be a folder */
    const struct data_file *from; /* the file that is read */
    size_t part;                  /* of a folder */
    struct docs_opts o;
    FILE *file; /* unless it is one text, or rows */
    struct parquet *rows;
    const char *column[2]; /* the only one of rows that is read; or none is said */
    int whole;             /* of one text: 1 until it was given */
    int inside;            /* of a list: 1 behind its [, 2 behind its ] */
    char *line; /* or element; of lines all that was read and not given out: [head .. have) */
    size_t room, head, have, number; /* number: of the line or element */
    int kind; /* of the documents so far: 0 none, 't' text, 'i' ids, 'c' chats */
    struct docs_count count;
};

static void file_close(struct docs *r)
{
    if (r->file)
        fclose(r->file);
    parquet_close(&r->rows);
    r->file = NULL;
    r->whole = r->inside = 0;
    r->head = r->have = r->number = 0;
}

static int file_open(struct docs *r, const struct data_file *f, struct err *e)
{
    r->from = f;
    r->whole = f->kind == DATA_TEXT;
    if (f->kind == DATA_ROWS)
        return (r->rows = parquet_open(f->path, f->name, *r->column ? r->column : doc_members(), e))
                   ? 0
                   : -1;
    if (r->whole || (r->file = fopen(f->path, "rbe")))
        return 0;
    err_sys(e, "%s", f->name);
    if (e)
        e->kind = ERR_USE;
    return -1;
}

struct docs *docs_open(const struct data_file *f, const struct docs_opts *o, struct err *e)
{
    struct docs *r = mem_array(1, sizeof *r, e);

    if (!r)
        return NULL;
    r->all = f;
    r->o = *o;
    r->column[0] = o->text_column;
    if (file_open(r, f->parts ? &f->part[0] : f, e) < 0)
        docs_close(&r);
    return r;
}

void docs_close(struct docs **r)
{
    if (!*r)
        return;
    file_close(*r);
    free((*r)->line);
    free(*r);
    *r = NULL;
}

void doc_release(struct doc *d)
{
    free(d->text);
    free(d->ids);
    free(d->role);
    json_destroy(&d->chat);
    json_destroy(&d->images);
    memset(d, 0, sizeof *d);
}

const struct docs_count *docs_counted(const struct docs *r)
{
    return &r->count;
}

/* A line or a chat that cannot be used, as *e says. */
static int reject(enum docs_bad bad, uint64_t *count, char first[static 256], const char *advice,
                  struct err *e)
{
    struct err why = *e;

    if (bad == DOCS_BAD_REFUSE)
        return err_set(e, why.kind, "%.450s (%s)", why.text, advice);
    if (bad != DOCS_BAD_SKIP)
        return -1;
    if ((*count)++ == 0)
        snprintf(first, 256, "%.255s", why.text);
    *e = (struct err){0};
    return 0;
}

static int line_reject(struct docs *r, struct err *e)
{
    return reject(r->o.bad_lines, &r->count.skipped, r->count.first,
                  r->from->kind == DATA_LIST   ? "--bad-lines skip leaves such elements out"
                  : r->from->kind == DATA_ROWS ? "--bad-lines skip leaves such rows out"
                                               : "--bad-lines skip leaves such lines out",
                  e);
}

int docs_reject(struct docs *r, struct err *e)
{
    return reject(r->o.bad_chats, &r->count.refused, r->count.first_refused,
                  "--bad-chats skip leaves such chats out", e);
}

/* The beginning of a file is in UTF-8: it has no byte order mark of another encoding, nor zeros
 * where those of two characters of ASCII are in one (RFC 4627, 3). */
static int check_encoding(const struct docs *r, const char *text, size_t n, struct err *e)
{
    const int four = n >= 4,
              zeros = four ? !text[0] << 3 | !text[1] << 2 | !text[2] << 1 | !text[3] : 0;
    const char *other = NULL;

    if (zeros == 7 || zeros == 14 ||
        (four && (!memcmp(text, "\xFF\xFE\0", 4) || !memcmp(text, "\0\0\xFE\xFF", 4))))
        other = "UTF-32";
    else if (zeros == 5 || zeros == 10 ||
             (n >= 2 && (!memcmp(text, "\xFF\xFE", 2) || !memcmp(text, "\xFE\xFF", 2))))
        other = "UTF-16";
    return other ? err_set(e, ERR_USE, "%s: text in %s; UTF-8 is needed (iconv makes it)",
                           r->from->name, other)
                 : 0;
}

static int blank(const char *line, size_t n)
{
    while (n > 0 && strchr(" \t\r\n", line[n - 1]) && line[n - 1])
        n--;
    return n == 0;
}

/* The next line with its end, 1; 0 the end, -1. It is there until the next call. */
static int line_get(struct docs *r, const char **at, size_t *n, struct err *e)
{
    void *p = r->line;

    for (size_t seen = 0;; seen = *n) {
        const char *end = seen < r->have - r->head
                              ? memchr(r->line + r->head + seen, '\n', r->have - r->head - seen)
                              : NULL;
        size_t got;

        *at = r->line + r->head;
        *n = end ? (size_t)(end + 1 - *at) : r->have - r->head;
        if (!end && *n > LINE_BYTES)
            return err_set(e, ERR_USE,
                           "%s:%zu: a line of more than %d MiB: .jsonl has one document a line",
                           r->from->name, r->number + 1, LINE_BYTES >> 20);
        if (end || (*n && feof(r->file))) {
            r->head += *n;
            return 1;
        }
        if (r->head)
            memmove(r->line, r->line + r->head, *n);
        r->head = 0;
        r->have = *n;
        if (mem_grow(&p, &r->room, r->have + READ_BYTES, 1, e) < 0)
            return -1;
        r->line = p;
        got = fread(r->line + r->have, 1, READ_BYTES, r->file);
        if (!got && (ferror(r->file) || !r->have))
            return ferror(r->file) ? err_sys(e, "%s", r->from->name) : 0;
        r->have += got;
    }
}

/* The next line that is not blank: 1 and where it begins, 0 the end, -1. */
static int line_read(struct docs *r, const char **at, size_t *n, struct err *e)
{
    for (;;) {
        int got = line_get(r, at, n, e);

        if (got <= 0)
            return got;
        r->number++;
        if (r->number == 1 && check_encoding(r, *at, *n, e) < 0)
            return -1;
        *at = unicode_behind_marks(*at, n); /* files joined have them inside */
        if (!blank(*at, *n))
            return 1;
    }
}

/* ---- lists ---- */

/* The next byte that is no space; EOF. */
static int byte_next(struct docs *r)
{
    int c;

    do
        c = getc_unlocked(r->file);
    while (c == ' ' || c == '\t' || c == '\r' || c == '\n');
    return c;
}

static int list_broken(const struct docs *r, const char *why, struct err *e)
{
    if (ferror(r->file))
        return err_sys(e, "%s", r->from->name);
    return err_set(e, ERR_USE, "%s: not a list in JSON: %s element %zu", r->from->name, why,
                   r->number);
}

static int element_add(struct docs *r, size_t *n, int c, struct err *e)
{
    void *p = r->line;

    if (*n == LINE_BYTES)
        return err_set(e, ERR_USE, "%s:%zu: an element of more than %d MiB", r->from->name,
                       r->number, LINE_BYTES >> 20);
    if (*n + 1 >= r->room && mem_grow(&p, &r->room, *n + 2, 1, e) < 0)
        return -1;
    r->line = p;
    r->line[(*n)++] = (char)c;
    return 0;
}

/* An element whose first byte is c, as far as its brackets and quotes reach; what it holds is
 * doc_parse's to judge. */
static int element_copy(struct docs *r, int c, size_t *n, struct err *e)
{
    size_t depth = 0;
    int text = 0;

    for (*n = 0; c != EOF; c = getc_unlocked(r->file)) {
        if (!text && !depth && *n && (c == ',' || c == ']')) {
            ungetc(c, r->file);
            return 0;
        }
        if (element_add(r, n, c, e) < 0)
            return -1;
        if (text && c == '\\') {
            if ((c = getc_unlocked(r->file)) == EOF)
                break;
            if (element_add(r, n, c, e) < 0)
                return -1;
        } else if (c == '"') {
            text = !text;
        } else if (!text) {
            depth += c == '[' || c == '{';
            depth -= (c == ']' || c == '}') && depth;
        }
        if (!text && !depth && strchr("\"]}", c))
            return 0;
    }
    return list_broken(r, "the file ends inside of", e);
}

/* The next element: 1, 0 the end, -1. */
static int element_read(struct docs *r, const char **at, size_t *n, struct err *e)
{
    int c = byte_next(r);

    if (!r->inside) {
        while (c == 0xEF && getc_unlocked(r->file) == 0xBB && getc_unlocked(r->file) == 0xBF)
            c = byte_next(r); /* a byte order mark, or several */
        if (c != '[')
            return list_broken(r, "no [ in front of", e);
        c = byte_next(r);
        r->inside = 1;
        if (c != ']')
            ungetc(c, r->file);
    } else if (c == ',') {
        if ((c = byte_next(r)) == ']')
            return list_broken(r, "a ',' and nothing behind", e);
        ungetc(c, r->file);
    } else if (c != ']' && r->inside == 1) {
        return list_broken(r, "neither ',' nor ']' behind", e);
    }
    if (c == ']' || r->inside == 2) {
        r->inside = 2;
        c = byte_next(r);
        return c == EOF && !ferror(r->file) ? 0
                                            : list_broken(r, "something behind the list and", e);
    }
    r->number++;
    c = byte_next(r);
    *at = NULL;
    if (element_copy(r, c, n, e) < 0)
        return -1;
    r->line[*n] = '\0';
    *at = r->line;
    return 1;
}

/* ---- documents ---- */

static int line_parse(struct docs *r, const char *at, size_t n, struct doc *d, struct err *e)
{
    char what[512];
    int kind;

    snprintf(what, sizeof what, "%s:%zu", r->from->name, r->number);
    if (doc_parse(at, n, what, &r->o, d, e) != 0)
        return -1;
    d->line = r->number;
    d->file = r->from->name;
    kind = d->text ? 't' : d->ids ? 'i' : 'c';
    if (r->kind && r->kind != kind) {
        doc_release(d);
        return err_set(e, ERR_USE,
                       "%s: \"text\", \"input_ids\" and \"messages\" do not mix in one file", what);
    }
    r->kind = kind;
    return 0;
}

static int row_read(struct docs *r, const char **at, size_t *n, struct err *e)
{
    r->number++;
    return parquet_next(r->rows, at, n, e);
}

static int next_line(struct docs *r, struct doc *d, struct err *e)
{
    for (;;) {
        struct err why = {0};
        const char *at = NULL;
        size_t n = 0;
        int got = r->rows                      ? row_read(r, &at, &n, e)
                  : r->from->kind == DATA_LIST ? element_read(r, &at, &n, e)
                                               : line_read(r, &at, &n, e);

        if (got <= 0)
            return got;
        if (line_parse(r, at, n, d, &why) == 0)
            return 1;
        /* without any column that is read no row is better than this one */
        if (why.kind == ERR_USE && !(r->rows && !parquet_columns(r->rows)) &&
            line_reject(r, &why) == 0)
            continue;
        if (e)
            *e = why;
        return -1;
    }
}

static int whole_read(struct docs *r, struct doc *d, struct err *e)
{
    const char *begin;

    if (!(d->text = fs_read(r->from->path, DOC_BYTES, &d->length, e)))
        return -1;
    if (check_encoding(r, d->text, d->length, e) < 0) {
        doc_release(d);
        return -1;
    }
    begin = unicode_behind_marks(d->text, &d->length);
    if (begin != d->text)
        memmove(d->text, begin, d->length + 1);
    d->line = 1;
    d->file = r->from->name;
    d->repaired = unicode_broken(d->text, d->length);
    return 1;
}

static int file_next(struct docs *r, struct doc *d, struct err *e)
{
    int got = 0;

    if (r->file || r->rows)
        return next_line(r, d, e);
    if (r->whole)
        got = whole_read(r, d, e);
    r->whole = 0;
    return got;
}

int docs_next(struct docs *r, struct doc *d, struct err *e)
{
    int got;

    memset(d, 0, sizeof *d);
    while ((got = file_next(r, d, e)) == 0 && r->part + 1 < r->all->parts) {
        file_close(r);
        if (file_open(r, &r->all->part[++r->part], e) < 0)
            return -1;
    }
    if (got == 1) {
        if (d->repaired && !r->count.repaired++)
            snprintf(r->count.first_repaired, sizeof r->count.first_repaired, "%s:%zu", d->file,
                     d->line);
        r->count.replaced += d->repaired;
        r->count.masked += d->masked;
    }
    return got;
}

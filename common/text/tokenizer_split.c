/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_split - normalizing a text and cutting it into the pieces that are encoded one by
 * one. */
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "tokenizer_parts.h"

/* What a normalizer may make of a text of n bytes. Spaces become three bytes, a compatibility form
 * has at most 33 for 3; steps that put much more would only fill the memory. */
#define GROWTH_MAX(n) (64 * (n) + ((size_t)1 << 20))

int text_copy(struct text *x, const char *data, size_t n, struct err *e)
{
    if (!(x->data = mem_array(n + 1, 1, e)))
        return -1;
    if (n)
        memcpy(x->data, data, n);
    x->n = n;
    return 0;
}

/* Text under construction. */
struct buffer {
    char *data;
    size_t n, cap;
    size_t most; /* bytes that it may have; 0: any */
};

static int growth_error(size_t most, struct err *e)
{
    return err_set(e, ERR_USE,
                   "the tokenizer's normalizer makes more than %zu bytes of a text: is its "
                   "tokenizer.json whole?",
                   most);
}

static int buffer_add(struct buffer *b, const char *data, size_t n, struct err *e)
{
    void *p = b->data;

    if (n >= SIZE_MAX / 4 - b->n)
        return err_set(e, ERR_USE, "a text is too long");
    if (b->most && b->n + n > b->most)
        return growth_error(b->most, e);
    if (b->n + n + 1 > b->cap && mem_grow(&p, &b->cap, b->n + n + 1, 1, e) < 0)
        return -1;
    b->data = p;
    if (n)
        memcpy(b->data + b->n, data, n);
    b->n += n;
    b->data[b->n] = 0;
    return 0;
}

static void text_take(struct text *x, struct buffer *b)
{
    free(x->data);
    x->data = b->data;
    x->n = b->n;
}

int text_replace(struct text *x, struct unicode_regex *find, const struct text *put, size_t most,
                 struct err *e)
{
    struct buffer b = {.most = most};
    size_t at = 0, start, end;
    int r;

    while ((r = unicode_regex_next(find, x->data, x->n, at, &start, &end, e)) > 0) {
        if (buffer_add(&b, x->data + at, start - at, e) < 0 ||
            buffer_add(&b, put->data, put->n, e) < 0)
            goto fail;
        at = end;
    }
    if (r < 0 || buffer_add(&b, x->data + at, x->n - at, e) < 0)
        goto fail;
    text_take(x, &b);
    return 0;
fail:
    free(b.data);
    return -1;
}

/* Each byte as the character that stands for it. */
static int bytes_spell(struct buffer *b, const char *text, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        char c[4];

        if (buffer_add(b, c, unicode_put(bpe_byte_char((unsigned char)text[i]), c), e) < 0)
            return -1;
    }
    return 0;
}

static void text_strip_spaces(struct text *x, int left, int right)
{
    size_t from = 0, end = x->n;
    uint32_t c;

    while (left && from < end) {
        size_t step = unicode_char(x->data + from, end - from, &c);

        if (!unicode_is_space(c))
            break;
        from += step;
    }
    while (right && end > from) {
        size_t at = end - 1;

        while (at > from && ((unsigned char)x->data[at] & 0xC0) == 0x80)
            at--;
        unicode_char(x->data + at, end - at, &c);
        if (!unicode_is_space(c))
            break;
        end = at;
    }
    memmove(x->data, x->data + from, end - from);
    x->n = end - from;
    x->data[x->n] = 0;
}

/* The text becomes what is in the buffer, unless rc is -1. */
static int text_become(struct text *x, struct buffer *b, int rc)
{
    if (rc < 0)
        free(b->data);
    else
        text_take(x, b);
    return rc;
}

static int text_form(struct text *x, const struct norm_step *s, struct err *e)
{
    size_t n;
    char *formed = s->kind == NORM_LOWER  ? unicode_lower(x->data, x->n, &n, e)
                   : s->kind == NORM_FORM ? unicode_normalize(x->data, x->n, s->form, &n, e)
                                          : charsmap_apply(s->map, x->data, x->n, &n, e);

    if (!formed)
        return -1;
    free(x->data);
    x->data = formed;
    x->n = n;
    return 0;
}

/* *lost is set when the first character goes. */
static int norm_replace(struct text *x, const struct norm_step *s, size_t most, int *lost,
                        struct err *e)
{
    size_t start, end;
    int r = s->put.n ? 0 : unicode_regex_next(s->find, x->data, x->n, 0, &start, &end, e);

    if (r < 0)
        return -1;
    *lost |= r && start == 0;
    return text_replace(x, s->find, &s->put, most, e);
}

static int norm_run(struct text *x, const struct norm_step *s, size_t most, int *lost,
                    struct err *e)
{
    const size_t before = x->n;
    struct buffer b = {0};

    switch (s->kind) {
    case NORM_PREPEND:
        return text_become(
            x, &b,
            buffer_add(&b, s->put.data, s->put.n, e) < 0 ? -1 : buffer_add(&b, x->data, x->n, e));
    case NORM_BYTES:
        return text_become(x, &b, bytes_spell(&b, x->data, x->n, e));
    case NORM_REPLACE:
        return norm_replace(x, s, most, lost, e);
    case NORM_STRIP:
        text_strip_spaces(x, s->left, 0);
        *lost |= x->n < before;
        text_strip_spaces(x, 0, s->right);
        return 0;
    case NORM_LOWER:
    case NORM_FORM:
    case NORM_MAP:
        break;
    }
    return text_form(x, s, e);
}

int text_normalize(const struct tokenizer *t, struct text *x, int *lost, struct err *e)
{
    const size_t most = GROWTH_MAX(x->n);

    *lost = 0;
    for (size_t i = 0; i < t->nnorm && x->n; i++) {
        if (norm_run(x, &t->norm[i], most, lost, e) < 0)
            return -1;
        if (x->n > most)
            return growth_error(most, e);
    }
    return 0;
}

/* ---- pieces ---- */

int pieces_push(struct pieces *p, size_t start, size_t end, struct err *e)
{
    void *q = p->span;

    if (start == end)
        return 0;
    if (p->count == p->cap && mem_grow(&q, &p->cap, p->count + 1, sizeof *p->span, e) < 0)
        return -1;
    p->span = q;
    p->span[p->count++] = (struct span){start, end};
    return 0;
}

void pieces_release(struct pieces *p)
{
    free(p->text.data);
    free(p->span);
    *p = (struct pieces){0};
}

/* A stretch of a piece: a match of the pattern, or what stands between two. */
static int stretch_push(struct pieces *out, const struct pre_step *s, struct span x, int match,
                        int *before, struct err *e)
{
    struct span *last = out->count ? &out->span[out->count - 1] : NULL;
    /* -1: nothing of this piece yet, else whether the stretch before was a match */
    int was = *before;

    if (x.start == x.end)
        return 0;
    match ^= s->invert;
    *before = match;
    switch (s->behavior) {
    case SPLIT_REMOVED:
        return match ? 0 : pieces_push(out, x.start, x.end, e);
    case SPLIT_PREVIOUS:
        if (match && was == 0 && last) {
            last->end = x.end;
            return 0;
        }
        break;
    case SPLIT_NEXT:
        if (!match && was == 1 && last) {
            last->end = x.end;
            return 0;
        }
        break;
    case SPLIT_CONTIGUOUS:
        if (was == match && last) {
            last->end = x.end;
            return 0;
        }
        break;
    case SPLIT_ISOLATED:
        break;
    }
    return pieces_push(out, x.start, x.end, e);
}

static int step_split(struct pieces *x, const struct pre_step *s, struct err *e)
{
    struct pieces out = {0};
    size_t i;

    for (i = 0; i < x->count; i++) {
        struct span p = x->span[i];
        const char *text = x->text.data + p.start;
        size_t n = p.end - p.start, at = 0, start, end;
        int r, before = -1;

        while ((r = unicode_regex_next(s->find, text, n, at, &start, &end, e)) > 0) {
            if (stretch_push(&out, s, (struct span){p.start + at, p.start + start}, 0, &before, e) <
                    0 ||
                stretch_push(&out, s, (struct span){p.start + start, p.start + end}, 1, &before,
                             e) < 0)
                goto fail;
            at = end;
        }
        if (r < 0 || stretch_push(&out, s, (struct span){p.start + at, p.end}, 0, &before, e) < 0)
            goto fail;
    }
    free(x->span);
    x->span = out.span;
    x->count = out.count;
    x->cap = out.cap;
    return 0;
fail:
    free(out.span);
    return -1;
}

/* Adds a piece with its spaces replaced, and something in front where the step says so. */
static int piece_rewrite(struct buffer *b, const struct pre_step *s, const char *text, size_t n,
                         int first, struct err *e)
{
    size_t i, from = 0;
    int begins;

    if (s->kind == PRE_BYTES)
        return bytes_spell(b, text, n, e);
    if (s->kind == PRE_SPACE) {
        if (text[0] != ' ' && buffer_add(b, " ", 1, e) < 0)
            return -1;
        return buffer_add(b, text, n, e);
    }
    begins = text[0] == ' ' || (n >= s->put.n && !memcmp(text, s->put.data, s->put.n));
    if (!begins && (s->prefix == META_ALWAYS || (s->prefix == META_FIRST && first)) &&
        buffer_add(b, s->put.data, s->put.n, e) < 0)
        return -1;
    for (i = 0; i < n; i++) {
        if (text[i] != ' ')
            continue;
        if (buffer_add(b, text + from, i - from, e) < 0 ||
            buffer_add(b, s->put.data, s->put.n, e) < 0)
            return -1;
        from = i + 1;
    }
    return buffer_add(b, text + from, n - from, e);
}

static int step_rewrite(struct pieces *x, const struct pre_step *s, int start, struct err *e)
{
    struct buffer b = {0};
    size_t i;

    for (i = 0; i < x->count; i++) {
        struct span *p = &x->span[i];
        size_t at = b.n;

        if (piece_rewrite(&b, s, x->text.data + p->start, p->end - p->start, start && p->start == 0,
                          e) < 0) {
            free(b.data);
            return -1;
        }
        *p = (struct span){at, b.n};
    }
    text_take(&x->text, &b);
    return 0;
}

int text_split(const struct tokenizer *t, struct pieces *x, int start, struct err *e)
{
    size_t i;

    for (i = 0; i < t->npre && x->count; i++) {
        const struct pre_step *s = &t->pre[i];

        if ((s->kind == PRE_SPLIT ? step_split(x, s, e) : step_rewrite(x, s, start, e)) < 0)
            return -1;
    }
    return 0;
}

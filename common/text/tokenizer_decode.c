/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_decode - ids to text: the texts of the tokens go through the decoder's steps and are
 * joined. */
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "tokenizer.h"
#include "tokenizer_parts.h"

struct texts {
    struct text *x;
    size_t n;
};

static void texts_free(struct texts *l)
{
    size_t i;

    for (i = 0; i < l->n; i++)
        free(l->x[i].data);
    free(l->x);
    *l = (struct texts){0};
}

/* An added token that is looked for in normalized text stands for what it was found as: the steps
 * undo what normalizing did to it, too. */
static const char *token_text(const struct tokenizer *t, int32_t id, size_t *n)
{
    size_t i;

    for (i = 0; i < t->nadded; i++)
        if (t->added[i].id == id) {
            const struct text *x = t->added[i].norm.n ? &t->added[i].norm : &t->added[i].raw;

            *n = x->n;
            return x->data;
        }
    return bpe_text(t->bpe, id, n);
}

static int texts_fill(const struct tokenizer *t, const int32_t *ids, size_t count, struct texts *l,
                      struct err *e)
{
    size_t i, n;

    if (!(l->x = mem_array(count + 1, sizeof *l->x, e)))
        return -1;
    for (i = 0; i < count; i++) {
        const char *text = token_text(t, ids[i], &n);

        if (!text)
            return err_set(e, ERR_USE, "id %d is not in the tokenizer's vocabulary", ids[i]);
        if (text_copy(&l->x[i], text, n, e) < 0)
            return -1;
        l->n++;
    }
    return 0;
}

/* All texts become one. */
static int texts_fuse(struct texts *l, const char *between, struct err *e)
{
    size_t i, n = 0, gap = strlen(between);
    char *all, *p;

    for (i = 0; i < l->n; i++)
        n += l->x[i].n + gap;
    if (!(p = all = mem_array(n + 1, 1, e)))
        return -1;
    for (i = 0; i < l->n; i++) {
        if (i)
            memcpy(p, between, gap);
        p += i ? gap : 0;
        memcpy(p, l->x[i].data, l->x[i].n);
        p += l->x[i].n;
        free(l->x[i].data);
    }
    l->x[0] = (struct text){all, (size_t)(p - all)};
    l->n = 1;
    return 0;
}

/* Characters back to the bytes they stand for; a token with any other character is plain text. */
static void bytes_from_chars(struct text *x)
{
    size_t at = 0, used = 0;
    uint32_t c;

    while (at < x->n) {
        at += unicode_char(x->data + at, x->n - at, &c);
        if (bpe_char_byte(c) < 0)
            return;
    }
    for (at = 0; at < x->n;) {
        at += unicode_char(x->data + at, x->n - at, &c);
        x->data[used++] = (char)bpe_char_byte(c);
    }
    x->n = used;
    x->data[used] = 0;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

static int byte_token(const struct text *x)
{
    if (x->n != 6 || memcmp(x->data, "<0x", 3) || x->data[5] != '>')
        return -1;
    if (hex_digit(x->data[3]) < 0 || hex_digit(x->data[4]) < 0)
        return -1;
    return hex_digit(x->data[3]) * 16 + hex_digit(x->data[4]);
}

/* Runs of byte tokens become text; a run that is not UTF-8 becomes one U+FFFD for each byte. */
static int step_bytes(struct texts *l, struct err *e)
{
    size_t i = 0, used = 0;

    while (i < l->n) {
        struct text run = {0};
        size_t j, k;

        if (byte_token(&l->x[i]) < 0) {
            l->x[used++] = l->x[i++];
            continue;
        }
        for (j = i; j < l->n && byte_token(&l->x[j]) >= 0; j++) {
        }
        if (!(run.data = mem_array(3 * (j - i) + 1, 1, e))) {
            memmove(l->x + used, l->x + i, (l->n - i) * sizeof *l->x);
            l->n -= i - used;
            return -1;
        }
        for (k = i; k < j; k++)
            run.data[run.n++] = (char)byte_token(&l->x[k]);
        if (unicode_valid(run.data, run.n) != run.n) {
            for (k = 0; k < run.n; k++)
                memcpy(run.data + 3 * k, "\xEF\xBF\xBD", 3);
            run.n *= 3;
        }
        for (k = i; k < j; k++)
            free(l->x[k].data);
        l->x[used++] = run;
        i = j;
    }
    l->n = used;
    return 0;
}

static void text_strip(struct text *x, const struct dec_step *s)
{
    size_t i, from = 0, n = s->put.n;

    if (!n)
        return;
    for (i = 0; i < s->start && x->n - from >= n && !memcmp(x->data + from, s->put.data, n); i++)
        from += n;
    for (i = 0; i < s->stop && x->n - from >= n && !memcmp(x->data + x->n - n, s->put.data, n); i++)
        x->n -= n;
    memmove(x->data, x->data + from, x->n - from);
    x->n -= from;
    x->data[x->n] = 0;
}

/* Replacement characters become spaces; the one in front of the first token goes. */
static void text_spaces(struct text *x, const struct dec_step *s, int first)
{
    size_t at = 0, used = 0, n = s->put.n;

    while (n && at < x->n) {
        if (x->n - at >= n && !memcmp(x->data + at, s->put.data, n)) {
            if (!(first && s->prefix && !at))
                x->data[used++] = ' ';
            at += n;
        } else {
            x->data[used++] = x->data[at++];
        }
    }
    if (n)
        x->n = used;
    x->data[x->n] = 0;
}

static int step_run(struct texts *l, const struct dec_step *s, struct err *e)
{
    size_t i;

    if (s->kind == DEC_FUSE)
        return texts_fuse(l, "", e);
    if (s->kind == DEC_BYTE_FALLBACK)
        return step_bytes(l, e);
    for (i = 0; i < l->n; i++) {
        if (s->kind == DEC_BYTE_LEVEL)
            bytes_from_chars(&l->x[i]);
        if (s->kind == DEC_REPLACE && text_replace(&l->x[i], s->find, &s->put, 0, e) < 0)
            return -1;
        if (s->kind == DEC_STRIP)
            text_strip(&l->x[i], s);
        if (s->kind == DEC_META)
            text_spaces(&l->x[i], s, i == 0);
    }
    return s->kind == DEC_BYTE_LEVEL ? texts_fuse(l, "", e) : 0;
}

char *tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t count, size_t *length,
                       struct err *e)
{
    struct texts l = {0};
    char *out = NULL;
    size_t i;

    if (texts_fill(t, ids, count, &l, e) < 0)
        goto out;
    for (i = 0; i < t->ndec; i++)
        if (step_run(&l, &t->dec[i], e) < 0)
            goto out;
    if (texts_fuse(&l, t->ndec ? "" : " ", e) < 0)
        goto out;
    out = unicode_repair(l.x[0].data, l.x[0].n, length, e);
out:
    texts_free(&l);
    return out;
}

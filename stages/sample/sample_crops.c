/* SPDX-License-Identifier: Apache-2.0 */
/* sample_crops - random windows of random documents, for each length by itself.
 *
 * Each document draws a key for each length; the lowest keys of documents that are long enough
 * stay, as many as there are rows of the length, in a heap with the highest on top. So memory is
 * that of the documents used, and most documents of a large file are not even tokenized. Nested
 * crops draw for the longest length only and give a prefix of the same window to each length of
 * a cycle. */
#include <stdlib.h>

#include "../../common/base/mem.h"
#include "../../common/base/rng.h"
#include "../../common/base/plural.h"
#include "sample_impl.h"

struct held {
    struct document x;
    size_t refs;  /* heaps that hold it */
    size_t index; /* in s->document, once there; SIZE_MAX before */
};

struct entry {
    uint64_t key;
    struct held *doc;
};

struct window {
    size_t doc, offset;
    int bos;
};

struct draw { /* of the windows of one length */
    size_t length;
    uint64_t want;
    struct rng rng;
    uint64_t key; /* of the document at hand */
    struct entry *heap;
    size_t n, room;
    struct window *window;
    size_t nwindow, window_room, next;
    uint64_t joined;
};

struct crops {
    struct sample *s;
    const struct file_group *p;
    struct draw draw[SAMPLE_LENGTHS_MAX];
    size_t ndraw;
};

static void held_drop(struct held *h)
{
    if (--h->refs)
        return;
    document_release(&h->x);
    free(h);
}

static void crops_release(struct crops *c)
{
    size_t i, k;

    for (i = 0; i < c->ndraw; i++) {
        for (k = 0; k < c->draw[i].n; k++)
            held_drop(c->draw[i].heap[k].doc);
        free(c->draw[i].heap);
        free(c->draw[i].window);
    }
}

static int wants(const struct draw *d)
{
    return d->n < d->want || (d->n && d->key < d->heap[0].key);
}

static int draw_skip(void *ctx)
{
    struct crops *c = ctx;
    int any = 0;
    size_t i;

    for (i = 0; i < c->ndraw; i++) {
        c->draw[i].key = rng_next(&c->draw[i].rng);
        any |= wants(&c->draw[i]);
    }
    return !any;
}

static void heap_down(struct entry *h, size_t n, struct entry x)
{
    size_t i = 0, child;

    while ((child = 2 * i + 1) < n) {
        if (child + 1 < n && h[child + 1].key > h[child].key)
            child++;
        if (h[child].key <= x.key)
            break;
        h[i] = h[child];
        i = child;
    }
    h[i] = x;
}

static void heap_up(struct entry *h, size_t i)
{
    struct entry x = h[i];

    while (i && h[(i - 1) / 2].key < x.key) {
        h[i] = h[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h[i] = x;
}

static int by_key(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    return x->key < y->key ? -1 : x->key > y->key;
}

/* Tokens of text in a row of the length. */
static size_t step_of(const struct sample *s, size_t length, int text)
{
    return length - (size_t)row_bos(s, text);
}

static int draw_take(struct crops *c, struct draw *d, struct held *h, struct err *e)
{
    struct entry x = {d->key, h};
    void *p = d->heap;

    if (d->n == d->want) {
        c->s->audit.passed += d->heap[0].doc->refs == 1;
        held_drop(d->heap[0].doc);
        heap_down(d->heap, d->n, x);
    } else {
        if (d->n == d->room && mem_grow(&p, &d->room, d->n + 1, sizeof *d->heap, e) < 0)
            return -1;
        d->heap = p;
        d->heap[d->n++] = x;
        heap_up(d->heap, d->n - 1);
    }
    h->refs++;
    return 0;
}

/* Takes what x points to. */
static int document_take(struct crops *c, struct document *x, struct err *e)
{
    struct held *h = mem_array(1, sizeof *h, e);
    int enough = 0, rc = 0;
    size_t i;

    if (!h) {
        document_release(x);
        return -1;
    }
    *h = (struct held){*x, 1, SIZE_MAX};
    for (i = 0; i < c->ndraw && rc == 0; i++) {
        if (x->n < step_of(c->s, c->draw[i].length, x->text))
            continue;
        enough = 1;
        if (wants(&c->draw[i]))
            rc = draw_take(c, &c->draw[i], h, e);
    }
    c->s->audit.dropped += !enough;
    c->s->audit.passed += enough && h->refs == 1;
    held_drop(h);
    return rc;
}

static int documents_read(struct crops *c, struct err *e)
{
    struct sample_reader *r = sample_reader_open(c->s, c->p, 0, e);
    struct document x;
    int got = -1;
    size_t i;

    while (r && (got = sample_reader_next(r, &x, draw_skip, c, e)) > 0)
        if (document_take(c, &x, e) < 0) {
            got = -1;
            break;
        }
    sample_reader_close(&r);
    for (i = 0; i < c->ndraw; i++)
        if (c->draw[i].n)
            qsort(c->draw[i].heap, c->draw[i].n, sizeof *c->draw[i].heap, by_key);
    return got;
}

/* Place of the document in s->document, where it goes now if it is not there. */
static int held_index(struct sample *s, struct held *h, size_t *index, struct err *e)
{
    if (h->index == SIZE_MAX) {
        h->index = s->ndocuments;
        if (document_push(s, &h->x, e) < 0)
            return -1;
    }
    *index = h->index;
    return 0;
}

static int window_push(struct draw *d, struct window w, struct err *e)
{
    void *p = d->window;

    if (d->nwindow == d->window_room &&
        mem_grow(&p, &d->window_room, d->nwindow + 1, sizeof w, e) < 0)
        return -1;
    d->window = p;
    d->window[d->nwindow++] = w;
    return 0;
}

/* One window of each document, then a second one of those that are long enough for two, and so
 * on. */
static int windows_make(struct crops *c, struct draw *d, uint64_t stream, struct err *e)
{
    struct sample *s = c->s;
    struct rng rng;
    uint64_t round, given = 1;
    size_t i, index;

    rng_seed(&rng, s->o.seed, stream);
    for (round = 1; d->nwindow < d->want && given; round++)
        for (given = i = 0; i < d->n && d->nwindow < d->want; i++) {
            const struct document *x = &d->heap[i].doc->x;
            size_t step = step_of(s, d->length, x->text);

            if (x->n / step < round)
                continue;
            given = 1;
            if (held_index(s, d->heap[i].doc, &index, e) < 0)
                return -1;
            s->document[index].taken += step;
            if (window_push(d,
                            (struct window){index, (size_t)rng_below(&rng, x->n - step + 1),
                                            row_bos(s, x->text)},
                            e) < 0)
                return -1;
        }
    return 0;
}

/* The windows that are missing, out of all documents of the group joined in order. */
static int windows_join(struct crops *c, struct err *e)
{
    struct sample *s = c->s;
    struct sample_reader *r = sample_reader_open(s, c->p, 1, e);
    struct join at = {.doc = s->ndocuments};
    size_t rows = s->nrow, bos, i;
    uint64_t need = 0, missing = 0, have = 0;
    int rc = -1;

    if (!r)
        return -1;
    for (i = 0; i < c->ndraw; i++) {
        missing += c->draw[i].want - c->draw[i].nwindow;
        need += (c->draw[i].want - c->draw[i].nwindow) * c->draw[i].length;
    }
    if (join_fill(s, r, need, 1, &have, e) < 0)
        goto out;
    bos = (size_t)(at.doc < s->ndocuments && row_bos(s, s->document[at.doc].text));
    if (have < need - missing * bos) {
        sample_plan_failed(s, c->p, have, e);
        goto out;
    }
    for (i = 0; i < c->ndraw; i++)
        for (; c->draw[i].nwindow < c->draw[i].want; c->draw[i].joined++) {
            struct window w = {at.doc, at.offset, (int)bos};

            if (join_row(s, &at, c->draw[i].length, (int)bos, e) < 0 ||
                window_push(&c->draw[i], w, e) < 0)
                goto out;
        }
    s->nrow = rows; /* the rows are made in their order later */
    rc = 0;
out:
    sample_reader_close(&r);
    return rc;
}

static int windows_missing(struct crops *c, struct err *e)
{
    const struct sample *s = c->s;
    uint64_t have = 0;
    size_t i, k;
    int missing = 0;

    for (i = 0; i < c->ndraw; i++) {
        const struct draw *d = &c->draw[i];

        have += d->nwindow * (uint64_t)d->length;
        if (d->want == UINT64_MAX ? d->nwindow > 0 : d->nwindow == d->want)
            continue;
        missing = 1;
        k = i;
    }
    if (!missing)
        return 0;
    if (s->o.too_short == SAMPLE_SHORT_JOIN && c->p->want != UINT64_MAX)
        return windows_join(c, e);
    if (c->ndraw == 1 && s->nset == 1)
        return sample_plan_failed(s, c->p, have, e);
    err_set(
        e, ERR_DATA,
        "data too short: need %llu window%s of %zu tokens, have %zu in documents of that length "
        "(%llu document%s read); "
        "--short join cuts rows from joined documents",
        (unsigned long long)c->draw[k].want, plural_s(c->draw[k].want), c->draw[k].length,
        c->draw[k].nwindow, (unsigned long long)s->audit.read, plural_s(s->audit.read));
    return s->ngroups > 1 ? err_prefix(e, "%s", s->o.data[c->p->file]) : -1;
}

/* The windows in the order of the rows. */
static int rows_make(struct crops *c, struct err *e)
{
    struct sample *s = c->s;
    const struct file_group *p = c->p;
    uint64_t rows = p->want == UINT64_MAX ? c->draw[0].nwindow : p->want, i;
    int nested = s->o.crops == SAMPLE_NESTED;
    size_t k;

    for (i = 0; i < rows; i++) {
        size_t length = group_length(s, p, i);
        const struct window *w;

        for (k = 0; !nested && c->draw[k].length != length;)
            k++;
        if (nested)
            k = 0;
        w = &c->draw[k].window[c->draw[k].next];
        s->audit.joined += c->draw[k].next >= c->draw[k].nwindow - c->draw[k].joined;
        if (row_push(s, w->doc, w->offset, length, w->bos, e) < 0)
            return -1;
        c->draw[k].next += !nested || i >= p->cycles * s->nset || (i + 1) % s->nset == 0;
    }
    return 0;
}

static void draws_begin(struct crops *c)
{
    const struct sample *s = c->s;
    const struct file_group *p = c->p;
    int nested = s->o.crops == SAMPLE_NESTED;
    uint64_t i;
    size_t k;

    c->ndraw = nested ? 1 : s->nset;
    for (k = 0; k < c->ndraw; k++) {
        struct draw *d = &c->draw[k];

        d->length = s->set[k];
        rng_seed(&d->rng, s->o.seed, p->stream + 2 * k);
        if (!p->length)
            d->want = p->want;
        else if (nested)
            d->want = p->cycles + (p->want - p->cycles * s->nset);
        else
            for (i = 0; i < p->want; i++)
                d->want += p->length[i] == d->length;
    }
}

int sample_plan_crops(struct sample *s, const struct file_group *p, struct err *e)
{
    struct crops c = {.s = s, .p = p};
    size_t k;
    int rc = -1;

    draws_begin(&c);
    if (documents_read(&c, e) < 0)
        goto out;
    for (k = 0; k < c.ndraw; k++)
        if (windows_make(&c, &c.draw[k], p->stream + 2 * k + 1, e) < 0)
            goto out;
    if (windows_missing(&c, e) < 0)
        goto out;
    rc = rows_make(&c, e);
out:
    crops_release(&c);
    return rc;
}

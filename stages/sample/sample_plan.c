/* sample_plan - which tokens of which documents make which row. One planner a mode; each keeps only the documents that it uses. */
#include <stdlib.h>

#include "../../common/base/mem.h"
#include "../../common/base/rng.h"
#include "sample_impl.h"

static int source_push(struct sample *s, struct source *x, struct err *e)
{
    void *p = s->source;

    if (s->nsource == s->source_cap && mem_grow(&p, &s->source_cap, s->nsource + 1, sizeof *s->source, e) < 0) {
        free(x->ids);
        return -1;
    }
    s->source = p;
    s->source[s->nsource++] = *x;
    return 0;
}

static int row_push(struct sample *s, size_t doc, size_t offset, int bos, struct err *e)
{
    void *p = s->row;

    if (s->nrow == s->row_cap && mem_grow(&p, &s->row_cap, s->nrow + 1, sizeof *s->row, e) < 0) return -1;
    s->row = p;
    s->row[s->nrow++] = (struct row){ doc, offset, s->o.length, bos };
    return 0;
}

/* Whether the rows of a document begin with BOS. */
static int row_bos(const struct sample *s, int text)
{
    if (s->bos < 0 || s->o.bos == SAMPLE_BOS_NO) return 0;
    return s->o.bos == SAMPLE_BOS_YES || (s->o.mode != SAMPLE_CONCAT && text);
}

/* ---- concat ---- */

static int concat_cut(struct sample *s, uint64_t have, struct err *e)
{
    int bos = row_bos(s, 0);
    size_t step = s->o.length - (size_t)bos, doc = 0, offset = 0, left;

    for (; have >= step && s->nrow < s->want; have -= step) {
        if (row_push(s, doc, offset, bos, e) < 0) return -1;
        for (left = step; left;) {
            struct source *x = &s->source[doc];
            size_t take = x->n - offset < left ? x->n - offset : left;

            x->taken += take;
            left -= take;
            offset += take;
            if (offset < x->n) continue;
            doc++;
            offset = 0;
        }
    }
    return 0;
}

static int plan_concat(struct sample *s, struct sample_reader *r, uint64_t *have, struct err *e)
{
    size_t step = s->o.length - (size_t)row_bos(s, 0);
    struct source x;
    int got;

    while (*have / step < s->want) {
        if ((got = sample_reader_next(r, &x, NULL, NULL, e)) < 0) return -1;
        if (!got) break;
        if (!x.n) {
            s->audit.dropped++;
            free(x.ids);
            continue;
        }
        *have += x.n;
        if (source_push(s, &x, e) < 0) return -1;
    }
    if (concat_cut(s, *have, e) < 0) return -1;
    *have += s->nrow * (uint64_t)row_bos(s, 0);
    return 0;
}

/* ---- head ---- */

static int plan_head(struct sample *s, struct sample_reader *r, uint64_t *have, struct err *e)
{
    struct source x;
    int got;

    while (s->nrow < s->want) {
        size_t step;

        if ((got = sample_reader_next(r, &x, NULL, NULL, e)) < 0) return -1;
        if (!got) break;
        step = s->o.length - (size_t)row_bos(s, x.text);
        if (x.n < step) {
            s->audit.dropped++;
            free(x.ids);
            continue;
        }
        x.taken = step;
        *have += s->o.length;
        if (source_push(s, &x, e) < 0 || row_push(s, s->nsource - 1, 0, row_bos(s, x.text), e) < 0) return -1;
    }
    return 0;
}

/* ---- crops ---- */

/* Every document draws a key; the lowest `want` keys of documents that are long enough stay, in a heap with the highest on top. So memory
 * is that of the documents used, and most documents of a large file are not even tokenized. */
struct draw {
    struct sample *s;
    struct rng rng;
    uint64_t key;
};

static int draw_skip(void *ctx)
{
    struct draw *d = ctx;

    d->key = rng_next(&d->rng);
    return d->s->nsource >= d->s->want && d->key >= d->s->source[0].key;
}

static void heap_down(struct source *h, size_t n, struct source x)
{
    size_t i = 0, child;

    while ((child = 2 * i + 1) < n) {
        if (child + 1 < n && h[child + 1].key > h[child].key) child++;
        if (h[child].key <= x.key) break;
        h[i] = h[child];
        i = child;
    }
    h[i] = x;
}

static void heap_up(struct source *h, size_t i)
{
    struct source x = h[i];

    while (i && h[(i - 1) / 2].key < x.key) {
        h[i] = h[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h[i] = x;
}

static int by_key(const void *a, const void *b)
{
    const struct source *x = a, *y = b;

    return x->key < y->key ? -1 : x->key > y->key;
}

static int crops_draw(struct sample *s, struct sample_reader *r, struct err *e)
{
    struct draw d = { .s = s };
    struct source x;
    int got;

    rng_seed(&d.rng, s->o.seed, 0);
    while ((got = sample_reader_next(r, &x, draw_skip, &d, e)) > 0) {
        x.key = d.key;
        if (x.n < s->o.length - (size_t)row_bos(s, x.text)) {
            s->audit.dropped++;
            free(x.ids);
        } else if (s->nsource < s->want) {
            if (source_push(s, &x, e) < 0) return -1;
            heap_up(s->source, s->nsource - 1);
        } else {
            s->audit.passed++;
            free(s->source[0].ids);
            heap_down(s->source, s->nsource, x);
        }
    }
    if (s->nsource) qsort(s->source, s->nsource, sizeof *s->source, by_key);
    return got;
}

static int plan_crops(struct sample *s, struct sample_reader *r, uint64_t *have, struct err *e)
{
    struct rng rng;
    uint64_t round, given = 1;
    size_t i;

    if (crops_draw(s, r, e) < 0) return -1;
    rng_seed(&rng, s->o.seed, 1);
    for (round = 1; s->nrow < s->want && given; round++) {
        given = 0;
        for (i = 0; i < s->nsource && s->nrow < s->want; i++) {
            struct source *x = &s->source[i];
            int bos = row_bos(s, x->text);
            size_t step = s->o.length - (size_t)bos;

            if (x->n / step < round) continue;
            given = 1;
            x->taken += step;
            *have += s->o.length;
            if (row_push(s, i, (size_t)rng_below(&rng, x->n - step + 1), bos, e) < 0) return -1;
        }
    }
    return 0;
}

/* ---- the whole ---- */

int sample_plan(struct sample *s, struct err *e)
{
    static int (*const planner[])(struct sample *, struct sample_reader *, uint64_t *, struct err *) = {
        [SAMPLE_CONCAT] = plan_concat, [SAMPLE_CROPS] = plan_crops, [SAMPLE_HEAD] = plan_head
    };
    struct sample_reader *r = sample_reader_open(s, e);
    uint64_t have = 0;
    size_t i;
    int rc = r ? planner[s->o.mode](s, r, &have, e) : -1;

    sample_reader_close(&r);
    if (rc < 0) return -1;
    if (s->want != UINT64_MAX ? s->nrow < s->want : !s->nrow)
        return err_set(e, ERR_DATA, "data too short: need %llu tokens, have %llu%s (%llu documents read, %llu of them too short)",
                       (unsigned long long)(s->want != UINT64_MAX ? s->want * s->o.length : s->o.length), (unsigned long long)have,
                       s->o.mode == SAMPLE_CONCAT ? "" : " in rows of --length", (unsigned long long)s->audit.read,
                       (unsigned long long)s->audit.dropped);
    for (i = 0; i < s->nsource; i++) {
        s->audit.used += s->source[i].taken > 0;
        s->audit.cropped += s->source[i].taken > 0 && s->source[i].taken < s->source[i].n;
    }
    return 0;
}

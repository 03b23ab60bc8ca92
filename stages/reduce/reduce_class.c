/* SPDX-License-Identifier: Apache-2.0 */
/* reduce_class - see reduce_class.h. Rows of a class are gathered as f32 and summed in one tile
 * a chunk. */
#include "reduce_class.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/tensor/blas.h"

/* Bands of positions begin here: the first token, which attention rests on, is one of its own. */
static const uint64_t BANDS[] = {0, 1, 128, 512, 2048, 8192};
#define NBANDS (sizeof BANDS / sizeof *BANDS)

const char *class_kind(const struct class_sum *c)
{
    return c->kind == CLASS_LENGTH ? "length" : "position";
}

static size_t band_of(uint64_t position)
{
    size_t i = NBANDS - 1;

    while (BANDS[i] > position)
        i--;
    return i;
}

void class_name(const struct class_sum *c, char *to, size_t size)
{
    size_t band = band_of(c->first);

    if (c->kind == CLASS_POSITION && band + 1 == NBANDS)
        snprintf(to, size, "%" PRIu64 "-", c->first);
    else if (c->kind == CLASS_POSITION && BANDS[band + 1] > c->first + 1)
        snprintf(to, size, "%" PRIu64 "-%" PRIu64, c->first, BANDS[band + 1] - 1);
    else
        snprintf(to, size, "%" PRIu64, c->first);
}

void class_sums_release(struct class_sums *x)
{
    for (size_t i = 0; i < x->count; i++)
        slab_destroy(&x->at[i].s);
    free(x->at);
    memset(x, 0, sizeof *x);
}

static size_t kind_count(const struct class_sums *x, unsigned kind)
{
    size_t n = 0;

    for (size_t i = 0; i < x->count; i++)
        n += x->at[i].kind == kind;
    return n;
}

/* The class, without sums where it is new; NULL: an error. */
static struct class_sum *class_of(struct class_sums *x, unsigned kind, uint64_t first,
                                  struct err *e)
{
    size_t i = 0;

    while (i < x->count &&
           (x->at[i].kind < kind || (x->at[i].kind == kind && x->at[i].first < first)))
        i++;
    if (i < x->count && x->at[i].kind == kind && x->at[i].first == first)
        return &x->at[i];
    if (kind_count(x, kind) == CLASS_LENGTHS_MAX) {
        err_set(e, ERR_USE,
                "the sequences have more than %d different lengths: classes by length are for a "
                "few; use --classes position",
                CLASS_LENGTHS_MAX);
        return NULL;
    }
    if (mem_grow((void **)&x->at, &x->cap, x->count + 1, sizeof *x->at, e) < 0)
        return NULL;
    memmove(x->at + i + 1, x->at + i, (x->count - i) * sizeof *x->at);
    x->count++;
    x->at[i] = (struct class_sum){.kind = kind, .first = first};
    return &x->at[i];
}

/* The rows of the chunk, weighted, and room for those of one class and their sums. */
static int rows_make(const struct acts_view *a, struct sums_scratch *t, struct err *e)
{
    return sums_weigh_rows(a, t, e) < 0 ||
                   mem_grow((void **)&t->drift, &t->drift_cap, a->T * a->K, sizeof *t->drift, e) <
                       0 ||
                   mem_grow((void **)&t->tile, &t->tile_cap, a->K * a->K, sizeof *t->tile, e) < 0
               ? -1
               : 0;
}

/* Gathers the rows of the smallest class that is above *first (NONE: any) and returns how many;
 * 0: there is none left. */
#define NONE UINT64_MAX
static size_t gather(const struct acts_view *a, unsigned kind, uint64_t *first, double *sum_w,
                     struct sums_scratch *t)
{
    uint64_t next = NONE;
    size_t n = 0;

    for (int pass = 0; pass < 2; pass++) {
        size_t row = 0;

        for (size_t s = 0; s < a->nseq; s++)
            for (int32_t i = 0; i < a->lengths[s]; i++, row++) {
                uint64_t key =
                    kind == CLASS_LENGTH ? (uint64_t)a->lengths[s] : BANDS[band_of((uint64_t)i)];

                if (pass == 0 && (*first == NONE || key > *first) && key < next)
                    next = key;
                if (pass == 0 || key != next)
                    continue;
                memcpy(t->drift + n++ * a->K, t->rows + row * a->K, a->K * sizeof *t->rows);
                *sum_w += a->w ? (double)a->w[row] : 1;
            }
        if (next == NONE)
            return 0;
    }
    *first = next;
    return n;
}

static int add_kind(struct class_sums *x, const struct slab_home *home, unsigned kind,
                    const struct acts_view *a, struct sums_scratch *t, struct par *p, struct err *e)
{
    uint64_t first = NONE;
    double sum_w = 0;
    size_t n;

    for (; (n = gather(a, kind, &first, &sum_w, t)); sum_w = 0) {
        struct class_sum *c = class_of(x, kind, first, e);
        int rc;

        if (!c || blas_gram(p, n, a->K, NULL, t->drift, a->K, t->tile, a->K, e) < 0 ||
            slab_ready(&c->s, home, a->K * (a->K + 1) / 2, e) < 0)
            return -1;
        rc = sums_add_tile(c->s->at, t->tile, a->K, 1, p, e);
        slab_leave(c->s);
        if (rc < 0)
            return -1;
        c->tokens += n;
        c->sum_w += sum_w;
    }
    return 0;
}

int class_sums_add(struct class_sums *x, const struct slab_home *home, unsigned kinds,
                   const struct acts_view *a, struct sums_scratch *t, struct par *p, struct err *e)
{
    if (!kinds)
        return 0;
    if (rows_make(a, t, e) < 0 ||
        ((kinds & CLASS_LENGTH) && add_kind(x, home, CLASS_LENGTH, a, t, p, e) < 0))
        return -1;
    return kinds & CLASS_POSITION ? add_kind(x, home, CLASS_POSITION, a, t, p, e) : 0;
}

int class_sums_merge(struct class_sums *x, struct class_sums *y, const struct slab_home *home,
                     struct err *e)
{
    for (size_t i = 0; i < y->count; i++) {
        struct class_sum *c = class_of(x, y->at[i].kind, y->at[i].first, e);

        if (!c || slab_merge(&c->s, &y->at[i].s, home, e) < 0)
            return -1;
        c->tokens += y->at[i].tokens;
        c->sum_w += y->at[i].sum_w;
    }
    class_sums_release(y);
    return 0;
}

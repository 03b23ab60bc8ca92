/* SPDX-License-Identifier: Apache-2.0 */
/* reduce_class - see reduce_class.h. Rows of a class are gathered and summed in one tile a chunk:
 * by length and position as weighted f32, by modality as they came. */
#include "reduce_class.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/tensor/blas.h"
#include "../../common/wire/modality.h"
#include "reduce_pick.h"

/* Bands of positions begin here: the first token, which attention rests on, is one of its own. */
static const uint64_t BANDS[] = {0, 1, 128, 512, 2048, 8192};
#define NBANDS (sizeof BANDS / sizeof *BANDS)

/* in the order of the bits */
static const char *const kind_names[] = {"length", "position", "modality"};
#define KINDS (sizeof kind_names / sizeof *kind_names)

const char *class_kind(const struct class_sum *c)
{
    size_t i = 0;

    while (c->kind != 1u << i)
        i++;
    return kind_names[i];
}

static unsigned kind_of(const char *name)
{
    for (size_t i = 0; name && i < KINDS; i++)
        if (strcmp(kind_names[i], name) == 0)
            return 1u << i;
    return 0;
}

struct json *class_kinds_list(unsigned kinds)
{
    struct json *list = json_new_array();

    for (size_t i = 0; list && i < KINDS; i++)
        if ((kinds & 1u << i) && json_push(list, json_new_text(kind_names[i])))
            json_destroy(&list);
    return list;
}

int class_kinds_parse(const struct json *list, unsigned *kinds, struct err *e)
{
    *kinds = 0;
    for (size_t i = 0; i < json_count(list); i++) {
        const unsigned kind = kind_of(json_as_text(json_at(list, i)));

        if (!kind)
            return err_set(e, ERR_USE, "field 'kinds': entry %zu is no kind of class", i);
        *kinds |= kind;
    }
    return 0;
}

static size_t band_of(uint64_t position)
{
    size_t i = NBANDS - 1;

    while (BANDS[i] > position)
        i--;
    return i;
}

size_t class_bands(uint64_t length)
{
    return length ? band_of(length - 1) + 1 : 0;
}

void class_name(const struct class_sum *c, char *to, size_t size)
{
    size_t band = band_of(c->first);

    if (c->kind == CLASS_MODALITY)
        snprintf(to, size, "%s", modality_name((size_t)c->first));
    else if (c->kind == CLASS_POSITION && band + 1 == NBANDS)
        snprintf(to, size, "%" PRIu64 "-", c->first);
    else if (c->kind == CLASS_POSITION && BANDS[band + 1] > c->first + 1)
        snprintf(to, size, "%" PRIu64 "-%" PRIu64, c->first, BANDS[band + 1] - 1);
    else
        snprintf(to, size, "%" PRIu64, c->first);
}

void class_sums_release(struct class_sums *x)
{
    for (size_t i = 0; i < x->count; i++)
        sums_release(&x->at[i].sums);
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

struct class_sum *class_sums_named(struct class_sums *x, const char *kind, const char *name,
                                   struct err *e)
{
    struct class_sum c = {.kind = kind_of(kind)};
    char same[CLASS_NAME] = "";

    if (c.kind == CLASS_MODALITY)
        while (c.first + 1 < MODALITIES && strcmp(modality_name((size_t)c.first), name) != 0)
            c.first++;
    else
        c.first = strtoull(name, NULL, 10);
    if (c.kind)
        class_name(&c, same, sizeof same);
    if (strcmp(same, name) != 0) {
        err_set(e, ERR_USE, "there is no class %.20s '%.40s'", kind, name);
        return NULL;
    }
    return class_of(x, c.kind, c.first, e);
}

/* The rows of the chunk, weighted, and room for those of one class and their sums. */
static int rows_make(const struct acts_view *a, struct sums_scratch *t, struct err *e)
{
    return sums_weigh_rows(a, t, e) < 0 ||
                   mem_grow((void **)&t->drift, &t->drift_cap, a->T * blas_row(a->K),
                            sizeof *t->drift, e) < 0 ||
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
    const size_t ld = blas_row(a->K);
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
                memcpy(t->drift + n++ * ld, t->rows + row * ld, a->K * sizeof *t->rows);
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

        if (!c || blas_gram(p, n, a->K, NULL, t->drift, blas_row(a->K), t->tile, a->K, e) < 0 ||
            slab_ready(&c->sums.s, home, a->K * (a->K + 1) / 2, e) < 0)
            return -1;
        rc = sums_add_tile(c->sums.s->at, t->tile, a->K, 1, p, e);
        slab_leave(c->sums.s);
        if (rc < 0)
            return -1;
        c->sums.tokens += n;
        c->sums.sum_w += sum_w;
    }
    return 0;
}

/* ---- by modality ---- */

static uint8_t modality_of(const struct acts_view *a, size_t row)
{
    return a->modality ? a->modality[row] : 0;
}

static int add_modalities(struct class_sums *x, const struct slab_home *home, unsigned apart,
                          const struct acts_view *a, struct sums_scratch *t, struct par *p,
                          struct err *e)
{
    struct picked some;
    size_t count[MODALITIES] = {0};

    for (size_t row = 0; row < a->T; row++)
        count[modality_of(a, row)]++;
    for (size_t m = 0; m < MODALITIES; m++) {
        const struct acts_view *rows = count[m] == a->T ? a : &some.view;
        struct class_sum *c;

        if (!count[m] || (apart & 1u << m))
            continue;
        if ((rows != a && pick_rows(&some, a, a->modality, (uint8_t)m, t, e) < 0) ||
            !(c = class_of(x, CLASS_MODALITY, m, e)) ||
            sums_add_rows(&c->sums, home, rows, t, p, e) < 0)
            return -1;
    }
    return 0;
}

int class_sums_add(struct class_sums *x, const struct slab_home *home, unsigned kinds,
                   unsigned apart, const struct acts_view *a, struct sums_scratch *t, struct par *p,
                   struct err *e)
{
    if (!kinds)
        return 0;
    if (((kinds & (CLASS_LENGTH | CLASS_POSITION)) && rows_make(a, t, e) < 0) ||
        ((kinds & CLASS_LENGTH) && add_kind(x, home, CLASS_LENGTH, a, t, p, e) < 0) ||
        ((kinds & CLASS_POSITION) && add_kind(x, home, CLASS_POSITION, a, t, p, e) < 0))
        return -1;
    return kinds & CLASS_MODALITY ? add_modalities(x, home, apart, a, t, p, e) : 0;
}

int class_sums_merge(struct class_sums *x, struct class_sums *y, const struct slab_home *home,
                     size_t K, struct err *e)
{
    for (size_t i = 0; i < y->count; i++) {
        struct class_sum *c = class_of(x, y->at[i].kind, y->at[i].first, e);

        if (!c || sums_merge(&c->sums, &y->at[i].sums, home, K, e) < 0)
            return -1;
    }
    class_sums_release(y);
    return 0;
}

int class_check_only(unsigned only, const struct acts_view *a, struct err *e)
{
    for (size_t t = 0; only && t < a->T; t++)
        if (!(only & 1u << (a->modality ? a->modality[t] : MODALITY_TEXT)))
            return err_set(e, ERR_USE,
                           "row %zu is of %s: --rows-of takes what ptq-forward --images-out sends",
                           t, modality_name(a->modality ? a->modality[t] : MODALITY_TEXT));
    return 0;
}

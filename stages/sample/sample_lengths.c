/* SPDX-License-Identifier: Apache-2.0 */
/* sample_lengths - which lengths the rows have, so that they fill a budget of tokens exactly
 * wherever sums of the lengths can.
 *
 * First as many cycles (or draws) as fit, then the fewest rows whose lengths add up to what
 * remains; when none do, cycles are taken back until some do; when that does not help either,
 * the largest sum below. For 524288 tokens of {256, 512, 1024, 2048, 4096}: 66 cycles and one
 * row of 512, 331 rows. */
#include <stdlib.h>
#include <string.h>

#include "../../common/base/mem.h"
#include "../../common/base/rng.h"
#include "sample_impl.h"

/* Sums beyond so many units (of the lengths' greatest common divisor) are not looked at when
 * cycles are taken back. */
enum { UNITS_MAX = 1 << 22 };

enum { LONGEST = 1 << 24 }; /* row of a model that does not say what it has room for */

/* The fewest rows for each sum of lengths, in units. */
struct length_sums {
    size_t unit, n;      /* sums 0 .. n-1 */
    uint32_t *rows;      /* UINT32_MAX: no sum of lengths */
    unsigned char *last; /* index of a length in the sum */
};

static size_t common_divisor(size_t a, size_t b)
{
    while (b) {
        size_t c = a % b;

        a = b;
        b = c;
    }
    return a;
}

static void sums_release(struct length_sums *x)
{
    free(x->rows);
    free(x->last);
}

static int sums_make(const struct sample *s, uint64_t tokens, struct length_sums *x, struct err *e)
{
    size_t i, k;

    x->unit = s->set[0];
    for (i = 1; i < s->nset; i++)
        x->unit = common_divisor(x->unit, s->set[i]);
    x->n = (size_t)(tokens / x->unit < UNITS_MAX ? tokens / x->unit : UNITS_MAX) + 1;
    if (!(x->rows = mem_array(x->n, sizeof *x->rows, e)) || !(x->last = mem_array(x->n, 1, e)))
        return -1;
    for (i = 1; i < x->n; i++) {
        x->rows[i] = UINT32_MAX;
        for (k = 0; k < s->nset; k++) {
            size_t step = s->set[k] / x->unit;

            if (step > i || x->rows[i - step] == UINT32_MAX || x->rows[i - step] + 1 >= x->rows[i])
                continue;
            x->rows[i] = x->rows[i - step] + 1;
            x->last[i] = (unsigned char)k;
        }
    }
    return 0;
}

static int by_length_down(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;

    return x > y ? -1 : x < y;
}

int sample_set(struct sample *s, struct err *e)
{
    const struct sample_opts *o = &s->o;
    size_t i, n = o->nlengths;

    if (o->mode == SAMPLE_WHOLE) {
        s->set[0] = s->config.context ? s->config.context : LONGEST;
        if (o->longest && o->longest < s->set[0])
            s->set[0] = o->longest;
        s->nset = 1;
        return 0;
    }
    if (!n) {
        s->set[0] = o->length;
        s->nset = 1;
        return 0;
    }
    if (n > SAMPLE_LENGTHS_MAX)
        return err_set(e, ERR_USE, "--lengths: %zu are too many, at most %d", n,
                       SAMPLE_LENGTHS_MAX);
    for (i = 0; i < n; i++) {
        if (o->lengths[i] < 2)
            return err_set(e, ERR_USE, "--lengths: %zu: a row has at least 2 tokens",
                           o->lengths[i]);
        s->set[i] = o->lengths[i];
        if (!s->config.context || s->set[i] <= s->config.context)
            continue;
        s->set[i] = s->config.context;
        s->audit.capped++;
    }
    qsort(s->set, n, sizeof *s->set, by_length_down);
    for (i = s->nset = 1; i < n; i++)
        if (s->set[i] != s->set[s->nset - 1])
            s->set[s->nset++] = s->set[i];
    if (o->draw == SAMPLE_FIXED && s->nset > 1)
        return err_set(e, ERR_USE, "--draw fixed takes one length, not %zu: --length N", s->nset);
    if (o->crops == SAMPLE_NESTED && (o->draw != SAMPLE_STRATIFIED || o->mode != SAMPLE_CROPS))
        return err_set(e, ERR_USE, "--crops nested needs --mode crops and --draw stratified");
    if (s->nset > 1 && o->mode == SAMPLE_HEAD)
        return err_set(e, ERR_USE, "--mode head takes one --length");
    if (s->nset > 1 && !o->tokens)
        return err_set(e, ERR_USE, "--tokens 0 takes one --length");
    return 0;
}

struct drawn {
    size_t *length, n, room;
};

static int drawn_push(struct drawn *d, size_t length, struct err *e)
{
    void *p = d->length;

    if (d->n == d->room && mem_grow(&p, &d->room, d->n + 1, sizeof *d->length, e) < 0)
        return -1;
    d->length = p;
    d->length[d->n++] = length;
    return 0;
}

/* Cycles or draws, as many as fit; *left: the rest of the budget. */
static int draw_most(const struct sample *s, const struct file_group *p, struct drawn *d,
                     uint64_t *left, struct err *e)
{
    uint64_t cycle = 0;
    struct rng rng;
    size_t i, length;

    for (i = 0; i < s->nset; i++)
        cycle += s->set[i];
    rng_seed(&rng, s->o.seed, p->stream);
    while (s->o.draw == SAMPLE_UNIFORM) {
        if ((length = s->set[rng_below(&rng, s->nset)]) > *left)
            return 0;
        if (drawn_push(d, length, e) < 0)
            return -1;
        *left -= length;
    }
    for (; cycle <= *left; *left -= cycle)
        for (i = 0; i < s->nset; i++)
            if (drawn_push(d, s->set[i], e) < 0)
                return -1;
    return 0;
}

/* Takes rows off the end of d, `step` at a time, until what remains less `lost` is a sum of
 * lengths: that sum, or UINT64_MAX. */
static uint64_t take_back(const struct length_sums *x, const struct drawn *d, size_t step,
                          uint64_t left, uint64_t lost, size_t *keep)
{
    size_t i;

    for (*keep = d->n;; *keep -= step) {
        uint64_t sum = left - lost;

        if (left >= lost && sum % x->unit == 0 && sum / x->unit < x->n &&
            x->rows[sum / x->unit] != UINT32_MAX)
            return sum;
        if (*keep < step || (left >= lost && sum / x->unit >= x->n))
            return UINT64_MAX;
        for (i = 1; i <= step; i++)
            left += d->length[*keep - i];
    }
}

static int draw_rest(const struct sample *s, const struct length_sums *x, struct drawn *d,
                     uint64_t left, struct err *e)
{
    size_t step = s->o.draw == SAMPLE_UNIFORM ? 1 : s->nset, keep = d->n, first;
    uint64_t lost = 0, sum;

    while ((sum = take_back(x, d, step, left, lost, &keep)) == UINT64_MAX)
        lost++;
    for (first = d->n = keep; sum; sum -= s->set[x->last[sum / x->unit]])
        if (drawn_push(d, s->set[x->last[sum / x->unit]], e) < 0)
            return -1;
    if (d->n > first)
        qsort(d->length + first, d->n - first, sizeof *d->length, by_length_down);
    return 0;
}

int sample_draw(const struct sample *s, uint64_t tokens, struct file_group *p, struct err *e)
{
    struct drawn d = {0};
    struct length_sums x = {0};
    uint64_t left = tokens;
    int rc = -1;

    if (s->nset == 1) {
        p->want = tokens ? tokens / s->set[0] : UINT64_MAX;
        p->cycles = p->want;
        return 0;
    }
    if (draw_most(s, p, &d, &left, e) < 0 || sums_make(s, tokens, &x, e) < 0)
        goto out;
    if (draw_rest(s, &x, &d, left, e) < 0)
        goto out;
    p->want = d.n;
    p->length = d.length;
    d.length = NULL;
    for (p->cycles = 0; (p->cycles + 1) * s->nset <= p->want; p->cycles++)
        if (memcmp(p->length + p->cycles * s->nset, s->set, s->nset * sizeof *s->set))
            break;
    rc = 0;
out:
    free(d.length);
    sums_release(&x);
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* reduce_kept - see reduce_kept.h. */
#include "reduce_kept.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/wire/share.h"

void kept_release(struct kept *x)
{
    for (int s = 0; s < SETS; s++)
        sums_release(&x->sums[s]);
    class_sums_release(&x->classes);
}

int kept_merge(struct kept *x, struct kept *y, const struct slab_home *home, size_t K,
               struct err *e)
{
    x->routed += y->routed;
    if (x->fed || y->fed) {
        kept_feed(x);
        kept_feed(y);
    }
    for (int s = 0; s < SETS; s++)
        if (sums_merge(&x->sums[s], &y->sums[s], home, K, e) < 0)
            return -1;
    return class_sums_merge(&x->classes, &y->classes, home, K, e);
}

/* ---- experts ---- */

void kept_feed(struct kept *x)
{
    x->fed = 1;
    sums_release(&x->sums[SET_EVERY]);
    sums_release(&x->sums[SET_EVERY_PLAIN]);
}

static void swap(struct sums *x, struct sums *y)
{
    const struct sums z = *x;

    *x = *y;
    *y = z;
}

const char *kept_settle(struct kept *x, const struct msg_expert *how)
{
    const int starved = how->known && !how->every && x->sums[SET_MAIN].tokens < how->below,
              every = starved && !x->fed && x->sums[SET_EVERY].tokens > 0;

    if (every) {
        swap(&x->sums[SET_MAIN], &x->sums[SET_EVERY]);
        swap(&x->sums[SET_PLAIN], &x->sums[SET_EVERY_PLAIN]);
    }
    kept_feed(x);
    return every ? "all-tokens" : starved ? "rtn" : NULL;
}

/* ---- into a message ---- */

static struct json *length_table(const struct sums *s)
{
    struct json *all = json_new_array();

    for (size_t i = 0; all && i < s->nbins; i++) {
        struct json *row = json_new_array();
        json_push(row, json_new_int((int64_t)s->bins[i].length));
        json_push(row, json_new_int((int64_t)s->bins[i].sequences));
        json_push(row, json_new_real(s->bins[i].sum_w));
        if (json_push(all, row) < 0)
            json_destroy(&all);
    }
    return all;
}

static struct problem_sums counts_of(const struct sums *s)
{
    return (struct problem_sums){
        .tokens = s->tokens, .sequences = s->sequences, .sum_w = s->sum_w, .sum_w2 = s->sum_w2};
}

int kept_describe(const struct kept *x, struct problem_view *v, struct json **lengths,
                  struct err *e)
{
    const struct sums *s = &x->sums[SET_MAIN];

    if (!(*lengths = length_table(s)))
        return err_set(e, ERR_SYS, "out of memory for the lengths of a site");
    v->lengths = *lengths;
    v->tokens = s->tokens;
    v->sequences = s->sequences;
    v->sum_w = s->sum_w;
    v->sum_w2 = s->sum_w2;
    v->hold = counts_of(&x->sums[SET_HOLD]);
    v->plain = counts_of(&x->sums[SET_PLAIN]);
    v->bytes_in = s->bytes + x->sums[SET_HOLD].bytes;
    v->routed = x->routed;
    return 0;
}

/* A slab in use moves into the message as tensor name; nothing when it is NULL. */
static int move_slab(struct msg *m, const char *name, int ndim, const uint64_t *shape,
                     struct slab **x, struct err *e)
{
    struct tensor t;

    if (!*x)
        return 0;
    if (tensor_borrow(&t, name, DT_F64, ndim, shape, (*x)->at, e) < 0)
        return -1;
    t.release = share_free;
    t.owner = slab_take(x);
    if (msg_add(m, &t, e) == 0)
        return 0;
    tensor_release(&t);
    return -1;
}

/* "diag": for each length of the main set its sum over rows of x_k^2. Nothing when they were not
 * collected. */
static int add_squares(const struct sums *s, size_t K, struct msg *m, struct err *e)
{
    const uint64_t shape[2] = {s->nbins, K};
    double *to;

    if (!s->nbins || !s->bins[0].squares)
        return 0;
    if (!(to = msg_add_new(m, "diag", DT_F64, 2, shape, e)))
        return -1;
    for (size_t i = 0; i < s->nbins; i++)
        memcpy(to + i * K, s->bins[i].squares, K * sizeof *to);
    return 0;
}

static int sums_use(const struct sums *x, struct err *e)
{
    return (x->s && slab_use(x->s, e) < 0) || (x->d && slab_use(x->d, e) < 0) ? -1 : 0;
}

/* All that goes into the message: in memory together, before the first of it leaves the budget. */
static int kept_use(const struct kept *x, struct err *e)
{
    for (int s = 0; s < SET_EVERY; s++)
        if (sums_use(&x->sums[s], e) < 0)
            return -1;
    for (size_t i = 0; i < x->classes.count; i++)
        if (sums_use(&x->classes.at[i].sums, e) < 0)
            return -1;
    return 0;
}

/* The sums move out. */
static int move_sums(struct kept *x, size_t K, struct msg *m, struct err *e)
{
    static const char *const name[][2] = {{"S", "D"}, {"S.hold", "D.hold"}, {"S.plain", "D.plain"}};
    const uint64_t triangle = (uint64_t)K * (K + 1) / 2, square[2] = {K, K};

    for (int s = 0; s < SET_EVERY; s++)
        if (move_slab(m, name[s][0], 1, &triangle, &x->sums[s].s, e) < 0 ||
            move_slab(m, name[s][1], 2, square, &x->sums[s].d, e) < 0)
            return -1;
    return 0;
}

/* "S.class.0", "D.class.0" ... move out, their names and counts into the metadata. */
static int move_classes(struct kept *x, size_t K, struct msg *m, struct err *e)
{
    const uint64_t triangle = (uint64_t)K * (K + 1) / 2, square[2] = {K, K};
    struct problem_class list[PROBLEM_CLASSES];
    char name[PROBLEM_CLASSES][CLASS_NAME], tensor[32];

    for (size_t i = 0; i < x->classes.count; i++) {
        struct class_sum *c = &x->classes.at[i];

        class_name(c, name[i], sizeof name[i]);
        list[i] = (struct problem_class){.kind = class_kind(c),
                                         .name = name[i],
                                         .tokens = c->sums.tokens,
                                         .sequences = c->sums.sequences,
                                         .sum_w = c->sums.sum_w,
                                         .sum_w2 = c->sums.sum_w2};
        snprintf(tensor, sizeof tensor, "S.class.%zu", i);
        if (move_slab(m, tensor, 1, &triangle, &c->sums.s, e) < 0)
            return -1;
        *tensor = 'D';
        if (move_slab(m, tensor, 2, square, &c->sums.d, e) < 0)
            return -1;
    }
    return problem_put_classes(m, list, x->classes.count, e);
}

int kept_move(struct kept *x, size_t K, struct msg *m, struct err *e)
{
    return kept_use(x, e) < 0 || move_sums(x, K, m, e) < 0 || move_classes(x, K, m, e) < 0 ||
                   add_squares(&x->sums[SET_MAIN], K, m, e) < 0
               ? -1
               : 0;
}

/* ---- out of one ---- */

/* A copy in f64; nothing for NULL. */
static int take_slab(struct slab **x, const struct slab_home *home, const struct tensor *t,
                     struct err *e)
{
    const size_t n = t ? t->bytes / dtype_size(t->dtype) : 0;

    if (!t)
        return 0;
    if (!(*x = slab_create(home, n, e)))
        return -1;
    dtype_to_f64(t->dtype, t->data, n, (*x)->at);
    slab_leave(*x);
    return 0;
}

static int take_set(struct sums *x, const struct slab_home *home, const struct problem_sums *s,
                    struct err *e)
{
    x->tokens = s->tokens;
    x->sequences = s->sequences;
    x->sum_w = s->sum_w;
    x->sum_w2 = s->sum_w2;
    return take_slab(&x->s, home, s->S, e) < 0 || take_slab(&x->d, home, s->D, e) < 0 ? -1 : 0;
}

/* The view was checked: rows of [length, sequences, sum_w]. */
static int take_lengths(struct sums *x, const struct problem_view *v, struct err *e)
{
    const size_t n = json_count(v->lengths), K = v->K;

    if (n && !(x->bins = mem_array(n, sizeof *x->bins, e)))
        return -1;
    x->bins_cap = n;
    for (; x->nbins < n; x->nbins++) {
        const struct json *row = json_at(v->lengths, x->nbins);
        struct length_bin *b = &x->bins[x->nbins];
        int64_t length = 0, sequences = 0;

        json_as_int(json_at(row, 0), &length);
        json_as_int(json_at(row, 1), &sequences);
        json_as_real(json_at(row, 2), &b->sum_w);
        if (x->nbins && (uint64_t)length <= b[-1].length)
            return err_set(e, ERR_USE, "field 'lengths' must be in order of length");
        b->length = (uint64_t)length;
        b->sequences = (uint64_t)sequences;
        if (!v->diag)
            continue;
        if (!(b->squares = mem_array(K, sizeof *b->squares, e)))
            return -1;
        dtype_to_f64(v->diag->dtype,
                     (const char *)v->diag->data + x->nbins * K * dtype_size(v->diag->dtype), K,
                     b->squares);
    }
    return 0;
}

int kept_take(struct kept *x, const struct slab_home *home, const struct problem_view *v,
              struct err *e)
{
    const struct problem_sums main = {v->S, v->D, v->tokens, v->sequences, v->sum_w, v->sum_w2};

    if (take_set(&x->sums[SET_MAIN], home, &main, e) < 0 ||
        take_set(&x->sums[SET_HOLD], home, &v->hold, e) < 0 ||
        take_set(&x->sums[SET_PLAIN], home, &v->plain, e) < 0 ||
        take_lengths(&x->sums[SET_MAIN], v, e) < 0)
        return -1;
    x->sums[SET_MAIN].bytes = v->bytes_in;
    x->routed = v->routed;
    for (size_t i = 0; i < v->nclasses; i++) {
        const struct problem_class *c = &v->classes[i];
        const struct problem_sums s = {c->S, c->D, c->tokens, c->sequences, c->sum_w, c->sum_w2};
        struct class_sum *to = class_sums_named(&x->classes, c->kind, c->name, e);

        if (!to)
            return -1;
        if (to->sums.s)
            return err_set(e, ERR_USE, "class %s '%.40s' is there twice", c->kind, c->name);
        if (take_set(&to->sums, home, &s, e) < 0)
            return -1;
    }
    return 0;
}

int kept_take_class(struct kept *x, const struct slab_home *home, const char *modality,
                    const struct problem_view *v, struct err *e)
{
    const struct problem_sums s = {v->S, v->D, v->tokens, v->sequences, v->sum_w, v->sum_w2};
    struct class_sum *to =
        v->tokens ? class_sums_named(&x->classes, "modality", modality, e) : NULL;

    if (!v->tokens)
        return 0;
    return to && take_set(&to->sums, home, &s, e) == 0 ? 0 : -1;
}

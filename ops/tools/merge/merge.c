/* SPDX-License-Identifier: Apache-2.0 */
/* merge - see merge.h. Sums are raw, so adding them is all there is to it: what a run over all the
 * rows would have summed, to the rounding of f64. */
#include "merge.h"

#include <stdlib.h>
#include <string.h>
#include "../../../common/base/log.h"
#include "../../../common/base/mem.h"
#include "../../../common/base/version.h"
#include "../../../common/wire/msg_problem.h"
#include "merge_twice.h"

/* Of a problem: its own sums, the further sets, the classes. */
enum { MAIN, HOLD, PLAIN, CLASSES };
#define SETS (CLASSES + PROBLEM_CLASSES)
static const char *const set_names[] = {"S", "S.hold", "S.plain", "S.class"};

struct set {
    double *S, *D; /* NULL: not collected; owned */
    uint64_t tokens, sequences;
    double sum_w, sum_w2;
};

/* What is there so far of one site. */
struct total {
    struct msg *first;     /* the first file's: weights, names */
    struct problem_view v; /* of it */
    struct set set[SETS];
    double *diag;                /* NULL: none; owned */
    struct json *lengths, *from; /* histogram; prov of the others; owned */
    uint64_t bytes_in, routed;
    struct merge_twice rows; /* of the files so far */
};

static void total_release(struct total *t)
{
    for (size_t i = 0; i < SETS; i++) {
        free(t->set[i].S);
        free(t->set[i].D);
    }
    free(t->diag);
    json_destroy(&t->lengths);
    json_destroy(&t->from);
    merge_twice_release(&t->rows);
    msg_destroy(&t->first);
}

static struct problem_sums sums_of(const struct problem_view *v, size_t i)
{
    const struct problem_class *c = i < CLASSES ? NULL : &v->classes[i - CLASSES];

    if (i == MAIN)
        return (struct problem_sums){v->S, v->D, v->tokens, v->sequences, v->sum_w, v->sum_w2};
    if (i < CLASSES)
        return i == HOLD ? v->hold : v->plain;
    return (struct problem_sums){c->S, c->D, c->tokens, c->sequences, c->sum_w, c->sum_w2};
}

static int differ(const char *file, const struct problem_view *v, const char *what, struct err *e)
{
    return err_set(e, ERR_USE,
                   "%s: block %llu %s: %s differ from the first file's: only sums over the same "
                   "model, taken with the same options, can be added",
                   file, (unsigned long long)v->block, v->site, what);
}

static int same_linears(const struct problem_view *a, const struct problem_view *b)
{
    if (a->nlinears != b->nlinears)
        return 0;
    for (size_t i = 0; i < a->nlinears; i++) {
        const struct tensor *x = a->linear[i], *y = b->linear[i];

        if (strcmp(x->name, y->name) != 0 || x->dtype != y->dtype || x->bytes != y->bytes ||
            memcmp(x->data, y->data, x->bytes) != 0)
            return 0;
    }
    return 1;
}

static int same_lengths(const struct json *a, const struct json *b)
{
    int64_t x = 0, y = 0;

    for (size_t i = 0; i < json_count(a) && i < json_count(b); i++) {
        json_as_int(json_at(json_at(a, i), 0), &x);
        json_as_int(json_at(json_at(b, i), 0), &y);
        if (x != y)
            return 0;
    }
    return json_count(a) == json_count(b);
}

static int check(const struct total *t, const struct problem_view *v, const char *file,
                 struct err *e)
{
    const struct problem_view *a = &t->v;

    if (v->block != a->block || v->order != a->order || v->sites != a->sites || v->K != a->K ||
        strcmp(v->site, a->site) != 0)
        return differ(file, v, "site or place", e);
    if (!same_linears(a, v))
        return differ(file, v, "the weights", e);
    if (v->nclasses != a->nclasses)
        return differ(file, v, "classes", e);
    for (size_t i = 0; i < v->nclasses; i++)
        if (strcmp(v->classes[i].kind, a->classes[i].kind) != 0 ||
            strcmp(v->classes[i].name, a->classes[i].name) != 0)
            return differ(file, v, "classes", e);
    for (size_t i = 0; i < CLASSES + v->nclasses; i++) {
        const struct problem_sums x = sums_of(a, i), y = sums_of(v, i);

        if (!x.S != !y.S)
            return differ(file, v, set_names[i < CLASSES ? i : CLASSES], e);
        if (!x.D != !y.D)
            return differ(file, v, "the sums D", e);
    }
    if (!v->diag != !a->diag || (v->diag && !same_lengths(a->lengths, v->lengths)))
        return differ(file, v, "the lengths that diagonals are kept of", e);
    return 0;
}

/* *to += scale x from; room is made when it is the first. */
static int add(double **to, const struct tensor *from, double scale, struct err *e)
{
    const size_t n = from ? (size_t)tensor_elements(from) : 0;
    double *wide;

    if (!from)
        return 0;
    if (!*to && !(*to = mem_array(n, sizeof **to, e)))
        return -1;
    if (!(wide = mem_raw(n, sizeof *wide, e)))
        return -1;
    dtype_to_f64(from->dtype, from->data, n, wide);
    for (size_t i = 0; i < n; i++)
        (*to)[i] += scale * wide[i];
    free(wide);
    return 0;
}

static int set_add(struct set *s, const struct problem_sums *x, double scale, struct err *e)
{
    s->tokens += x->tokens;
    s->sequences += x->sequences;
    s->sum_w += scale * x->sum_w;
    s->sum_w2 += scale * scale * x->sum_w2;
    return add(&s->S, x->S, scale, e) || add(&s->D, x->D, scale, e) ? -1 : 0;
}

/* One entry of the histogram into the list: added to that of its length, or behind the last. */
static int length_add(struct json **list, const struct json *x, double scale)
{
    struct json *out = json_new_array(), *row;
    int64_t length = 0, count = 0, at, n;
    double w = 0, u;
    int seen = 0, bad = !out;

    json_as_int(json_at(x, 0), &length);
    json_as_int(json_at(x, 1), &count);
    json_as_real(json_at(x, 2), &w);
    w *= scale;
    for (size_t i = 0; i <= json_count(*list) && !bad; i++) {
        const struct json *old = json_at(*list, i);

        if (i == json_count(*list) && seen)
            break;
        at = length;
        n = 0;
        u = 0;
        json_as_int(json_at(old, 0), &at);
        json_as_int(json_at(old, 1), &n);
        json_as_real(json_at(old, 2), &u);
        seen |= at == length;
        row = json_new_array();
        bad = json_push(row, json_new_int(at)) ||
              json_push(row, json_new_int(at == length ? n + count : n)) ||
              json_push(row, json_new_real(at == length ? u + w : u));
        if (bad)
            json_destroy(&row);
        else
            bad = json_push(out, row);
    }
    json_destroy(bad ? &out : list);
    if (!bad)
        *list = out;
    return bad ? -1 : 0;
}

static int total_add(struct total *t, const struct problem_view *v, enum merge_by by, struct err *e)
{
    const double scale = by == MERGE_TOKENS && v->sum_w > 0 ? (double)v->tokens / v->sum_w : 1;

    for (size_t i = 0; i < CLASSES + v->nclasses; i++) {
        const struct problem_sums x = sums_of(v, i);

        if (set_add(&t->set[i], &x, i == PLAIN ? 1 : scale, e)) /* plain: every weight is 1 */
            return -1;
    }
    if (add(&t->diag, v->diag, 1, e))
        return -1;
    t->bytes_in += v->bytes_in;
    t->routed += v->routed;
    if (!v->starved) /* together they are more */
        t->v.starved = NULL;
    for (size_t i = 0; i < json_count(v->lengths); i++)
        if (length_add(&t->lengths, json_at(v->lengths, i), scale))
            return err_set(e, ERR_SYS, "lengths: out of memory");
    return 0;
}

/* ---- the sum as a problem ---- */

static struct json *prov_make(const struct total *t, struct err *e)
{
    struct json *all = t->v.prov ? json_clone(t->v.prov) : json_new_array(),
                *own = json_new_object();

    if (json_set_text(own, "stage", "merge") || json_set_text(own, "version", PTQ_VERSION) ||
        json_set(own, "others", json_clone(t->from))) {
        json_destroy(&own);
        json_destroy(&all);
    } else if (json_push(all, own)) {
        json_destroy(&all);
    }
    if (!all)
        err_set(e, ERR_SYS, "provenance: out of memory");
    return all;
}

static int put(struct msg *m, const char *name, int ndim, const uint64_t *shape,
               const double *values, struct err *e)
{
    double *to;

    if (!values)
        return 0;
    if (!(to = msg_add_new(m, name, DT_F64, ndim, shape, e)))
        return -1;
    memcpy(to, values, msg_tensor(m, name)->bytes);
    return 0;
}

static int tensors_put(struct msg *m, const struct total *t, struct err *e)
{
    const uint64_t K = t->v.K, triangle[1] = {K * (K + 1) / 2}, square[2] = {K, K},
                   rows[2] = {json_count(t->lengths), K};
    char name[32];

    for (size_t i = 0; i < CLASSES + t->v.nclasses; i++) {
        if (i > MAIN && i < CLASSES && t->set[i].tokens == 0)
            continue;
        if (i < CLASSES)
            snprintf(name, sizeof name, "%s", set_names[i]);
        else
            snprintf(name, sizeof name, "S.class.%zu", i - CLASSES);
        if (put(m, name, 1, triangle, t->set[i].S, e))
            return -1;
        *name = 'D';
        if (put(m, name, 2, square, t->set[i].D, e))
            return -1;
    }
    if (put(m, "diag", 2, rows, t->diag, e))
        return -1;
    for (size_t i = 0; i < t->v.nlinears; i++) {
        const struct tensor *x = t->v.linear[i];
        void *to = msg_add_new(m, x->name, x->dtype, x->ndim, x->shape, e);

        if (!to)
            return -1;
        memcpy(to, x->data, x->bytes);
    }
    return 0;
}

static void counts_set(const struct total *t, struct problem_view *v)
{
    const struct set *s = t->set;

    v->tokens = s[MAIN].tokens;
    v->sequences = s[MAIN].sequences;
    v->sum_w = s[MAIN].sum_w;
    v->sum_w2 = s[MAIN].sum_w2;
    v->hold = (struct problem_sums){NULL,          NULL,          s[HOLD].tokens, s[HOLD].sequences,
                                    s[HOLD].sum_w, s[HOLD].sum_w2};
    v->plain = (struct problem_sums){
        NULL, NULL, s[PLAIN].tokens, s[PLAIN].sequences, s[PLAIN].sum_w, s[PLAIN].sum_w2};
    for (size_t i = 0; i < v->nclasses; i++) {
        v->classes[i].tokens = s[CLASSES + i].tokens;
        v->classes[i].sequences = s[CLASSES + i].sequences;
        v->classes[i].sum_w = s[CLASSES + i].sum_w;
        v->classes[i].sum_w2 = s[CLASSES + i].sum_w2;
    }
    v->bytes_in = t->bytes_in;
    v->routed = t->routed;
    v->lengths = t->lengths;
}

static struct msg *problem_make(const struct total *t, struct err *e)
{
    struct json *prov = prov_make(t, e);
    struct problem_view v = t->v;
    struct msg *m;

    if (!prov)
        return NULL;
    counts_set(t, &v);
    v.prov = prov;
    m = problem_create(&v, "merge", e);
    if (m && (problem_put_classes(m, v.classes, v.nclasses, e) || tensors_put(m, t, e)))
        msg_destroy(&m);
    json_destroy(&prov);
    return m;
}

/* ---- the files ---- */

/* What is drawn from the same data is said once, not at every site. */
static int see_rows(struct total *t, const struct problem_view *v, const char *file, struct err *e)
{
    const char *other;
    const int drawn = merge_twice_see(&t->rows, v, file, &other, e);

    if (drawn > 0 && v->order == 0 && v->block == t->v.block)
        log_warn("%s: its rows were drawn from the data of %s, in another way: those that both "
                 "have count twice",
                 file, other);
    return drawn < 0 ? -1 : 0;
}

/* 1: the next site of every file is in *t, 0: all have ended. */
static int site_read(struct link *const *in, const char *const *files, size_t n, enum merge_by by,
                     struct total *t, struct err *e)
{
    struct problem_view v;
    struct msg *m = NULL;
    int got = 0, rc = -1;

    if (!(t->lengths = json_new_array()) || !(t->from = json_new_array()))
        return err_set(e, ERR_SYS, "merge: out of memory");
    for (size_t i = 0; i < n; i++) {
        if ((rc = link_recv(in[i], &m, -1, e)) < 0)
            goto out;
        if (rc == 2 || (i && rc != got)) {
            rc = err_set(e, ERR_DATA, "%s: %s", files[i],
                         rc == 2 ? "told to stop before the end"
                         : rc    ? "has more sites than the first file"
                                 : "has fewer sites than the first file");
            goto out;
        }
        got = rc;
        if (!got)
            continue;
        if ((rc = problem_read(m, &v, e))) {
            err_prefix(e, "%s", files[i]);
            goto out;
        }
        if (i == 0) {
            t->first = m;
            t->v = v;
            m = NULL;
        } else if ((rc = check(t, &v, files[i], e))) {
            goto out;
        } else if (v.prov && json_push(t->from, json_clone(v.prov))) {
            rc = err_set(e, ERR_SYS, "provenance: out of memory");
            goto out;
        }
        if ((rc = see_rows(t, &v, files[i], e)) || (rc = total_add(t, &v, by, e)))
            goto out;
        msg_destroy(&m);
    }
    rc = got;
out:
    msg_destroy(&m);
    return rc;
}

static int check_names(const char *const *files, size_t n, struct err *e)
{
    int piped = 0;

    for (size_t i = 0; i < n; i++)
        piped += strcmp(files[i], "-") == 0;
    return piped < 2 ? 0 : err_set(e, ERR_USE, "'-': standard input can be read only once");
}

int merge_run(const char *const *files, size_t n, enum merge_by by, struct link *out, size_t *count,
              struct err *e)
{
    const struct link_opts o = {.name = "merge"};
    struct link **in = mem_array(n, sizeof *in, e);
    int rc = in ? 0 : -1;

    *count = 0;
    if (rc == 0)
        rc = check_names(files, n, e);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = (in[i] = link_open(files[i], LINK_IN, &o, e)) ? 0 : -1;
    while (rc == 0) {
        struct total *t = mem_array(1, sizeof *t, e);
        struct msg *m = NULL;
        const int got = t ? site_read(in, files, n, by, t, e) : -1;

        rc = got < 0 || (got && (!(m = problem_make(t, e)) || link_send(out, &m, e))) ? -1 : 0;
        *count += got > 0 && rc == 0;
        msg_destroy(&m);
        if (t)
            total_release(t);
        free(t);
        if (got == 0)
            break;
    }
    for (size_t i = 0; in && i < n; i++)
        link_close(&in[i]);
    free(in);
    return rc;
}

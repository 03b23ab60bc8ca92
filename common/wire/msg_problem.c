/* SPDX-License-Identifier: Apache-2.0 */
/* msg_problem - the reader checks everything against everything, the creator fills id and
 * metadata. */
#include "msg_problem.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "modality.h"
#include "msg_check.h"

_Static_assert(PROBLEM_LINEARS == CHECK_LINEARS, "one limit");

static const struct tensor *read_wide(const struct msg *m, const char *name, int ndim,
                                      const uint64_t *shape, struct err *e)
{
    const struct tensor *t = msg_need(m, name, DT_COUNT, ndim, e);
    char have[96], want[96];

    if (!t)
        return NULL;
    if (t->dtype != DT_F64 && t->dtype != DT_F32) {
        check_fail(m, e, "tensor '%s' is of type %s, must be F64 or F32", name,
                   dtype_name(t->dtype));
        return NULL;
    }
    if (!tensor_has_shape(t, ndim, shape)) {
        tensor_shape_text(t->ndim, t->shape, have, sizeof have);
        tensor_shape_text(ndim, shape, want, sizeof want);
        check_fail(m, e, "tensor '%s' is %s, must be %s", name, have, want);
        return NULL;
    }
    return t;
}

/* The histogram: array of [length, sequences, sum_w], its sequences those of the problem. */
static int read_lengths(const struct msg *m, struct problem_view *v, struct err *e)
{
    const struct json *list = json_get(m->meta, "lengths");
    uint64_t total = 0;

    if (json_kind(list) != JSON_KIND_ARRAY)
        return check_fail(m, e, "field 'lengths' must be an array of [length, sequences, sum_w]");
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *row = json_at(list, i);
        int64_t length, count;
        double w;

        if (json_kind(row) != JSON_KIND_ARRAY || json_as_int(json_at(row, 0), &length) < 0 ||
            json_as_int(json_at(row, 1), &count) < 0 || json_as_real(json_at(row, 2), &w) < 0 ||
            length < 0 || count < 0 || !(w >= 0))
            return check_fail(m, e, "field 'lengths': entry %zu is not [length, sequences, sum_w]",
                              i);
        total += (uint64_t)count;
    }
    if (total != v->sequences)
        return check_fail(
            m, e, "field 'lengths' counts %" PRIu64 " sequences, field 'sequences' says %" PRIu64,
            total, v->sequences);
    v->lengths = list;
    return 0;
}

/* Of an expert's site. Solvers hand both on: they are none of problem_known. */
static int read_routed(const struct msg *m, struct problem_view *v, struct err *e)
{
    v->has_routed = json_get(m->meta, "routed") != NULL;
    if (v->has_routed && check_u64(m, "routed", 0, INT64_MAX, &v->routed, e) < 0)
        return -1;
    if (!json_get(m->meta, "starved"))
        return 0;
    v->starved = json_as_text(json_get(m->meta, "starved"));
    if (!v->starved || (strcmp(v->starved, "rtn") != 0 && strcmp(v->starved, "all-tokens") != 0))
        return check_fail(m, e, "field 'starved' must be rtn or all-tokens");
    return 0;
}

/* A further set: tensors S.NAME, D.NAME and their counts in field NAME. */
static int read_further(const struct msg *m, const char *name, size_t K, struct problem_sums *s,
                        struct err *e)
{
    const struct json *counts = json_get(m->meta, name);
    uint64_t triangle[1] = {(uint64_t)K * (K + 1) / 2}, square[2] = {K, K};
    char tensor[32];
    int64_t tokens, sequences;

    snprintf(tensor, sizeof tensor, "S.%s", name);
    if (!msg_tensor(m, tensor))
        return counts ? check_fail(m, e, "field '%s' is there, but not tensor '%s'", name, tensor)
                      : 0;
    if (!(s->S = read_wide(m, tensor, 1, triangle, e)))
        return -1;
    *tensor = 'D';
    if (msg_tensor(m, tensor) && !(s->D = read_wide(m, tensor, 2, square, e)))
        return -1;
    if (json_as_int(json_get(counts, "tokens"), &tokens) < 0 || tokens < 0 ||
        json_as_int(json_get(counts, "sequences"), &sequences) < 0 || sequences < 0 ||
        json_as_real(json_get(counts, "sum_w"), &s->sum_w) < 0 || !(s->sum_w >= 0) ||
        json_as_real(json_get(counts, "sum_w2"), &s->sum_w2) < 0 || !(s->sum_w2 >= 0))
        return check_fail(m, e, "field '%s' must hold tokens, sequences, sum_w and sum_w2", name);
    s->tokens = (uint64_t)tokens;
    s->sequences = (uint64_t)sequences;
    snprintf(tensor, sizeof tensor, "%.20s: ", name);
    return check_weight_sums(m, tensor, s->tokens, s->sum_w, s->sum_w2, e);
}

static int put_further(struct msg *m, const char *name, const struct problem_sums *s)
{
    struct json *x;

    if (s->tokens == 0)
        return 0;
    x = json_new_object();
    if (!x || json_set_int(x, "tokens", (int64_t)s->tokens) ||
        json_set_int(x, "sequences", (int64_t)s->sequences) ||
        json_set_real(x, "sum_w", s->sum_w) || json_set_real(x, "sum_w2", s->sum_w2)) {
        json_destroy(&x);
        return -1;
    }
    return json_set(m->meta, name, x);
}

static int read_class(const struct msg *m, const struct json *x, size_t K, size_t i,
                      struct problem_class *c, struct err *e)
{
    const uint64_t triangle[1] = {(uint64_t)K * (K + 1) / 2}, square[2] = {K, K};
    char tensor[32], what[CHECK_WHAT];
    int64_t tokens, sequences;

    c->kind = json_as_text(json_get(x, "kind"));
    c->name = json_as_text(json_get(x, "name"));
    if (!c->kind || !c->name || json_as_int(json_get(x, "tokens"), &tokens) < 0 || tokens < 0 ||
        json_as_real(json_get(x, "sum_w"), &c->sum_w) < 0 || !(c->sum_w >= 0))
        return check_fail(m, e, "field 'classes': entry %zu must hold kind, name, tokens and sum_w",
                          i);
    if (json_opt_int(x, "sequences", 0, INT64_MAX, 0, &sequences, check_what(m, what), e) < 0 ||
        json_opt_real(x, "sum_w2", 0, &c->sum_w2, what, e) < 0)
        return -1;
    c->tokens = (uint64_t)tokens;
    c->sequences = (uint64_t)sequences;
    snprintf(tensor, sizeof tensor, "classes %zu: ", i);
    if (json_get(x, "sum_w2") &&
        check_weight_sums(m, tensor, c->tokens, c->sum_w, c->sum_w2, e) < 0)
        return -1;
    snprintf(tensor, sizeof tensor, "S.class.%zu", i);
    if (!(c->S = read_wide(m, tensor, 1, triangle, e)))
        return -1;
    *tensor = 'D';
    return !msg_tensor(m, tensor) || (c->D = read_wide(m, tensor, 2, square, e)) ? 0 : -1;
}

static int read_classes(const struct msg *m, struct problem_view *v, struct err *e)
{
    const struct json *list = json_get(m->meta, "classes");

    if (!list)
        return 0;
    if (json_kind(list) != JSON_KIND_ARRAY || json_count(list) > PROBLEM_CLASSES)
        return check_fail(m, e, "field 'classes' must be an array of at most %d entries",
                          PROBLEM_CLASSES);
    v->nclasses = json_count(list);
    for (size_t i = 0; i < v->nclasses; i++)
        if (read_class(m, json_at(list, i), v->K, i, &v->classes[i], e) < 0)
            return -1;
    return 0;
}

const char *const problem_known[] = {
    "block",  "order",     "sites", "site",  "K",       "linears", "prov",     "tokens", "sum_w",
    "sum_w2", "sequences", "hold",  "plain", "classes", "lengths", "bytes_in", "ratios", NULL};

int problem_read_sums(const struct msg *m, struct problem_view *v, struct err *e)
{
    uint64_t triangle[1], square[2];

    memset(v, 0, sizeof *v);
    if (check_site(m, &v->block, &v->order, &v->sites, &v->site, e) < 0 ||
        check_sums(m, &v->K, &v->tokens, &v->sequences, &v->sum_w, &v->sum_w2, e) < 0 ||
        check_u64(m, "bytes_in", 0, INT64_MAX, &v->bytes_in, e) < 0 || read_lengths(m, v, e) < 0 ||
        read_routed(m, v, e) < 0)
        return -1;
    triangle[0] = (uint64_t)v->K * (v->K + 1) / 2;
    square[0] = square[1] = v->K;
    if (msg_tensor(m, "S") && !(v->S = read_wide(m, "S", 1, triangle, e)))
        return -1;
    if (msg_tensor(m, "D") && !(v->D = read_wide(m, "D", 2, square, e)))
        return -1;
    square[0] = json_count(v->lengths);
    if (msg_tensor(m, "diag") && !(v->diag = read_wide(m, "diag", 2, square, e)))
        return -1;
    if (read_further(m, "hold", v->K, &v->hold, e) < 0 ||
        read_further(m, "plain", v->K, &v->plain, e) < 0)
        return -1;
    return read_classes(m, v, e);
}

int problem_read(const struct msg *m, struct problem_view *v, struct err *e)
{
    double ratio[MODALITIES];

    memset(v, 0, sizeof *v);
    if (check_kind(m, MSG_PROBLEM, e) < 0 || problem_read_sums(m, v, e) < 0 ||
        check_site_id(m, v->block, v->site, "", e) < 0 || check_prov(m, &v->prov, e) < 0)
        return -1;
    if (!v->S)
        return check_fail(m, e, "tensor 'S' is missing");
    if ((v->ratios = json_get(m->meta, "ratios")) && modality_ratios_read(v->ratios, ratio))
        return check_fail(m, e, "field 'ratios' must hold text and image from 0 up, not both 0");
    return check_linears(m, json_get(m->meta, "linears"), v->K, v->linear, &v->nlinears, e);
}

static int put_linears(struct msg *m, const struct problem_view *v)
{
    struct json *list = json_new_array();
    int bad = !list;

    for (size_t i = 0; i < v->nlinears && !bad; i++) {
        struct json *x = json_new_object();

        bad = !x || json_set_text(x, "name", v->linear[i]->name) ||
              json_set_int(x, "rows", (int64_t)v->linear[i]->shape[0]);
        if (bad)
            json_destroy(&x);
        else
            bad = json_push(list, x);
    }
    if (bad) {
        json_destroy(&list);
        return -1;
    }
    return json_set(m->meta, "linears", list);
}

int problem_put_sums(struct msg *m, const struct problem_view *v)
{
    return check_put_site(m, v->block, v->order, v->sites, v->site) ||
                   check_put_sums(m, v->K, v->tokens, v->sequences, v->sum_w, v->sum_w2) ||
                   json_set_int(m->meta, "bytes_in", (int64_t)v->bytes_in) ||
                   put_further(m, "hold", &v->hold) || put_further(m, "plain", &v->plain) ||
                   (v->has_routed && json_set_int(m->meta, "routed", (int64_t)v->routed)) ||
                   (v->starved && json_set_text(m->meta, "starved", v->starved)) ||
                   json_set(m->meta, "lengths",
                            v->lengths ? json_clone(v->lengths) : json_new_array())
               ? -1
               : 0;
}

struct msg *problem_create(const struct problem_view *v, const char *stage, struct err *e)
{
    struct msg *m = msg_create(MSG_PROBLEM, stage, e);

    if (!m)
        return NULL;
    if (msg_set_site_id(m, v->block, v->site, "", e) < 0) {
        msg_destroy(&m);
        return NULL;
    }
    if (problem_put_sums(m, v) || put_linears(m, v) || check_put_prov(m, v->prov))
        return check_no_memory(&m, e);
    return m;
}

static struct json *class_entry(const struct problem_class *c)
{
    struct json *x = json_new_object();

    if (!x || json_set_text(x, "kind", c->kind) || json_set_text(x, "name", c->name) ||
        json_set_int(x, "tokens", (int64_t)c->tokens) || json_set_real(x, "sum_w", c->sum_w) ||
        (c->sum_w2 > 0 && (json_set_real(x, "sum_w2", c->sum_w2) ||
                           json_set_int(x, "sequences", (int64_t)c->sequences))))
        json_destroy(&x);
    return x;
}

int problem_put_classes(struct msg *m, const struct problem_class *list, size_t n, struct err *e)
{
    struct json *all = n ? json_new_array() : NULL;

    for (size_t i = 0; all && i < n; i++)
        if (json_push(all, class_entry(&list[i])))
            json_destroy(&all);
    if (n && (!all || json_set(m->meta, "classes", all)))
        return err_set(e, ERR_SYS, "problem '%s': out of memory", m->id);
    return 0;
}

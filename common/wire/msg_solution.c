/* SPDX-License-Identifier: Apache-2.0 */
/* msg_solution - solution and commit: the reader checks everything against everything, the
 * creator fills id and metadata. */
#include "msg_solution.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "msg_check.h"

/* "NAME.PART" of a linear, of this shape. Optional: *t is NULL when it is not there. */
static int read_part(const struct msg *m, const struct solution_linear *x, const char *part,
                     int optional, enum dtype type, int ndim, const uint64_t *shape,
                     const struct tensor **t, struct err *e)
{
    char name[TENSOR_NAME + 16], want[96];

    snprintf(name, sizeof name, "%.190s.%s", x->name, part);
    *t = NULL;
    if (optional && !msg_tensor(m, name))
        return 0;
    if (!(*t = msg_need(m, name, type, ndim, e)))
        return -1;
    if (tensor_has_shape(*t, ndim, shape))
        return 0;
    tensor_shape_text(ndim, shape, want, sizeof want);
    return check_fail(m, e, "tensor '%s' must be %s", name, want);
}

/* Largest byte of a tensor; written so that it vectorizes. */
static unsigned largest(const struct tensor *t)
{
    const uint8_t *p = t->data;
    uint8_t most = 0;

    for (size_t i = 0; i < t->bytes; i++)
        most = p[i] > most ? p[i] : most;
    return most;
}

static int finite_check(const struct msg *m, const struct tensor *t, const char *what,
                        struct err *e)
{
    return t && tensor_count_bad(t)
               ? check_fail(m, e, "tensor '%s' has %s that are not finite", t->name, what)
               : 0;
}

/* Every input is in a group, and none has more than its share of them. */
static int groups_check(const struct msg *m, const struct solution_linear *x, struct err *e)
{
    const int32_t *group = x->g_idx ? x->g_idx->data : NULL;
    uint32_t *count = group ? mem_array(x->G, sizeof *count, e) : NULL;
    int bad = 0;

    if (!group)
        return 0;
    for (size_t k = 0; count && k < x->K && !bad; k++)
        bad = x->group < 0 || group[k] < 0 || (size_t)group[k] >= x->G ||
              ++count[group[k]] > (uint64_t)x->group;
    free(count);
    if (bad)
        return check_fail(m, e, "tensor '%s' has groups of other than %lld inputs", x->g_idx->name,
                          (long long)x->group);
    return count ? 0 : -1;
}

/* Weights beside the codes: what their rows and columns are is coded_take's to check. */
static int read_sparse(const struct msg *m, struct solution_linear *x, struct err *e)
{
    const uint64_t rows[1] = {x->N};
    const struct tensor *t;
    char name[TENSOR_NAME + 16];

    snprintf(name, sizeof name, "%.190s.sparse_value", x->name);
    t = msg_tensor(m, name);
    if (read_part(m, x, "sparse_end", !t, DT_I32, 1, rows, &x->sparse_end, e))
        return -1;
    if (!t)
        return x->sparse_end ? check_fail(m, e, "tensor '%s' is there without '%s'",
                                          x->sparse_end->name, name)
                             : 0;
    if (t->ndim != 1 || t->shape[0] < 1)
        return check_fail(m, e, "tensor '%s' must be [n], n at least 1", name);
    return read_part(m, x, "sparse_column", 0, DT_I32, 1, t->shape, &x->sparse_column, e) ||
                   read_part(m, x, "sparse_value", 0, DT_COUNT, 1, t->shape, &x->sparse_value, e)
               ? -1
               : finite_check(m, x->sparse_value, "weights", e);
}

/* Which of the optional ones must be there is the grid's business, who uses the codes asks it. */
static int read_tensors(const struct msg *m, struct solution_linear *x, struct err *e)
{
    const uint64_t G = x->group < 0 ? 1 : (x->K + (uint64_t)x->group - 1) / (uint64_t)x->group;
    const uint64_t codes[2] = {x->N, x->K}, groups[2] = {x->N, G}, one[1] = {1},
                   levels[2] = {x->N, UINT64_C(1) << x->bits}, inputs[1] = {x->K};

    x->G = (size_t)G;
    if (read_part(m, x, "codes", 0, DT_U8, 2, codes, &x->codes, e) ||
        read_part(m, x, "scales", 0, DT_COUNT, 2, groups, &x->scales, e) ||
        read_part(m, x, "zeros", 1, DT_U8, 2, groups, &x->zeros, e))
        return -1;
    if (largest(x->codes) >> x->bits)
        return check_fail(m, e, "tensor '%s' has a code that does not fit %d bits", x->codes->name,
                          x->bits);
    if (x->zeros && largest(x->zeros) >> x->bits)
        return check_fail(m, e, "tensor '%s' has a zero point that does not fit %d bits",
                          x->zeros->name, x->bits);
    if (read_part(m, x, "tensor_scale", 1, DT_F32, 1, one, &x->tensor_scale, e) ||
        read_part(m, x, "table", 1, DT_F32, 2, levels, &x->table, e) ||
        read_part(m, x, "g_idx", 1, DT_I32, 1, inputs, &x->g_idx, e) || groups_check(m, x, e) ||
        read_sparse(m, x, e))
        return -1;
    return finite_check(m, x->scales, "scales", e) ||
                   finite_check(m, x->tensor_scale, "scales", e) ||
                   finite_check(m, x->table, "levels", e)
               ? -1
               : 0;
}

/* A linear that nothing was done to: it must not have results either. */
static int read_kept(const struct msg *m, struct solution_linear *x, struct err *e)
{
    static const char *const parts[] = {"codes",        "scales",        "zeros",
                                        "tensor_scale", "table",         "g_idx",
                                        "sparse_end",   "sparse_column", "sparse_value"};
    char full[TENSOR_NAME + 16];

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(full, sizeof full, "%.190s.%s", x->name, parts[i]);
        if (msg_tensor(m, full))
            return check_fail(m, e, "linear '%.100s' is said to be kept, but tensor '%s' is there",
                              x->name, full);
    }
    x->group = -1;
    x->grid = "";
    x->asym_loss = NAN;
    return 0;
}

static int read_linear(const struct msg *m, const struct json *j, size_t K,
                       struct solution_linear *x, struct err *e)
{
    char what[CHECK_WHAT + 16];
    int64_t rows, bits;
    size_t n;

    check_what(m, what);
    n = strlen(what);
    snprintf(what + n, sizeof what - n, ": linears");
    if (!(x->name = json_need_text(j, "name", what, e)) ||
        json_need_int(j, "rows", 1, CHECK_COUNT_MAX, &rows, what, e) < 0 ||
        json_opt_bool(j, "kept", 0, &x->kept, what, e) < 0)
        return -1;
    x->N = (size_t)rows;
    x->K = K;
    if (x->kept)
        return read_kept(m, x, e);
    if (json_get(j, "solver") && !(x->solver = json_need_text(j, "solver", what, e)))
        return -1;
    if (json_need_int(j, "bits", 1, 8, &bits, what, e) < 0 ||
        json_need_int(j, "group", -1, (int64_t)K, &x->group, what, e) < 0 ||
        !(x->grid = json_need_text(j, "grid", what, e)) ||
        json_need_real(j, "loss", &x->loss, what, e) < 0 ||
        json_need_real(j, "rel_loss", &x->rel_loss, what, e) < 0 ||
        json_opt_real(j, "round_off", NAN, &x->round_off, what, e) < 0 ||
        json_opt_real(j, "trace", NAN, &x->trace, what, e) < 0 ||
        json_opt_real(j, "asym_loss", NAN, &x->asym_loss, what, e) < 0 ||
        json_opt_real(j, "bound", 0.0, &x->bound, what, e) < 0)
        return -1;
    if (x->group == 0)
        return check_fail(m, e,
                          "linear '%.100s': field 'group' is 0, must be -1 or a number of columns",
                          x->name);
    x->bits = (int)bits;
    return read_tensors(m, x, e);
}

static int read_linears(const struct msg *m, struct solution_view *v, struct err *e)
{
    const struct json *list = json_get(m->meta, "linears");

    v->nlinears = json_count(list);
    if (json_kind(list) != JSON_KIND_ARRAY || v->nlinears < 1 || v->nlinears > PROBLEM_LINEARS)
        return check_fail(m, e, "field 'linears' must be an array of 1 to %d entries",
                          PROBLEM_LINEARS);
    for (size_t i = 0; i < v->nlinears; i++) {
        if (read_linear(m, json_at(list, i), v->K, &v->linear[i], e) < 0)
            return -1;
        for (size_t k = 0; k < i; k++)
            if (!strcmp(v->linear[k].name, v->linear[i].name))
                return check_fail(m, e, "field 'linears': '%.100s' is there twice",
                                  v->linear[i].name);
    }
    return 0;
}

static int read_changed(const struct msg *m, struct solution_view *v, struct err *e)
{
    const struct json *list = json_get(m->meta, "changed");
    const size_t n = json_count(list);

    if (!list)
        return 0;
    if (json_kind(list) != JSON_KIND_ARRAY || n < 1 || n > SOLUTION_CHANGED)
        return check_fail(m, e, "field 'changed' must be an array of 1 to %d names",
                          SOLUTION_CHANGED);
    for (size_t i = 0; i < n; i++) {
        const char *name = json_as_text(json_at(list, i));
        const struct tensor *t = name ? msg_tensor(m, name) : NULL;

        if (!t)
            return check_fail(m, e, "field 'changed': '%.100s' is no tensor of the message",
                              name ? name : "");
        if (!dtype_is_float(t->dtype))
            return check_fail(m, e, "tensor '%s' is of type %s, not a float type", t->name,
                              dtype_name(t->dtype));
        for (size_t k = 0; k < i; k++)
            if (v->changed[k] == t)
                return check_fail(m, e, "field 'changed': '%s' is there twice", t->name);
        if (finite_check(m, t, "numbers", e) < 0)
            return -1;
        v->changed[v->nchanged++] = t;
    }
    return 0;
}

int solution_read(const struct msg *m, struct solution_view *v, struct err *e)
{
    char what[CHECK_WHAT];
    const struct json *fallback = json_get(m->meta, "fallback");

    memset(v, 0, sizeof *v);
    if (m->kind != MSG_COMMIT && check_kind(m, MSG_SOLUTION, e) < 0)
        return -1;
    if (check_site(m, &v->block, &v->order, &v->sites, &v->site, e) < 0 ||
        check_site_id(m, v->block, v->site, "", e) < 0 ||
        check_sums(m, &v->K, &v->tokens, &v->sequences, &v->sum_w, &v->sum_w2, e) < 0 ||
        !(v->solver = check_text(m, "solver", e)) ||
        json_need_real(m->meta, "damp", &v->damp, check_what(m, what), e) < 0 ||
        json_need_int(m->meta, "attempts", 0, INT32_MAX, &v->attempts, what, e) < 0 ||
        json_need_real(m->meta, "seconds", &v->seconds, what, e) < 0 ||
        check_prov(m, &v->prov, e) < 0)
        return -1;
    if (v->damp < 0 || v->seconds < 0)
        return check_fail(m, e, "fields 'damp' and 'seconds' must not be negative");
    if (json_kind(fallback) != JSON_KIND_NULL && !(v->fallback = check_text(m, "fallback", e)))
        return -1;
    return read_linears(m, v, e) < 0 ? -1 : read_changed(m, v, e);
}

static struct json *describe(const struct solution_linear *x)
{
    struct json *j = json_new_object();
    int bad = !j || json_set_text(j, "name", x->name) || json_set_int(j, "rows", (int64_t)x->N);

    if (x->kept && !bad && !json_set_bool(j, "kept", 1))
        return j;
    if (!x->kept && !bad && !(x->solver && json_set_text(j, "solver", x->solver)) &&
        !json_set_int(j, "bits", x->bits) && !json_set_int(j, "group", x->group) &&
        !json_set_text(j, "grid", x->grid) && !json_set_real(j, "loss", x->loss) &&
        !json_set_real(j, "rel_loss", x->rel_loss) &&
        !json_set_real(j, "round_off", x->round_off) && !json_set_real(j, "trace", x->trace) &&
        !json_set_real(j, "asym_loss", x->asym_loss) &&
        !(x->bound > 0 && json_set_real(j, "bound", x->bound)))
        return j;
    json_destroy(&j);
    return NULL;
}

static int put_solution(struct msg *m, const struct solution_view *v)
{
    struct json *list = json_new_array();

    /* the array is the message's now, and filled there */
    if (!list || json_set(m->meta, "linears", list))
        return -1;
    for (size_t i = 0; i < v->nlinears; i++)
        if (json_push(list, describe(&v->linear[i])))
            return -1;
    return check_put_site(m, v->block, v->order, v->sites, v->site) ||
                   check_put_sums(m, v->K, v->tokens, v->sequences, v->sum_w, v->sum_w2) ||
                   json_set_text(m->meta, "solver", v->solver) ||
                   json_set_real(m->meta, "damp", v->damp) ||
                   json_set_int(m->meta, "attempts", v->attempts) ||
                   json_set_real(m->meta, "seconds", v->seconds) ||
                   json_set(m->meta, "fallback",
                            v->fallback ? json_new_text(v->fallback) : json_new_null()) ||
                   check_put_prov(m, v->prov)
               ? -1
               : 0;
}

struct msg *solution_create(const struct solution_view *v, const char *stage, struct err *e)
{
    struct msg *m = msg_create(MSG_SOLUTION, stage, e);

    if (!m)
        return NULL;
    if (msg_set_site_id(m, v->block, v->site, "", e) < 0) {
        msg_destroy(&m);
        return NULL;
    }
    return put_solution(m, v) < 0 ? check_no_memory(&m, e) : m;
}

int solution_add_changed(struct msg *m, const struct tensor *t, size_t count, struct err *e)
{
    struct json *names = json_new_array();
    int bad = 0;

    for (size_t i = 0; !bad && i < count; i++) {
        void *to = msg_add_new(m, t[i].name, t[i].dtype, t[i].ndim, t[i].shape, e);

        if (!to) {
            json_destroy(&names);
            return -1;
        }
        memcpy(to, t[i].data, t[i].bytes);
        bad = json_push(names, json_new_text(t[i].name));
    }
    if (bad)
        json_destroy(&names);
    return json_set(m->meta, "changed", names) ? err_set(e, ERR_SYS, "out of memory") : 0;
}

size_t solution_parts(const struct solution_linear *x, const struct tensor *part[SOLUTION_PARTS])
{
    const struct tensor *const all[SOLUTION_PARTS] = {
        x->codes, x->scales,     x->zeros,         x->tensor_scale, x->table,
        x->g_idx, x->sparse_end, x->sparse_column, x->sparse_value};
    size_t n = 0;

    for (size_t i = 0; i < SOLUTION_PARTS && !x->kept; i++)
        if (all[i])
            part[n++] = all[i];
    return n;
}

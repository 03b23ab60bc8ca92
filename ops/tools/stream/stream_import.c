/* SPDX-License-Identifier: Apache-2.0 */
/* stream_import - safetensors to problems: see stream.h. The weights of the sum are 1 / tokens, so
 * that S is H bit for bit. */
#include "stream.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../../common/base/mem.h"
#include "../../../common/base/sig.h"
#include "../../../common/base/version.h"
#include "../../../common/tensor/safetensors.h"
#include "../../../common/wire/msg_problem.h"

/* Largest |H_ij - H_ji| that passes for rounding, in units of sqrt(H_ii H_jj): sums in f32 differ
 * by about 1e-6. */
#define ASYMMETRY 1e-4

struct import {
    const char *path;
    struct st_set *set;
    char prefix[TENSOR_NAME]; /* "NAME." or "" */
    char name[TENSOR_NAME];   /* of the linear */
    struct json *prov;
};

static const struct st_entry *find(const struct import *im, const char *part)
{
    char full[TENSOR_NAME];

    if (snprintf(full, sizeof full, "%s%s", im->prefix, part) >= (int)sizeof full)
        return NULL;
    return st_find(im->set, full);
}

/* 1 and the names when the entry is a W, else 0. */
static int is_weight(struct import *im, const struct st_entry *x)
{
    const char *base = strrchr(im->path, '/');
    const size_t n = strlen(x->name);
    size_t len;

    if (strcmp(x->name, "W") == 0) {
        base = base ? base + 1 : im->path;
        len = strlen(base);
        if (len > 12 && strcmp(base + len - 12, ".safetensors") == 0)
            len -= 12;
        *im->prefix = '\0';
        snprintf(im->name, sizeof im->name, "%.*s", (int)len, base);
        return 1;
    }
    if (n < 3 || strcmp(x->name + n - 2, ".W") != 0)
        return 0;
    snprintf(im->prefix, sizeof im->prefix, "%.*s", (int)(n - 1), x->name);
    snprintf(im->name, sizeof im->name, "%.*s", (int)(n - 2), x->name);
    return 1;
}

static int bad(const struct import *im, const char *part, const char *why, struct err *e)
{
    return err_set(e, ERR_USE, "%s: tensor '%s%s' %s", im->path, im->prefix, part, why);
}

/* A square float matrix as f64; the caller frees. */
static double *load_square(const struct import *im, const char *part, size_t K, struct err *e)
{
    const struct st_entry *x = find(im, part);
    const uint64_t shape[2] = {K, K};
    struct tensor t = {.ndim = 0};
    double *out = NULL;

    if (!x) {
        bad(im, part, "is not there", e);
        return NULL;
    }
    if (!dtype_is_float(x->dtype) || x->ndim != 2 || x->shape[0] != shape[0] ||
        x->shape[1] != shape[1]) {
        bad(im, part, "must be a float matrix as wide and as high as W is wide", e);
        return NULL;
    }
    if (st_load(im->set, x, &t, e) == 0 && (out = mem_raw(tensor_elements(&t), sizeof *out, e)))
        dtype_to_f64(t.dtype, t.data, tensor_elements(&t), out);
    if (out && tensor_count_bad(&t)) {
        bad(im, part, "holds NaN or infinite values", e);
        free(out);
        out = NULL;
    }
    tensor_release(&t);
    return out;
}

static int load_tokens(const struct import *im, uint64_t *tokens, struct err *e)
{
    const char *part = find(im, "tokens") ? "tokens" : "ct";
    const struct st_entry *x = find(im, part);
    struct tensor t = {.ndim = 0};
    int64_t v = 0;
    int32_t v32;

    *tokens = 1;
    if (!x)
        return 0;
    if ((x->dtype != DT_I64 && x->dtype != DT_I32) || x->bytes != dtype_size(x->dtype))
        return bad(im, part, "must be one I64 or I32 number", e);
    if (st_load(im->set, x, &t, e))
        return -1;
    if (x->dtype == DT_I64) {
        memcpy(&v, t.data, sizeof v);
    } else {
        memcpy(&v32, t.data, sizeof v32);
        v = v32;
    }
    tensor_release(&t);
    if (v < 1)
        return bad(im, part, "must be at least 1", e);
    *tokens = (uint64_t)v;
    return 0;
}

/* A float tensor of one dimension as f64; the caller frees. */
static double *load_row(const struct import *im, const char *part, size_t n, struct err *e)
{
    const struct st_entry *x = find(im, part);
    struct tensor t = {.ndim = 0};
    double *out = NULL;

    if (!x || !dtype_is_float(x->dtype) || x->ndim != 1 || x->shape[0] != n) {
        bad(im, part, "must be there: a row of floats that goes with the width of W", e);
        return NULL;
    }
    if (st_load(im->set, x, &t, e) == 0 && (out = mem_raw(n, sizeof *out, e)))
        dtype_to_f64(t.dtype, t.data, n, out);
    if (out && tensor_count_bad(&t)) {
        bad(im, part, "holds NaN or infinite values", e);
        free(out);
        out = NULL;
    }
    tensor_release(&t);
    return out;
}

/* What QuIP# keeps: the lower triangle of the covariance, row by row, and the mean. */
static int add_centred(const struct import *im, struct msg *m, size_t K, struct err *e)
{
    const uint64_t triangle[1] = {(uint64_t)K * (K + 1) / 2};
    double *flat = load_row(im, "flatH", triangle[0], e),
           *mean = flat ? load_row(im, "mu", K, e) : NULL,
           *S = mean ? msg_add_new(m, "S", DT_F64, 1, triangle, e) : NULL;

    int rc = S ? 0 : -1;

    for (size_t i = 0, at = 0; rc == 0 && i < K; i++) {
        for (size_t j = 0; j <= i; j++, at++) {
            S[at] = flat[at] + mean[i] * mean[j];
            if (!isfinite(S[at]))
                rc = -1;
        }
        if (rc < 0 || S[at - 1] < 0.0)
            rc = bad(im, "flatH", "and mu are not those of a sum of squares", e);
    }
    free(mean);
    free(flat);
    return rc;
}

/* The lower triangle of H as "S", after a look at the upper one. */
static int add_sums(const struct import *im, struct msg *m, size_t K, struct err *e)
{
    const uint64_t triangle[1] = {(uint64_t)K * (K + 1) / 2};
    const int centred = !find(im, "H") && find(im, "flatH");
    double *H = centred ? NULL : load_square(im, "H", K, e),
           *S = H ? msg_add_new(m, "S", DT_F64, 1, triangle, e) : NULL;
    int rc = -1;

    if (centred)
        return add_centred(im, m, K, e);
    if (!S)
        goto out;
    for (size_t i = 0; i < K; i++)
        if (H[i * K + i] < 0.0) {
            bad(im, "H", "has a negative diagonal entry: it is not a sum of squares", e);
            goto out;
        }
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j <= i; j++) {
            const double a = H[i * K + j], b = H[j * K + i];
            if (fabs(a - b) > ASYMMETRY * sqrt(H[i * K + i] * H[j * K + j])) {
                bad(im, "H", "is not symmetric", e);
                goto out;
            }
            *S++ = a;
        }
    rc = 0;
out:
    free(H);
    return rc;
}

static int add_drift(const struct import *im, struct msg *m, size_t K, struct err *e)
{
    const uint64_t shape[2] = {K, K};
    double *D, *to;

    if (!find(im, "D"))
        return 0;
    D = load_square(im, "D", K, e);
    to = D ? msg_add_new(m, "D", DT_F64, 2, shape, e) : NULL;
    if (to)
        memcpy(to, D, K * K * sizeof *D);
    free(D);
    return to ? 0 : -1;
}

static struct msg *make_problem(const struct import *im, const struct st_entry *x, uint64_t index,
                                uint64_t count, struct err *e)
{
    struct problem_view v = {.block = index,
                             .order = index,
                             .sites = count,
                             .site = "import",
                             .sum_w = 1.0,
                             .nlinears = 1,
                             .prov = im->prov};
    struct tensor W = {.ndim = 0};
    struct msg *m = NULL;

    if (x->ndim != 2 || !dtype_is_float(x->dtype)) {
        bad(im, "W", "must be a float matrix", e);
        return NULL;
    }
    if (load_tokens(im, &v.tokens, e) || st_load(im->set, x, &W, e))
        return NULL;
    if (tensor_count_bad(&W)) {
        bad(im, "W", "holds NaN or infinite values", e);
        tensor_release(&W);
        return NULL;
    }
    snprintf(W.name, sizeof W.name, "%s", im->name);
    v.K = (size_t)x->shape[1];
    v.sum_w2 = 1.0 / (double)v.tokens;
    v.linear[0] = &W;
    m = problem_create(&v, "stream", e);
    if (!m || add_sums(im, m, v.K, e) || add_drift(im, m, v.K, e) || msg_add(m, &W, e))
        msg_destroy(&m);
    tensor_release(&W);
    return m;
}

static int provenance(struct import *im, struct err *e)
{
    struct json *r = json_new_object();

    im->prov = json_new_array();
    if (json_set_text(r, "stage", "stream") || json_set_text(r, "version", PTQ_VERSION)) {
        json_destroy(&r);
        return err_set(e, ERR_SYS, "%s: out of memory", im->path);
    }
    return json_push(im->prov, r) ? err_set(e, ERR_SYS, "%s: out of memory", im->path) : 0;
}

int stream_import(const char *path, struct link *out, size_t *count, struct err *e)
{
    struct import im = {.path = path};
    uint64_t total = 0, index = 0;
    struct msg *m = NULL;
    int rc = -1;

    *count = 0;
    im.set = st_open(path, e);
    if (!im.set || provenance(&im, e))
        goto out;
    for (size_t i = 0; i < im.set->count; i++)
        total += (uint64_t)is_weight(&im, &im.set->entries[i]);
    if (total == 0) {
        err_set(e, ERR_USE, "%s: holds no tensor 'W' or 'NAME.W'", path);
        goto out;
    }
    for (size_t i = 0; i < im.set->count; i++) {
        if (!is_weight(&im, &im.set->entries[i]))
            continue;
        if (sig_draining()) {
            err_set(e, ERR_SYS, "stopped by a signal");
            goto out;
        }
        m = make_problem(&im, &im.set->entries[i], index++, total, e);
        if (!m || link_send(out, &m, e))
            goto out;
        ++*count;
    }
    rc = 0;
out:
    msg_destroy(&m);
    json_destroy(&im.prov);
    st_close(&im.set);
    return rc;
}

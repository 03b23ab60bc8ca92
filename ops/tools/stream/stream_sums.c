/* SPDX-License-Identifier: Apache-2.0 */
/* stream_sums - problems to safetensors: see stream.h. What stream_import reads again: the problem
 * that it makes has the same H, and so the same solution. */
#include "stream.h"

#include <stdlib.h>
#include <string.h>
#include "../../../common/base/fs.h"
#include "../../../common/base/mem.h"
#include "../../../common/tensor/safetensors.h"
#include "../../../common/wire/msg_problem.h"

typedef int visit_fn(struct st_writer *w, const struct problem_view *v, const struct tensor *x,
                     struct err *e);

static const char *part(char out[TENSOR_NAME + 16], const struct tensor *x, const char *name)
{
    snprintf(out, TENSOR_NAME + 16, "%s.%s", x->name, name);
    return out;
}

static int declare(struct st_writer *w, const struct problem_view *v, const struct tensor *x,
                   struct err *e)
{
    const uint64_t square[2] = {v->K, v->K}, one[1] = {1};
    char name[TENSOR_NAME + 16];

    return st_declare(w, part(name, x, "W"), x->dtype, x->ndim, x->shape, e) ||
                   st_declare(w, part(name, x, "H"), DT_F64, 2, square, e) ||
                   (v->D && st_declare(w, part(name, x, "D"), DT_F64, 2, square, e)) ||
                   st_declare(w, part(name, x, "tokens"), DT_I64, 1, one, e)
               ? -1
               : 0;
}

/* The whole matrix, or of a triangle both halves, divided by the sum of the weights. */
static int put_matrix(struct st_writer *w, const char *name, const struct tensor *sums, size_t K,
                      double sum_w, struct err *e)
{
    const size_t n = (size_t)tensor_elements(sums);
    double *in = mem_raw(n, sizeof *in, e), *out = in ? mem_raw(K * K, sizeof *out, e) : NULL;
    int rc = -1;

    if (out) {
        dtype_to_f64(sums->dtype, sums->data, n, in);
        for (size_t i = 0; i < K; i++)
            for (size_t j = 0; j < K; j++) {
                const size_t low = i < j ? j : i, high = i < j ? i : j;

                out[i * K + j] =
                    in[sums->ndim == 1 ? low * (low + 1) / 2 + high : i * K + j] / sum_w;
            }
        rc = st_put(w, name, out, K * K * sizeof *out, e);
    }
    free(out);
    free(in);
    return rc;
}

static int put(struct st_writer *w, const struct problem_view *v, const struct tensor *x,
               struct err *e)
{
    const int64_t tokens = (int64_t)v->tokens;
    char name[TENSOR_NAME + 16];

    return st_put(w, part(name, x, "W"), x->data, x->bytes, e) ||
                   put_matrix(w, part(name, x, "H"), v->S, v->K, v->sum_w, e) ||
                   (v->D && put_matrix(w, part(name, x, "D"), v->D, v->K, v->sum_w, e)) ||
                   st_put(w, part(name, x, "tokens"), &tokens, sizeof tokens, e)
               ? -1
               : 0;
}

/* Every linear of the file, once; an incomplete stream is an error. */
static int each_linear(const char *problems, struct st_writer *w, visit_fn *visit, size_t *count,
                       struct err *e)
{
    const struct link_opts o = {.name = "stream"};
    struct link *in = link_open(problems, LINK_IN, &o, e);
    struct problem_view *v = mem_array(1, sizeof *v, e);
    struct msg *m = NULL;
    int rc = -1;

    *count = 0;
    while (in && v && (rc = link_recv(in, &m, -1, e)) == 1) {
        rc = problem_read(m, v, e);
        if (rc == 0 && (!(v->sum_w > 0) || !v->tokens))
            rc = err_set(e, ERR_DATA, "'%s': no calibration rows", m->id);
        for (size_t i = 0; rc == 0 && i < v->nlinears; i++, ++*count)
            rc = visit(w, v, v->linear[i], e);
        msg_destroy(&m);
        if (rc)
            break;
    }
    if (rc == 2)
        rc = err_set(e, ERR_DATA, "%s: told to stop before the end", problems);
    free(v);
    link_close(&in);
    return rc;
}

int stream_sums(const char *problems, const char *path, size_t *count, struct err *e)
{
    struct st_writer *w = NULL;
    int rc = -1;

    *count = 0;
    if (strcmp(problems, "-") == 0 || problems[0] == '@' || strstr(problems, "://") ||
        fs_check_regular(problems, NULL) < 0)
        return err_set(e, ERR_USE, "'%s': problems are read twice, give the path of a file",
                       problems);
    if (fs_same(problems, path))
        return err_set(e, ERR_USE, "'%s' is read: write to another file", path);
    w = st_create(path, e);
    if (!w || each_linear(problems, w, declare, count, e))
        goto out;
    if (*count == 0) {
        err_set(e, ERR_DATA, "%s: holds no problem", problems);
        goto out;
    }
    if (st_begin(w, e) || each_linear(problems, w, put, count, e))
        goto out;
    rc = st_publish(&w, e);
out:
    st_abort(&w);
    return rc;
}

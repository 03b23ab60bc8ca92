/* SPDX-License-Identifier: Apache-2.0 */
/* stream_imatrix - problems to an importance matrix as llama-imatrix of llama.cpp writes it
 * (tools/imatrix/imatrix.cpp) and llama-quantize --imatrix reads it: for each weight the sum of the
 * squares of every input, and how many rows that is of. The matrices of all experts of a block are
 * one tensor there: their sums stand behind each other, of one that no row came to zeros. */
#include "stream.h"

#include <stdlib.h>
#include <string.h>
#include "../../../common/base/fs.h"
#include "../../../common/base/mem.h"
#include "../../../common/tensor/gguf_names.h"
#include "../../../common/tensor/gguf_write.h"
#include "../../../common/wire/msg_problem.h"

/* More than any model has; a name in a file may say anything. */
#define EXPERTS_MOST 65536

struct entry {
    char name[GGUF_NAME]; /* of the weight in a GGUF file */
    int64_t expert;       /* -1: of none */
    size_t K;
    float *sum2; /* [K]; owned */
    float count;
};

struct matrix {
    struct entry *entry;
    size_t count, cap;
    size_t experts;             /* of a block */
    uint64_t tokens, sequences; /* of the site that saw the most */
};

static void matrix_release(struct matrix *x)
{
    for (size_t i = 0; i < x->count; i++)
        free(x->entry[i].sum2);
    free(x->entry);
}

static int name_of(const char *linear, struct entry *x, struct err *e)
{
    char tensor[TENSOR_NAME + 8];
    const struct gguf_name *n;
    int64_t block;

    snprintf(tensor, sizeof tensor, "%s.weight", linear);
    if (!(n = gguf_name_find(NULL, tensor, &block, &x->expert)) || block < 0)
        return err_set(e, ERR_USE,
                       "'%s': llama.cpp has no weight of its own for it; an importance matrix is "
                       "made of models that --format gguf writes",
                       linear);
    snprintf(x->name, sizeof x->name, "blk.%lld.%s", (long long)block, n->file);
    return 0;
}

/* Sums whose rows weigh differently are brought to the number of their rows: what is read is the
 * mean square. */
static float *diagonal(const struct problem_view *v, struct err *e)
{
    const size_t width = dtype_size(v->S->dtype);
    const double scale = v->sum_w > 0 ? (double)v->tokens / v->sum_w : 0;
    float *out = mem_array(v->K, sizeof *out, e);

    for (size_t k = 0; out && k < v->K; k++) {
        double s;

        dtype_to_f64(v->S->dtype, (const char *)v->S->data + (k * (k + 3) / 2) * width, 1, &s);
        out[k] = (float)(s * scale);
    }
    return out;
}

static int add(struct matrix *x, const struct problem_view *v, const char *linear, struct err *e)
{
    struct entry n = {.K = v->K, .count = (float)v->tokens};

    if (name_of(linear, &n, e))
        return -1;
    if (n.expert < 0 && (!(v->sum_w > 0) || !v->tokens))
        return err_set(e, ERR_DATA, "'%s': no calibration rows", linear);
    if (n.expert >= EXPERTS_MOST)
        return err_set(e, ERR_DATA, "'%s': a block has %d experts at most", linear, EXPERTS_MOST);
    if (n.expert >= (int64_t)x->experts)
        x->experts = (size_t)n.expert + 1;
    if (mem_grow((void **)&x->entry, &x->cap, x->count + 1, sizeof *x->entry, e) ||
        !(n.sum2 = diagonal(v, e)))
        return -1;
    x->entry[x->count++] = n;
    return 0;
}

static int problem_add(struct matrix *x, const struct msg *m, struct problem_view *v, struct err *e)
{
    if (problem_read(m, v, e))
        return -1;
    if (v->tokens > x->tokens) {
        x->tokens = v->tokens;
        x->sequences = v->sequences;
    }
    for (size_t i = 0; i < v->nlinears; i++)
        if (add(x, v, v->linear[i]->name, e))
            return -1;
    return 0;
}

static int collect(const char *problems, struct matrix *x, struct err *e)
{
    const struct link_opts o = {.name = "stream"};
    struct link *in = link_open(problems, LINK_IN, &o, e);
    struct problem_view *v = mem_array(1, sizeof *v, e);
    struct msg *m = NULL;
    int rc = -1;

    while (in && v && (rc = link_recv(in, &m, -1, e)) == 1) {
        rc = problem_add(x, m, v, e);
        msg_destroy(&m);
        if (rc)
            break;
    }
    if (rc == 2)
        rc = err_set(e, ERR_DATA, "%s: told to stop before the end", problems);
    if (rc == 0 && x->count == 0)
        rc = err_set(e, ERR_DATA, "%s: holds no problem", problems);
    free(v);
    link_close(&in);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    const int names = strcmp(x->name, y->name);

    return names ? names : (x->expert > y->expert) - (x->expert < y->expert);
}

/* Where the next weight begins: those of its experts stand together. -1: one stands twice, or they
 * differ in width. */
static int64_t group_end(const struct matrix *x, size_t first, struct err *e)
{
    const struct entry *all = x->entry;
    size_t i = first + 1;

    for (; i < x->count && strcmp(all[i].name, all[first].name) == 0; i++) {
        if (all[i].expert == all[i - 1].expert)
            return err_set(e, ERR_USE, "'%s' stands twice in the problems", all[i].name);
        if (all[i].K != all[first].K)
            return err_set(e, ERR_USE, "'%s': experts of %zu and of %zu inputs", all[i].name,
                           all[first].K, all[i].K);
    }
    return (int64_t)i;
}

static int meta_make(const struct matrix *x, struct gguf_meta *m, struct err *e)
{
    static const char source[] = "ptqflow";
    const uint64_t chunks = x->sequences ? x->sequences : 1;

    return gguf_meta_text(m, "general.type", "imatrix", e) ||
                   gguf_meta_texts(m, "imatrix.datasets", 1, e) ||
                   gguf_meta_item(m, source, sizeof source - 1, e) ||
                   gguf_meta_u32(m, "imatrix.chunk_count", chunks, e) ||
                   gguf_meta_u32(m, "imatrix.chunk_size", (x->tokens + chunks - 1) / chunks, e)
               ? -1
               : 0;
}

static int group_put(struct gguf_writer *w, const struct entry *x, size_t count, size_t matrices,
                     const char *sum, const char *counts, struct err *e)
{
    float *all = mem_array(matrices * x->K, sizeof *all, e), *n = mem_array(matrices, sizeof *n, e);
    int rc = -1;

    if (!all || !n)
        goto out;
    for (size_t i = 0; i < count; i++) {
        const size_t at = x[i].expert < 0 ? 0 : (size_t)x[i].expert;

        memcpy(all + at * x->K, x[i].sum2, x->K * sizeof *all);
        n[at] = x[i].count;
    }
    rc = gguf_put_part(w, sum, 0, all, matrices * x->K * sizeof *all, e) ||
                 gguf_put_part(w, counts, 0, n, matrices * sizeof *n, e)
             ? -1
             : 0;
out:
    free(all);
    free(n);
    return rc;
}

/* One weight, of one matrix or of those of all experts. put 0: declares, 1: gives the data. */
static int group_write(struct gguf_writer *w, const struct entry *x, size_t count, size_t experts,
                       int put, struct err *e)
{
    const size_t matrices = x->expert < 0 ? 1 : experts;
    const uint64_t wide[2] = {matrices, x->K}, one[2] = {matrices, 1};
    char sum[GGUF_NAME + 16], counts[GGUF_NAME + 16];

    snprintf(sum, sizeof sum, "%s.in_sum2", x->name);
    snprintf(counts, sizeof counts, "%s.counts", x->name);
    if (put)
        return group_put(w, x, count, matrices, sum, counts, e);
    return gguf_declare(w, sum, GGUF_F32, 2, wide, e) ||
                   gguf_declare(w, counts, GGUF_F32, 2, one, e)
               ? -1
               : 0;
}

static int matrix_write(struct matrix *x, const char *path, struct err *e)
{
    struct gguf_meta m = {0};
    struct gguf_writer *w = NULL;
    int64_t end;
    int rc = -1;

    qsort(x->entry, x->count, sizeof *x->entry, by_name);
    if (meta_make(x, &m, e) || !(w = gguf_create(path, e)))
        goto out;
    for (int put = 0; put < 2; put++) {
        for (size_t i = 0; i < x->count; i = (size_t)end)
            if ((end = group_end(x, i, e)) < 0 ||
                group_write(w, &x->entry[i], (size_t)end - i, x->experts, put, e))
                goto out;
        if (!put && gguf_begin(w, &m, e))
            goto out;
    }
    rc = gguf_publish(&w, e);
out:
    gguf_abort(&w);
    gguf_meta_release(&m);
    return rc;
}

int stream_imatrix(const char *problems, const char *path, size_t *count, struct err *e)
{
    struct matrix x = {.count = 0};
    int rc = -1;

    if (strcmp(problems, "-") && fs_same(problems, path))
        err_set(e, ERR_USE, "'%s' is read: write to another file", path);
    else if (collect(problems, &x, e) == 0)
        rc = matrix_write(&x, path, e);
    *count = x.count;
    matrix_release(&x);
    return rc;
}

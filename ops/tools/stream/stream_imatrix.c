/* SPDX-License-Identifier: Apache-2.0 */
/* stream_imatrix - problems to an importance matrix as llama-imatrix of llama.cpp writes it
 * (tools/imatrix/imatrix.cpp) and llama-quantize --imatrix reads it: for each weight the sum of the
 * squares of every input, and how many rows that is of. Left out: experts, whose matrices llama.cpp
 * keeps in one tensor. */
#include "stream.h"

#include <stdlib.h>
#include <string.h>
#include "../../../common/base/fs.h"
#include "../../../common/base/mem.h"
#include "../../../common/tensor/gguf_names.h"
#include "../../../common/tensor/gguf_write.h"
#include "../../../common/wire/msg_problem.h"

struct entry {
    char name[GGUF_NAME]; /* of the weight in a GGUF file */
    size_t K;
    float *sum2; /* [K]; owned */
    float count;
};

struct matrix {
    struct entry *entry;
    size_t count, cap;
    uint64_t tokens, sequences; /* of the site that saw the most */
};

static void matrix_release(struct matrix *x)
{
    for (size_t i = 0; i < x->count; i++)
        free(x->entry[i].sum2);
    free(x->entry);
}

static int name_of(const char *linear, char out[GGUF_NAME], struct err *e)
{
    char tensor[TENSOR_NAME + 8];
    const struct gguf_name *n;
    int64_t block, expert;

    snprintf(tensor, sizeof tensor, "%s.weight", linear);
    if (!(n = gguf_name_find(NULL, tensor, &block, &expert)) || block < 0 || expert >= 0)
        return err_set(e, ERR_USE,
                       "'%s': llama.cpp has no weight of its own for it; an importance matrix is "
                       "made of dense Llama-like models only",
                       linear);
    snprintf(out, GGUF_NAME, "blk.%lld.%s", (long long)block, n->file);
    return 0;
}

/* Sums whose rows weigh differently are brought to the number of their rows: what is read is the
 * mean square. */
static float *diagonal(const struct problem_view *v, struct err *e)
{
    const size_t width = dtype_size(v->S->dtype);
    const double scale = (double)v->tokens / v->sum_w;
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

    if (name_of(linear, n.name, e))
        return -1;
    for (size_t i = 0; i < x->count; i++)
        if (strcmp(x->entry[i].name, n.name) == 0)
            return err_set(e, ERR_USE, "'%s' stands twice in the problems", linear);
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
    if (!(v->sum_w > 0) || !v->tokens)
        return err_set(e, ERR_DATA, "'%s': no calibration rows", m->id);
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
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
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

/* put 0: declares, 1: gives the data. */
static int entry_write(struct gguf_writer *w, const struct entry *x, int put, struct err *e)
{
    const uint64_t wide[2] = {1, x->K}, one[2] = {1, 1};
    char sum[GGUF_NAME + 16], count[GGUF_NAME + 16];

    snprintf(sum, sizeof sum, "%s.in_sum2", x->name);
    snprintf(count, sizeof count, "%s.counts", x->name);
    if (!put)
        return gguf_declare(w, sum, GGUF_F32, 2, wide, e) ||
                       gguf_declare(w, count, GGUF_F32, 2, one, e)
                   ? -1
                   : 0;
    return gguf_put_part(w, sum, 0, x->sum2, x->K * sizeof *x->sum2, e) ||
                   gguf_put_part(w, count, 0, &x->count, sizeof x->count, e)
               ? -1
               : 0;
}

static int matrix_write(struct matrix *x, const char *path, struct err *e)
{
    struct gguf_meta m = {0};
    struct gguf_writer *w = NULL;
    int rc = -1;

    qsort(x->entry, x->count, sizeof *x->entry, by_name);
    if (meta_make(x, &m, e) || !(w = gguf_create(path, e)))
        goto out;
    for (int put = 0; put < 2; put++) {
        for (size_t i = 0; i < x->count; i++)
            if (entry_write(w, &x->entry[i], put, e))
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

/* SPDX-License-Identifier: Apache-2.0 */
/* stream_export - solutions to safetensors: see stream.h. */
#include "stream.h"

#include <stdlib.h>
#include <string.h>
#include "../../../common/base/fs.h"
#include "../../../common/base/mem.h"
#include "../../../common/format/coded.h"
#include "../../../common/tensor/safetensors.h"
#include "../../../common/wire/msg_solution.h"

typedef int visit_fn(struct st_writer *w, const struct solution_linear *x, struct err *e);

static const char *full_name(char out[TENSOR_NAME + 16], const struct solution_linear *x)
{
    snprintf(out, TENSOR_NAME + 16, "%s.dequantized", x->name);
    return out;
}

static int declare(struct st_writer *w, const struct solution_linear *x, struct err *e)
{
    const struct tensor *part[SOLUTION_PARTS];
    const size_t parts = solution_parts(x, part);
    const uint64_t wide[2] = {x->N, x->K};
    char name[TENSOR_NAME + 16];

    for (size_t i = 0; i < parts; i++)
        if (st_declare(w, part[i]->name, part[i]->dtype, part[i]->ndim, part[i]->shape, e))
            return -1;
    return parts ? st_declare(w, full_name(name, x), DT_F32, 2, wide, e) : 0;
}

static int put(struct st_writer *w, const struct solution_linear *x, struct err *e)
{
    const struct tensor *part[SOLUTION_PARTS];
    const size_t parts = solution_parts(x, part);
    char name[TENSOR_NAME + 16];
    struct coded codes;
    float *value = NULL;
    size_t cells;
    int rc = -1;

    if (!parts)
        return 0;
    if (mem_mul(x->N, x->K, &cells))
        return err_set(e, ERR_SYS, "%s: too large", x->name);
    for (size_t i = 0; i < parts; i++)
        if (st_put(w, part[i]->name, part[i]->data, part[i]->bytes, e))
            return -1;
    if (coded_read(x, &codes, e) == 0 && (value = mem_raw(cells, sizeof *value, e)) &&
        coded_decode(&codes, 0, x->N, value, e) == 0 &&
        st_put(w, full_name(name, x), value, cells * sizeof *value, e) == 0)
        rc = 0;
    free(value);
    return rc;
}

/* Every linear of the file, once; an incomplete stream is an error. */
static int each_linear(const char *solutions, struct st_writer *w, visit_fn *visit, size_t *count,
                       struct err *e)
{
    const struct link_opts o = {.name = "stream"};
    struct link *in = link_open(solutions, LINK_IN, &o, e);
    struct solution_view *v = mem_array(1, sizeof *v, e);
    struct msg *m = NULL;
    int rc = -1;

    *count = 0;
    while (in && v && (rc = link_recv(in, &m, -1, e)) == 1) {
        rc = solution_read(m, v, e);
        for (size_t i = 0; rc == 0 && i < v->nlinears; i++, ++*count)
            rc = visit(w, &v->linear[i], e);
        msg_destroy(&m);
        if (rc)
            break;
    }
    if (rc == 2)
        rc = err_set(e, ERR_DATA, "%s: told to stop before the end", solutions);
    free(v);
    link_close(&in);
    return rc;
}

int stream_export(const char *solutions, const char *path, size_t *count, struct err *e)
{
    struct st_writer *w = NULL;
    int rc = -1;

    if (strcmp(solutions, "-") == 0 || solutions[0] == '@' || strstr(solutions, "://") ||
        fs_check_regular(solutions, NULL) < 0)
        return err_set(e, ERR_USE, "'%s': solutions are read twice, give the path of a file",
                       solutions);
    if (fs_same(solutions, path))
        return err_set(e, ERR_USE, "'%s' is read: write to another file", path);
    w = st_create(path, e);
    if (!w || each_linear(solutions, w, declare, count, e))
        goto out;
    if (*count == 0) {
        err_set(e, ERR_DATA, "%s: holds no solution", solutions);
        goto out;
    }
    if (st_begin(w, e) || each_linear(solutions, w, put, count, e))
        goto out;
    rc = st_publish(&w, e);
out:
    st_abort(&w);
    return rc;
}

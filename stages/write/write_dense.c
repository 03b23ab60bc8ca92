/* SPDX-License-Identifier: Apache-2.0 */
/* write_dense - the quantized model as an ordinary checkpoint: same names, shapes and types as
 * the source, config.json as it was. Each weight is scale * (code - zero), once rounded to f32
 * (grid.h) and once from there to the source's type. */
#include <stdlib.h>
#include <string.h>

#include "../../common/base/mem.h"
#include "../../common/format/coded.h"
#include "write_format.h"

#define ROWS 64 /* converted at a time */

/* Every grid that a solution can have is a set of numbers. */
static int check(const struct plan *p, const struct plan_linear *l, const struct solution_linear *s,
                 struct err *e)
{
    (void)p;
    (void)l;
    (void)s;
    (void)e;
    return 0;
}

static int describe(const struct plan_linear *l, struct layout_tensor t[LAYOUT_TENSORS],
                    struct err *e)
{
    (void)e;
    memset(t, 0, sizeof *t);
    snprintf(t->name, sizeof t->name, "%s", l->source.name);
    t->dtype = l->source.dtype;
    t->ndim = 2;
    t->shape[0] = l->N;
    t->shape[1] = l->K;
    return 1;
}

static int put(const struct plan_linear *l, const struct solution_linear *s, struct st_writer *w,
               struct err *e)
{
    size_t width = dtype_size(l->source.dtype), step = l->N < ROWS ? l->N : ROWS;
    unsigned char *out = mem_raw(l->N * l->K, width, e);
    float *rows = out ? mem_raw(step * l->K, sizeof *rows, e) : NULL;
    struct coded c;
    struct tensor t;
    int rc = -1;

    if (!rows || coded_read(s, &c, e))
        goto out;
    for (size_t n = 0; n < l->N; n += step) {
        size_t count = l->N - n < step ? l->N - n : step;

        if (coded_decode(&c, n, count, rows, e))
            goto out;
        dtype_from_f32(l->source.dtype, rows, count * l->K, out + n * l->K * width);
    }
    if (tensor_borrow(&t, l->name, l->source.dtype, 2, l->source.shape, out, e))
        goto out;
    if (tensor_count_bad(&t))
        err_set(e, ERR_USE, "'%s': dequantized weights do not fit type %s", l->name,
                dtype_name(l->source.dtype));
    else
        rc = st_put(w, l->source.name, out, t.bytes, e);
out:
    free(rows);
    free(out);
    return rc;
}

static const struct layout layout = {describe, put, NULL, NULL};

static int assemble(struct assembly *a, struct err *e)
{
    return assemble_safetensors(a, &layout, e);
}

extern const struct output_format format_dense;
const struct output_format format_dense = {
    .name = "dense",
    .about = "dequantized weights in the types of the source, for any reader",
    .check = check,
    .assemble = assemble,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* write_gguf - model.gguf from the source checkpoint and the codes: metadata and tokenizer
 * (gguf_model.h), tensors under the names of llama.cpp. Linears are blocks of their codes; matrices
 * that are kept stay in the type of the source, vectors become F32. What it leaves out: files of a
 * split model. */
#include <stdlib.h>
#include <string.h>

#include "../../common/base/fs.h"
#include "../../common/base/mem.h"
#include "../../common/format/format_gguf.h"
#include "../../common/model/gguf_model.h"
#include "write_assemble.h"

#define FILE_NAME "model.gguf"
#define PIECE ((uint64_t)1 << 20) /* numbers copied at a time, unless one head is more */

/* general.file_type: what most of the file is of. */
enum { MOSTLY_F16 = 1, MOSTLY_Q4_0 = 2, MOSTLY_Q4_1 = 3, MOSTLY_Q8_0 = 7, MOSTLY_BF16 = 32 };

struct job {
    struct assembly *a;
    const struct format *format;
    struct gguf_writer *w;
    const struct plan_linear *linear; /* whose codes are being put */
};

static int place_of(const struct job *j, const char *name, struct gguf_place *p, struct err *e)
{
    return gguf_model_place(&j->a->plan->config, j->a->plan->source, name, p, e);
}

static int declare(struct job *j, const char *name, uint32_t type, int ndim, const uint64_t *shape,
                   struct err *e)
{
    uint64_t row, rows = (ndim > 1 ? shape[0] : 1) * (ndim > 2 ? shape[1] : 1);

    if (gguf_declare(j->w, name, type, ndim, shape, e) ||
        gguf_row_bytes(type, shape[ndim - 1], &row))
        return -1;
    j->a->bytes += row * rows;
    return 0;
}

/* Of experts the first one stands for all. */
static int declare_at(struct job *j, const struct gguf_place *place, uint32_t type, int ndim,
                      const uint64_t *shape, struct err *e)
{
    if (!place->matrices)
        return declare(j, place->name, type, ndim, shape, e);
    return place->which ? 0
                        : declare(j, place->name, type, 3,
                                  (const uint64_t[]){place->matrices, shape[0], shape[1]}, e);
}

/* Bits of the blocks that a matrix at an end of the model is rounded to; 0: it is copied. */
static int head_bits(const struct job *j, const struct gguf_place *place)
{
    return strcmp(place->name, "token_embd.weight") == 0 ||
                   strcmp(place->name, "output.weight") == 0
               ? j->a->head_bits
               : 0;
}

static uint32_t type_of(const struct job *j, const struct st_entry *x,
                        const struct gguf_place *place)
{
    const int bits = head_bits(j, place);

    return bits == 8 ? GGUF_Q8_0 : bits == 4 ? GGUF_Q4_0 : gguf_model_type(x, place);
}

/* A linear that is not kept stands where its weight, or the mark of its codes, was. */
static int declare_one(struct job *j, const struct st_entry *x, struct err *e)
{
    const struct plan *p = j->a->plan;
    const struct plan_linear *part = plan_find_part(p, x->name),
                             *l = part ? part : plan_find_weight(p, x->name);
    char name[TENSOR_NAME + 8];
    struct gguf_place place;

    if (part && strcmp(part->source.name, x->name) != 0)
        return 0;
    if (!l || l->f.kept) {
        if (place_of(j, x->name, &place, e))
            return -1;
        return place.left_out ? 0
                              : declare_at(j, &place, type_of(j, x, &place), x->ndim, x->shape, e);
    }
    snprintf(name, sizeof name, "%s.weight", l->f.name);
    return place_of(j, name, &place, e) ? -1
                                        : declare_at(j, &place, format_gguf_type(&l->f), 2,
                                                     (const uint64_t[]){l->f.N, l->f.K}, e);
}

static uint64_t file_type(const struct plan *p)
{
    static const struct {
        uint32_t blocks, file;
    } types[] = {{GGUF_Q4_0, MOSTLY_Q4_0}, {GGUF_Q4_1, MOSTLY_Q4_1}, {GGUF_Q8_0, MOSTLY_Q8_0}};
    double of[sizeof types / sizeof *types] = {0}, most = 0;
    uint64_t out = p->nlinears && p->linear[0].f.source_type == DT_F16 ? MOSTLY_F16 : MOSTLY_BF16;

    for (size_t i = 0; i < p->nlinears; i++)
        for (size_t k = 0; k < sizeof types / sizeof *types && !p->linear[i].f.kept; k++)
            if (format_gguf_type(&p->linear[i].f) == types[k].blocks)
                of[k] += (double)p->linear[i].f.N * (double)p->linear[i].f.K;
    for (size_t k = 0; k < sizeof types / sizeof *types; k++)
        if (of[k] > most) {
            most = of[k];
            out = types[k].file;
        }
    return out;
}

static int begin(struct job *j, const struct gguf_table *tables, struct err *e)
{
    const struct plan *p = j->a->plan;
    struct gguf_meta m = {0};
    int rc = -1;

    if (gguf_model_meta(p->dir, &p->config, &m, e) ||
        gguf_meta_u32(&m, "general.file_type", file_type(p), e) ||
        gguf_meta_text(&m, ST_RECORDS ".records", j->a->prov, e))
        goto out;
    for (size_t i = 0; i < p->source->count; i++)
        if (declare_one(j, &p->source->entries[i], e))
            goto out;
    for (size_t i = 0; i < GGUF_TABLES; i++)
        if (tables[i].values &&
            declare(j, tables[i].name, GGUF_F32, 1, (const uint64_t[]){tables[i].n}, e))
            goto out;
    rc = gguf_begin(j->w, &m, e);
out:
    gguf_meta_release(&m);
    return rc;
}

/* ---- what is kept ---- */

/* Rows as the file has them: *rows is replaced. */
static int weave(void **rows, uint64_t count, size_t bytes, uint64_t head, struct err *e)
{
    char *out = mem_raw((size_t)count, bytes, e);

    if (!out)
        return -1;
    for (uint64_t i = 0; i < count; i += head)
        gguf_model_weave((char *)*rows + i * bytes, out + i * bytes, head, bytes);
    free(*rows);
    *rows = out;
    return 0;
}

/* As the source has them, or as a solution wants them. */
static int rows_read(const struct job *j, const struct st_entry *x, uint64_t first, uint64_t rows,
                     size_t width, float *values, struct err *e)
{
    const struct plan *p = j->a->plan;
    const struct plan_changed *c = plan_find_changed(p, x->name);
    const struct tensor *t;
    struct msg *m;

    if (!c)
        return st_load_rows_f32(p->source, x, first, rows, values, e);
    if ((t = assemble_changed(p, j->a->parts, c, &m, e)))
        dtype_to_f32(t->dtype, (const char *)t->data + (size_t)first * width * dtype_size(t->dtype),
                     (size_t)rows * width, values);
    msg_destroy(&m);
    return t ? 0 : -1;
}

static int piece_copy(struct job *j, const struct st_entry *x, const struct gguf_place *place,
                      uint64_t first, uint64_t rows, struct err *e)
{
    const uint64_t width = x->ndim > 1 ? x->shape[1] : 1;
    const enum gguf_type type = gguf_model_type(x, place);
    const enum dtype stored = type == GGUF_F32 ? DT_F32 : type == GGUF_F16 ? DT_F16 : DT_BF16;
    const size_t n = (size_t)(rows * width), bytes = (size_t)width * dtype_size(stored);
    float *values = mem_raw(n, sizeof *values, e);
    void *out = values ? mem_raw(n, dtype_size(stored), e) : NULL;
    int rc = -1;

    if (!out || rows_read(j, x, first, rows, (size_t)width, values, e))
        goto out;
    for (size_t i = 0; place->shift > 0 && i < n; i++)
        values[i] += place->shift;
    if (dtype_from_f32(stored, values, n, out)) {
        err_set(e, ERR_USE, "tensor '%s' cannot be stored as %s", x->name, dtype_name(stored));
        goto out;
    }
    if (place->head_rows && weave(&out, rows, bytes, place->head_rows, e))
        goto out;
    rc = gguf_put_at(j->w, place->name, (place->which * x->shape[0] + first) * bytes, out,
                     rows * bytes, e);
out:
    free(out);
    free(values);
    return rc;
}

static int piece_round(struct job *j, const struct st_entry *x, const struct gguf_place *place,
                       uint64_t first, uint64_t rows, struct err *e)
{
    const size_t n = (size_t)(rows * x->shape[1]);
    float *values = mem_raw(n, sizeof *values, e);
    uint64_t row;
    void *out = NULL;
    int rc = -1;

    if (values && gguf_row_bytes(type_of(j, x, place), x->shape[1], &row)) {
        err_set(e, ERR_USE, "'%s': --lm-head needs rows of whole blocks of 32, these have %llu",
                x->name, (unsigned long long)x->shape[1]);
    } else if (values && (out = mem_raw((size_t)row, (size_t)rows, e)) &&
               st_load_finite_f32(j->a->plan->source, x, first, rows, values, e) == 0) {
        format_gguf_round(head_bits(j, place), values, n, out);
        rc = gguf_put_at(j->w, place->name, first * row, out, rows * row, e);
    }
    free(out);
    free(values);
    return rc;
}

static int copy_one(struct job *j, const struct st_entry *x, struct err *e)
{
    const struct plan *p = j->a->plan;
    const struct plan_linear *l = plan_find_weight(p, x->name);
    const uint64_t width = x->ndim > 1 ? x->shape[1] : 1;
    struct gguf_place place;
    uint64_t step = PIECE / width;

    if (plan_find_part(p, x->name) || (l && !l->f.kept))
        return 0;
    if (place_of(j, x->name, &place, e))
        return -1;
    if (place.left_out)
        return 0;
    if (place.head_rows)
        step = step < place.head_rows ? place.head_rows : step / place.head_rows * place.head_rows;
    step = step ? step : 1;
    for (uint64_t first = 0; first < x->shape[0]; first += step) {
        const uint64_t left = x->shape[0] - first;

        if ((head_bits(j, &place) ? piece_round : piece_copy)(j, x, &place, first,
                                                              left < step ? left : step, e))
            return -1;
    }
    return 0;
}

/* ---- what is quantized ---- */

/* As format_emit: bytes [N, a row]. */
static int emit(void *ctx, const char *name, const void *data, size_t bytes, struct err *e)
{
    struct job *j = ctx;
    const uint64_t rows = j->linear->f.N;
    struct gguf_place place;
    void *copy = NULL;
    int rc;

    if (place_of(j, name, &place, e))
        return -1;
    if (!place.head_rows)
        return gguf_put_at(j->w, place.name, place.which * bytes, data, bytes, e);
    if (!(copy = mem_raw(bytes, 1, e)))
        return -1;
    memcpy(copy, data, bytes);
    rc = weave(&copy, rows, bytes / rows, place.head_rows, e) ||
                 gguf_put_part(j->w, place.name, 0, copy, bytes, e)
             ? -1
             : 0;
    free(copy);
    return rc;
}

static int linear_write(void *arg, const struct plan_linear *l, const struct coded *c,
                        struct err *e)
{
    struct job *j = arg;

    j->linear = l;
    return j->format->put(&l->f, c, emit, j, e);
}

static int tensors_write(struct job *j, const struct gguf_table *tables, struct err *e)
{
    const struct plan *p = j->a->plan;

    for (size_t i = 0; i < p->source->count; i++)
        if (copy_one(j, &p->source->entries[i], e))
            return -1;
    for (size_t i = 0; i < GGUF_TABLES; i++)
        if (tables[i].values && gguf_put_part(j->w, tables[i].name, 0, tables[i].values,
                                              tables[i].n * sizeof(float), e))
            return -1;
    return j->a->codes(j->a, linear_write, j, e);
}

int assemble_gguf(struct assembly *a, const struct format *format, struct err *e)
{
    struct job j = {.a = a, .format = format};
    char *path = fs_join(a->folder, FILE_NAME, e);
    struct gguf_table tables[GGUF_TABLES];
    int rc = -1;

    if (gguf_model_tables(&a->plan->config, tables, e) == 0 && path &&
        (j.w = gguf_create(path, e)) && begin(&j, tables, e) == 0 &&
        tensors_write(&j, tables, e) == 0)
        rc = gguf_publish(&j.w, e);
    gguf_abort(&j.w);
    gguf_model_tables_release(tables);
    free(path);
    return rc ? -1 : card_publish(a, format, e);
}

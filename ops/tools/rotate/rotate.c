/* SPDX-License-Identifier: Apache-2.0 */
/* rotate - folds a rotation of the residual stream into a checkpoint (QuaRot, arXiv 2404.00456,
 * stage 1a; SliceGPT, arXiv 2401.15024, for the norms).
 *
 * The stream h [T,d] becomes h Q. An RMS norm without weights commutes with Q, so its weights g
 * go into the linears behind it first:
 *     E -> E Q      W g -> (W diag g) Q  (q k v, gate up, head)      Wo, Wdown -> Q' W
 *     their biases b -> b Q      g -> 1
 * Norms of heads and all that happens within a head stay. The head gets the final norm's
 * weights, the embeddings do not: a tied model is untied. Products in f64 on tiles fixed by the
 * shape, rounded once. A reader's rows go through in pieces; of a writer's tensor the whole is
 * in memory. Left out: online rotations (values, the input of down), which change the graph;
 * sharded output. */
#include "rotate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../../common/base/fs.h"
#include "../../../common/base/log.h"
#include "../../../common/base/mem.h"
#include "../../../common/base/sig.h"
#include "../../../common/base/status.h"
#include "../../../common/base/version.h"
#include "../../../common/model/config_text.h"
#include "../../../common/model/sidecar.h"
#include "../../../common/text/model_file.h"
#include "../../../common/model/vec.h"
#include "../../../common/tensor/blas.h"
#include "../../../common/tensor/hadamard.h"
#include "../newdir.h"
#include "rotate_plan.h"

#define PIECE ((size_t)1 << 22) /* elements, unless one row is more */
enum { TILE = 32 };             /* rows or columns that a thread rotates at a time */

struct job {
    const struct rotate_opts *o;
    struct par *par;
    struct model *m;
    struct rotation *q;
    struct rotate_plan plan;
    struct st_writer *w;
    double *room; /* of each worker: a tile [TILE,d] and scratch of the same size */
    double *fold; /* [d] */
    float *in;
    unsigned char *out;
    size_t cap_in, cap_out;
};

static size_t width_of(const struct job *j)
{
    return model_config(j->m)->d;
}

static enum dtype dtype_of(const struct job *j, const struct rotate_item *x)
{
    return j->o->dtype == DT_COUNT || !dtype_is_float(x->from->dtype) ? x->from->dtype
                                                                      : j->o->dtype;
}

/* ---- one piece: in -> out ---- */

struct piece {
    struct job *j;
    size_t rows, width; /* of the piece as it is stored */
    enum dtype dtype;
    int folded;
};

static double *tile_room(const struct job *j, size_t worker)
{
    return j->room + worker * 2 * TILE * width_of(j);
}

static int rows_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct piece *p = ctx;
    const size_t d = p->width, first = i * TILE,
                 n = p->rows - first < TILE ? p->rows - first : TILE;
    double *x = tile_room(p->j, worker);

    dtype_to_f64(DT_F32, p->j->in + first * d, n * d, x);
    for (size_t r = 0; p->folded && r < n; r++)
        for (size_t k = 0; k < d; k++)
            x[r * d + k] *= p->j->fold[k];
    if (rotation_apply(p->j->q, n, x, x + TILE * d, e))
        return -1;
    dtype_from_f64(p->dtype, x, n * d, p->j->out + first * d * dtype_size(p->dtype));
    return 0;
}

/* Columns of the tensor are rows of the tile. */
static int columns_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct piece *p = ctx;
    const size_t d = p->rows, first = i * TILE,
                 n = p->width - first < TILE ? p->width - first : TILE;
    double *x = tile_room(p->j, worker), line[TILE];

    for (size_t r = 0; r < d; r++)
        for (size_t k = 0; k < n; k++)
            x[k * d + r] = (double)p->j->in[r * p->width + first + k];
    if (rotation_apply(p->j->q, n, x, x + TILE * d, e))
        return -1;
    for (size_t r = 0; r < d; r++) {
        for (size_t k = 0; k < n; k++)
            line[k] = x[k * d + r];
        dtype_from_f64(p->dtype, line, n,
                       p->j->out + (r * p->width + first) * dtype_size(p->dtype));
    }
    return 0;
}

static int piece_compute(struct piece *p, enum rotate_action action, struct err *e)
{
    const size_t tiles = ((action == ROTATE_COLUMNS ? p->width : p->rows) + TILE - 1) / TILE;

    switch (action) {
    case ROTATE_ROWS:
        return par_for(p->j->par, tiles, rows_tile, p, e);
    case ROTATE_COLUMNS:
        return par_for(p->j->par, tiles, columns_tile, p, e);
    case ROTATE_ONES:
        for (size_t i = 0; i < p->rows * p->width; i++)
            p->j->in[i] = 1.0f;
        break;
    case ROTATE_KEEP:
        break;
    }
    dtype_from_f32(p->dtype, p->j->in, p->rows * p->width, p->j->out);
    return 0;
}

/* ---- one tensor ---- */

static int numbers_put(struct job *j, const struct rotate_item *x, enum dtype dtype, uint64_t at,
                       size_t n, struct err *e)
{
    const uint64_t shape[] = {n};
    struct tensor t;

    if (tensor_borrow(&t, x->name, dtype, 1, shape, j->out, e))
        return -1;
    if (tensor_count_bad(&t))
        return err_set(e, ERR_USE, "tensor '%s' does not fit type %s; use --dtype bf16", x->name,
                       dtype_name(dtype));
    return st_put_part(j->w, x->name, at, j->out, t.bytes, e);
}

static int fold_read(struct job *j, const struct st_entry *x, struct err *e)
{
    const size_t d = width_of(j);

    if (mem_grow((void **)&j->in, &j->cap_in, d, sizeof *j->in, e) ||
        st_load_finite_f32(model_tensors(j->m), x, 0, d, j->in, e))
        return -1;
    return dtype_to_f64(DT_F32, j->in, d, j->fold);
}

static int item_write(struct job *j, const struct rotate_item *x, struct err *e)
{
    const struct st_entry *from = x->from;
    const int vector = from->ndim == 1;
    struct piece p = {j, 0, vector ? (size_t)from->shape[0] : (size_t)from->shape[1],
                      dtype_of(j, x), x->fold != NULL};
    size_t rows = vector ? 1 : (size_t)from->shape[0],
           step = x->action == ROTATE_COLUMNS ? rows : PIECE / p.width;

    if (x->fold && fold_read(j, x->fold, e))
        return -1;
    for (size_t first = 0; first < rows; first += p.rows) {
        size_t n;

        p.rows = rows - first < step ? rows - first : step ? step : 1;
        if (mem_mul(p.rows, p.width, &n))
            return err_set(e, ERR_USE, "tensor '%s' is too large", x->name);
        if (mem_grow((void **)&j->in, &j->cap_in, n, sizeof *j->in, e) ||
            mem_grow((void **)&j->out, &j->cap_out, n, dtype_size(DT_F64), e) ||
            st_load_finite_f32(model_tensors(j->m), from, vector ? 0 : first, vector ? n : p.rows,
                               j->in, e) ||
            piece_compute(&p, x->action, e) ||
            numbers_put(j, x, p.dtype, (uint64_t)first * p.width * dtype_size(p.dtype), n, e))
            return -1;
    }
    return 0;
}

/* ---- the file ---- */

static struct json *record_make(const struct job *j, const struct rotate_report *report)
{
    struct json *r = json_new_object();
    char digest[17];

    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)model_digest(j->m));
    if (json_set_text(r, "stage", "rotate") || json_set_text(r, "version", PTQ_VERSION) ||
        json_set_text(r, "kind", rotation_name(report->kind)) ||
        json_set_int(r, "order", (int64_t)report->order) ||
        (report->core && json_set_int(r, "core", (int64_t)report->core)) ||
        (report->kind != ROTATION_HADAMARD && json_set_int(r, "seed", (int64_t)j->o->seed)) ||
        json_set_text(r, "dtype", j->o->dtype == DT_COUNT ? "keep" : dtype_name(j->o->dtype)) ||
        json_set_text(r, "model", digest))
        json_destroy(&r);
    return r;
}

/* The records of the source, and then this one. */
static char *prov_text(const struct job *j, const struct rotate_report *report, struct err *e)
{
    struct json *all = st_records(model_tensors(j->m));
    char *text = NULL;

    if (json_push(all, record_make(j, report)))
        err_set(e, ERR_SYS, "provenance: out of memory");
    else
        text = json_print(all, 0, e);
    json_destroy(&all);
    return text;
}

static int tensors_write(struct job *j, const struct rotate_report *report, const char *path,
                         struct err *e)
{
    char *prov = prov_text(j, report, e);
    int rc = -1;

    if (!prov || !(j->w = st_create(path, e)) || st_meta(j->w, ST_RECORDS, prov, e))
        goto out;
    for (size_t i = 0; i < j->plan.count; i++) {
        const struct rotate_item *x = &j->plan.item[i];

        if (st_declare(j->w, x->name, dtype_of(j, x), x->from->ndim, x->from->shape, e))
            goto out;
    }
    if (st_begin(j->w, e))
        goto out;
    for (size_t i = 0; i < j->plan.count; i++) {
        const struct rotate_item *x = &j->plan.item[i];
        const int same = x->action == ROTATE_KEEP && dtype_of(j, x) == x->from->dtype;

        status_update("tensors", -1, NULL, i, j->plan.count, "tensors");
        if (sig_draining()) {
            err_set(e, ERR_SYS, "stopped at tensor %zu of %zu", i, j->plan.count);
            goto out;
        }
        if (same ? st_copy(j->w, x->name, model_tensors(j->m), x->from, e) : item_write(j, x, e))
            goto out;
    }
    status_update("syncing", -1, NULL, j->plan.count, j->plan.count, "tensors");
    rc = st_publish(&j->w, e);
out:
    st_abort(&j->w);
    free(prov);
    return rc;
}

static int config_write(const struct job *j, const char *dir, struct err *e)
{
    char *to = fs_join(dir, "config.json", e), *text = NULL;
    size_t length;
    int rc = -1;

    if (!to || !(text = model_file_read(j->o->model, "config.json", (size_t)16 << 20, &length, e)))
        goto out;
    if (((model_config(j->m)->tied || model_config(j->m)->own_head) &&
         config_text_set_all(&text, "tie_word_embeddings", "false", e)) ||
        (j->o->dtype != DT_COUNT && config_text_dtype(&text, j->o->dtype, e)))
        goto out;
    rc = fs_publish(to, text, strlen(text), e);
out:
    free(text);
    free(to);
    return rc;
}

/* ---- all ---- */

static int rotation_choose(struct job *j, struct rotate_report *report, struct err *e)
{
    enum rotation_kind kind = j->o->kind;
    const size_t d = width_of(j);

    if (kind == ROTATION_HADAMARD && !hadamard_core(d))
        return err_set(
            e, ERR_USE,
            "no Hadamard matrix of order %zu (hidden_size) is known here; use --kind orthogonal",
            d);
    if (kind == ROTATION_RANDOM_HADAMARD && !hadamard_core(d)) {
        kind = ROTATION_ORTHOGONAL;
        log_warn("no Hadamard matrix of order %zu (hidden_size) is known here: the rotation is a "
                 "random orthogonal matrix",
                 d);
    }
    report->kind = kind;
    report->order = d;
    report->core = kind == ROTATION_ORTHOGONAL ? 0 : hadamard_core(d);
    report->own_head = model_config(j->m)->own_head;
    report->untied = model_config(j->m)->tied;
    status_update("rotation", -1, NULL, 0, 0, "tensors");
    j->q = rotation_create(kind, d, j->o->seed, j->par, e);
    return j->q ? 0 : -1;
}

static int job_open(struct job *j, struct rotate_report *report, struct err *e)
{
    size_t room;

    if (!(j->par = par_open(j->o->threads, e)) || blas_room(j->o->threads, 1, e) < 0 ||
        !(j->m = model_open(j->o->model, j->par, e)))
        return -1;
    if (model_is_quantized(j->m))
        return err_set(e, ERR_USE, "'%s' is quantized: rotate the model that it was made from",
                       j->o->model);
    if (mem_mul(width_of(j), 2 * TILE * par_threads(j->par), &room))
        return err_set(e, ERR_USE, "hidden_size %zu is too large", width_of(j));
    if (rotate_plan_make(j->m, &j->plan, e))
        return err_prefix(e, "%s", j->o->model);
    if (!(j->room = mem_raw(room, sizeof *j->room, e)) ||
        !(j->fold = mem_raw(width_of(j), sizeof *j->fold, e)))
        return -1;
    return rotation_choose(j, report, e);
}

static void job_release(struct job *j)
{
    rotation_destroy(&j->q);
    rotate_plan_release(&j->plan);
    model_close(&j->m);
    par_close(&j->par);
    free(j->room);
    free(j->fold);
    free(j->in);
    free(j->out);
}

int rotate_run(const struct rotate_opts *o, struct rotate_report *report, struct err *e)
{
    struct job j = {.o = o};
    struct newdir d = {0};
    char *path = NULL;
    int rc = -1;

    if (newdir_check(o->out, e) || sidecar_check(o->model, e) || job_open(&j, report, e) ||
        newdir_begin(&d, o->out, e) || !(path = fs_join(d.part, "model.safetensors", e)))
        goto out;
    if (sidecar_copy(o->model, d.part, e) || config_write(&j, d.part, e) ||
        tensors_write(&j, report, path, e))
        goto out;
    rc = newdir_publish(&d, e);
out:
    newdir_abort(&d);
    free(path);
    job_release(&j);
    return rc;
}

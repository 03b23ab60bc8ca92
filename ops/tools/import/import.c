/* SPDX-License-Identifier: Apache-2.0 */
/* import - a GGUF file becomes a Hugging Face model folder: config, tokenizer, one safetensors
 * file.
 *
 * Everything is written into a folder beside the wanted one, which takes its name when all is
 * there. Tensors are decoded to f32 and rounded once, in pieces of about a million elements.
 * Rows of query and key weights of llama files, which keep the two halves of a head interleaved,
 * go back to the order of the checkpoint. Left out: sharding, other architectures
 * (import_config.c). */
#include "import.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../../common/base/fs.h"
#include "../../../common/base/log.h"
#include "../../../common/base/mem.h"
#include "../../../common/base/sig.h"
#include "../../../common/base/status.h"
#include "../../../common/tensor/safetensors.h"
#include "../newdir.h"

#define PIECE ((uint64_t)1 << 20) /* elements, unless one head is more */

struct room {
    float *raw, *rows; /* as in the file; in the checkpoint's order */
    void *out;
    size_t cap_raw, cap_rows, cap_out;
};

static void room_release(struct room *r)
{
    free(r->raw);
    free(r->rows);
    free(r->out);
}

/* Row 2i+j of a head in the file is row i + j*half of the checkpoint. */
static void head_unweave(const float *in, float *out, uint64_t rows, uint64_t width)
{
    for (uint64_t i = 0; i < rows; i++)
        memcpy(out + (i / 2 + i % 2 * (rows / 2)) * width, in + i * width,
               (size_t)width * sizeof *out);
}

static int piece_write(const struct gguf *g, const struct import_tensor *t, enum dtype dtype,
                       uint64_t first, uint64_t rows, uint64_t width, struct room *r,
                       struct st_writer *w, struct err *e)
{
    size_t n = (size_t)(rows * width), size = dtype_size(dtype);
    const float *src;

    if (mem_grow((void **)&r->raw, &r->cap_raw, n, sizeof *r->raw, e) ||
        mem_grow(&r->out, &r->cap_out, n * size, 1, e) ||
        mem_grow((void **)&r->rows, &r->cap_rows, t->head_rows ? n : 1, sizeof *r->rows, e))
        return -1;
    if (t->ndim == 1) {
        if (gguf_load_f32(g, t->from, r->raw, e))
            return -1;
    } else if (gguf_load_rows_f32(g, t->from, first, rows, r->raw, e)) {
        return -1;
    }
    for (uint64_t i = 0; t->head_rows && i < rows; i += t->head_rows)
        head_unweave(r->raw + i * width, r->rows + i * width, t->head_rows, width);
    src = t->head_rows ? r->rows : r->raw;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(src[i]))
            return err_set(e, ERR_USE, "%s: tensor '%s' holds a NaN or an infinity", g->path,
                           t->from->name);
    if (dtype_from_f32(dtype, src, n, r->out))
        return err_set(e, ERR_USE, "%s: tensor '%s' cannot be stored as %s", g->path, t->from->name,
                       dtype_name(dtype));
    for (size_t i = 0; dtype == DT_F16 && i < n; i++)
        if ((((const uint16_t *)r->out)[i] & 0x7C00) == 0x7C00)
            return err_set(e, ERR_USE,
                           "%s: tensor '%s' holds %g, which F16 cannot; use --dtype bf16", g->path,
                           t->from->name, (double)src[i]);
    return st_put_part(w, t->name, first * width * size, r->out, n * size, e);
}

static int tensor_write(const struct gguf *g, const struct import_tensor *t, enum dtype dtype,
                        struct room *r, struct st_writer *w, struct err *e)
{
    uint64_t rows = t->shape[0], width = t->ndim == 2 ? t->shape[1] : 1, step = PIECE / width;

    if (t->ndim == 1)
        step = rows;
    else if (t->head_rows) /* whole heads */
        step = step < t->head_rows ? t->head_rows : step / t->head_rows * t->head_rows;
    step = step ? step : 1;
    for (uint64_t first = 0; first < rows; first += step) {
        uint64_t n = rows - first < step ? rows - first : step;

        if (piece_write(g, t, dtype, first, n, width, r, w, e))
            return -1;
    }
    return 0;
}

/* Found before anything is written; warns of tensors that have lost precision already. */
static int types_check(const struct gguf *g, const struct import_tensor *list, size_t count,
                       struct err *e)
{
    char kinds[128] = "";
    size_t quantized = 0, used = 0;

    for (size_t i = 0; i < count; i++) {
        const struct gguf_type_info *t = gguf_type_find(list[i].from->type);

        if (gguf_check(g, list[i].from, e))
            return -1;
        quantized += t->elements > 1;
        if (t->elements > 1 && !strstr(kinds, t->name) && used < sizeof kinds)
            used += (size_t)snprintf(kinds + used, sizeof kinds - used, "%s%s", used ? ", " : "",
                                     t->name);
    }
    if (quantized)
        log_warn("%s is quantized already (%zu of %zu tensors: %s): what is made of it keeps that "
                 "loss, and quantizing it again adds to it; an F16 or BF16 file is a better source",
                 g->path, quantized, count, kinds);
    return 0;
}

static int tensors_write(const struct gguf *g, const struct import_tensor *list, size_t count,
                         enum dtype dtype, const char *path, struct err *e)
{
    struct st_writer *w = st_create(path, e);
    struct room room = {0};
    int rc = -1;

    if (!w)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (st_declare(w, list[i].name, dtype, list[i].ndim, list[i].shape, e))
            goto out;
    if (st_begin(w, e))
        goto out;
    for (size_t i = 0; i < count; i++) {
        status_update("tensors", -1, NULL, i, count, "tensors");
        if (sig_draining()) {
            err_set(e, ERR_SYS, "stopped at tensor %zu of %zu", i, count);
            goto out;
        }
        if (tensor_write(g, &list[i], dtype, &room, w, e))
            goto out;
    }
    status_update("syncing", -1, NULL, count, count, "tensors");
    rc = st_publish(&w, e);
out:
    st_abort(&w);
    room_release(&room);
    return rc;
}

static int json_write(const char *dir, const char *name, const struct json *j, struct err *e)
{
    char *path = fs_join(dir, name, e), *text = path ? json_print(j, 2, e) : NULL;
    int rc = -1;

    if (text) {
        size_t n = strlen(text);

        text[n] = '\n'; /* in place of the NUL */
        rc = fs_publish(path, text, n + 1, e);
    }
    free(text);
    free(path);
    return rc;
}

static int tokenizer_write(const char *dir, const struct import_tokenizer *t, struct err *e)
{
    if (json_write(dir, "tokenizer.json", t->tokenizer, e) ||
        json_write(dir, "tokenizer_config.json", t->config, e) ||
        json_write(dir, "special_tokens_map.json", t->special, e))
        return -1;
    return 0;
}

static int model_write(const char *dir, const struct gguf *g, const struct import_opts *o,
                       const struct import_tokenizer *t, struct err *e)
{
    struct import_model m;
    struct import_tensor *list = NULL;
    size_t count = 0;
    struct json *config = NULL, *generation = NULL;
    char *path = fs_join(dir, "model.safetensors", e);
    int rc = -1;

    if (!path || import_model_read(g, &m, e) || import_names(g, &m, &list, &count, e) ||
        types_check(g, list, count, e))
        goto out;
    if (t->count > (size_t)m.vocab) {
        err_set(e, ERR_USE,
                "%s: the vocabulary has %zu tokens, tensor 'token_embd.weight' %lld rows", g->path,
                t->count, (long long)m.vocab);
        goto out;
    }
    config = import_config(&m, g, o->dtype, e);
    generation = config ? import_generation(g, e) : NULL;
    if (!generation || json_write(dir, "config.json", config, e) ||
        json_write(dir, "generation_config.json", generation, e))
        goto out;
    rc = tensors_write(g, list, count, o->dtype, path, e);
out:
    json_destroy(&generation);
    json_destroy(&config);
    free(list);
    free(path);
    return rc;
}

int import_run(const struct import_opts *o, struct err *e)
{
    struct gguf *g = NULL;
    struct import_tokenizer t = {0};
    struct newdir d = {0};
    int rc = -1;

    if (newdir_check(o->dir, e))
        return -1;
    g = gguf_open(o->file, e);
    if (!g || import_tokenizer_make(g, o->pre, &t, e))
        goto out;
    if (t.warning)
        log_warn("%s: %s", o->file, t.warning);
    if (newdir_begin(&d, o->dir, e) || tokenizer_write(d.part, &t, e) ||
        (!o->vocab_only && model_write(d.part, g, o, &t, e)))
        goto out;
    rc = newdir_publish(&d, e);
out:
    newdir_abort(&d);
    import_tokenizer_release(&t);
    gguf_close(&g);
    return rc;
}

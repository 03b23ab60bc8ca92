/* SPDX-License-Identifier: Apache-2.0 */
/* import - a GGUF file becomes a Hugging Face model folder: config, tokenizer, one safetensors
 * file.
 *
 * Everything is written into a folder beside the wanted one, which takes its name when all is
 * there. Tensors are decoded to f32 and rounded once, in pieces of about a million elements.
 * Left out: sharding, other architectures (gguf_names.c). */
#include "import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../../common/base/fs.h"
#include "../../../common/base/log.h"
#include "../../../common/base/mem.h"
#include "../../../common/base/sig.h"
#include "../../../common/base/status.h"
#include "../../../common/tensor/gguf_folder.h"
#include "../../../common/text/gguf_tokenizer.h"
#include "../../../common/text/pre_names.h"
#include "../newdir.h"

#define PIECE ((uint64_t)1 << 20) /* elements, unless one row is more */

struct room {
    float *rows;
    void *out;
    size_t cap_rows, cap_out;
};

static void room_release(struct room *r)
{
    free(r->rows);
    free(r->out);
}

static int piece_write(const struct st_set *s, const struct st_entry *x, enum dtype dtype,
                       uint64_t first, uint64_t rows, struct room *r, struct st_writer *w,
                       struct err *e)
{
    const uint64_t width = x->ndim > 1 ? x->shape[1] : 1;
    const size_t n = (size_t)(rows * width), size = dtype_size(dtype);

    if (mem_grow((void **)&r->rows, &r->cap_rows, n, sizeof *r->rows, e) ||
        mem_grow(&r->out, &r->cap_out, n * size, 1, e) ||
        st_load_finite_f32(s, x, first, rows, r->rows, e))
        return -1;
    if (dtype_from_f32(dtype, r->rows, n, r->out))
        return err_set(e, ERR_USE, "%s: tensor '%s' cannot be stored as %s", s->paths[0], x->name,
                       dtype_name(dtype));
    for (size_t i = 0; dtype == DT_F16 && i < n; i++)
        if ((((const uint16_t *)r->out)[i] & 0x7C00) == 0x7C00)
            return err_set(e, ERR_USE,
                           "%s: tensor '%s' holds %g, which F16 cannot; use --dtype bf16",
                           s->paths[0], x->name, (double)r->rows[i]);
    return st_put_part(w, x->name, first * width * size, r->out, n * size, e);
}

static int tensor_write(const struct st_set *s, const struct st_entry *x, enum dtype dtype,
                        struct room *r, struct st_writer *w, struct err *e)
{
    const uint64_t rows = x->shape[0], width = x->ndim > 1 ? x->shape[1] : 1;
    const uint64_t step = x->ndim == 1 ? rows : width < PIECE ? PIECE / width : 1;

    for (uint64_t first = 0; first < rows; first += step) {
        const uint64_t n = rows - first < step ? rows - first : step;

        if (piece_write(s, x, dtype, first, n, r, w, e))
            return -1;
    }
    return 0;
}

/* Warns of tensors that have lost precision already. */
static void types_warn(const struct gguf *g)
{
    char kinds[128] = "";
    size_t quantized = 0, used = 0;

    for (size_t i = 0; i < g->count; i++) {
        const struct gguf_type_info *t = gguf_type_find(g->entries[i].type);

        quantized += t->elements > 1;
        if (t->elements > 1 && !strstr(kinds, t->name) && used < sizeof kinds)
            used += (size_t)snprintf(kinds + used, sizeof kinds - used, "%s%s", used ? ", " : "",
                                     t->name);
    }
    if (quantized)
        log_warn("%s is quantized already (%zu of %zu tensors: %s): what is made of it keeps that "
                 "loss, and quantizing it again adds to it; an F16 or BF16 file is a better source",
                 g->path, quantized, g->count, kinds);
}

static int tensors_write(const struct st_set *s, enum dtype dtype, const char *path, struct err *e)
{
    struct st_writer *w = st_create(path, e);
    struct room room = {0};
    int rc = -1;

    if (!w)
        return -1;
    for (size_t i = 0; i < s->count; i++)
        if (st_declare(w, s->entries[i].name, dtype, s->entries[i].ndim, s->entries[i].shape, e))
            goto out;
    if (st_begin(w, e))
        goto out;
    for (size_t i = 0; i < s->count; i++) {
        status_update("tensors", -1, NULL, i, s->count, "tensors");
        if (sig_draining()) {
            err_set(e, ERR_SYS, "stopped at tensor %zu of %zu", i, s->count);
            goto out;
        }
        if (tensor_write(s, &s->entries[i], dtype, &room, w, e))
            goto out;
    }
    status_update("syncing", -1, NULL, s->count, s->count, "tensors");
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

static int tokenizer_write(const char *dir, const struct gguf_tokenizer *t, struct err *e)
{
    if (json_write(dir, "tokenizer.json", t->tokenizer, e) ||
        json_write(dir, "tokenizer_config.json", t->config, e) ||
        json_write(dir, "special_tokens_map.json", t->special, e))
        return -1;
    return 0;
}

static int model_write(const char *dir, const struct gguf *g, const struct import_opts *o,
                       const struct gguf_tokenizer *t, struct err *e)
{
    struct gguf_info m;
    struct st_set *set = NULL;
    struct json *config = NULL, *generation = NULL;
    char *path = fs_join(dir, "model.safetensors", e);
    int rc = -1;

    if (!path || gguf_info_read(g, &m, e) || !(set = gguf_set_open(g->path, e)))
        goto out;
    types_warn(g);
    if (t->count > (size_t)m.vocab) {
        err_set(e, ERR_USE,
                "%s: the vocabulary has %zu tokens, tensor 'token_embd.weight' %lld rows", g->path,
                t->count, (long long)m.vocab);
        goto out;
    }
    config = gguf_config(&m, g, o->dtype, 0, e);
    generation = config ? gguf_generation(g, e) : NULL;
    if (!generation || json_write(dir, "config.json", config, e) ||
        json_write(dir, "generation_config.json", generation, e))
        goto out;
    rc = tensors_write(set, o->dtype, path, e);
out:
    json_destroy(&generation);
    json_destroy(&config);
    st_close(&set);
    free(path);
    return rc;
}

/* A name that is known was there, and --pre says another one. */
static void say_other(const struct gguf *g, const struct import_opts *o)
{
    const char *said = json_text_or(g->meta, "tokenizer.ggml.pre", "");

    if (o->pre && strcmp(said, o->pre) != 0 && pre_name_find(said))
        log_warn("%s says that its tokenizer cuts text as '%s' does; --pre '%s' counts", o->file,
                 said, o->pre);
}

int import_run(const struct import_opts *o, struct err *e)
{
    struct gguf *g = NULL;
    struct gguf_tokenizer t = {0};
    struct newdir d = {0};
    int rc = -1;

    if (fs_is_dir(o->file))
        return err_set(e, ERR_USE,
                       "'%s' is a folder: a GGUF file is imported; a model folder needs no import, "
                       "give it as --model",
                       o->file);
    if (newdir_check(o->dir, e))
        return -1;
    g = gguf_open(o->file, e);
    if (!g || gguf_tokenizer_make(g, o->pre, &t, e))
        goto out;
    if (t.warning)
        log_warn("%s: %s", o->file, t.warning);
    say_other(g, o);
    if (newdir_begin(&d, o->dir, e) || tokenizer_write(d.part, &t, e) ||
        (!o->vocab_only && model_write(d.part, g, o, &t, e)))
        goto out;
    rc = newdir_publish(&d, e);
out:
    newdir_abort(&d);
    gguf_tokenizer_release(&t);
    gguf_close(&g);
    return rc;
}

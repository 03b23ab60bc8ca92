/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_set - the tensors of a GGUF file as a set like that of a folder: numbers are decoded as they
 * are asked for, rows of heads that the file keeps interleaved stand where a checkpoint has them.
 * The entries lie behind each other in a space of their own, in the order of their names. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/fs.h"
#include "../base/mem.h"
#include "gguf_folder.h"

#define ALIGN 64u /* of entries in their space */

struct view {
    struct gguf *g;
    struct gguf_tensor *tensor; /* by name, as the entries are */
    uint64_t *at;               /* where each begins */
    size_t count;
};

/* Of a linear: its blocks can be asked for. Ends and routers are read as numbers alone. */
static int has_blocks(const struct gguf_tensor *t)
{
    return t->ndim > 1 && strncmp(t->from->name, "blk.", 4) == 0 &&
           !strstr(t->from->name, ".ffn_gate_inp.") && gguf_type_find(t->from->type)->elements > 1;
}

static enum dtype type_of(const struct gguf_tensor *t)
{
    if (t->ndim > 1 && t->from->type == GGUF_F16)
        return DT_F16;
    return t->ndim > 1 && t->from->type == GGUF_BF16 ? DT_BF16 : DT_F32;
}

/* Row r of the checkpoint is row i * 2 + j of its head in the file: i counts pairs that turn
 * together, j is the half. */
static uint64_t row_in_file(const struct gguf_tensor *t, uint64_t r)
{
    const uint64_t head = t->head_rows, in = head ? r % head : 0, half = head / 2;

    return t->first + (head ? r - in + in % half * 2 + in / half : r);
}

/* Rows of a matrix [first, first + count), which stand together in the file, in the type that is
 * shown. */
static int together(const struct view *v, const struct gguf_tensor *t, uint64_t first,
                    uint64_t count, void *dst, struct err *e)
{
    const uint64_t bytes = t->shape[1] * dtype_size(type_of(t));

    if (type_of(t) == DT_F32)
        return gguf_load_rows_f32(v->g, t->from, first, count, dst, e);
    return fs_pread_all(v->g->fd, dst, (size_t)(count * bytes), t->from->offset + first * bytes,
                        v->g->path, e);
}

static int matrix_read(const struct view *v, const struct gguf_tensor *t, uint64_t first,
                       uint64_t count, char *dst, struct err *e)
{
    const uint64_t bytes = t->shape[1] * dtype_size(type_of(t));
    int rc = 0;

    if (!t->head_rows)
        return together(v, t, t->first + first, count, dst, e);
    for (uint64_t i = 0; rc == 0 && i < count; i++)
        rc = together(v, t, row_in_file(t, first + i), 1, dst + i * bytes, e);
    return rc;
}

static int vector_read(const struct view *v, const struct gguf_tensor *t, float *dst, struct err *e)
{
    const uint64_t n = t->shape[0];
    float *raw = mem_raw((size_t)n, sizeof *raw, e);
    const int rc = raw ? gguf_load_f32(v->g, t->from, raw, e) : -1;

    for (uint64_t i = 0; rc == 0 && i < n; i++)
        dst[i] = raw[row_in_file(t, i)] - t->shift;
    free(raw);
    return rc;
}

/* Whole rows; a vector is one. */
static int rows_read(const struct view *v, const struct gguf_tensor *t, uint64_t first,
                     uint64_t count, void *dst, struct err *e)
{
    return t->ndim == 1 ? vector_read(v, t, dst, e) : matrix_read(v, t, first, count, dst, e);
}

/* The entry that holds this place. */
static size_t entry_at(const struct view *v, uint64_t at)
{
    size_t low = 0, high = v->count;

    while (high - low > 1) {
        const size_t mid = low + (high - low) / 2;

        if (v->at[mid] <= at)
            low = mid;
        else
            high = mid;
    }
    return low;
}

static int view_read(void *ctx, uint64_t at, void *dst, size_t n, struct err *e)
{
    const struct view *v = ctx;
    const size_t i = entry_at(v, at);
    const struct gguf_tensor *t = &v->tensor[i];
    const size_t bytes = (size_t)(t->ndim > 1 ? t->shape[1] : t->shape[0]) * dtype_size(type_of(t));
    char *to = dst, *row = NULL;
    int rc = 0;

    at -= v->at[i];
    while (rc == 0 && n) {
        const uint64_t first = at / bytes;
        const size_t skip = (size_t)(at % bytes);
        size_t part = bytes - skip < n ? bytes - skip : n;

        if (part == bytes) {
            part = n / bytes * bytes;
            rc = rows_read(v, t, first, part / bytes, to, e);
        } else if ((row || (row = mem_raw(bytes, 1, e))) &&
                   rows_read(v, t, first, 1, row, e) == 0) {
            memcpy(to, row + skip, part);
        } else {
            rc = -1;
        }
        to += part;
        at += part;
        n -= part;
    }
    free(row);
    return rc;
}

static int view_blocks(void *ctx, const struct st_entry *x, uint64_t first, uint64_t count,
                       void *dst, struct err *e)
{
    const struct view *v = ctx;
    const struct gguf_tensor *t = &v->tensor[entry_at(v, x->offset)];
    const struct gguf_type_info *info = gguf_type_find(t->from->type);
    const size_t bytes = (size_t)(t->shape[1] / info->elements * info->bytes);
    char *to = dst;
    int rc = 0;

    for (uint64_t i = 0; rc == 0 && i < count; i++)
        rc = fs_pread_all(v->g->fd, to + i * bytes, bytes,
                          t->from->offset + row_in_file(t, first + i) * bytes, v->g->path, e);
    return rc;
}

static void view_close(void *ctx)
{
    struct view *v = ctx;

    gguf_close(&v->g);
    free(v->tensor);
    free(v->at);
    free(v);
}

static int entries_fill(struct st_set *s, struct view *v, struct err *e)
{
    uint64_t at = 0;

    if (!(s->entries = mem_array(v->count + 1, sizeof *s->entries, e)) ||
        !(v->at = mem_array(v->count + 1, sizeof *v->at, e)))
        return -1;
    s->count = v->count;
    for (size_t i = 0; i < v->count; i++) {
        const struct gguf_tensor *t = &v->tensor[i];
        struct st_entry *x = &s->entries[i];
        size_t elements, bytes;

        if (tensor_measure(type_of(t), t->ndim, t->shape, t->name, &elements, &bytes, e) < 0)
            return -1;
        *x = (struct st_entry){.dtype = type_of(t), .ndim = t->ndim, .offset = at, .bytes = bytes};
        memcpy(x->name, t->name, sizeof x->name);
        memcpy(x->shape, t->shape, (size_t)t->ndim * sizeof *t->shape);
        if (has_blocks(t))
            x->blocks = t->from->type;
        v->at[i] = at;
        at += (bytes + ALIGN - 1) / ALIGN * ALIGN;
    }
    return 0;
}

/* What our own files say of their making. */
static int records_take(struct st_set *s, const struct gguf *g, struct err *e)
{
    const char *text = json_as_text(json_get(g->meta, ST_RECORDS ".records"));

    if (!text)
        return 0;
    if (!(s->metadata = json_new_object()) || json_set_text(s->metadata, ST_RECORDS, text) < 0)
        return err_set(e, ERR_SYS, "%s: out of memory", g->path);
    return 0;
}

struct st_set *gguf_set_open(const char *path, struct err *e)
{
    struct st_set *s = mem_array(1, sizeof *s, e);
    struct view *v = s ? mem_array(1, sizeof *v, e) : NULL;
    struct gguf_info m;

    if (!v) {
        free(s);
        return NULL;
    }
    s->source = (struct st_source){v, view_read, view_blocks, view_close};
    if (!(s->paths = mem_array(1, sizeof *s->paths, e)) || !(s->paths[0] = mem_text(path, e)))
        goto fail;
    s->nshards = 1;
    if ((v->g = gguf_open(path, e)) && gguf_info_read(v->g, &m, e) == 0 &&
        gguf_tensors(v->g, &m, &v->tensor, &v->count, e) == 0 && entries_fill(s, v, e) == 0 &&
        records_take(s, v->g, e) == 0)
        return s;
fail:
    st_close(&s);
    return NULL;
}

/* ---- which file ---- */

static int is_gguf(const char *path)
{
    char magic[4];
    uint64_t bytes;
    struct stat st;
    int fd, is;

    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || (fd = fs_open(path, &bytes, NULL)) < 0)
        return 0;
    is = bytes >= sizeof magic && fs_pread_all(fd, magic, sizeof magic, 0, path, NULL) == 0 &&
         memcmp(magic, "GGUF", sizeof magic) == 0;
    close(fd);
    return is;
}

/* The only GGUF file of a folder; NULL: there is none, or more, or the folder is a model itself. */
static char *only_one(const char *dir)
{
    char **names = NULL, *path = NULL;
    size_t count = 0, files = 0, at = 0;

    if (fs_list(dir, &names, &count, NULL) < 0)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        const char *dot = strrchr(names[i], '.');

        if (strcmp(names[i], "config.json") == 0 || (dot && strcmp(dot, ".safetensors") == 0))
            files += 2;
        if (dot && strcmp(dot, ".gguf") == 0) {
            files++;
            at = i;
        }
    }
    if (files == 1 && (path = fs_join(dir, names[at], NULL)) && !is_gguf(path)) {
        free(path);
        path = NULL;
    }
    fs_names_free(&names, count);
    return path;
}

char *gguf_path(const char *model)
{
    if (fs_is_dir(model))
        return only_one(model);
    return is_gguf(model) ? mem_text(model, NULL) : NULL;
}

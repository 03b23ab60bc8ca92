/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_write - see gguf_write.h. Everything is written under a temporary name in the same folder;
 * publishing is fsync, rename, fsync of the folder. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "../base/fs.h"
#include "../base/mem.h"
#include "gguf_write.h"

#define VERSION 3
#define ALIGNMENT 32 /* what counts where general.alignment does not say */

/* Of a value, as the file numbers them. */
enum { KIND_U32 = 4, KIND_I32 = 5, KIND_F32 = 6, KIND_BOOL = 7, KIND_TEXT = 8, KIND_ARRAY = 9 };

/* ---- metadata ---- */

static int add(struct gguf_meta *m, const void *data, size_t n, struct err *e)
{
    if (mem_grow((void **)&m->bytes, &m->cap, m->n + n, 1, e))
        return -1;
    if (n)
        memcpy(m->bytes + m->n, data, n);
    m->n += n;
    return 0;
}

static int add_u32(struct gguf_meta *m, uint32_t v, struct err *e)
{
    return add(m, &v, sizeof v, e);
}

static int add_u64(struct gguf_meta *m, uint64_t v, struct err *e)
{
    return add(m, &v, sizeof v, e);
}

static int add_text(struct gguf_meta *m, const char *v, struct err *e)
{
    return add_u64(m, strlen(v), e) || add(m, v, strlen(v), e) ? -1 : 0;
}

static int key_add(struct gguf_meta *m, const char *key, uint32_t kind, struct err *e)
{
    if (add_text(m, key, e) || add_u32(m, kind, e))
        return -1;
    m->count++;
    return 0;
}

static int array_add(struct gguf_meta *m, const char *key, uint32_t kind, size_t n, struct err *e)
{
    return key_add(m, key, KIND_ARRAY, e) || add_u32(m, kind, e) || add_u64(m, n, e) ? -1 : 0;
}

int gguf_meta_text(struct gguf_meta *m, const char *key, const char *v, struct err *e)
{
    return key_add(m, key, KIND_TEXT, e) || add_text(m, v, e) ? -1 : 0;
}

int gguf_meta_u32(struct gguf_meta *m, const char *key, uint64_t v, struct err *e)
{
    if (v > UINT32_MAX)
        return err_set(e, ERR_USE, "key '%s': %llu is too large for a GGUF file", key,
                       (unsigned long long)v);
    return key_add(m, key, KIND_U32, e) || add_u32(m, (uint32_t)v, e) ? -1 : 0;
}

int gguf_meta_f32(struct gguf_meta *m, const char *key, double v, struct err *e)
{
    const float f = (float)v;

    return key_add(m, key, KIND_F32, e) || add(m, &f, sizeof f, e) ? -1 : 0;
}

int gguf_meta_bool(struct gguf_meta *m, const char *key, int v, struct err *e)
{
    const unsigned char b = v != 0;

    return key_add(m, key, KIND_BOOL, e) || add(m, &b, 1, e) ? -1 : 0;
}

int gguf_meta_texts(struct gguf_meta *m, const char *key, size_t n, struct err *e)
{
    return array_add(m, key, KIND_TEXT, n, e);
}

int gguf_meta_item(struct gguf_meta *m, const char *v, size_t length, struct err *e)
{
    return add_u64(m, length, e) || add(m, v, length, e) ? -1 : 0;
}

int gguf_meta_i32s(struct gguf_meta *m, const char *key, const int32_t *v, size_t n, struct err *e)
{
    return array_add(m, key, KIND_I32, n, e) || add(m, v, n * sizeof *v, e) ? -1 : 0;
}

int gguf_meta_f32s(struct gguf_meta *m, const char *key, const float *v, size_t n, struct err *e)
{
    return array_add(m, key, KIND_F32, n, e) || add(m, v, n * sizeof *v, e) ? -1 : 0;
}

void gguf_meta_release(struct gguf_meta *m)
{
    free(m->bytes);
    *m = (struct gguf_meta){0};
}

/* ---- the file ---- */

struct slot {
    char name[GGUF_NAME];
    uint32_t type;
    int ndim;
    uint64_t shape[TENSOR_DIMS];
    uint64_t offset, bytes, filled; /* offset: from the start of the data */
};

struct gguf_writer {
    char *path;
    struct fs_out out;
    int begun;
    uint64_t start, end; /* of the data; offset of the next tensor */
    size_t count, cap;
    struct slot *slots;
    size_t *by_name;
};

static uint64_t aligned(uint64_t n)
{
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

int gguf_row_bytes(uint32_t type, uint64_t width, uint64_t *bytes)
{
    const struct gguf_type_info *t = gguf_type_find(type);

    if (!t || width % t->elements || width / t->elements > UINT64_MAX / t->bytes)
        return -1;
    *bytes = width / t->elements * t->bytes;
    return 0;
}

struct gguf_writer *gguf_create(const char *path, struct err *e)
{
    struct gguf_writer *w = mem_array(1, sizeof *w, e);

    if (!w)
        return NULL;
    w->out.fd = -1;
    if (!(w->path = mem_text(path, e)) || fs_out_open(&w->out, w->path, e)) {
        gguf_abort(&w);
        return NULL;
    }
    if (!w->out.temp) {
        err_set(e, ERR_USE, "'%s' is not a regular file: tensors need one", path);
        gguf_abort(&w);
    }
    return w;
}

int gguf_declare(struct gguf_writer *w, const char *name, uint32_t type, int ndim,
                 const uint64_t *shape, struct err *e)
{
    uint64_t row, rows = 1;
    struct slot *s;

    if (w->begun)
        return err_set(e, ERR_USE, "%s: tensor '%s' is declared after the header", w->path, name);
    if (!*name || strlen(name) >= GGUF_NAME)
        return err_set(e, ERR_USE, "%s: '%.190s' cannot be the name of a tensor", w->path, name);
    if (ndim < 1 || ndim > TENSOR_DIMS || gguf_row_bytes(type, shape[ndim - 1], &row))
        return err_set(e, ERR_USE, "%s: tensor '%s' does not fit its type", w->path, name);
    for (int i = 0; i < ndim - 1; i++) {
        if (shape[i] && rows > INT64_MAX / shape[i])
            return err_set(e, ERR_USE, "%s: tensor '%s' is too large", w->path, name);
        rows *= shape[i];
    }
    if (!row || !rows || rows > (INT64_MAX - w->end) / row)
        return err_set(e, ERR_USE, "%s: tensor '%s' is empty or too large", w->path, name);
    if (mem_grow((void **)&w->slots, &w->cap, w->count + 1, sizeof *w->slots, e))
        return -1;
    s = &w->slots[w->count++];
    *s = (struct slot){.type = type, .ndim = ndim, .offset = w->end, .bytes = row * rows};
    strcpy(s->name, name);
    memcpy(s->shape, shape, (size_t)ndim * sizeof *shape);
    w->end = aligned(w->end + s->bytes);
    return 0;
}

static int by_name(const void *a, const void *b, void *slots)
{
    const struct slot *s = slots;

    return strcmp(s[*(const size_t *)a].name, s[*(const size_t *)b].name);
}

static int names_sort(struct gguf_writer *w, struct err *e)
{
    if (!(w->by_name = mem_array(w->count + 1, sizeof *w->by_name, e)))
        return -1;
    for (size_t i = 0; i < w->count; i++)
        w->by_name[i] = i;
    qsort_r(w->by_name, w->count, sizeof *w->by_name, by_name, w->slots);
    for (size_t i = 1; i < w->count; i++)
        if (strcmp(w->slots[w->by_name[i - 1]].name, w->slots[w->by_name[i]].name) == 0)
            return err_set(e, ERR_USE, "%s: tensor '%s' is declared twice", w->path,
                           w->slots[w->by_name[i]].name);
    return 0;
}

/* Dimensions stand fastest first in the file. */
static int info_add(struct gguf_meta *to, const struct slot *s, struct err *e)
{
    if (add_text(to, s->name, e) || add_u32(to, (uint32_t)s->ndim, e))
        return -1;
    for (int i = s->ndim; i-- > 0;)
        if (add_u64(to, s->shape[i], e))
            return -1;
    return add_u32(to, s->type, e) || add_u64(to, s->offset, e) ? -1 : 0;
}

static int space_ask(const struct gguf_writer *w, struct err *e)
{
    const uint64_t bytes = w->start + w->end;

    if (fallocate(w->out.fd, 0, 0, (off_t)bytes) &&
        (errno == ENOSPC || errno == EFBIG || errno == EDQUOT))
        return err_sys(e, "%s: no room for %llu bytes", w->path, (unsigned long long)bytes);
    return 0; /* other errors: this file system cannot say beforehand */
}

int gguf_begin(struct gguf_writer *w, const struct gguf_meta *m, struct err *e)
{
    static const char zeros[ALIGNMENT];
    struct gguf_meta head = {0};
    int rc = -1;

    if (w->begun)
        return err_set(e, ERR_USE, "%s: the header is written already", w->path);
    if (names_sort(w, e) || add(&head, "GGUF", 4, e) || add_u32(&head, VERSION, e) ||
        add_u64(&head, w->count, e) || add_u64(&head, m->count, e) || add(&head, m->bytes, m->n, e))
        goto out;
    for (size_t i = 0; i < w->count; i++)
        if (info_add(&head, &w->slots[i], e))
            goto out;
    w->start = aligned(head.n);
    if (add(&head, zeros, w->start - head.n, e) || space_ask(w, e) ||
        fs_pwrite_all(w->out.fd, head.bytes, head.n, 0, w->path, e))
        goto out;
    w->begun = 1;
    rc = 0;
out:
    gguf_meta_release(&head);
    return rc;
}

static struct slot *slot_find(struct gguf_writer *w, const char *name, struct err *e)
{
    size_t low = 0, high = w->begun ? w->count : 0;

    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        struct slot *s = &w->slots[w->by_name[mid]];
        const int c = strcmp(name, s->name);

        if (c == 0)
            return s;
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    err_set(e, ERR_USE, "%s: tensor '%.190s' %s", w->path, name,
            w->begun ? "was not declared" : "comes before the header");
    return NULL;
}

int gguf_put_part(struct gguf_writer *w, const char *name, uint64_t at, const void *data,
                  size_t bytes, struct err *e)
{
    struct slot *s = slot_find(w, name, e);

    if (!s)
        return -1;
    if (at != s->filled || bytes > s->bytes - s->filled)
        return err_set(
            e, ERR_USE,
            "%s: tensor '%s': %zu bytes at %llu do not follow the %llu of %llu that are there",
            w->path, name, bytes, (unsigned long long)at, (unsigned long long)s->filled,
            (unsigned long long)s->bytes);
    if (fs_pwrite_all(w->out.fd, data, bytes, w->start + s->offset + at, w->path, e))
        return -1;
    s->filled += bytes;
    return 0;
}

int gguf_put_at(struct gguf_writer *w, const char *name, uint64_t at, const void *data,
                size_t bytes, struct err *e)
{
    struct slot *s = slot_find(w, name, e);

    if (!s)
        return -1;
    if (at > s->bytes || bytes > s->bytes - at || bytes > s->bytes - s->filled)
        return err_set(e, ERR_USE, "%s: tensor '%s': %zu bytes at %llu are not of its %llu",
                       w->path, name, bytes, (unsigned long long)at, (unsigned long long)s->bytes);
    if (fs_pwrite_all(w->out.fd, data, bytes, w->start + s->offset + at, w->path, e))
        return -1;
    s->filled += bytes;
    return 0;
}

/* Space between tensors that nobody writes is zero; the last one's must be there too. */
static int tail_write(struct gguf_writer *w, struct err *e)
{
    static const char zeros[ALIGNMENT];
    const struct slot *s = w->count ? &w->slots[w->count - 1] : NULL;
    const uint64_t used = s ? s->offset + s->bytes : 0;

    return fs_pwrite_all(w->out.fd, zeros, (size_t)(w->end - used), w->start + used, w->path, e);
}

static int finish(struct gguf_writer *w, struct err *e)
{
    if (!w->begun)
        return err_set(e, ERR_USE, "%s: published before the header was written", w->path);
    for (size_t i = 0; i < w->count; i++)
        if (w->slots[i].filled != w->slots[i].bytes)
            return err_set(e, ERR_USE, "%s: tensor '%s' has %llu of its %llu bytes", w->path,
                           w->slots[i].name, (unsigned long long)w->slots[i].filled,
                           (unsigned long long)w->slots[i].bytes);
    return tail_write(w, e) ? -1 : fs_out_finish(&w->out, e);
}

int gguf_publish(struct gguf_writer **w, struct err *e)
{
    const int rc = finish(*w, e);

    gguf_abort(w);
    return rc;
}

void gguf_abort(struct gguf_writer **w)
{
    const int keep = errno;

    if (!w || !*w)
        return;
    fs_out_drop(&(*w)->out);
    free((*w)->path);
    free((*w)->slots);
    free((*w)->by_name);
    free(*w);
    *w = NULL;
    errno = keep;
}

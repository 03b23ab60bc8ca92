/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors_write - a .safetensors file that appears whole or not at all.
 *
 * The layout is fixed by the declared tensors alone (descending element size, then name), so the
 * order in which data arrives does not change a byte. Everything is written under a temporary
 * name in the same folder; publishing is fsync, rename, fsync of the folder. Space is asked for
 * at the start where the file system can: a full disk is found before the work, not after. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../base/fs.h"
#include "../base/mem.h"
#include "safetensors.h"
#include "safetensors_mxfp4.h"

#define BLOCK ((size_t)1 << 20) /* bytes copied at a time by st_copy */

struct slot {
    struct st_entry x;
    uint64_t filled; /* bytes given so far */
};

struct st_writer {
    char *path;
    struct fs_out out;
    int begun;
    struct json *meta;
    size_t count, cap;
    struct slot *slots; /* by name once begun */
};

/* Tensors are put where they belong, in any order: only a regular file can hold them. */
static int target_open(struct st_writer *w, struct err *e)
{
    if (fs_out_open(&w->out, w->path, e))
        return -1;
    return w->out.temp
               ? 0
               : err_set(e, ERR_USE, "'%s' is not a regular file: tensors need one", w->path);
}

struct st_writer *st_create(const char *path, struct err *e)
{
    struct st_writer *w = mem_array(1, sizeof *w, e);

    if (!w)
        return NULL;
    w->out.fd = -1;
    w->path = mem_text(path, e);
    w->meta = json_new_object();
    if (w->path && !w->meta)
        err_set(e, ERR_SYS, "%s: out of memory", path);
    if (!w->path || !w->meta || st_meta(w, "format", "pt", e) || target_open(w, e)) {
        st_abort(&w);
        return NULL;
    }
    return w;
}

int st_meta(struct st_writer *w, const char *key, const char *value, struct err *e)
{
    if (w->begun)
        return err_set(e, ERR_USE, "%s: metadata '%s' comes after the header", w->path, key);
    if (json_set_text(w->meta, key, value))
        return err_set(e, ERR_USE,
                       "%s: metadata '%s' cannot be stored: not UTF-8, or out of memory", w->path,
                       key);
    return 0;
}

int st_declare(struct st_writer *w, const char *name, enum dtype t, int ndim, const uint64_t *shape,
               struct err *e)
{
    struct slot *s;
    size_t elements, bytes;

    if (w->begun)
        return err_set(e, ERR_USE, "%s: tensor '%s' is declared after the header", w->path, name);
    if (!*name || strlen(name) >= TENSOR_NAME || strcmp(name, "__metadata__") == 0)
        return err_set(e, ERR_USE, "%s: '%.190s' cannot be the name of a tensor", w->path, name);
    if (tensor_measure(t, ndim, shape, name, &elements, &bytes, e))
        return err_prefix(e, "%s", w->path);
    if (mem_grow((void **)&w->slots, &w->cap, w->count + 1, sizeof *w->slots, e))
        return -1;
    s = &w->slots[w->count++];
    memset(s, 0, sizeof *s);
    strcpy(s->x.name, name);
    s->x.dtype = t;
    s->x.ndim = ndim;
    for (int i = 0; i < ndim; i++)
        s->x.shape[i] = shape[i];
    s->x.bytes = bytes;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct slot *)a)->x.name, ((const struct slot *)b)->x.name);
}

static int by_layout(const void *a, const void *b)
{
    const struct slot *x = a, *y = b;
    size_t n = dtype_size(x->x.dtype), m = dtype_size(y->x.dtype);

    return n != m ? (n > m ? -1 : 1) : by_name(a, b);
}

/* A list in JSON; NULL when out of memory. */
static struct json *numbers(const uint64_t *v, int n)
{
    struct json *a = json_new_array();

    for (int i = 0; a && i < n; i++)
        if (json_push(a, json_new_int((int64_t)v[i])))
            json_destroy(&a);
    return a;
}

static int header_add(struct json *root, const struct slot *s, uint64_t at)
{
    const uint64_t span[2] = {at, at + s->x.bytes};
    struct json *j = json_new_object();

    if (!j || json_set_text(j, "dtype", dtype_name(s->x.dtype)) ||
        json_set(j, "shape", numbers(s->x.shape, s->x.ndim)) ||
        json_set(j, "data_offsets", numbers(span, 2))) {
        json_destroy(&j);
        return -1;
    }
    return json_set(root, s->x.name, j);
}

/* The header with its length in front, padded; offsets of the slots become those in the file. */
static char *header_make(struct st_writer *w, size_t *bytes, uint64_t *file_bytes, struct err *e)
{
    struct json *root = json_new_object();
    char *text = NULL, *out = NULL;
    uint64_t at = 0, n;

    if (!root || json_set(root, "__metadata__", json_clone(w->meta)))
        goto memory;
    for (size_t i = 0; i < w->count; i++) {
        if (header_add(root, &w->slots[i], at))
            goto memory;
        w->slots[i].x.offset = at;
        at += w->slots[i].x.bytes;
    }
    text = json_print(root, 0, e);
    if (!text)
        goto out;
    n = (strlen(text) + 7) / 8 * 8;
    out = mem_array((size_t)n + 8, 1, e);
    if (!out)
        goto out;
    memcpy(out, &n, 8);
    memset(out + 8, ' ', (size_t)n);
    memcpy(out + 8, text, strlen(text));
    for (size_t i = 0; i < w->count; i++)
        w->slots[i].x.offset += 8 + n;
    *bytes = (size_t)n + 8;
    *file_bytes = at + 8 + n;
    goto out;
memory:
    err_set(e, ERR_SYS, "%s: cannot make the header: a name is not UTF-8, or out of memory",
            w->path);
out:
    free(text);
    json_destroy(&root);
    return out;
}

static int space_ask(const struct st_writer *w, uint64_t bytes, struct err *e)
{
    if (bytes > INT64_MAX)
        return err_set(e, ERR_USE, "%s: %llu bytes are too many for a file", w->path,
                       (unsigned long long)bytes);
    if (fallocate(w->out.fd, 0, 0, (off_t)bytes) &&
        (errno == ENOSPC || errno == EFBIG || errno == EDQUOT))
        return err_sys(e, "%s: no room for %llu bytes", w->path, (unsigned long long)bytes);
    return 0; /* other errors: this file system cannot say beforehand */
}

int st_begin(struct st_writer *w, struct err *e)
{
    size_t bytes = 0;
    uint64_t file_bytes = 0;
    char *header;
    int rc = -1;

    if (w->begun)
        return err_set(e, ERR_USE, "%s: the header is written already", w->path);
    if (w->count)
        qsort(w->slots, w->count, sizeof *w->slots, by_layout);
    header = header_make(w, &bytes, &file_bytes, e);
    if (!header)
        return -1;
    if (w->count)
        qsort(w->slots, w->count, sizeof *w->slots, by_name);
    for (size_t i = 1; i < w->count; i++)
        if (by_name(&w->slots[i - 1], &w->slots[i]) == 0) {
            err_set(e, ERR_USE, "%s: tensor '%s' is declared twice", w->path, w->slots[i].x.name);
            goto out;
        }
    if (space_ask(w, file_bytes, e) || fs_pwrite_all(w->out.fd, header, bytes, 0, w->path, e))
        goto out;
    w->begun = 1;
    rc = 0;
out:
    free(header);
    return rc;
}

static struct slot *slot_find(struct st_writer *w, const char *name, struct err *e)
{
    size_t low = 0, high = w->begun ? w->count : 0;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = strcmp(name, w->slots[mid].x.name);

        if (c == 0)
            return &w->slots[mid];
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    err_set(e, ERR_USE, "%s: tensor '%.190s' %s", w->path, name,
            w->begun ? "was not declared" : "comes before the header");
    return NULL;
}

int st_put_part(struct st_writer *w, const char *name, uint64_t at, const void *data, size_t bytes,
                struct err *e)
{
    const struct slot *s = slot_find(w, name, e);

    if (!s)
        return -1;
    if (at != s->filled || bytes > s->x.bytes - s->filled)
        return err_set(
            e, ERR_USE,
            "%s: tensor '%s': %zu bytes at %llu do not follow the %llu of %llu that are there",
            w->path, name, bytes, (unsigned long long)at, (unsigned long long)s->filled,
            (unsigned long long)s->x.bytes);
    return st_put_at(w, name, at, data, bytes, e);
}

int st_put_at(struct st_writer *w, const char *name, uint64_t at, const void *data, size_t bytes,
              struct err *e)
{
    struct slot *s = slot_find(w, name, e);

    if (!s)
        return -1;
    if (bytes > s->x.bytes - s->filled || at > s->x.bytes - bytes)
        return err_set(e, ERR_USE, "%s: tensor '%s': %zu bytes at %llu are more than its %llu",
                       w->path, name, bytes, (unsigned long long)at,
                       (unsigned long long)s->x.bytes);
    if (fs_pwrite_all(w->out.fd, data, bytes, s->x.offset + at, w->path, e))
        return -1;
    s->filled += bytes;
    return 0;
}

int st_put(struct st_writer *w, const char *name, const void *data, size_t bytes, struct err *e)
{
    const struct slot *s = slot_find(w, name, e);

    if (!s)
        return -1;
    if (bytes != s->x.bytes)
        return err_set(e, ERR_USE, "%s: tensor '%s': given %zu bytes, declared with %llu", w->path,
                       name, bytes, (unsigned long long)s->x.bytes);
    return st_put_part(w, name, 0, data, bytes, e);
}

static int same_layout(const struct st_entry *a, const struct st_entry *b)
{
    if (a->dtype != b->dtype || a->ndim != b->ndim || a->bytes != b->bytes)
        return 0;
    for (int i = 0; i < a->ndim; i++)
        if (a->shape[i] != b->shape[i])
            return 0;
    return 1;
}

static int copy_turned(struct st_writer *w, const char *name, const struct st_set *from,
                       const struct st_entry *x, struct err *e)
{
    struct tensor t;
    int rc;

    if (st_load(from, x, &t, e))
        return -1;
    rc = st_put(w, name, t.data, t.bytes, e);
    tensor_release(&t);
    return rc;
}

int st_copy(struct st_writer *w, const char *name, const struct st_set *from,
            const struct st_entry *x, struct err *e)
{
    const struct slot *s = slot_find(w, name, e);
    /* what is packed is unpacked by matrices */
    const size_t most = x->mxfp4 ? (size_t)mxfp4_matrix(x) * dtype_size(x->dtype) : BLOCK,
                 step = x->bytes < most ? (size_t)x->bytes : most;
    char *block;
    int rc = 0;

    if (!s)
        return -1;
    if (!same_layout(&s->x, x))
        return err_set(e, ERR_USE, "%s: tensor '%s': shape or dtype differ from '%s' of %s",
                       w->path, name, x->name, from->paths[x->shard]);
    if (x->turned)
        return copy_turned(w, name, from, x, e);
    block = mem_array(step + 1, 1, e);
    if (!block)
        return -1;
    for (uint64_t at = 0; rc == 0 && at < x->bytes; at += step) {
        size_t n = x->bytes - at < step ? (size_t)(x->bytes - at) : step;

        rc = st_span(from, x, block, n, at, e);
        if (rc == 0)
            rc = st_put_part(w, name, at, block, n, e);
    }
    free(block);
    return rc;
}

static int complete_check(const struct st_writer *w, struct err *e)
{
    if (!w->begun)
        return err_set(e, ERR_USE, "%s: published before the header was written", w->path);
    for (size_t i = 0; i < w->count; i++)
        if (w->slots[i].filled != w->slots[i].x.bytes)
            return err_set(e, ERR_USE, "%s: tensor '%s' has %llu of its %llu bytes", w->path,
                           w->slots[i].x.name, (unsigned long long)w->slots[i].filled,
                           (unsigned long long)w->slots[i].x.bytes);
    return 0;
}

int st_publish(struct st_writer **pw, struct err *e)
{
    int rc = complete_check(*pw, e);

    if (rc == 0)
        rc = fs_out_finish(&(*pw)->out, e);
    st_abort(pw);
    return rc;
}

void st_abort(struct st_writer **pw)
{
    int keep = errno;
    struct st_writer *w;

    if (!pw || !*pw)
        return;
    w = *pw;
    fs_out_drop(&w->out);
    free(w->path);
    free(w->slots);
    json_destroy(&w->meta);
    free(w);
    *pw = NULL;
    errno = keep;
}

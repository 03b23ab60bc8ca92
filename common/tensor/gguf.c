/* SPDX-License-Identifier: Apache-2.0 */
/* gguf - reading GGUF v2 and v3: metadata as JSON, tensors decoded to f32.
 *
 * Follows https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Nothing in the file is
 * believed before it is checked against what is left of it, so allocations stay in proportion to
 * the file. Left out: version 1, big-endian files, arrays of arrays, and writing. Element types are
 * gguf_decode.c's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../base/fs.h"
#include "../base/mem.h"
#include "gguf.h"

/* bytes read at first; doubled while the header does not fit */
#define PREFIX_FIRST ((uint64_t)4 << 20)
#define PREFIX_MAX ((uint64_t)512 << 20)
#define KEYS_MAX 65536
#define KEY_BYTES_MAX 1024
#define ITEMS_MAX ((uint64_t)1 << 22) /* array items in all metadata together */
#define TENSORS_MAX ((uint64_t)1 << 17)
#define STEP 65536 /* elements decoded at a time */

enum value_type {
    V_U8,
    V_I8,
    V_U16,
    V_I16,
    V_U32,
    V_I32,
    V_F32,
    V_BOOL,
    V_TEXT,
    V_ARRAY,
    V_U64,
    V_I64,
    V_F64,
    V_COUNT
};

/* of a text or an array: at least */
static const size_t VALUE_BYTES[V_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};

struct cursor {
    const unsigned char *data;
    uint64_t length, at; /* of the bytes at hand */
    uint64_t file_bytes;
    uint64_t items; /* array items so far */
    int more;       /* set when the bytes at hand end too early but the file goes on */
    const char *what;
    const char *where; /* key or tensor being read, for errors */
};

/* n bytes at the cursor, NULL when there are no such. */
static const unsigned char *take(struct cursor *c, uint64_t n, struct err *e)
{
    const unsigned char *p = c->data + c->at;

    if (n > c->file_bytes - c->at) {
        err_set(e, ERR_USE, "%s: truncated at %s: %llu bytes wanted, %llu left; download it again",
                c->what, c->where, (unsigned long long)n,
                (unsigned long long)(c->file_bytes - c->at));
        return NULL;
    }
    if (n > c->length - c->at) {
        c->more = 1;
        err_set(e, ERR_USE, "%s: %s lies beyond the first %llu bytes", c->what, c->where,
                (unsigned long long)c->length);
        return NULL;
    }
    c->at += n;
    return p;
}

static int take_u32(struct cursor *c, uint32_t *v, struct err *e)
{
    const unsigned char *p = take(c, sizeof *v, e);

    if (!p)
        return -1;
    memcpy(v, p, sizeof *v);
    return 0;
}

static int take_u64(struct cursor *c, uint64_t *v, struct err *e)
{
    const unsigned char *p = take(c, sizeof *v, e);

    if (!p)
        return -1;
    memcpy(v, p, sizeof *v);
    return 0;
}

/* A short text without NUL into out (of size n). */
static int take_name(struct cursor *c, char *out, size_t n, const char *kind, struct err *e)
{
    uint64_t length;
    const unsigned char *p;

    if (take_u64(c, &length, e))
        return -1;
    if (length == 0 || length >= n)
        return err_set(e, ERR_USE, "%s: %s of %llu bytes; between 1 and %zu are supported", c->what,
                       kind, (unsigned long long)length, n - 1);
    p = take(c, length, e);
    if (!p)
        return -1;
    if (memchr(p, 0, (size_t)length))
        return err_set(e, ERR_USE, "%s: %s with a NUL byte", c->what, kind);
    memcpy(out, p, (size_t)length);
    out[length] = '\0';
    return 0;
}

static struct json *take_text(struct cursor *c, struct err *e)
{
    uint64_t length;
    const unsigned char *p;
    struct json *j;

    if (take_u64(c, &length, e))
        return NULL;
    p = take(c, length, e);
    if (!p)
        return NULL;
    j = json_new_text_n((const char *)p, (size_t)length);
    if (!j)
        err_set(e, ERR_USE, "%s: key '%s' holds a text that is not UTF-8", c->what, c->where);
    return j;
}

static struct json *number(enum value_type t, const unsigned char *p)
{
    union {
        uint8_t u8;
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        float f32;
        uint64_t u64;
        int64_t i64;
        double f64;
    } v;

    memcpy(&v, p, VALUE_BYTES[t]);
    switch (t) {
    case V_U8:
        return json_new_int(v.u8);
    case V_I8:
        return json_new_int(v.i8);
    case V_U16:
        return json_new_int(v.u16);
    case V_I16:
        return json_new_int(v.i16);
    case V_U32:
        return json_new_int(v.u32);
    case V_I32:
        return json_new_int(v.i32);
    case V_F32:
        return json_new_real(v.f32);
    case V_BOOL:
        return json_new_bool(v.u8 != 0);
    case V_U64:
        return v.u64 > INT64_MAX ? json_new_real((double)v.u64) : json_new_int((int64_t)v.u64);
    case V_I64:
        return json_new_int(v.i64);
    case V_F64:
        return json_new_real(v.f64);
    default:
        return NULL;
    }
}

/* A value that is no array. */
static struct json *take_single(struct cursor *c, enum value_type t, struct err *e)
{
    const unsigned char *p;
    struct json *j;

    if (t == V_TEXT)
        return take_text(c, e);
    p = take(c, VALUE_BYTES[t], e);
    if (!p)
        return NULL;
    if (t == V_BOOL && *p > 1) {
        err_set(e, ERR_USE, "%s: key '%s': %d is not a truth value", c->what, c->where, *p);
        return NULL;
    }
    j = number(t, p);
    if (!j)
        err_set(e, ERR_SYS, "%s: out of memory at key '%s'", c->what, c->where);
    return j;
}

static int take_type(struct cursor *c, enum value_type *t, struct err *e)
{
    uint32_t v;

    if (take_u32(c, &v, e))
        return -1;
    if (v >= V_COUNT)
        return err_set(e, ERR_USE, "%s: key '%s' has value type %u, which is not known", c->what,
                       c->where, v);
    *t = (enum value_type)v;
    return 0;
}

static struct json *take_array(struct cursor *c, struct err *e)
{
    enum value_type t;
    uint64_t count;
    struct json *list, *item;

    if (take_type(c, &t, e) || take_u64(c, &count, e))
        return NULL;
    if (t == V_ARRAY) {
        err_set(e, ERR_USE, "%s: key '%s' is an array of arrays, which is not supported", c->what,
                c->where);
        return NULL;
    }
    if (count > (c->file_bytes - c->at) / VALUE_BYTES[t] || count > ITEMS_MAX - c->items) {
        err_set(e, ERR_USE, "%s: key '%s' promises %llu items, more than %s", c->what, c->where,
                (unsigned long long)count,
                count > ITEMS_MAX - c->items ? "is supported"
                                             : "the file can hold; download it again");
        return NULL;
    }
    c->items += count;
    list = json_new_array();
    if (!list)
        err_set(e, ERR_SYS, "%s: out of memory at key '%s'", c->what, c->where);
    for (uint64_t i = 0; list && i < count; i++) {
        item = take_single(c, t, e);
        if (item && json_push(list, item) == 0)
            continue;
        if (item)
            err_set(e, ERR_SYS, "%s: out of memory at key '%s'", c->what, c->where);
        json_destroy(&list);
    }
    return list;
}

static int take_pair(struct cursor *c, struct json *meta, struct err *e)
{
    char key[KEY_BYTES_MAX];
    enum value_type t;
    struct json *v;
    int rc = -1;

    c->where = "the metadata";
    if (take_name(c, key, sizeof key, "metadata key", e))
        return -1;
    c->where = key;
    if (json_get(meta, key)) {
        err_set(e, ERR_USE, "%s: key '%.128s' is there twice", c->what, key);
        goto out;
    }
    if (take_type(c, &t, e))
        goto out;
    v = t == V_ARRAY ? take_array(c, e) : take_single(c, t, e);
    if (!v)
        goto out;
    if (json_set(meta, key, v)) {
        err_set(e, ERR_USE, "%s: a metadata key is not UTF-8, or out of memory", c->what);
        goto out;
    }
    rc = 0;
out:
    c->where = "the metadata";
    return rc;
}

static int entry_measure(struct gguf_entry *x, const struct cursor *c, struct err *e)
{
    const struct gguf_type_info *t = gguf_type_find(x->type);
    uint64_t n = 1;

    if (!t)
        return err_set(e, ERR_USE, "%s: tensor '%s' has type %u, which is not known", c->what,
                       x->name, x->type);
    for (int i = 0; i < x->ndim; i++)
        if (__builtin_mul_overflow(n, x->shape[i], &n) || n > INT64_MAX / 8)
            return err_set(e, ERR_USE, "%s: tensor '%s': shape is too large", c->what, x->name);
    if ((x->ndim ? x->shape[x->ndim - 1] : 1) % t->elements)
        return err_set(e, ERR_USE,
                       "%s: tensor '%s': rows of %llu do not divide into blocks of %u (%s)",
                       c->what, x->name, (unsigned long long)(x->ndim ? x->shape[x->ndim - 1] : 1),
                       t->elements, t->name);
    n /= t->elements;
    if (__builtin_mul_overflow(n, (uint64_t)t->bytes, &x->bytes) || x->bytes > INT64_MAX)
        return err_set(e, ERR_USE, "%s: tensor '%s': shape is too large", c->what, x->name);
    return 0;
}

static int take_entry(struct cursor *c, struct gguf_entry *x, struct err *e)
{
    uint32_t ndim;

    if (take_name(c, x->name, sizeof x->name, "tensor name", e) || take_u32(c, &ndim, e))
        return -1;
    if (ndim > GGUF_DIMS)
        return err_set(e, ERR_USE, "%s: tensor '%s' has %u dimensions, at most %d are supported",
                       c->what, x->name, ndim, GGUF_DIMS);
    x->ndim = (int)ndim;
    for (uint32_t i = 0; i < ndim; i++)
        if (take_u64(c, &x->shape[ndim - 1 - i], e))
            return -1;
    if (take_u32(c, &x->type, e) || take_u64(c, &x->offset, e))
        return -1;
    return entry_measure(x, c, e);
}

static int alignment_read(const struct json *meta, uint64_t *align, const char *what, struct err *e)
{
    int64_t v;

    if (json_opt_int(meta, "general.alignment", 1, 1 << 20, 32, &v, what, e))
        return -1;
    if (v & (v - 1))
        return err_set(e, ERR_USE, "%s: general.alignment %lld is not a power of two", what,
                       (long long)v);
    *align = (uint64_t)v;
    return 0;
}

/* Offsets are the padded running sum of the sizes; afterwards they count from the start of the
 * file. */
static int entries_place(struct gguf *g, const struct cursor *c, uint64_t align, struct err *e)
{
    uint64_t start = (c->at + align - 1) / align * align, sum = 0,
             room = c->file_bytes > start ? c->file_bytes - start : 0;

    for (size_t i = 0; i < g->count; i++) {
        struct gguf_entry *x = &g->entries[i];

        if (x->offset != sum)
            return err_set(
                e, ERR_USE,
                "%s: tensor '%s' begins at %llu of the data, the tensors before it end at %llu",
                c->what, x->name, (unsigned long long)x->offset, (unsigned long long)sum);
        if (sum > room || x->bytes > room - sum)
            return err_set(e, ERR_USE,
                           "%s: truncated: tensor '%s' needs %llu bytes at %llu of the data, which "
                           "has %llu; download it again",
                           c->what, x->name, (unsigned long long)x->bytes, (unsigned long long)sum,
                           (unsigned long long)room);
        sum += (x->bytes + align - 1) / align * align;
        x->offset += start;
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct gguf_entry *)a)->name, ((const struct gguf_entry *)b)->name);
}

static int head_read(struct cursor *c, uint64_t *tensors, uint64_t *keys, struct err *e)
{
    const unsigned char *magic = take(c, 4, e);
    uint32_t version;

    if (!magic)
        return -1;
    if (memcmp(magic, "GGUF", 4))
        return err_set(e, ERR_USE,
                       "%s: not a GGUF file (one begins with GGUF, its name ends in .gguf)",
                       c->what);
    if (take_u32(c, &version, e))
        return -1;
    if (version == 0x02000000u || version == 0x03000000u)
        return err_set(e, ERR_USE, "%s: a big-endian GGUF file; convert it to little-endian",
                       c->what);
    if (version != 2 && version != 3)
        return err_set(e, ERR_USE, "%s: GGUF version %u, 2 and 3 are supported", c->what, version);
    if (take_u64(c, tensors, e) || take_u64(c, keys, e))
        return -1;
    if (*tensors > TENSORS_MAX || *tensors > (c->file_bytes - c->at) / 25)
        return err_set(e, ERR_USE, "%s: promises %llu tensors, more than %s", c->what,
                       (unsigned long long)*tensors,
                       *tensors > TENSORS_MAX ? "are supported"
                                              : "the file can hold; download it again");
    if (*keys > KEYS_MAX || *keys > (c->file_bytes - c->at) / 13)
        return err_set(e, ERR_USE, "%s: promises %llu metadata keys, more than %s", c->what,
                       (unsigned long long)*keys,
                       *keys > KEYS_MAX ? "are supported" : "the file can hold; download it again");
    return 0;
}

static int body_read(struct cursor *c, struct gguf *g, struct err *e)
{
    uint64_t tensors = 0, keys = 0, align = 1;

    if (head_read(c, &tensors, &keys, e))
        return -1;
    for (uint64_t i = 0; i < keys; i++)
        if (take_pair(c, g->meta, e))
            return -1;
    if (alignment_read(g->meta, &align, c->what, e))
        return -1;
    g->entries = mem_array((size_t)tensors + 1, sizeof *g->entries, e);
    if (!g->entries)
        return -1;
    c->where = "the list of tensors";
    for (; g->count < tensors; g->count++)
        if (take_entry(c, &g->entries[g->count], e))
            return -1;
    if (entries_place(g, c, align, e))
        return -1;
    if (g->count)
        qsort(g->entries, g->count, sizeof *g->entries, by_name);
    for (size_t i = 1; i < g->count; i++)
        if (by_name(&g->entries[i - 1], &g->entries[i]) == 0)
            return err_set(e, ERR_USE, "%s: tensor '%s' is there twice", c->what,
                           g->entries[i].name);
    return 0;
}

static struct gguf *parse(struct cursor *c, struct err *e)
{
    struct gguf *g = mem_array(1, sizeof *g, e);

    if (!g)
        return NULL;
    g->fd = -1;
    g->path = mem_text(c->what, e);
    g->meta = json_new_object();
    if (g->path && !g->meta)
        err_set(e, ERR_SYS, "%s: out of memory", c->what);
    if (!g->path || !g->meta || body_read(c, g, e))
        gguf_close(&g);
    return g;
}

struct gguf *gguf_parse(const void *data, size_t length, uint64_t file_bytes, const char *what,
                        struct err *e)
{
    struct cursor c = {data, length, 0, file_bytes, 0, 0, what, "the head"};

    if (length > file_bytes) {
        err_set(e, ERR_USE, "%s: %zu bytes of a file of %llu", what, length,
                (unsigned long long)file_bytes);
        return NULL;
    }
    return parse(&c, e);
}

struct gguf *gguf_open(const char *path, struct err *e)
{
    uint64_t bytes = 0, have;
    struct gguf *g = NULL;
    struct err why = {ERR_NONE, ""};
    int fd = fs_open(path, &bytes, e);
    int more = 1;

    if (fd < 0)
        return NULL;
    for (have = PREFIX_FIRST; more && have <= PREFIX_MAX; have *= 2) {
        size_t n = (size_t)(have < bytes ? have : bytes);
        char *prefix = mem_array(n + 1, 1, &why);
        struct cursor c = {(unsigned char *)prefix, n, 0, bytes, 0, 0, path, "the head"};

        if (prefix && fs_pread_all(fd, prefix, n, 0, path, &why) == 0)
            g = parse(&c, &why);
        free(prefix);
        more = !g && c.more;
    }
    if (g) {
        g->fd = fd;
        return g;
    }
    close(fd);
    if (e)
        *e = why;
    return NULL;
}

void gguf_close(struct gguf **g)
{
    int keep = errno;

    if (!g || !*g)
        return;
    if ((*g)->fd >= 0)
        close((*g)->fd);
    json_destroy(&(*g)->meta);
    free((*g)->entries);
    free((*g)->path);
    free(*g);
    *g = NULL;
    errno = keep;
}

const struct gguf_entry *gguf_find(const struct gguf *g, const char *name)
{
    size_t low = 0, high = g->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = strcmp(name, g->entries[mid].name);

        if (c == 0)
            return &g->entries[mid];
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

/* n elements from element `first` on, both multiples of the block. */
static int elements_load(const struct gguf *g, const struct gguf_entry *x, uint64_t first,
                         uint64_t n, float *dst, struct err *e)
{
    const struct gguf_type_info *t = gguf_type_find(x->type);
    size_t step = n < STEP ? (size_t)n : STEP;
    unsigned char *raw;
    int rc = 0;

    if (n == 0)
        return 0;
    raw = mem_array(step / t->elements, t->bytes, e);
    if (!raw)
        return -1;
    for (uint64_t done = 0; rc == 0 && done < n; done += step) {
        size_t m = n - done < step ? (size_t)(n - done) : step;

        rc = fs_pread_all(g->fd, raw, m / t->elements * t->bytes,
                          x->offset + (first + done) / t->elements * t->bytes, g->path, e);
        if (rc == 0 && gguf_decode(x->type, raw, m, dst + done))
            rc = gguf_check(g, x, e);
    }
    free(raw);
    return rc;
}

int gguf_load_rows_f32(const struct gguf *g, const struct gguf_entry *x, uint64_t first,
                       uint64_t count, float *dst, struct err *e)
{
    uint64_t rows = 1, width = x->ndim ? x->shape[x->ndim - 1] : 1;

    for (int i = 0; i + 1 < x->ndim; i++)
        rows *= x->shape[i];
    if (count > rows || first > rows - count)
        return err_set(e, ERR_USE, "%s: tensor '%s' has %llu rows, asked for %llu from %llu",
                       g->path, x->name, (unsigned long long)rows, (unsigned long long)count,
                       (unsigned long long)first);
    return elements_load(g, x, first * width, count * width, dst, e);
}

int gguf_load_f32(const struct gguf *g, const struct gguf_entry *x, float *dst, struct err *e)
{
    uint64_t rows = 1;

    for (int i = 0; i + 1 < x->ndim; i++)
        rows *= x->shape[i];
    return gguf_load_rows_f32(g, x, 0, rows, dst, e);
}

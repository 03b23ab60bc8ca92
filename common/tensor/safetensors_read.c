/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors_read - one .safetensors file: the header's checks, and reading of what is asked
 * for.
 *
 * Follows https://github.com/huggingface/safetensors: u64 header length, JSON header, data
 * without holes. Nothing in the header is believed before it is checked against the size of the
 * file. Left out: element types of less than a byte and of 8-bit floats (refused by name), and
 * tensors of more than TENSOR_DIMS dimensions. Sets of shards: safetensors_set.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../base/fs.h"
#include "../base/mem.h"
#include "safetensors.h"
#include "safetensors_mxfp4.h"

#define HEADER_MAX 100000000u
#define BLOCK ((size_t)1 << 20) /* bytes converted at a time */
#define TURN 16 /* rows of a matrix that are turned together: a line of the cache holds them */

/* What the format knows and struct dtype does not. */
static const char *const FOREIGN[] = {"F4",      "F6_E2M3",     "F6_E3M2",     "F8_E5M2", "F8_E4M3",
                                      "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "C64",     NULL};

static int entry_dtype(const struct json *j, struct st_entry *x, const char *what, struct err *e)
{
    const char *name = json_as_text(json_get(j, "dtype"));

    if (!name)
        return err_set(e, ERR_USE, "%s: tensor '%s': field 'dtype' is missing or not a text", what,
                       x->name);
    if (dtype_parse(name, &x->dtype) == 0)
        return 0;
    for (size_t i = 0; FOREIGN[i]; i++)
        if (strcmp(FOREIGN[i], name) == 0)
            return err_set(e, ERR_USE,
                           "%s: tensor '%s': dtype %s is not supported; use the F32, F16 or BF16 "
                           "checkpoint of this model",
                           what, x->name, name);
    return err_set(e, ERR_USE, "%s: tensor '%s': dtype '%.32s' is not known", what, x->name, name);
}

static int entry_shape(const struct json *j, struct st_entry *x, const char *what, struct err *e)
{
    const struct json *shape = json_get(j, "shape");

    if (json_kind(shape) != JSON_KIND_ARRAY)
        return err_set(e, ERR_USE, "%s: tensor '%s': field 'shape' is missing or not a list", what,
                       x->name);
    if (json_count(shape) > TENSOR_DIMS)
        return err_set(e, ERR_USE,
                       "%s: tensor '%s': shape has %zu dimensions, at most %d are supported", what,
                       x->name, json_count(shape), TENSOR_DIMS);
    x->ndim = (int)json_count(shape);
    for (size_t i = 0; i < json_count(shape); i++) {
        int64_t n;

        if (json_kind(json_at(shape, i)) != JSON_KIND_INT || json_as_int(json_at(shape, i), &n) ||
            n < 0)
            return err_set(e, ERR_USE,
                           "%s: tensor '%s': field 'shape' holds something that is not a size",
                           what, x->name);
        x->shape[i] = (uint64_t)n;
    }
    return 0;
}

/* x->offset is left relative to the start of the data; entries_place() makes it absolute. */
static int entry_offsets(const struct json *j, struct st_entry *x, const char *what, struct err *e)
{
    const struct json *span = json_get(j, "data_offsets");
    const struct json *first = json_at(span, 0), *last = json_at(span, 1);
    size_t elements, bytes;
    int64_t begin, end;

    if (json_kind(span) != JSON_KIND_ARRAY || json_count(span) != 2 ||
        json_kind(first) != JSON_KIND_INT || json_kind(last) != JSON_KIND_INT ||
        json_as_int(first, &begin) || json_as_int(last, &end) || begin < 0 || end < 0)
        return err_set(e, ERR_USE,
                       "%s: tensor '%s': field 'data_offsets' is missing or not two offsets", what,
                       x->name);
    if (end < begin)
        return err_set(e, ERR_USE,
                       "%s: tensor '%s': data_offsets end (%lld) before they begin (%lld)", what,
                       x->name, (long long)end, (long long)begin);
    if (tensor_measure(x->dtype, x->ndim, x->shape, x->name, &elements, &bytes, e))
        return err_prefix(e, "%s", what);
    if ((uint64_t)(end - begin) != bytes) {
        char text[128];

        tensor_shape_text(x->ndim, x->shape, text, sizeof text);
        return err_set(e, ERR_USE,
                       "%s: tensor '%s': data_offsets span %lld bytes, shape %s of %s needs %zu",
                       what, x->name, (long long)(end - begin), text, dtype_name(x->dtype), bytes);
    }
    x->offset = (uint64_t)begin;
    x->bytes = bytes;
    return 0;
}

static int entry_read(const char *name, const struct json *j, struct st_entry *x, const char *what,
                      struct err *e)
{
    size_t n = strlen(name);

    if (n == 0 || n >= sizeof x->name)
        return err_set(e, ERR_USE,
                       "%s: tensor name of %zu bytes ('%.40s...'); between 1 and %zu are supported",
                       what, n, name, sizeof x->name - 1);
    memcpy(x->name, name, n + 1);
    if (json_kind(j) != JSON_KIND_OBJECT)
        return err_set(e, ERR_USE, "%s: tensor '%s' is not described by an object", what, name);
    if (entry_dtype(j, x, what, e) || entry_shape(j, x, what, e) || entry_offsets(j, x, what, e))
        return -1;
    return 0;
}

static int by_offset(const void *a, const void *b)
{
    const struct st_entry *x = a, *y = b;

    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct st_entry *)a)->name, ((const struct st_entry *)b)->name);
}

/* The data must be filled by the tensors exactly: no hole, no overlap, nothing outside, nothing
 * left. */
static int entries_place(struct st_entry *entries, size_t count, uint64_t start, uint64_t data,
                         const char *what, struct err *e)
{
    uint64_t at = 0, need = 0;

    for (size_t i = 0; i < count; i++)
        if (entries[i].offset + entries[i].bytes > need)
            need = entries[i].offset + entries[i].bytes;
    if (need > data)
        return err_set(e, ERR_USE,
                       "%s: truncated: the header promises %llu bytes of data, the file holds "
                       "%llu; download it again",
                       what, (unsigned long long)need, (unsigned long long)data);
    if (count)
        qsort(entries, count, sizeof *entries, by_offset);
    for (size_t i = 0; i < count; i++) {
        if (entries[i].offset != at)
            return err_set(
                e, ERR_USE,
                "%s: tensor '%s': data_offsets begin at %llu, %s the previous tensor's end (%llu)",
                what, entries[i].name, (unsigned long long)entries[i].offset,
                entries[i].offset < at ? "inside the data before" : "leaving a hole after",
                (unsigned long long)at);
        at += entries[i].bytes;
    }
    if (at != data)
        return err_set(e, ERR_USE, "%s: %llu bytes after the last tensor's data", what,
                       (unsigned long long)(data - at));
    for (size_t i = 0; i < count; i++)
        entries[i].offset += start;
    if (count)
        qsort(entries, count, sizeof *entries, by_name);
    return 0;
}

static int metadata_check(const struct json *meta, const char *what, struct err *e)
{
    if (json_kind(meta) != JSON_KIND_OBJECT)
        return err_set(e, ERR_USE, "%s: __metadata__ is not an object", what);
    for (size_t i = 0; i < json_count(meta); i++) {
        const char *key;

        if (json_kind(json_member(meta, i, &key)) != JSON_KIND_TEXT)
            return err_set(e, ERR_USE, "%s: __metadata__ field '%.64s' is not a text", what, key);
    }
    return 0;
}

static int members_read(const struct json *root, struct st_entry *entries, size_t *count,
                        struct json **metadata, const char *what, struct err *e)
{
    size_t n = 0;

    for (size_t i = 0; i < json_count(root); i++) {
        const char *key;
        const struct json *j = json_member(root, i, &key);

        if (strcmp(key, "__metadata__") == 0) {
            if (metadata_check(j, what, e))
                return -1;
            *metadata = json_clone(j);
            if (!*metadata)
                return err_set(e, ERR_SYS, "%s: out of memory for __metadata__", what);
        } else if (entry_read(key, j, &entries[n++], what, e)) {
            return -1;
        }
    }
    *count = n;
    return 0;
}

int st_parse_header(const char *header, size_t length, uint64_t file_bytes, const char *what,
                    struct st_entry **entries, size_t *count, struct json **metadata, struct err *e)
{
    struct st_entry *list = NULL;
    struct json *root = NULL, *meta = NULL;
    size_t n = 0;
    int rc = -1;

    *entries = NULL;
    *count = 0;
    *metadata = NULL;
    if (file_bytes < 8 || length > file_bytes - 8 || length > HEADER_MAX)
        return err_set(e, ERR_USE, "%s: header of %zu bytes in a file of %llu", what, length,
                       (unsigned long long)file_bytes);
    if (length < 2 || header[0] != '{')
        return err_set(e, ERR_USE, "%s: not a safetensors file: the header does not begin with '{'",
                       what);
    root = json_parse(header, length, what, e);
    if (!root)
        return -1;
    if (json_kind(root) != JSON_KIND_OBJECT) {
        err_set(e, ERR_USE, "%s: header is not an object", what);
        goto out;
    }
    list = mem_array(json_count(root) + 1, sizeof *list, e);
    if (!list || members_read(root, list, &n, &meta, what, e) ||
        entries_place(list, n, 8 + (uint64_t)length, file_bytes - 8 - length, what, e))
        goto out;
    *entries = list;
    *count = n;
    *metadata = meta;
    list = NULL;
    meta = NULL;
    rc = 0;
out:
    json_destroy(&meta);
    json_destroy(&root);
    free(list);
    return rc;
}

static char *header_read(int fd, uint64_t bytes, const char *path, size_t *length, struct err *e)
{
    uint64_t n;
    char *header;

    if (bytes < 8) {
        err_set(e, ERR_USE, "%s: not a safetensors file: %llu bytes; download it again", path,
                (unsigned long long)bytes);
        return NULL;
    }
    if (fs_pread_all(fd, &n, 8, 0, path, e))
        return NULL;
    if (memcmp(&n, "GGUF", 4) == 0) {
        err_set(e, ERR_USE, "%s: a GGUF file; 'ptq import %s DIR' makes a model folder of it", path,
                path);
        return NULL;
    }
    if (n > HEADER_MAX && (char)(n & 0xff) == '{') {
        err_set(e, ERR_USE, "%s: JSON text, not a safetensors file: read it as it is, or with jq",
                path);
        return NULL;
    }
    if (n > HEADER_MAX) {
        err_set(e, ERR_USE,
                "%s: not a safetensors file (header length %llu is over the limit of %u): another "
                "kind of file, or damaged; download it again if it is to be one",
                path, (unsigned long long)n, HEADER_MAX);
        return NULL;
    }
    if (n > bytes - 8) {
        err_set(e, ERR_USE,
                "%s: truncated: the header has %llu bytes, the file %llu; download it again", path,
                (unsigned long long)n, (unsigned long long)bytes);
        return NULL;
    }
    header = mem_array((size_t)n + 1, 1, e);
    if (header && fs_pread_all(fd, header, (size_t)n, 8, path, e)) {
        free(header);
        return NULL;
    }
    *length = (size_t)n;
    return header;
}

struct st_set *st_open(const char *path, struct err *e)
{
    struct st_set *s = mem_array(1, sizeof *s, e);
    uint64_t bytes = 0;
    size_t length = 0;
    char *header = NULL;

    if (!s)
        return NULL;
    s->paths = mem_array(1, sizeof *s->paths, e);
    s->fds = mem_array(1, sizeof *s->fds, e);
    if (!s->paths || !s->fds)
        goto fail;
    s->fds[0] = -1;
    s->nshards = 1;
    s->paths[0] = mem_text(path, e);
    if (!s->paths[0])
        goto fail;
    s->fds[0] = fs_open(path, &bytes, e);
    if (s->fds[0] < 0)
        goto fail;
    header = header_read(s->fds[0], bytes, path, &length, e);
    if (!header ||
        st_parse_header(header, length, bytes, path, &s->entries, &s->count, &s->metadata, e))
        goto fail;
    free(header);
    return s;
fail:
    free(header);
    st_close(&s);
    return NULL;
}

void st_close(struct st_set **s)
{
    int keep = errno;

    if (!s || !*s)
        return;
    for (size_t i = 0; i < (*s)->nshards; i++) {
        if ((*s)->fds && (*s)->fds[i] >= 0)
            close((*s)->fds[i]);
        if ((*s)->paths)
            free((*s)->paths[i]);
    }
    free((*s)->paths);
    free((*s)->fds);
    free((*s)->entries);
    free((*s)->mxfp4);
    json_destroy(&(*s)->metadata);
    if ((*s)->source.close)
        (*s)->source.close((*s)->source.ctx);
    free(*s);
    *s = NULL;
    errno = keep;
}

const struct st_entry *st_find(const struct st_set *s, const char *name)
{
    size_t low = 0, high = s->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = strcmp(name, s->entries[mid].name);

        if (c == 0)
            return &s->entries[mid];
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

int st_span(const struct st_set *s, const struct st_entry *x, void *dst, size_t n, uint64_t skip,
            struct err *e)
{
    const uint64_t at = x->offset + skip;

    if (x->mxfp4)
        return mxfp4_span(s, x, dst, n, skip, e);
    if (s->source.close ? s->source.read(s->source.ctx, at, dst, n, e)
                        : fs_pread_all(s->fds[x->shard], dst, n, at, s->paths[x->shard], e))
        return err_prefix(e, "tensor '%s'", x->name);
    return 0;
}

int st_read_blocks(const struct st_set *s, const struct st_entry *x, uint64_t first, uint64_t count,
                   void *dst, struct err *e)
{
    return s->source.blocks(s->source.ctx, x, first, count, dst, e);
}

/* ---- matrices that are stored turned ---- */

void st_turn_bytes(const void *from, size_t rows, size_t columns, size_t size, void *to)
{
    const char *x = from;
    char *y = to;

    for (size_t i = 0; i < rows; i += TURN)
        for (size_t k = 0; k < columns; k++)
            for (size_t j = i; j < rows && j < i + TURN; j++)
                memcpy(y + (k * rows + j) * size, x + (j * columns + k) * size, size);
}

/* As stored, elements where a reader of [rows, columns] looks for them. */
static int turned_read(const struct st_set *s, const struct st_entry *x, void *dst, struct err *e)
{
    void *raw = x->mxfp4 ? NULL : mem_raw((size_t)x->bytes + 1, 1, e);
    const int rc = x->mxfp4 ? mxfp4_rows(s, x, 0, x->shape[0], dst, e)
                   : raw    ? st_span(s, x, raw, (size_t)x->bytes, 0, e)
                            : -1;

    if (rc == 0 && raw)
        st_turn_bytes(raw, (size_t)x->shape[1], (size_t)x->shape[0], dtype_size(x->dtype), dst);
    free(raw);
    return rc;
}

static int mxfp4_rows_f32(const struct st_set *s, const struct st_entry *x, size_t first,
                          size_t count, float *dst, struct err *e)
{
    const size_t columns = (size_t)x->shape[1], step = BLOCK / (columns * sizeof(uint16_t)) + 1;
    uint16_t *rows = mem_raw(step * columns, sizeof *rows, e);
    int rc = rows ? 0 : -1;

    for (size_t i = 0, n; rc == 0 && i < count; i += n) {
        n = count - i < step ? count - i : step;
        if ((rc = mxfp4_rows(s, x, first + i, n, rows, e)) == 0)
            dtype_to_f32(DT_BF16, rows, n * columns, dst + i * columns);
    }
    free(rows);
    return rc;
}

/* The file has a row for each column; of each, the rows that are wanted. */
static int turned_rows_f32(const struct st_set *s, const struct st_entry *x, size_t first,
                           size_t count, float *dst, struct err *e)
{
    const size_t rows = (size_t)x->shape[0], columns = (size_t)x->shape[1],
                 size = dtype_size(x->dtype), step = BLOCK / (rows * size) + 1;
    float *f = mem_raw(step * rows, sizeof *f, e);
    void *raw = f ? mem_raw(step * rows, size, e) : NULL;
    int rc = raw ? 0 : -1;

    for (size_t k = 0, m; rc == 0 && k < columns; k += m) {
        m = columns - k < step ? columns - k : step;
        if ((rc = st_span(s, x, raw, m * rows * size, k * rows * size, e)) != 0)
            break;
        if (dtype_to_f32(x->dtype, raw, m * rows, f))
            rc = err_set(e, ERR_USE, "%s: tensor '%s': cannot convert %s to F32",
                         s->paths[x->shard], x->name, dtype_name(x->dtype));
        for (size_t n = 0; rc == 0 && n < count; n++)
            for (size_t j = 0; j < m; j++)
                dst[n * columns + k + j] = f[j * rows + first + n];
    }
    free(raw);
    free(f);
    return rc;
}

int st_turn(const struct st_set *s, const struct st_entry *x, uint64_t which, struct st_entry *part,
            struct err *e)
{
    const uint64_t rows = x->ndim > 1 ? x->shape[x->ndim - 1] : 0,
                   columns = x->ndim > 1 ? x->shape[x->ndim - 2] : 0;

    if (st_cut(s, x, which * columns, columns, part, e) < 0)
        return -1;
    part->shape[0] = rows;
    part->shape[1] = columns;
    part->turned = 1;
    return 0;
}

int st_load_into(const struct st_set *s, const struct st_entry *x, const struct tensor *t,
                 struct err *e)
{
    return x->turned ? turned_read(s, x, t->data, e) : st_span(s, x, t->data, t->bytes, 0, e);
}

int st_load(const struct st_set *s, const struct st_entry *x, struct tensor *out, struct err *e)
{
    if (tensor_alloc(out, x->name, x->dtype, x->ndim, x->shape, e))
        return err_prefix(e, "%s", s->paths[x->shard]);
    if (st_load_into(s, x, out, e)) {
        tensor_release(out);
        return -1;
    }
    return 0;
}

int st_cut(const struct st_set *s, const struct st_entry *x, uint64_t first, uint64_t rows,
           struct st_entry *part, struct err *e)
{
    const uint64_t columns = x->ndim > 1 ? x->shape[x->ndim - 1] : 0;
    const uint64_t row = columns * dtype_size(x->dtype), all = row ? x->bytes / row : 0;

    if (rows > all || first > all - rows)
        return err_set(e, ERR_USE, "%s: tensor '%s' has %llu rows, asked for %llu from %llu",
                       s->paths[x->shard], x->name, (unsigned long long)all,
                       (unsigned long long)rows, (unsigned long long)first);
    *part = *x;
    part->ndim = 2;
    part->shape[0] = rows;
    part->shape[1] = columns;
    part->offset += first * row;
    part->bytes = rows * row;
    return 0;
}

int st_cut_vector(const struct st_set *s, const struct st_entry *x, uint64_t first, uint64_t count,
                  struct st_entry *part, struct err *e)
{
    const uint64_t size = dtype_size(x->dtype), all = x->bytes / size;

    if (count > all || first > all - count)
        return err_set(e, ERR_USE, "%s: tensor '%s' has %llu elements, asked for %llu from %llu",
                       s->paths[x->shard], x->name, (unsigned long long)all,
                       (unsigned long long)count, (unsigned long long)first);
    *part = *x;
    part->ndim = 1;
    part->shape[0] = count;
    part->offset += first * size;
    part->bytes = count * size;
    return 0;
}

int st_load_rows_f32(const struct st_set *s, const struct st_entry *x, uint64_t first,
                     uint64_t count, float *dst, struct err *e)
{
    const char *path = s->paths[x->shard];
    uint64_t rows = x->ndim ? x->shape[0] : 1;
    size_t size = dtype_size(x->dtype), step = BLOCK / size, n, done = 0;
    void *block;
    int rc = 0;

    if (!dtype_is_float(x->dtype))
        return err_set(e, ERR_USE, "%s: tensor '%s' has dtype %s, a float type is needed", path,
                       x->name, dtype_name(x->dtype));
    if (count > rows || first > rows - count)
        return err_set(e, ERR_USE, "%s: tensor '%s' has %llu rows, asked for %llu from %llu", path,
                       x->name, (unsigned long long)rows, (unsigned long long)count,
                       (unsigned long long)first);
    if (count == 0 || x->bytes == 0)
        return 0;
    if (x->turned && x->mxfp4)
        return mxfp4_rows_f32(s, x, (size_t)first, (size_t)count, dst, e);
    if (x->turned)
        return turned_rows_f32(s, x, (size_t)first, (size_t)count, dst, e);
    n = (size_t)(x->bytes / size / rows * count);
    first *= x->bytes / rows; /* in bytes from here on */
    if (x->mxfp4)
        step = (size_t)mxfp4_matrix(x);
    if (x->dtype == DT_F32)
        return st_span(s, x, dst, n * size, first, e);
    block = mem_raw(step < n ? step : n, size, e);
    if (!block)
        return -1;
    while (rc == 0 && done < n) {
        size_t m = n - done < step ? n - done : step;

        rc = st_span(s, x, block, m * size, first + done * size, e);
        if (rc == 0 && dtype_to_f32(x->dtype, block, m, dst + done))
            rc = err_set(e, ERR_USE, "%s: tensor '%s': cannot convert %s to F32", path, x->name,
                         dtype_name(x->dtype));
        done += m;
    }
    free(block);
    return rc;
}

static int is_bad(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return (bits & 0x7f800000u) == 0x7f800000u;
}

int st_load_finite_f32(const struct st_set *s, const struct st_entry *x, uint64_t first,
                       uint64_t count, float *dst, struct err *e)
{
    const uint64_t rows = x->ndim && x->shape[0] ? x->shape[0] : 1;
    const size_t width = (size_t)(x->bytes / dtype_size(x->dtype) / rows),
                 n = (size_t)count * width;
    size_t bad = 0, at = 0;
    char place[96];

    if (st_load_rows_f32(s, x, first, count, dst, e) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        bad += (size_t)is_bad(dst[i]);
    if (!bad)
        return 0;
    while (!is_bad(dst[at]))
        at++;
    if (x->ndim > 1)
        snprintf(place, sizeof place, "row %llu, column %zu",
                 (unsigned long long)(first + at / width), at % width);
    else
        snprintf(place, sizeof place, "index %llu", (unsigned long long)(first + at));
    return err_set(e, ERR_USE, "%s: tensor '%s' holds NaN or infinite numbers, the first at %s: %g",
                   s->paths[x->shard], x->name, place, (double)dst[at]);
}

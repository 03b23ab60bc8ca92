/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_build - small GGUF files in memory, for tests. Data of tensors follows by gb_data(), in
 * the order of gb_tensor(). */
#ifndef PTQ_TEST_GGUF_BUILD_H
#define PTQ_TEST_GGUF_BUILD_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GB_ROOM (1 << 20)

struct gb {
    unsigned char *bytes;
    size_t n, start; /* start: of the data */
    uint64_t tensors, keys, offset;
};

static inline void gb_put(struct gb *b, const void *p, size_t n)
{
    if (b->n + n > GB_ROOM)
        abort();
    memcpy(b->bytes + b->n, p, n);
    b->n += n;
}

static inline void gb_u32(struct gb *b, uint32_t v)
{
    gb_put(b, &v, 4);
}
static inline void gb_u64(struct gb *b, uint64_t v)
{
    gb_put(b, &v, 8);
}

static inline void gb_text(struct gb *b, const char *text)
{
    gb_u64(b, strlen(text));
    gb_put(b, text, strlen(text));
}

static inline void gb_start(struct gb *b)
{
    memset(b, 0, sizeof *b);
    b->bytes = calloc(GB_ROOM, 1);
    gb_put(b, "GGUF", 4);
    gb_u32(b, 3);
    gb_u64(b, 0);
    gb_u64(b, 0);
}

static inline void gb_count(struct gb *b)
{
    memcpy(b->bytes + 8, &b->tensors, 8);
    memcpy(b->bytes + 16, &b->keys, 8);
}

static inline void gb_key(struct gb *b, const char *key, uint32_t type)
{
    gb_text(b, key);
    gb_u32(b, type);
    b->keys++;
    gb_count(b);
}

static inline void gb_key_u32(struct gb *b, const char *key, uint32_t v)
{
    gb_key(b, key, 4);
    gb_u32(b, v);
}
static inline void gb_key_f32(struct gb *b, const char *key, float v)
{
    gb_key(b, key, 6);
    gb_put(b, &v, 4);
}
static inline void gb_key_bool(struct gb *b, const char *key, unsigned char v)
{
    gb_key(b, key, 7);
    gb_put(b, &v, 1);
}
static inline void gb_key_text(struct gb *b, const char *key, const char *v)
{
    gb_key(b, key, 8);
    gb_text(b, v);
}

static inline void gb_key_texts(struct gb *b, const char *key, const char *const *v, size_t n)
{
    gb_key(b, key, 9);
    gb_u32(b, 8);
    gb_u64(b, n);
    for (size_t i = 0; i < n; i++)
        gb_text(b, v[i]);
}

static inline void gb_key_ints(struct gb *b, const char *key, const int32_t *v, size_t n)
{
    gb_key(b, key, 9);
    gb_u32(b, 5);
    gb_u64(b, n);
    gb_put(b, v, n * 4);
}

static inline void gb_key_floats(struct gb *b, const char *key, const float *v, size_t n)
{
    gb_key(b, key, 9);
    gb_u32(b, 6);
    gb_u64(b, n);
    gb_put(b, v, n * 4);
}

/* rows 0: one dimension. bytes: of its data, for the next offset. */
static inline void gb_tensor(struct gb *b, const char *name, uint32_t type, uint64_t rows,
                             uint64_t columns, uint64_t bytes)
{
    gb_text(b, name);
    gb_u32(b, rows ? 2 : 1);
    gb_u64(b, columns);
    if (rows)
        gb_u64(b, rows);
    gb_u32(b, type);
    gb_u64(b, b->offset);
    b->offset += (bytes + 31) / 32 * 32;
    b->tensors++;
    gb_count(b);
}

static inline void gb_pad(struct gb *b)
{
    while (b->n % 32)
        gb_put(b, "", 1);
}

static inline void gb_data(struct gb *b, const void *p, size_t n)
{
    gb_pad(b);
    gb_put(b, p, n);
}

static inline void gb_save(struct gb *b, const char *path)
{
    FILE *f = fopen(path, "wb");

    if (!f || fwrite(b->bytes, 1, b->n, f) != b->n || fclose(f))
        abort();
}

static inline void gb_free(struct gb *b)
{
    free(b->bytes);
    b->bytes = NULL;
}

#endif

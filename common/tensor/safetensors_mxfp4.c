/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors_mxfp4 - see safetensors_mxfp4.h. */
#include "safetensors_mxfp4.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../base/fs.h"
#include "../base/mem.h"

enum { GROUP = 32, PACKED = GROUP / 2, BIAS = 127, SCALE_NAN = 255 };
#define ROWS 64 /* unpacked at a time */

/* ---- entries ---- */

static int ends_with(const char *name, const char *tail, size_t *stem)
{
    const size_t n = strlen(name), m = strlen(tail);

    *stem = n > m ? n - m : 0;
    return n > m && strcmp(name + *stem, tail) == 0;
}

static int is_blocks(const struct st_entry *x, size_t *stem)
{
    return ends_with(x->name, "_blocks", stem) && x->dtype == DT_U8 && x->ndim == 4 &&
           x->shape[3] == PACKED;
}

/* A name that is MXFP4's and a tensor that is not: what it stands for would be called missing. */
static int part_check(const struct st_set *s, const struct st_entry *x, struct err *e)
{
    char other[TENSOR_NAME + 16], whole[TENSOR_NAME], shape[128];
    size_t stem;

    if (ends_with(x->name, "_blocks", &stem) && !is_blocks(x, &stem)) {
        snprintf(other, sizeof other, "%.*s_scales", (int)stem, x->name);
        if (!st_find(s, other))
            return 0;
        tensor_shape_text(x->ndim, x->shape, shape, sizeof shape);
        return err_set(e, ERR_USE,
                       "%s: tensor '%s' is %s %s, but blocks of MXFP4 are U8 [experts, rows, "
                       "blocks, 16]: download the model again",
                       s->paths[x->shard], x->name, dtype_name(x->dtype), shape);
    }
    if (!ends_with(x->name, "_scales", &stem) || x->dtype != DT_U8 || x->ndim != 3)
        return 0;
    snprintf(other, sizeof other, "%.*s_blocks", (int)stem, x->name);
    snprintf(whole, sizeof whole, "%.*s", (int)stem, x->name);
    return st_find(s, other) || st_find(s, whole)
               ? 0
               : err_set(e, ERR_USE,
                         "%s: tensor '%s' holds scales of MXFP4, but '%s' is not there: download "
                         "the model again",
                         s->paths[x->shard], x->name, other);
}

/* The entry that stands for blocks and their scales. */
static int view_make(struct st_set *s, size_t at, size_t stem, struct st_entry *view, struct err *e)
{
    const struct st_entry *blocks = &s->entries[at], *scales;
    char name[TENSOR_NAME + 16];
    struct st_mxfp4 *m = &s->mxfp4[s->nmxfp4];

    snprintf(name, sizeof name, "%.*s_scales", (int)stem, blocks->name);
    scales = st_find(s, name);
    if (!scales || scales->dtype != DT_U8 || scales->ndim != 3 ||
        memcmp(scales->shape, blocks->shape, 3 * sizeof *scales->shape) != 0)
        return err_set(e, ERR_USE,
                       "%s: tensor '%s' holds blocks of MXFP4, but '%s' is %s: download the model "
                       "again",
                       s->paths[blocks->shard], blocks->name, name,
                       scales ? "not one byte for each of them" : "not there");
    *m = (struct st_mxfp4){.blocks = *blocks, .scales = *scales};
    *view = (struct st_entry){.dtype = DT_BF16, .ndim = 3, .shard = blocks->shard, .mxfp4 = m};
    snprintf(view->name, sizeof view->name, "%.*s", (int)stem, blocks->name);
    if (st_find(s, view->name))
        return err_set(e, ERR_USE, "%s: tensor '%s' is there as it is and as blocks of MXFP4",
                       s->paths[blocks->shard], view->name);
    view->shape[0] = blocks->shape[0];
    view->shape[1] = blocks->shape[2] * GROUP;
    view->shape[2] = blocks->shape[1];
    view->bytes = blocks->bytes * 2 * sizeof(uint16_t);
    s->nmxfp4++;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct st_entry *)a)->name, ((const struct st_entry *)b)->name);
}

/* No tensor of its own any more: blocks and scales that a view stands for. */
static int is_gone(const struct st_set *s, const struct st_entry *x)
{
    for (size_t i = 0; i < s->nmxfp4; i++)
        if (strcmp(s->mxfp4[i].blocks.name, x->name) == 0 ||
            strcmp(s->mxfp4[i].scales.name, x->name) == 0)
            return 1;
    return 0;
}

int mxfp4_view(struct st_set *s, struct err *e)
{
    struct st_entry *all;
    size_t pairs = 0, count = 0, stem;

    for (size_t i = 0; i < s->count; i++)
        if (part_check(s, &s->entries[i], e) < 0)
            return -1;
    for (size_t i = 0; i < s->count; i++)
        pairs += (size_t)is_blocks(&s->entries[i], &stem);
    if (!pairs)
        return 0;
    if (!(s->mxfp4 = mem_array(pairs, sizeof *s->mxfp4, e)) ||
        !(all = mem_array(s->count + 1, sizeof *all, e)))
        return -1;
    for (size_t i = 0; i < s->count; i++)
        if (is_blocks(&s->entries[i], &stem) && view_make(s, i, stem, &all[count++], e) < 0) {
            free(all);
            return -1;
        }
    for (size_t i = 0; i < s->count; i++)
        if (!is_gone(s, &s->entries[i]))
            all[count++] = s->entries[i];
    qsort(all, count, sizeof *all, by_name);
    free(s->entries);
    s->entries = all;
    s->count = count;
    return 0;
}

/* ---- numbers ---- */

uint64_t mxfp4_matrix(const struct st_entry *x)
{
    const struct st_entry *b = &x->mxfp4->blocks;

    return b->shape[1] * b->shape[2] * GROUP;
}

static void unpack(const uint8_t *blocks, const uint8_t *scales, size_t groups, uint16_t *dst)
{
    static const float value[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};

    for (size_t g = 0; g < groups; g++) {
        uint16_t code[16];

        for (int i = 0; i < 16; i++) {
            const float v = scales[g] == SCALE_NAN ? NAN : ldexpf(value[i & 7], scales[g] - BIAS);

            code[i] = f32_to_bf16(i & 8 ? -v : v);
        }
        for (size_t i = 0; i < PACKED; i++) {
            dst[g * GROUP + 2 * i] = code[blocks[g * PACKED + i] & 15];
            dst[g * GROUP + 2 * i + 1] = code[blocks[g * PACKED + i] >> 4];
        }
    }
}

static int part_read(const struct st_set *s, const struct st_entry *x, uint64_t at, void *dst,
                     size_t n, struct err *e)
{
    return fs_pread_all(s->fds[x->shard], dst, n, x->offset + at, s->paths[x->shard], e)
               ? err_prefix(e, "tensor '%s'", x->name)
               : 0;
}

/* Rows of all matrices, counted through, as [.., K]. */
static int rows_read(const struct st_set *s, const struct st_mxfp4 *m, uint64_t first,
                     uint64_t rows, uint16_t *dst, struct err *e)
{
    const size_t groups = (size_t)m->blocks.shape[2];
    uint8_t *room = mem_raw(ROWS * groups, PACKED + 1, e), *scales = room;
    int rc = room ? 0 : -1;

    for (uint64_t i = 0, n; rc == 0 && i < rows; i += n) {
        n = rows - i < ROWS ? rows - i : ROWS;
        scales = room + n * groups * PACKED;
        if (part_read(s, &m->blocks, (first + i) * groups * PACKED, room, n * groups * PACKED, e) ||
            part_read(s, &m->scales, (first + i) * groups, scales, n * groups, e))
            rc = -1;
        else
            unpack(room, scales, n * groups, dst + i * groups * GROUP);
    }
    free(room);
    return rc;
}

int mxfp4_rows(const struct st_set *s, const struct st_entry *x, uint64_t first, uint64_t rows,
               uint16_t *dst, struct err *e)
{
    const uint64_t which = x->offset / sizeof *dst / mxfp4_matrix(x);

    return rows_read(s, x->mxfp4, which * x->mxfp4->blocks.shape[1] + first, rows, dst, e);
}

int mxfp4_span(const struct st_set *s, const struct st_entry *x, void *dst, size_t n, uint64_t skip,
               struct err *e)
{
    const uint64_t N = x->mxfp4->blocks.shape[1], K = x->mxfp4->blocks.shape[2] * GROUP,
                   bytes = N * K * sizeof(uint16_t), from = x->offset + skip;
    uint16_t *rows = n ? mem_raw((size_t)(N * K), sizeof *rows, e) : NULL;
    uint16_t *turned = rows ? mem_raw((size_t)(N * K), sizeof *turned, e) : NULL;
    int rc = turned || !n ? 0 : -1;

    for (uint64_t at = from, m; rc == 0 && at < from + n; at += m) {
        m = bytes - at % bytes < from + n - at ? bytes - at % bytes : from + n - at;
        if ((rc = rows_read(s, x->mxfp4, at / bytes * N, N, rows, e)) < 0)
            break;
        st_turn_bytes(rows, (size_t)N, (size_t)K, sizeof *rows, turned);
        memcpy((char *)dst + (at - from), (char *)turned + at % bytes, (size_t)m);
    }
    free(turned);
    free(rows);
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* parquet_column - see parquet_column.h. */
#include "parquet_column.h"

#include <stdlib.h>
#include <string.h>
#include "../base/fs.h"
#include "../base/mem.h"
#include "parquet_codec.h"
#include "parquet_thrift.h"

enum { HEAD = 1 << 12, HEAD_MAX = 1 << 22, PAGE_MAX = 256 << 20 };
enum { PAGE_DATA, PAGE_INDEX, PAGE_DICTIONARY, PAGE_DATA_2 };

struct page_head {
    int64_t type, unpacked, packed, crc;
    int has_crc;
    /* of data and dictionaries */
    int64_t entries, encoding, def_encoding, rep_encoding, def_bytes, rep_bytes;
    int is_packed;
};

static int damaged(const struct parquet_column *c, const char *why, struct err *e)
{
    return err_set(e, ERR_USE, "%s: damaged data: %s", c->what, why);
}

int parquet_column_open(struct parquet_column *c, int fd, const char *file,
                        const struct parquet_node *leaf, struct err *e)
{
    *c = (struct parquet_column){.fd = fd, .leaf = leaf};
    return (c->what = mem_printf(e, "%s: column '%.80s'", file, leaf->name)) ? 0 : -1;
}

void parquet_column_start(struct parquet_column *c, const struct parquet_chunk *chunk)
{
    c->codec = chunk->codec;
    c->at = chunk->at;
    c->left = chunk->bytes;
    c->entries = 0;
    c->ready = 0;
    parquet_dictionary_release(&c->dictionary);
}

void parquet_column_release(struct parquet_column *c)
{
    parquet_values_release(&c->values);
    parquet_dictionary_release(&c->dictionary);
    free(c->page);
    free(c->packed);
    free(c->what);
    *c = (struct parquet_column){.fd = -1};
}

/* ---- what stands in front of a page ---- */

/* Fields of the three kinds: number of entries first; then what `to` says, by field. */
static void kind_read(struct thrift *t, enum thrift_type type, int64_t *const to[8], int *truth,
                      int truth_id)
{
    int id = 0;

    thrift_struct(t, type);
    while ((type = thrift_field(t, &id)) != THRIFT_STOP)
        if (id == truth_id)
            *truth = thrift_bool(t, type);
        else if (id > 0 && id < 8 && to[id])
            *to[id] = thrift_int(t, type);
        else
            thrift_skip(t, type);
}

static void head_read(struct thrift *t, struct page_head *h)
{
    enum thrift_type type;
    int id = 0, sorted;

    *h = (struct page_head){.type = -1,
                            .unpacked = -1,
                            .packed = -1,
                            .entries = -1,
                            .encoding = -1,
                            .def_encoding = PARQUET_AS_RLE,
                            .rep_encoding = PARQUET_AS_RLE,
                            .is_packed = 1};
    while ((type = thrift_field(t, &id)) != THRIFT_STOP)
        switch (id) {
        case 1:
            h->type = thrift_int(t, type);
            break;
        case 2:
            h->unpacked = thrift_int(t, type);
            break;
        case 3:
            h->packed = thrift_int(t, type);
            break;
        case 4:
            h->crc = thrift_int(t, type);
            h->has_crc = 1;
            break;
        case 5:
            kind_read(t, type,
                      (int64_t *const[8]){[1] = &h->entries,
                                          [2] = &h->encoding,
                                          [3] = &h->def_encoding,
                                          [4] = &h->rep_encoding},
                      &sorted, 0);
            break;
        case 7:
            kind_read(t, type, (int64_t *const[8]){[1] = &h->entries, [2] = &h->encoding}, &sorted,
                      3);
            break;
        case 8:
            kind_read(t, type,
                      (int64_t *const[8]){[1] = &h->entries,
                                          [4] = &h->encoding,
                                          [5] = &h->def_bytes,
                                          [6] = &h->rep_bytes},
                      &h->is_packed, 7);
            break;
        default:
            thrift_skip(t, type);
        }
}

/* The head of the page at c->at, which is passed over; statistics can make it long. */
static int head_get(struct parquet_column *c, struct page_head *h, struct err *e)
{
    for (size_t want = HEAD;; want *= 32) {
        const size_t n = c->left < want ? (size_t)c->left : want;
        uint8_t *head = mem_raw(n + 1, 1, e);
        struct thrift t = {.p = head, .end = head + n};
        int rc = head ? fs_pread_all(c->fd, head, n, c->at, c->what, e) : -1;

        if (rc == 0)
            head_read(&t, h);
        if (rc == 0 && !t.bad) {
            c->at += (uint64_t)(t.p - head);
            c->left -= (uint64_t)(t.p - head);
        }
        free(head);
        if (rc < 0)
            return -1;
        if (!t.bad)
            break;
        if (n < want || want >= HEAD_MAX)
            return damaged(c, "the head of a page", e);
    }
    if (h->packed < 0 || (uint64_t)h->packed > c->left || h->unpacked < 0 || h->packed > PAGE_MAX ||
        h->unpacked > PAGE_MAX)
        return damaged(c, "a page larger than it can be", e);
    return 0;
}

/* ---- pages ---- */

static int room_make(uint8_t **p, size_t *room, size_t want, struct err *e)
{
    if (want < *room)
        return 0;
    free(*p);
    *room = 0;
    if (!(*p = mem_raw(want + 1, 1, e)))
        return -1;
    *room = want + 1;
    return 0;
}

/* Behind `plain` bytes that are not packed, all of them to out. */
static int body_unpack(struct parquet_column *c, const struct page_head *h, size_t plain,
                       uint8_t *out, struct err *e)
{
    const size_t packed = (size_t)h->packed - plain, unpacked = (size_t)h->unpacked - plain;
    const int codec = h->is_packed ? c->codec : 0;

    if (plain)
        memcpy(out, c->packed, plain);
    if (!packed && !unpacked)
        return 0;
    return parquet_codec_unpack(codec, c->packed + plain, packed, out + plain, unpacked, c->what,
                                e);
}

static int body_read(struct parquet_column *c, const struct page_head *h, struct err *e)
{
    if (room_make(&c->packed, &c->packed_room, (size_t)h->packed, e) < 0 ||
        fs_pread_all(c->fd, c->packed, (size_t)h->packed, c->at, c->what, e) < 0)
        return -1;
    c->at += (uint64_t)h->packed;
    c->left -= (uint64_t)h->packed;
    if (h->has_crc && parquet_codec_crc(c->packed, (size_t)h->packed) != (uint32_t)h->crc)
        return damaged(c, "the checksum of a page", e);
    return 0;
}

static int dictionary_read(struct parquet_column *c, const struct page_head *h, struct err *e)
{
    uint8_t *data;

    if (c->leaf->type == PARQUET_BOOLEAN || c->dictionary.data || h->entries < 0 ||
        (h->encoding != PARQUET_AS_PLAIN && h->encoding != PARQUET_AS_PLAIN_DICTIONARY))
        return damaged(c, "a dictionary that cannot be one", e);
    if (!(data = mem_raw((size_t)h->unpacked + 1, 1, e)))
        return -1;
    if (body_unpack(c, h, 0, data, e) < 0) {
        free(data);
        return -1;
    }
    return parquet_dictionary_set(&c->dictionary, c->leaf->type, data, (size_t)h->unpacked,
                                  (uint64_t)h->entries, c->what, e);
}

static unsigned width_of(unsigned most)
{
    unsigned width = 0;

    while (most >> width)
        width++;
    return width;
}

/* Levels of the older pages: their length in front of them. *p is moved behind them. */
static int levels_start(struct parquet_column *c, struct parquet_runs *r, unsigned most,
                        int64_t encoding, const uint8_t **p, const uint8_t *end, struct err *e)
{
    uint32_t n;

    if (!most)
        return 0;
    if (encoding != PARQUET_AS_RLE)
        return err_set(e, ERR_USE, "%s: levels in an encoding that is not read (BIT_PACKED)",
                       c->what);
    if (end - *p < 4)
        return damaged(c, "levels of a page", e);
    n = (*p)[0] | (uint32_t)(*p)[1] << 8 | (uint32_t)(*p)[2] << 16 | (uint32_t)(*p)[3] << 24;
    if (n > (size_t)(end - *p) - 4)
        return damaged(c, "levels of a page", e);
    parquet_runs_start(r, *p + 4, n, width_of(most));
    *p += 4 + n;
    return 0;
}

static int data_start(struct parquet_column *c, const struct page_head *h, size_t plain,
                      struct err *e)
{
    const uint8_t *p, *end;

    if (room_make(&c->page, &c->page_room, (size_t)h->unpacked, e) < 0 ||
        body_unpack(c, h, plain, c->page, e) < 0)
        return -1;
    p = c->page;
    end = p + h->unpacked;
    if (h->type == PAGE_DATA_2) {
        parquet_runs_start(&c->rep_runs, p, (size_t)h->rep_bytes, width_of(c->leaf->rep));
        parquet_runs_start(&c->def_runs, p + h->rep_bytes, (size_t)h->def_bytes,
                           width_of(c->leaf->def));
        p += plain;
    } else if (levels_start(c, &c->rep_runs, c->leaf->rep, h->rep_encoding, &p, end, e) < 0 ||
               levels_start(c, &c->def_runs, c->leaf->def, h->def_encoding, &p, end, e) < 0) {
        return -1;
    }
    c->entries = (uint64_t)h->entries;
    return parquet_values_start(&c->values, c->leaf->type, (int)h->encoding, p, (size_t)(end - p),
                                &c->dictionary, c->what, e);
}

static int data_read(struct parquet_column *c, const struct page_head *h, struct err *e)
{
    size_t plain = 0;

    if (h->entries < 0 || h->encoding < 0 || h->encoding > 100)
        return damaged(c, "the head of a page", e);
    if (h->type == PAGE_DATA_2) {
        const int64_t least = h->packed < h->unpacked ? h->packed : h->unpacked;

        if (h->def_bytes < 0 || h->rep_bytes < 0 || h->rep_bytes > least ||
            h->def_bytes > least - h->rep_bytes)
            return damaged(c, "levels of a page", e);
        plain = (size_t)(h->def_bytes + h->rep_bytes);
    }
    return data_start(c, h, plain, e);
}

/* The next page that has entries: 1, 0 the end, -1. */
static int page_next(struct parquet_column *c, struct err *e)
{
    while (c->left) {
        struct page_head h;
        int rc = 0;

        if (head_get(c, &h, e) < 0 || body_read(c, &h, e) < 0)
            return -1;
        if (h.type == PAGE_DICTIONARY)
            rc = dictionary_read(c, &h, e);
        else if (h.type == PAGE_DATA || h.type == PAGE_DATA_2)
            rc = data_read(c, &h, e);
        if (rc < 0)
            return -1;
        if (c->entries)
            return 1;
    }
    return 0;
}

/* ---- entries ---- */

int parquet_column_peek(struct parquet_column *c, struct err *e)
{
    uint32_t rep = 0, def = 0;
    int got;

    if (c->ready)
        return 1;
    if (!c->entries && (got = page_next(c, e)) <= 0)
        return got;
    if ((c->leaf->rep && parquet_runs_next(&c->rep_runs, &rep) < 0) ||
        (c->leaf->def && parquet_runs_next(&c->def_runs, &def) < 0) || rep > c->leaf->rep ||
        def > c->leaf->def)
        return damaged(c, "levels of a page", e);
    c->rep = rep;
    c->def = def;
    c->entries--;
    c->ready = 1;
    return 1;
}

int parquet_column_take(struct parquet_column *c, struct parquet_value *x, struct err *e)
{
    c->ready = 0;
    if (c->def < c->leaf->def)
        return 0;
    return parquet_values_next(&c->values, x, c->what, e) < 0 ? -1 : 1;
}

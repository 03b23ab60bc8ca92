/* SPDX-License-Identifier: Apache-2.0 */
/* unpack - see unpack.h. zlib checks the CRC of a gzip member, zstd that of a frame where the
 * frame has one. */
#include "unpack.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "../base/mem.h"

enum { ROOM = 1 << 16, WINDOW_GZIP = 15 + 16 };

struct unpack {
    enum unpack_kind kind;
    const char *what;
    z_stream gzip;
    ZSTD_DStream *zstd;
    int inside; /* of a member or frame */
    int begun;
    char *room; /* [ROOM] */
};

enum unpack_kind unpack_kind_of(const void *head, size_t n)
{
    if (n >= 2 && !memcmp(head, "\x1F\x8B", 2))
        return UNPACK_GZIP;
    return n >= 4 && !memcmp(head, "\x28\xB5\x2F\xFD", 4) ? UNPACK_ZSTD : UNPACK_NONE;
}

struct unpack *unpack_open(enum unpack_kind kind, const char *what, struct err *e)
{
    struct unpack *u = mem_array(1, sizeof *u, e);
    int bad;

    if (!u)
        return NULL;
    u->what = what;
    if (!(u->room = mem_array(ROOM, 1, e))) {
        unpack_close(&u);
        return NULL;
    }
    if (kind == UNPACK_GZIP)
        bad = inflateInit2(&u->gzip, WINDOW_GZIP) != Z_OK;
    else
        bad = !(u->zstd = ZSTD_createDStream()) || ZSTD_isError(ZSTD_initDStream(u->zstd));
    if (bad) {
        err_set(e, ERR_SYS, "%s: no memory to unpack it", what);
        unpack_close(&u);
        return NULL;
    }
    u->kind = kind;
    return u;
}

void unpack_close(struct unpack **u)
{
    if (!u || !*u)
        return;
    if ((*u)->kind == UNPACK_GZIP)
        inflateEnd(&(*u)->gzip);
    ZSTD_freeDStream((*u)->zstd);
    free((*u)->room);
    free(*u);
    *u = NULL;
}

/* Zeros may stand behind the last member: blocks of a tape. */
static size_t padding(const unsigned char *data, size_t n)
{
    size_t i = 0;

    while (i < n && !data[i])
        i++;
    return i;
}

static int gzip_feed(struct unpack *u, const unsigned char *data, size_t n, unpack_put *put,
                     void *ctx, struct err *e)
{
    z_stream *z = &u->gzip;
    int rc = Z_OK;

    while (n || (u->inside && !z->avail_out && rc == Z_OK)) {
        size_t skip = !u->inside && u->begun ? padding(data, n) : 0;
        uInt most = n - skip < UINT_MAX ? (uInt)(n - skip) : UINT_MAX;

        data += skip;
        n -= skip;
        if (!n && !u->inside)
            break;
        u->inside = u->begun = 1;
        z->next_in = (unsigned char *)(uintptr_t)data;
        z->avail_in = most;
        z->next_out = (unsigned char *)u->room;
        z->avail_out = ROOM;
        rc = inflate(z, Z_NO_FLUSH);
        if (rc == Z_MEM_ERROR)
            return err_set(e, ERR_SYS, "%s: no memory to unpack it", u->what);
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
            return err_set(e, ERR_USE, "%s: damaged gzip data: %s", u->what,
                           z->msg ? z->msg : "not a gzip member");
        data += most - z->avail_in;
        n -= most - z->avail_in;
        if (z->avail_out < ROOM && put(ctx, u->room, ROOM - z->avail_out, e) < 0)
            return -1;
        if (rc == Z_STREAM_END) {
            u->inside = 0;
            inflateReset(z);
        }
    }
    return 0;
}

static int zstd_feed(struct unpack *u, const void *data, size_t n, unpack_put *put, void *ctx,
                     struct err *e)
{
    ZSTD_inBuffer in = {data, n, 0};
    ZSTD_outBuffer out = {u->room, ROOM, 0};
    size_t left;

    do {
        out.pos = 0;
        left = ZSTD_decompressStream(u->zstd, &out, &in);
        if (ZSTD_isError(left))
            return err_set(e, ERR_USE, "%s: damaged zstd data: %s", u->what,
                           ZSTD_getErrorName(left));
        u->inside = left != 0;
        if (out.pos && put(ctx, u->room, out.pos, e) < 0)
            return -1;
    } while (in.pos < in.size || (out.pos == out.size && u->inside));
    return 0;
}

int unpack_feed(struct unpack *u, const void *data, size_t n, unpack_put *put, void *ctx,
                struct err *e)
{
    return u->kind == UNPACK_GZIP ? gzip_feed(u, data, n, put, ctx, e)
                                  : zstd_feed(u, data, n, put, ctx, e);
}

int unpack_end(const struct unpack *u, struct err *e)
{
    return u->inside ? err_set(e, ERR_USE, "%s: cut short: the packed data end too early", u->what)
                     : 0;
}

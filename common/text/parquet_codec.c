/* SPDX-License-Identifier: Apache-2.0 */
/* parquet_codec - see parquet_codec.h. */
#include "parquet_codec.h"

#include <limits.h>
#include <pthread.h>
#include <snappy-c.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "../base/library.h"

enum codec { CODEC_NONE, CODEC_SNAPPY, CODEC_GZIP, CODEC_ZSTD = 6 };
#define WINDOW_ANY (15 + 32) /* gzip or zlib, as it says itself */

static const char *const names[] = {"none",   "SNAPPY", "GZIP", "LZO",
                                    "BROTLI", "LZ4",    "ZSTD", "LZ4_RAW"};

int parquet_codec_known(int codec)
{
    return codec == CODEC_NONE || codec == CODEC_SNAPPY || codec == CODEC_GZIP ||
           codec == CODEC_ZSTD;
}

const char *parquet_codec_name(int codec)
{
    return codec >= 0 && (size_t)codec < sizeof names / sizeof *names ? names[codec]
                                                                      : "an unknown codec";
}

static struct {
    __typeof__(snappy_uncompressed_length) *length;
    __typeof__(snappy_uncompress) *unpack;
    struct err missing;
} lib;

static void snappy_load(void)
{
    const struct library_symbol symbols[] = {{"snappy_uncompressed_length", &lib.length, 0},
                                             {"snappy_uncompress", &lib.unpack, 0}};

    library_load("libsnappy.so.1", symbols, sizeof symbols / sizeof *symbols, &lib.missing);
}

/* 1, 0: damaged, -1 */
static int snappy(const void *data, size_t n, void *out, size_t size, const char *what,
                  struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    size_t length;

    pthread_once(&once, snappy_load);
    if (lib.missing.kind != ERR_NONE)
        return err_set(e, ERR_SYS, "%s: snappy is not installed (libsnappy1v5): %s", what,
                       lib.missing.text);
    return lib.length(data, n, &length) == SNAPPY_OK && length == size &&
           lib.unpack(data, n, out, &length) == SNAPPY_OK && length == size;
}

/* Members may follow each other. */
static int gzip(const void *data, size_t n, void *out, size_t size)
{
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)data,
                  .avail_in = (uInt)n,
                  .next_out = out,
                  .avail_out = (uInt)size};
    int rc;

    if (n > UINT_MAX || size > UINT_MAX || inflateInit2(&z, WINDOW_ANY) != Z_OK)
        return 0;
    do {
        rc = inflate(&z, Z_NO_FLUSH);
        if (rc == Z_STREAM_END && z.avail_in)
            rc = inflateReset(&z) == Z_OK ? Z_OK : Z_DATA_ERROR;
    } while (rc == Z_OK);
    inflateEnd(&z);
    return rc == Z_STREAM_END && !z.avail_out;
}

int parquet_codec_unpack(int codec, const void *data, size_t n, void *out, size_t size,
                         const char *what, struct err *e)
{
    int fine = 0;

    switch (codec) {
    case CODEC_NONE:
        if ((fine = n == size) && n)
            memcpy(out, data, n);
        break;
    case CODEC_SNAPPY:
        if ((fine = snappy(data, n, out, size, what, e)) < 0)
            return -1;
        break;
    case CODEC_GZIP:
        fine = gzip(data, n, out, size);
        break;
    case CODEC_ZSTD:
        fine = ZSTD_decompress(out, size, data, n) == size;
        break;
    default:
        break;
    }
    return fine ? 0
                : err_set(e, ERR_USE,
                          "%s: damaged data: they do not unpack (%s) to the %zu bytes "
                          "that they should be",
                          what, parquet_codec_name(codec), size);
}

uint32_t parquet_codec_crc(const void *data, size_t n)
{
    return (uint32_t)crc32_z(0, data, n);
}

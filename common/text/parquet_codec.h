/* SPDX-License-Identifier: Apache-2.0 */
/* parquet_codec - how pages of a Parquet file are packed: snappy, gzip, zstd, not at all. */
#ifndef PTQ_PARQUET_CODEC_H
#define PTQ_PARQUET_CODEC_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"

int parquet_codec_known(int codec);
const char *parquet_codec_name(int codec); /* of any number */
/* Exactly `size` bytes into out; ERR_USE: the data are damaged. what: for errors. */
int parquet_codec_unpack(int codec, const void *data, size_t n, void *out, size_t size,
                         const char *what, struct err *e);
uint32_t parquet_codec_crc(const void *data, size_t n);

#endif

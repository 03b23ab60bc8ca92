/* SPDX-License-Identifier: Apache-2.0 */
/* hash - CRC32C (Castagnoli) of message parts, XXH64-style 64-bit digests of data for fingerprints.
 * Neither is cryptographic: they find accidents, not attackers. */
#ifndef PTQ_HASH_H
#define PTQ_HASH_H

#include <stddef.h>
#include <stdint.h>
#include "err.h"

/* CRC32C; start with crc 0 and chain. Uses the CPU's instruction where there is one. */
uint32_t hash_crc32c(uint32_t crc, const void *data, size_t n);

/* 64-bit digest, chainable: start with hash_start(). */
struct hash {
    uint64_t state[4];
    uint64_t total;
    unsigned char tail[32];
    size_t ntail;
};
void hash_start(struct hash *h);
void hash_add(struct hash *h, const void *data, size_t n);
uint64_t hash_end(const struct hash *h);
uint64_t hash_bytes(const void *data, size_t n);
int hash_file(const char *path, uint64_t *digest, struct err *e);
void hash_hex(uint64_t digest, char out[17]);

#endif

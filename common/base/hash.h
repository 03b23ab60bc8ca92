/* SPDX-License-Identifier: Apache-2.0 */
/* hash - CRC32C (Castagnoli) of message parts, XXH64 digests of data for fingerprints. Neither is
 * cryptographic: they find accidents, not attackers. Only hash_file() can fail. */
#ifndef PTQ_HASH_H
#define PTQ_HASH_H

#include <stddef.h>
#include <stdint.h>
#include "err.h"

/* CRC32C; start with crc 0 and chain. */
uint32_t hash_crc32c(uint32_t crc, const void *data, size_t n);

/* XXH64 piece by piece: start, add, end (which may be asked in between). Owns nothing. */
struct hash {
    uint64_t state[11]; /* of libxxhash */
};
void hash_start(struct hash *h);
void hash_add(struct hash *h, const void *data, size_t n);
uint64_t hash_end(const struct hash *h);

uint64_t hash_bytes(const void *data, size_t n);
/* Of the bytes of a file; -1 when it cannot be read. */
int hash_file(const char *path, uint64_t *digest, struct err *e);
void hash_hex(uint64_t digest, char out[17]); /* lower-case, ends with a NUL */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* digest - BLAKE2b-256 of bytes that come piece by piece: what two files of other contents do not
 * share, whoever made them. For accidents alone hash.h is faster. */
#ifndef PTQ_DIGEST_H
#define PTQ_DIGEST_H

#include <stddef.h>

#define DIGEST_TEXT 65 /* 64 lower-case hexadecimal digits, with the NUL */

struct digest {                            /* owns nothing */
    _Alignas(64) unsigned char state[384]; /* of libsodium */
};

void digest_start(struct digest *d);
void digest_add(struct digest *d, const void *data, size_t n);
void digest_end(struct digest *d, char out[DIGEST_TEXT]); /* nothing can be added after it */
/* 1: it is what digest_end() writes. */
int digest_is_text(const char *text);

#endif

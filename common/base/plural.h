/* SPDX-License-Identifier: Apache-2.0 */
/* plural - "1 chunk is", "2 chunks are". */
#ifndef PTQ_PLURAL_H
#define PTQ_PLURAL_H

#include <stdint.h>

/* The ending of a noun that so many are counted of. */
static inline const char *plural_s(uint64_t n)
{
    return n == 1 ? "" : "s";
}

/* The verb, or whatever else is another word then. */
static inline const char *plural_word(uint64_t n, const char *one, const char *many)
{
    return n == 1 ? one : many;
}

#endif

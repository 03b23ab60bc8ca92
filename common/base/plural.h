/* SPDX-License-Identifier: Apache-2.0 */
/* plural - "1 chunk", "2 chunks". */
#ifndef PTQ_PLURAL_H
#define PTQ_PLURAL_H

#include <stdint.h>

/* The ending of a noun that so many are counted of. */
static inline const char *plural_s(uint64_t n)
{
    return n == 1 ? "" : "s";
}

#endif

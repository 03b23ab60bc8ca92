/* SPDX-License-Identifier: Apache-2.0 */
/* lanes - see lanes.h. */
#include "lanes.h"

#include <stdio.h>

int lanes_print(const uint64_t *lane, size_t chunks, char *out, size_t size)
{
    size_t n = 0;

    *out = '\0';
    for (size_t i = 0, end; i < chunks && n < size; i = end) {
        uint64_t to = lane[i];

        for (end = i; end < chunks && lane[end] >= to && lane[end] - to <= 1; end++)
            to = lane[end];
        n += (size_t)snprintf(out + n, size - n, to > lane[i] ? "%s%llu-%llu" : "%s%llu",
                              n ? "," : "", (unsigned long long)lane[i], (unsigned long long)to);
    }
    return n < size ? 0 : -1;
}

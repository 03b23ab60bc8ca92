/* SPDX-License-Identifier: Apache-2.0 */
/* base64 - see base64.h. */
#include "base64.h"

#include <stdint.h>

static int digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

size_t base64_read(const char *text, size_t n, unsigned char *out)
{
    size_t used = 0, have = 0;
    uint32_t bits = 0;

    while (n && text[n - 1] == '=')
        n--;
    for (size_t i = 0; i < n; i++) {
        if (digit(text[i]) < 0)
            return SIZE_MAX;
        bits = bits << 6 | (uint32_t)digit(text[i]);
        if ((have += 6) >= 8)
            out[used++] = (unsigned char)(bits >> (have -= 8));
    }
    return used;
}

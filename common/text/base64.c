/* SPDX-License-Identifier: Apache-2.0 */
/* base64 - see base64.h. */
#include "base64.h"

#include <stdint.h>
#include "../base/mem.h"

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

char *base64_write(const unsigned char *in, size_t n, struct err *e)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = mem_array((n + 2) / 3 * 4 + 1, 1, e);

    for (size_t i = 0; out && i < n; i += 3) {
        const uint32_t bits = (uint32_t)in[i] << 16 | (i + 1 < n ? (uint32_t)in[i + 1] << 8 : 0) |
                              (i + 2 < n ? (uint32_t)in[i + 2] : 0);
        char *to = out + i / 3 * 4;

        for (size_t k = 0; k < 4; k++)
            to[k] = i + k <= n ? letters[bits >> (18 - 6 * k) & 63] : '=';
    }
    return out;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* exif - see exif.h. TIFF: byte order, then the place of a folder of 12-byte entries. */
#include "exif.h"

#include <string.h>

#define ORIENTATION 0x0112
#define SHORT 3

static uint32_t number(const uint8_t *p, int bytes, int little)
{
    uint32_t v = 0;

    for (int i = 0; i < bytes; i++)
        v |= (uint32_t)p[i] << 8 * (little ? i : bytes - 1 - i);
    return v;
}

int exif_orientation(const uint8_t *data, size_t n)
{
    size_t at, count;
    int little;

    if (n >= 6 && memcmp(data, "Exif\0\0", 6) == 0) {
        data += 6;
        n -= 6;
    }
    if (n < 8 || (memcmp(data, "II", 2) != 0 && memcmp(data, "MM", 2) != 0))
        return 1;
    little = data[0] == 'I';
    at = number(data + 4, 4, little);
    if (at > n || n - at < 2)
        return 1;
    count = number(data + at, 2, little);
    at += 2;
    for (size_t i = 0; i < count && n - at >= 12; i++, at += 12) {
        uint32_t v;

        if (number(data + at, 2, little) != ORIENTATION)
            continue;
        v = number(data + at + 8, 2, little);
        return number(data + at + 2, 2, little) == SHORT && v >= 1 && v <= 8 ? (int)v : 1;
    }
    return 1;
}

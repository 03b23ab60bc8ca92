/* SPDX-License-Identifier: Apache-2.0 */
/* image - see image.h. */
#include "image.h"

#include <stdlib.h>

#include "../base/mem.h"

int image_check(size_t width, size_t height, struct err *e)
{
    if (!width || !height)
        return err_set(e, ERR_USE, "%zu x %zu pixels: there is nothing to see", width, height);
    if (width > IMAGE_SIDE || height > IMAGE_SIDE || width > IMAGE_PIXELS / height)
        return err_set(
            e, ERR_USE,
            "%zu x %zu pixels: at most %zu a side and %zu together are taken; scale it down", width,
            height, IMAGE_SIDE, IMAGE_PIXELS);
    return 0;
}

int image_alloc(struct image *to, size_t width, size_t height, struct err *e)
{
    *to = (struct image){0};
    if (image_check(width, height, e) < 0 || !(to->rgb = mem_raw(width * height, 3, e)))
        return -1;
    to->width = width;
    to->height = height;
    return 0;
}

void image_release(struct image *x)
{
    free(x->rgb);
    *x = (struct image){0};
}

void image_flatten(uint8_t *rgba, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = rgba + 4 * i;
        const unsigned a = p[3];

        for (size_t c = 0; c < 3; c++) {
            unsigned v = p[c] * a + 255 * (255 - a) + 128; /* / 255, rounded */

            rgba[3 * i + c] = (uint8_t)((v + (v >> 8)) >> 8);
        }
    }
}

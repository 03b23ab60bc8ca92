/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_image - a picture file from anywhere: refused with a reason, or pixels within the limits. */
#include <stdlib.h>
#include "../../common/image/image_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct image x;

    if (image_file_decode(data, size, "picture", &x, &e) < 0) {
        if (x.rgb || !e.text[0])
            abort();
        return 0;
    }
    if (!x.width || !x.height || x.width > IMAGE_SIDE || x.width * x.height > IMAGE_PIXELS ||
        (x.rgb[3 * x.width * x.height - 1] & 0x100))
        abort();
    image_release(&x);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_prepare - {"settings": ..., "config": ...} from anywhere: refused, or sizes that can be
 * asked for; small pictures are prepared too. */
#include <stdlib.h>
#include "../../common/base/json.h"
#include "../../common/image/prepare.h"

#define VALUES_MAX ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_size(const struct prepare *p, size_t width, size_t height)
{
    struct prepared_shape s;
    struct err e = {0};
    struct image x;
    size_t n = 1;
    float *out;

    if (prepare_measure(p, width, height, 1 + (width & 1), &s, &e) < 0)
        return;
    for (int d = 0; d < s.ndim; d++)
        n = s.shape[d] && n < VALUES_MAX ? n * s.shape[d] : VALUES_MAX;
    if (n >= VALUES_MAX || width * height > 4096 || image_alloc(&x, width, height, &e) < 0)
        return;
    for (size_t i = 0; i < 3 * width * height; i++)
        x.rgb[i] = (uint8_t)(i * 7);
    if ((out = malloc(n * sizeof *out)))
        prepare_pixels(p, &x, &s, out, &e);
    free(out);
    image_release(&x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json *j = json_parse((const char *)data, size, "input", NULL);
    struct err e = {0};
    struct prepare *p =
        prepare_parse(json_get(j, "settings"), "settings", json_get(j, "config"), &e);

    if (!p && !e.text[0])
        abort();
    if (p) {
        try_size(p, 37, 24);
        try_size(p, 24, 64);
        try_size(p, 1, 1);
        try_size(p, 16384, 4096);
        try_size(p, 1, 16384);
    }
    prepare_close(&p);
    json_destroy(&j);
    return 0;
}

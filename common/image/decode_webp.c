/* SPDX-License-Identifier: Apache-2.0 */
/* decode_webp - WebP by libwebp: lossy and lossless, with alpha; an animation is refused. */
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>

#include "../base/mem.h"
#include "decode.h"
#include "exif.h"

static size_t length_at(const uint8_t *p)
{
    return (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
}

/* RIFF: chunks of a name, a length and that many bytes, an even number. */
static int orientation_of(const uint8_t *data, size_t n)
{
    size_t at = 12;

    while (n - at >= 8) {
        const size_t length = length_at(data + at + 4);

        if (length > n - at - 8)
            break;
        if (memcmp(data + at, "EXIF", 4) == 0)
            return exif_orientation(data + at + 8, length);
        if (length + (length & 1) > n - at - 8)
            break;
        at += 8 + length + (length & 1);
    }
    return 1;
}

static const char *why(VP8StatusCode code)
{
    static const char *const texts[] = {
        [VP8_STATUS_OUT_OF_MEMORY] = "no memory for the decoder",
        [VP8_STATUS_UNSUPPORTED_FEATURE] = "a feature that is not known",
        [VP8_STATUS_NOT_ENOUGH_DATA] = "truncated: it ends before its last row",
    };
    const size_t i = (size_t)code;

    return i < sizeof texts / sizeof *texts && texts[i] ? texts[i] : "its data are broken";
}

int decode_webp(const uint8_t *data, size_t n, struct image *to, int *orientation, struct err *e)
{
    WebPDecoderConfig c;
    VP8StatusCode code = VP8_STATUS_INVALID_PARAM;
    uint8_t *rgba = NULL;
    int rc = -1;

    if (!WebPInitDecoderConfig(&c) || (code = WebPGetFeatures(data, n, &c.input)) != VP8_STATUS_OK)
        return err_set(e, ERR_USE, "%s", why(code));
    if (c.input.has_animation)
        return err_set(e, ERR_USE, "an animation: a picture is needed");
    if (image_alloc(to, (size_t)c.input.width, (size_t)c.input.height, e) < 0)
        return -1;
    if (c.input.has_alpha && !(rgba = mem_raw(to->width * to->height, 4, e)))
        return -1;
    c.output.colorspace = rgba ? MODE_RGBA : MODE_RGB;
    c.output.is_external_memory = 1;
    c.output.u.RGBA.rgba = rgba ? rgba : to->rgb;
    c.output.u.RGBA.stride = c.input.width * (rgba ? 4 : 3);
    c.output.u.RGBA.size = to->width * to->height * (rgba ? 4 : 3);
    if ((code = WebPDecode(data, n, &c)) != VP8_STATUS_OK) {
        err_set(e, ERR_USE, "%s", why(code));
        goto out;
    }
    if (rgba) {
        image_flatten(rgba, to->width * to->height);
        memcpy(to->rgb, rgba, 3 * to->width * to->height);
    }
    *orientation = orientation_of(data, n);
    rc = 0;
out:
    WebPFreeDecBuffer(&c.output);
    free(rgba);
    return rc;
}

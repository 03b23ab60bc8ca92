/* SPDX-License-Identifier: Apache-2.0 */
/* decode_png - PNG by libpng: every colour type and depth, interlaced too; of an animation the
 * picture that stands for it. No gamma or colour profile is applied, as the libraries that models
 * are trained with do not apply them. */
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "../base/mem.h"
#include "decode.h"
#include "exif.h"

#define CHUNK_BYTES ((png_alloc_size_t)8 << 20) /* of one that is not picture data */
#define CHUNKS 1000

struct source {
    const uint8_t *data;
    size_t left;
    uint8_t *pixels; /* [height, width, 3 or 4] */
    size_t width, height;
    int channels;
    struct err *e;
};

static void take(png_structp png, png_bytep to, size_t n)
{
    struct source *s = png_get_io_ptr(png);

    if (n > s->left)
        png_error(png, "truncated: it ends before its last chunk");
    memcpy(to, s->data, n);
    s->data += n;
    s->left -= n;
}

static void fail(png_structp png, png_const_charp text)
{
    struct source *s = png_get_error_ptr(png);

    err_set(s->e, ERR_USE, "%s", text);
    png_longjmp(png, 1);
}

static void warn(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

/* RGB or RGBA, 8 bits; of a palette the indices, one a byte. */
static void as_rgb(png_structp png, png_infop info)
{
    if (png_get_color_type(png, info) == PNG_COLOR_TYPE_PALETTE) {
        png_set_packing(png);
    } else {
        png_set_strip_16(png);
        png_set_expand(png);
        png_set_gray_to_rgb(png);
    }
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
}

/* Indices at the beginning of each row become RGBA. The library itself would take those behind the
 * last colour for black. */
static void expand_palette(png_structp png, png_infop info, struct source *s)
{
    png_colorp colour = NULL;
    png_bytep alpha = NULL;
    int colours = 0, alphas = 0;

    png_get_PLTE(png, info, &colour, &colours);
    png_get_tRNS(png, info, &alpha, &alphas, NULL);
    for (size_t y = 0; y < s->height; y++) {
        uint8_t *row = s->pixels + y * s->width * 4;

        for (size_t x = s->width; x-- > 0;) {
            const int i = row[x];

            if (i >= colours)
                png_error(png, "a pixel of a colour that its palette does not have");
            row[4 * x] = colour[i].red;
            row[4 * x + 1] = colour[i].green;
            row[4 * x + 2] = colour[i].blue;
            row[4 * x + 3] = i < alphas ? alpha[i] : 0xff;
        }
    }
}

/* All that may jump out. */
static int run(png_structp png, png_infop info, struct source *s, int *orientation)
{
    png_bytep exif;
    png_uint_32 n;
    int passes, palette;

    png_set_read_fn(png, s, take);
    png_set_user_limits(png, 0x7fffffff, 0x7fffffff); /* image_check's are the limits */
    png_set_chunk_malloc_max(png, CHUNK_BYTES);
    png_set_chunk_cache_max(png, CHUNKS);
    png_read_info(png, info);
    s->width = png_get_image_width(png, info);
    s->height = png_get_image_height(png, info);
    if (image_check(s->width, s->height, s->e) < 0)
        return -1;
    passes = png_get_interlace_type(png, info) == PNG_INTERLACE_ADAM7 ? 7 : 1;
    palette = png_get_color_type(png, info) == PNG_COLOR_TYPE_PALETTE;
    as_rgb(png, info);
    s->channels = png_get_channels(png, info);
    if (png_get_rowbytes(png, info) != s->width * (size_t)s->channels ||
        (s->channels != (palette ? 1 : 3) && (palette || s->channels != 4)))
        png_error(png, "a colour type that is not known");
    if (palette)
        s->channels = 4;
    if (!(s->pixels = mem_raw(s->width * s->height, (size_t)s->channels, s->e)))
        return -1;
    while (passes--)
        for (size_t y = 0; y < s->height; y++)
            png_read_row(png, s->pixels + y * s->width * (size_t)s->channels, NULL);
    png_read_end(png, info);
    if (palette)
        expand_palette(png, info, s);
    if (png_get_eXIf_1(png, info, &n, &exif))
        *orientation = exif_orientation(exif, n);
    return 0;
}

int decode_png(const uint8_t *data, size_t n, struct image *to, int *orientation, struct err *e)
{
    struct source *s = mem_array(1, sizeof *s, e);
    png_structp png = s ? png_create_read_struct(PNG_LIBPNG_VER_STRING, s, fail, warn) : NULL;
    png_infop info = png ? png_create_info_struct(png) : NULL;
    int rc = -1;

    if (s)
        *s = (struct source){.data = data, .left = n, .e = e};
    if (!info) {
        err_set(e, ERR_SYS, "no memory for the decoder");
    } else if (setjmp(png_jmpbuf(png)) == 0) {
        rc = run(png, info, s, orientation);
    }
    if (rc == 0 && s->channels == 4)
        image_flatten(s->pixels, s->width * s->height);
    if (rc == 0) {
        *to = (struct image){s->width, s->height, s->pixels};
        s->pixels = NULL;
    }
    png_destroy_read_struct(&png, &info, NULL);
    if (s)
        free(s->pixels);
    free(s);
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* decode_jpeg - JPEG by libjpeg-turbo: baseline and progressive, grey, YCbCr, RGB, CMYK.
 *
 * The library goes on after most errors and makes up what is missing; here what it warns of is an
 * error, but for bytes between markers, which cameras leave. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "../base/mem.h"
#include "decode.h"
#include "exif.h"

#define SCANS_MAX 100 /* of a progressive file; each costs as much as the whole picture */
#define EXIF_BYTES 65533

struct decoder {
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf out;
    struct err *e;
};

static struct decoder *decoder_of(j_common_ptr c)
{
    return c->client_data;
}

static void fail(j_common_ptr c)
{
    char text[JMSG_LENGTH_MAX];

    c->err->format_message(c, text);
    err_set(decoder_of(c)->e, ERR_USE, "%s", text);
    longjmp(decoder_of(c)->out, 1);
}

static void warn(j_common_ptr c, int level)
{
    const int code = c->err->msg_code;

    if (level >= 0 || code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM ||
        code == JWRN_TOO_MUCH_DATA)
        return;
    if (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER) {
        err_set(decoder_of(c)->e, ERR_USE, "truncated: it ends before the last row");
        longjmp(decoder_of(c)->out, 1);
    }
    fail(c);
}

static void progressed(j_common_ptr c)
{
    if (((j_decompress_ptr)c)->input_scan_number <= SCANS_MAX)
        return;
    err_set(decoder_of(c)->e, ERR_USE, "more than %d scans", SCANS_MAX);
    longjmp(decoder_of(c)->out, 1);
}

/* CMYK, as Adobe's programs write it upside down, to the plain complement. */
static void row_from_cmyk(const uint8_t *from, size_t width, int inverted, uint8_t *to)
{
    for (size_t i = 0; i < width; i++) {
        const unsigned flip = inverted ? 0 : 255, k = from[4 * i + 3] ^ flip;

        for (size_t c = 0; c < 3; c++) {
            unsigned v = (255 - (from[4 * i + c] ^ flip)) * k + 128;

            v = (v + (v >> 8)) >> 8;
            to[3 * i + c] = (uint8_t)(v > k ? 0 : k - v);
        }
    }
}

static void rows_read(struct decoder *d, uint8_t *row, struct image *to)
{
    const int inverted = d->c.saw_Adobe_marker;

    while (d->c.output_scanline < d->c.output_height) {
        uint8_t *at = to->rgb + 3 * to->width * d->c.output_scanline;
        JSAMPROW lines[1] = {row ? row : at};

        jpeg_read_scanlines(&d->c, lines, 1);
        if (row)
            row_from_cmyk(row, to->width, inverted, at);
    }
}

/* All that may jump out; *row is freed by the caller. */
static int run(struct decoder *d, const uint8_t *data, size_t n, struct image *to, uint8_t **row,
               int *orientation)
{
    jpeg_saved_marker_ptr m;

    jpeg_create_decompress(&d->c);
    jpeg_mem_src(&d->c, data, n);
    jpeg_save_markers(&d->c, JPEG_APP0 + 1, EXIF_BYTES);
    jpeg_read_header(&d->c, TRUE);
    d->c.progress = &d->progress;
    for (m = d->c.marker_list; m && *orientation == 1; m = m->next)
        if (m->data_length > 6 && memcmp(m->data, "Exif\0\0", 6) == 0)
            *orientation = exif_orientation(m->data, m->data_length);
    if (image_alloc(to, d->c.image_width, d->c.image_height, d->e) < 0)
        return -1;
    d->c.out_color_space = JCS_RGB;
    if (d->c.jpeg_color_space == JCS_CMYK || d->c.jpeg_color_space == JCS_YCCK) {
        d->c.out_color_space = JCS_CMYK;
        if (!(*row = mem_raw(to->width, 4, d->e)))
            return -1;
    }
    jpeg_start_decompress(&d->c);
    rows_read(d, *row, to);
    jpeg_finish_decompress(&d->c);
    return 0;
}

int decode_jpeg(const uint8_t *data, size_t n, struct image *to, int *orientation, struct err *e)
{
    struct decoder *d = mem_array(1, sizeof *d, e);
    uint8_t **row = d ? mem_array(1, sizeof *row, e) : NULL; /* in memory: it outlives a jump */
    int rc = -1;

    if (!row) {
        free(d);
        return -1;
    }
    d->e = e;
    d->c.err = jpeg_std_error(&d->errors);
    d->c.client_data = d;
    d->errors.error_exit = fail;
    d->errors.emit_message = warn;
    d->progress.progress_monitor = progressed;
    if (setjmp(d->out) == 0)
        rc = run(d, data, n, to, row, orientation);
    jpeg_destroy_decompress(&d->c);
    free(*row);
    free(row);
    free(d);
    return rc;
}

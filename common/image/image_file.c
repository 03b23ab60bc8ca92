/* SPDX-License-Identifier: Apache-2.0 */
/* image_file - see image_file.h: what a file is, and turning its picture the right way up. */
#include "image_file.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "../base/fs.h"
#include "../base/mem.h"
#include "decode.h"

struct kind {
    const char *name;
    const char *endings[5];
    /* NULL: known only to be refused by name */
    int (*decode)(const uint8_t *data, size_t n, struct image *to, int *orientation, struct err *e);
    const char *magic; /* '?': any byte */
    size_t length;
};

static const struct kind kinds[] = {
    {"JPEG", {"jpg", "jpeg", "jpe", "jfif"}, decode_jpeg, "\xff\xd8\xff", 3},
    {"PNG", {"png"}, decode_png, "\x89PNG\r\n\x1a\n", 8},
    {"WebP", {"webp"}, decode_webp, "RIFF????WEBP", 12},
    {"GIF", {"gif"}, NULL, "GIF8", 4},
    {"BMP", {"bmp"}, NULL, "BM", 2},
    {"TIFF", {"tif", "tiff"}, NULL, "II*\0", 4},
    {"TIFF", {"tif", "tiff"}, NULL, "MM\0*", 4},
    {"HEIC or AVIF", {"heic", "heif", "avif"}, NULL, "????ftyp", 8},
};
#define KINDS (sizeof kinds / sizeof *kinds)

static const struct kind *kind_of(const uint8_t *data, size_t n)
{
    for (size_t i = 0; i < KINDS; i++) {
        size_t k = 0;

        while (k < kinds[i].length && k < n &&
               (kinds[i].magic[k] == '?' || (uint8_t)kinds[i].magic[k] == data[k]))
            k++;
        if (k == kinds[i].length)
            return &kinds[i];
    }
    return NULL;
}

static int ending_is(const struct kind *k, const char *ending)
{
    for (size_t i = 0; i < 5 && k->endings[i]; i++)
        if (strcasecmp(k->endings[i], ending) == 0)
            return 1;
    return 0;
}

/* What the ending of a name promises, "" when it has none. */
static int name_check(const struct kind *k, const char *name, struct err *e)
{
    const char *dot = name ? strrchr(name, '.') : NULL;

    if (!dot || strchr(dot, '/') || ending_is(k, dot + 1))
        return 0;
    for (size_t i = 0; i < KINDS; i++)
        if (ending_is(&kinds[i], dot + 1))
            return err_set(e, ERR_USE, "a %s picture under a name that says %s: rename it", k->name,
                           kinds[i].name);
    return 0;
}

/* EXIF's orientations: 2 mirrored, 3 upside down, 4 both, 5 to 8 with rows and columns changed. */
static int turn(struct image *x, int orientation, struct err *e)
{
    const size_t w = x->width, h = x->height;
    const int swap = orientation >= 5;
    const int right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    const int bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    struct image to;

    if (orientation == 1)
        return 0;
    if (image_alloc(&to, swap ? h : w, swap ? w : h, e) < 0)
        return -1;
    for (size_t y = 0; y < to.height; y++)
        for (size_t i = 0; i < to.width; i++) {
            const size_t u = swap ? y : i, v = swap ? i : y;

            memcpy(to.rgb + 3 * (y * to.width + i),
                   x->rgb + 3 * ((bottom ? h - 1 - v : v) * w + (right ? w - 1 - u : u)), 3);
        }
    image_release(x);
    *x = to;
    return 0;
}

static int decode(const uint8_t *data, size_t n, const char *name, struct image *to, struct err *e)
{
    const struct kind *k = kind_of(data, n);
    int orientation = 1;

    if (n > IMAGE_BYTES)
        return err_set(e, ERR_USE, "%zu bytes, more than the %zu that are taken", n, IMAGE_BYTES);
    if (!k)
        return err_set(e, ERR_USE,
                       n ? "no picture: neither JPEG nor PNG nor WebP by its contents"
                         : "no picture: it is empty");
    if (!k->decode)
        return err_set(e, ERR_USE, "a %s picture: only JPEG, PNG and WebP are read; convert it",
                       k->name);
    if (name_check(k, name, e) < 0)
        return -1;
    if (k->decode(data, n, to, &orientation, e) < 0)
        return err_prefix(e, "%s", k->name);
    return turn(to, orientation, e);
}

int image_file_decode(const void *data, size_t n, const char *name, struct image *to, struct err *e)
{
    struct err why = {0};

    *to = (struct image){0};
    if (decode(data, n, name, to, &why) == 0)
        return 0;
    image_release(to);
    if (e)
        *e = why;
    return err_prefix(e, "%.200s", name ? name : "a picture");
}

int image_file_read(const char *path, uint8_t **data, size_t *n, struct err *e)
{
    uint64_t bytes;
    int fd = fs_open(path, &bytes, e), rc = -1;

    *data = NULL;
    if (fd < 0)
        return -1;
    if (bytes > IMAGE_BYTES)
        err_set(e, ERR_USE, "%.200s: %llu bytes, more than the %zu that are taken", path,
                (unsigned long long)bytes, IMAGE_BYTES);
    else if ((*data = mem_raw((size_t)bytes + 1, 1, e)))
        rc = fs_pread_all(fd, *data, (size_t)bytes, 0, path, e);
    close(fd);
    if (rc < 0) {
        free(*data);
        *data = NULL;
    }
    *n = (size_t)bytes;
    return rc;
}

int image_file_open(const char *path, struct image *to, struct err *e)
{
    uint8_t *data;
    size_t n;
    int rc;

    *to = (struct image){0};
    if (image_file_read(path, &data, &n, e) < 0)
        return -1;
    rc = image_file_decode(data, n, path, to, e);
    free(data);
    return rc;
}

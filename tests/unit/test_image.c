/* SPDX-License-Identifier: Apache-2.0 */
/* test_image - pictures out of files: what Pillow makes of them, what is refused; EXIF; resizing.
 * The pictures are those of tests/golden/image (make_images.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/base/fs.h"
#include "../../common/base/hash.h"
#include "../../common/base/json.h"
#include "../../common/image/exif.h"
#include "../../common/image/image_file.h"
#include "../../common/image/resize.h"
#include "shared.h"

#define GOLDEN "tests/golden/image/"

static const struct {
    const char *name;
    size_t width, height;
    uint64_t digest; /* of Pillow's pixels */
} pictures[] = {
    {"rgb.jpg", 37, 24, 0xbf0c8f1752dc6631},    {"prog.jpg", 37, 24, 0xcbb8147a989c9c52},
    {"grey.jpg", 37, 24, 0x9ffe3dcfc972cc47},   {"cmyk.jpg", 37, 24, 0x8952ab8f8edd0e75},
    {"turn2.jpg", 37, 24, 0xffa0d3382f6eb0e5},  {"turn3.jpg", 37, 24, 0xef5d74017801aeeb},
    {"turn4.jpg", 37, 24, 0xdb9cccc07b17d880},  {"turn5.jpg", 24, 37, 0x82a3e774c8ce128a},
    {"turn6.jpg", 24, 37, 0x681f956f24af8d23},  {"turn7.jpg", 24, 37, 0x1d2a5f17701d21b3},
    {"turn8.jpg", 24, 37, 0x3bf7b3eced436a64},  {"rgb.png", 37, 24, 0xf8b3d259fab360c3},
    {"turn6.png", 24, 37, 0xf7142eae58294034},  {"turn6.webp", 24, 37, 0xf7142eae58294034},
    {"grey.png", 37, 24, 0x673fcc8850965eaa},   {"bit.png", 37, 24, 0x8f24dbf8b6601349},
    {"pal.png", 37, 24, 0x7b357e1058b5dd3c},    {"paltr.png", 37, 24, 0xa15c447d7e0b0580},
    {"rgba.png", 37, 24, 0xf027314efb8cbc0f},   {"la.png", 37, 24, 0x5d39209ff7776135},
    {"lossy.webp", 37, 24, 0x3e99890c641e93b3}, {"alpha.webp", 37, 24, 0xf027314efb8cbc0f},
    {"inter.png", 37, 24, 0xf8b3d259fab360c3},  {"palinter.png", 37, 24, 0x7b357e1058b5dd3c},
};
#define PICTURES (sizeof pictures / sizeof *pictures)

static const char *path_of(const char *name)
{
    static char path[256];

    snprintf(path, sizeof path, GOLDEN "%s", name);
    return path;
}

static void pictures_are_as_pillow_makes_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < PICTURES; i++) {
        struct err e = {0};
        struct image x;

        assert_int_equal(image_file_open(path_of(pictures[i].name), &x, &e), 0);
        assert_int_equal(x.width, pictures[i].width);
        assert_int_equal(x.height, pictures[i].height);
        if (hash_bytes(x.rgb, 3 * x.width * x.height) != pictures[i].digest)
            fail_msg("%s has other pixels", pictures[i].name);
        image_release(&x);
    }
}

/* Pillow makes most of such a picture white; the upper 8 bits are what is seen. */
static void grey_of_16_bits_keeps_the_upper_8(void **state)
{
    struct err e = {0};
    struct image x;

    (void)state;
    assert_int_equal(image_file_open(path_of("grey16.png"), &x, &e), 0);
    for (size_t i = 0; i < x.width * x.height; i++) {
        const unsigned column = (unsigned)(i % x.width);

        assert_int_equal(x.rgb[3 * i], ((column * 6 % 256) * 257 + 3 * column) >> 8);
        assert_int_equal(x.rgb[3 * i], x.rgb[3 * i + 2]);
    }
    image_release(&x);
}

static void hostile_files_are_refused_by_name(void **state)
{
    static const struct {
        const char *name, *words;
    } cases[] = {
        {"wide.jpg", "wide.jpg: JPEG: 65500 x 8 pixels: at most 16384 a side"},
        {"bomb.png", "bomb.png: PNG: 60000 x 60000 pixels"},
        {"short.png", "short.png: PNG: "},
        {"palshort.png", "palshort.png: PNG: a pixel of a colour that its palette does not have"},
        {"anim.webp", "anim.webp: WebP: an animation"},
        {"make_images.py", "neither JPEG nor PNG nor WebP"},
        {"absent.png", "absent.png"},
        {".", "not a regular file"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = {0};
        struct image x;

        assert_int_equal(image_file_open(path_of(cases[i].name), &x, &e), -1);
        assert_int_equal(e.kind, ERR_USE);
        assert_null(x.rgb);
        if (!strstr(e.text, cases[i].words))
            print_message("%s\n", e.text);
        assert_non_null(strstr(e.text, cases[i].words));
    }
}

static void wrong_names_are_refused(void **state)
{
    static const struct {
        const char *file, *name, *words;
    } cases[] = {
        {"rgb.png", "cat.jpg", "cat.jpg: a PNG picture under a name that says JPEG"},
        {"rgb.jpg", "cat.webp", "a JPEG picture under a name that says WebP"},
        {"lossy.webp", "a/b.PNG", "a WebP picture under a name that says PNG"},
        {"rgb.jpg", "cat.gif", "a JPEG picture under a name that says GIF"},
        {"rgb.jpg", "cat.JPEG", NULL},
        {"rgb.png", "d.jpg/cat", NULL},
        {"rgb.png", "cat.bin", NULL},
        {"rgb.png", NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = {0};
        struct image x;
        size_t n;
        char *data = fs_read(path_of(cases[i].file), 1 << 20, &n, &e);
        int rc = image_file_decode(data, n, cases[i].name, &x, &e);

        assert_int_equal(rc, cases[i].words ? -1 : 0);
        if (cases[i].words)
            assert_non_null(strstr(e.text, cases[i].words));
        image_release(&x);
        free(data);
    }
}

static void other_formats_are_named(void **state)
{
    struct err e = {0};
    struct image x;

    (void)state;
    assert_int_equal(image_file_decode("GIF89a", 6, "a.gif", &x, &e), -1);
    assert_non_null(strstr(e.text, "a GIF picture: only JPEG, PNG and WebP are read"));
    assert_int_equal(image_file_decode("", 0, NULL, &x, &e), -1);
    assert_non_null(strstr(e.text, "it is empty"));
}

/* However much of the end is missing: never a picture, never a crash. */
static void cut_files_are_refused(void **state)
{
    static const char *const names[] = {"rgb.jpg",    "prog.jpg",  "rgb.png",
                                        "inter.png",  "pal.png",   "lossy.webp",
                                        "alpha.webp", "turn6.png", "cmyk.jpg"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n;
        char *data = fs_read(path_of(names[i]), 1 << 20, &n, NULL);

        for (size_t k = 0; k + 2 < n; k++) { /* the end mark of a JPEG may be missing */
            struct err e = {0};
            struct image x;

            if (image_file_decode(data, k, NULL, &x, &e) == 0)
                fail_msg("%s: %zu of %zu bytes are taken for a picture", names[i], k, n);
            assert_true(e.text[0]);
        }
        free(data);
    }
}

static void broken_exif_means_upright(void **state)
{
    static const uint8_t good[] = {'I', 'I', '*', 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3,
                                   0,   1,   0,   0, 0, 8, 0, 0, 0, 0, 0,    0, 0};
    uint8_t bad[sizeof good];

    (void)state;
    assert_int_equal(exif_orientation(good, sizeof good), 8);
    for (size_t n = 0; n < 22; n++)
        assert_int_equal(exif_orientation(good, n), 1);
    memcpy(bad, good, sizeof bad);
    bad[18] = 9;
    assert_int_equal(exif_orientation(bad, sizeof bad), 1);
    bad[18] = 8;
    bad[12] = 4; /* a long */
    assert_int_equal(exif_orientation(bad, sizeof bad), 1);
    memcpy(bad, good, sizeof bad);
    bad[7] = 0xff; /* the folder is somewhere else */
    assert_int_equal(exif_orientation(bad, sizeof bad), 1);
}

static void resizing_to_the_same_size_is_a_copy(void **state)
{
    struct err e = {0};
    struct image x, y;

    (void)state;
    assert_int_equal(image_file_open(path_of("rgb.png"), &x, &e), 0);
    assert_int_equal(resize_image(&x, x.width, x.height, RESIZE_LANCZOS, &y, &e), 0);
    assert_memory_equal(x.rgb, y.rgb, 3 * x.width * x.height);
    image_release(&y);
    assert_int_equal(resize_image(&x, 0, 5, RESIZE_BICUBIC, &y, &e), -1);
    assert_null(y.rgb);
    assert_int_equal(resize_image(&x, 20000, 5, RESIZE_BICUBIC, &y, &e), -1);
    assert_int_equal(resize_image(&x, 1, 1, RESIZE_BILINEAR, &y, &e), 0);
    image_release(&y);
    image_release(&x);
}

/* All photographs of a set with its own list of sizes. */
static void photographs_have_their_sizes(void **state)
{
    static const char *const parts[] = {"train2017", "val2017"};
    size_t seen = 0;

    (void)state;
    shared_or_skip(readme, "data/coco-mini/README.txt");
    for (size_t k = 0; k < 2; k++) {
        char name[1200];
        struct json *j;
        const struct json *images;

        snprintf(name, sizeof name, "%.*scaptions_%s.json",
                 (int)(strlen(readme) - strlen("README.txt")), readme, parts[k]);
        j = json_read(name, NULL);
        images = json_get(j, "images");
        for (size_t i = 0; i < json_count(images); i++, seen++) {
            const struct json *at = json_at(images, i);
            int64_t w, h;
            struct err e = {0};
            struct image x;

            snprintf(name, sizeof name, "%.*s%s/%s", (int)(strlen(readme) - strlen("README.txt")),
                     readme, parts[k], json_as_text(json_get(at, "file_name")));
            assert_int_equal(image_file_open(name, &x, &e), 0);
            assert_int_equal(json_as_int(json_get(at, "width"), &w), 0);
            assert_int_equal(json_as_int(json_get(at, "height"), &h), 0);
            assert_int_equal(x.width, w);
            assert_int_equal(x.height, h);
            image_release(&x);
        }
        json_destroy(&j);
    }
    assert_int_equal(seen, 51);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_files_are_refused_by_name),
        cmocka_unit_test(wrong_names_are_refused),
        cmocka_unit_test(other_formats_are_named),
        cmocka_unit_test(cut_files_are_refused),
        cmocka_unit_test(broken_exif_means_upright),
        cmocka_unit_test(pictures_are_as_pillow_makes_them),
        cmocka_unit_test(grey_of_16_bits_keeps_the_upper_8),
        cmocka_unit_test(resizing_to_the_same_size_is_a_copy),
        cmocka_unit_test(photographs_have_their_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

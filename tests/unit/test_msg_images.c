/* SPDX-License-Identifier: Apache-2.0 */
/* test_msg_images - the pictures of a chunk: what was written is read, what does not fit together
 * is refused by name. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/wire/msg_chunk.h"

static const int32_t ids[6] = {5, 9, 9, 5, 9, 5}, lengths[2] = {4, 2};

/* Two pictures, of one and of three tiles 2 x 2; token 1 and 2 are of the first, 4 of the other. */
static struct msg *chunk(void)
{
    static const uint8_t modality[6] = {0, 1, 1, 0, 1, 0};
    static const int32_t of[6] = {-1, 0, 0, -1, 1, -1}, rows[2] = {1, 3},
                         grid[6] = {1, 0, 0, 1, 1, 2}, size[4] = {7, 9, 30, 60};
    static const uint64_t digest[2] = {11, 12};
    static float values[4 * 12];
    struct tensor pixels = {.dtype = DT_F32, .ndim = 4, .shape = {4, 3, 2, 2}, .data = values};
    struct chunk_view v = {
        .chunks = 1,
        .lanes = 1,
        .vocab = 10,
        .T = 6,
        .nseq = 2,
        .ids = ids,
        .lengths = lengths,
        .modality = modality,
        .images = {.n = 2,
                   .pixels = &pixels,
                   .of = of,
                   .rows = rows,
                   .grid = grid,
                   .size = size,
                   .digest = digest},
    };
    struct err e = {0};
    struct msg *m;

    for (size_t i = 0; i < 48; i++)
        values[i] = (float)i;
    m = chunk_write(&v, "sample", &e);
    assert_non_null(m);
    return m;
}

static void refused(struct msg *m, const char *words)
{
    struct chunk_view v;
    struct err e = {0};

    assert_int_equal(chunk_read(m, &v, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, words))
        print_message("%s\n", e.text);
    assert_non_null(strstr(e.text, words));
    msg_destroy(&m);
}

static void *data_of(struct msg *m, const char *name)
{
    return msg_tensor(m, name)->data;
}

static struct tensor *tensor_of(struct msg *m, const char *name)
{
    for (size_t i = 0; i < m->ntensors; i++)
        if (strcmp(m->tensors[i].name, name) == 0)
            return &m->tensors[i];
    fail();
    return NULL;
}

static void renamed(const char *name, const char *words)
{
    struct msg *m = chunk();

    strcpy(tensor_of(m, name)->name, "else");
    refused(m, words);
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    renamed("pixels", "without 'pixels'");
    renamed("image", "'image'");
    renamed("image_rows", "'image_rows'");
    renamed("image_grid", "'image_grid'");
    renamed("image_size", "'image_size'");
    renamed("image_digest", "'image_digest'");
    renamed("modality", "'image' and 'modality' differ at token 1");
}

static void changed(const char *name, size_t i, int32_t v, const char *words)
{
    struct msg *m = chunk();

    ((int32_t *)data_of(m, name))[i] = v;
    refused(m, words);
}

static void numbers_that_do_not_fit_are_refused(void **state)
{
    struct msg *m;

    (void)state;
    changed("image", 0, 0, "differ at token 0");
    changed("image", 1, -1, "differ at token 1");
    changed("image", 4, 2, "token 4 is of image 2, of 2");
    changed("image", 4, -2, "token 4 is of image -2");
    changed("image", 1, 1, "token 1 is of image 1, behind image -1");
    changed("image", 4, 0, "image 1 has no token");
    changed("image_rows", 0, 0, "image 0 has 0");
    changed("image_rows", 0, 2, "image 0 has 2 rows of pixels and a grid of 1 x 0 x 0");
    changed("image_grid", 5, 3, "image 1 has 3 rows of pixels and a grid of 1 x 1 x 3");
    changed("image_grid", 4, 0, "image 1");
    changed("image_grid", 4, -1, "image 1");
    changed("image_grid", 3, 0, "image 1");
    changed("image_grid", 3, 2, "image 1");
    changed("image_size", 3, 0, "image 1 is 30 x 0");
    m = chunk();
    ((float *)data_of(m, "pixels"))[47] = NAN;
    refused(m, "not finite");
    m = chunk();
    tensor_of(m, "pixels")->shape[1] = 2;
    refused(m, "has 2 channels");
    m = chunk();
    tensor_of(m, "pixels")->dtype = DT_I32;
    refused(m, "tensor 'pixels' must be F32");
    m = chunk();
    tensor_of(m, "pixels")->shape[0] = 5;
    refused(m, "4 in all, of 5 in 'pixels'");
}

static void patches_have_the_rows_of_their_grid(void **state)
{
    struct msg *m = chunk();
    struct chunk_view v;
    struct err e = {0};
    static const int32_t grid[6] = {1, 1, 1, 1, 1, 3};

    (void)state;
    tensor_of(m, "pixels")->ndim = 2;
    tensor_of(m, "pixels")->shape[1] = 12;
    memcpy(data_of(m, "image_grid"), grid, sizeof grid);
    assert_int_equal(chunk_read(m, &v, &e), 0);
    ((int32_t *)data_of(m, "image_grid"))[4] = INT32_MAX;
    ((int32_t *)data_of(m, "image_grid"))[5] = INT32_MAX;
    refused(m, "image 1 has 3 rows");
}

static void what_is_written_is_read(void **state)
{
    struct msg *m = chunk();
    struct chunk_view v;
    struct err e = {0};

    (void)state;
    assert_int_equal(chunk_read(m, &v, &e), 0);
    assert_int_equal(v.images.n, 2);
    assert_int_equal(v.images.of[4], 1);
    assert_int_equal(v.images.rows[1], 3);
    assert_int_equal(v.images.grid[5], 2);
    assert_int_equal(v.images.size[1], 9);
    assert_int_equal(v.images.digest[1], 12);
    assert_true(((const float *)v.images.pixels->data)[47] == 47);
    msg_destroy(&m);
}

static void room_is_made_for_pixels_to_come(void **state)
{
    struct msg *m = msg_create(MSG_CHUNK, "sample", NULL);
    const int32_t one[3] = {1, 0, 0}, of[1] = {0};
    const uint64_t digest[1] = {1};
    const struct tensor pixels = {.dtype = DT_F32, .ndim = 4, .shape = {1, 3, 2, 2}};
    struct err e = {0};

    (void)state;
    assert_int_equal(images_write(m, 1,
                                  &(struct chunk_images){.n = 1,
                                                         .pixels = &pixels,
                                                         .of = of,
                                                         .rows = one,
                                                         .grid = one,
                                                         .size = one,
                                                         .digest = digest},
                                  &e),
                     0);
    assert_int_equal(msg_tensor(m, "pixels")->bytes, 48);
    assert_non_null(msg_tensor(m, "pixels")->data);
    msg_destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(numbers_that_do_not_fit_are_refused),
        cmocka_unit_test(patches_have_the_rows_of_their_grid),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(room_is_made_for_pixels_to_come),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

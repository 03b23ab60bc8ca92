/* SPDX-License-Identifier: Apache-2.0 */
/* test_report_pictures - images of a stream of chunks as ptq-report shows them: patches and tiles
 * put together again, weights in the places of their tokens, doubles counted; what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../common/text/base64.h"
#include "../../common/wire/link.h"
#include "../../common/wire/msg_chunk.h"
#include "../../ops/tools/report/report_pictures.h"

enum {
    SIDE = 8,
    PATCH = 2,
    MERGE = 2,
    TOKENS = 4,
    TILES = 3,
    MOST = 2 * TILES * TOKENS + 2,
    GRID = SIDE / PATCH
};

static char path[64];

/* Of a picture in which each pixel is another: 0 to 191. */
static float value(size_t c, size_t y, size_t x)
{
    return (float)((c * SIDE + y) * SIDE + x);
}

/* As the patches of a model with MERGE x MERGE patches a token, seen at two moments. */
static void put_patches(float *to)
{
    for (size_t token = 0; token < TOKENS; token++)
        for (size_t in = 0; in < MERGE * MERGE; in++) {
            const size_t down = token / 2 * MERGE + in / MERGE,
                         across = token % 2 * MERGE + in % MERGE;

            for (size_t c = 0; c < 3; c++)
                for (size_t time = 0; time < 2; time++)
                    for (size_t i = 0; i < PATCH * PATCH; i++)
                        *to++ =
                            time ? -7
                                 : value(c, down * PATCH + i / PATCH, across * PATCH + i % PATCH);
        }
}

/* Two tiles of the parts, which are black, and the whole. */
static void put_tiles(float *to)
{
    memset(to, 0, sizeof(float) * 2 * 3 * SIDE * SIDE);
    to += (size_t)2 * 3 * SIDE * SIDE;
    for (size_t i = 0; i < (size_t)3 * SIDE * SIDE; i++)
        to[i] = value(i / (SIDE * SIDE), i / SIDE % SIDE, i % SIDE);
}

/* The same picture twice in one chunk, with a token of text before each. */
static struct msg *chunk(int tiles, int weighed)
{
    static float weights[MOST];
    static uint8_t modality[MOST];
    static int32_t of[MOST], ids[MOST];
    const size_t each = (tiles ? TILES : 1) * TOKENS + 1, T = 2 * each;
    const int32_t lengths[1] = {(int32_t)T},
                  rows[2] = {tiles ? 3 : GRID * GRID, tiles ? 3 : GRID * GRID},
                  size[4] = {90, 80, 90, 80}, of_tiles[6] = {1, 1, 2, 1, 1, 2},
                  of_patches[6] = {1, GRID, GRID, 1, GRID, GRID};
    const uint64_t digest[2] = {77, 77}, tile[4] = {6, 3, SIDE, SIDE},
                   patch[2] = {(uint64_t)2 * GRID * GRID, (uint64_t)6 * PATCH * PATCH};
    struct tensor pixels = {.name = "pixels", .dtype = DT_F32, .ndim = tiles ? 4 : 2, .shape = {0}};
    struct chunk_view v = {.chunks = 1, .lanes = 1, .vocab = 9, .T = T, .nseq = 1};
    struct err e = {0};
    struct msg *m;
    float *at;

    memcpy(pixels.shape, tiles ? tile : patch, (tiles ? 4 : 2) * sizeof *tile);
    for (size_t t = 0; t < T; t++) {
        of[t] = t % each ? (int32_t)(t / each) : -1;
        modality[t] = of[t] >= 0;
        weights[t] = (float)t;
    }
    v.ids = ids;
    v.lengths = lengths;
    v.modality = modality;
    v.weights = weighed ? weights : NULL;
    v.images =
        (struct chunk_images){2, &pixels, of, rows, tiles ? of_tiles : of_patches, size, digest};
    m = chunk_write(&v, "test", &e);
    if (!m)
        fail_msg("%s", e.text);
    at = msg_tensor(m, "pixels")->data;
    for (size_t i = 0; i < 2; i++, at += (size_t)rows[0] * (tiles ? 192 : 24))
        (tiles ? put_tiles : put_patches)(at);
    snprintf(m->run, sizeof m->run, "0123456789abcdef-0123456789abcdef");
    return m;
}

static void stream(struct msg *m)
{
    struct err e = {0};
    struct link *l = link_open(path, LINK_OUT, &(struct link_opts){.name = "test"}, &e);

    assert_non_null(l);
    assert_int_equal(link_send(l, &m, &e), 0);
    assert_int_equal(link_end(l, 1, NULL, &e), 0);
    link_close(&l);
}

static struct report_pictures *read_of(const char *run, struct err *e)
{
    struct report r = {.journal = path, .records = json_new_array()};
    struct json *x = json_new_object();
    struct report_pictures *p;

    json_set_text(x, "run", run);
    json_push(r.records, x);
    p = report_pictures_read(&r, path, e);
    json_destroy(&r.records);
    return p;
}

static void picture_is_whole(const struct report_picture *x)
{
    assert_int_equal(x->h, SIDE);
    assert_int_equal(x->w, SIDE);
    for (size_t i = 0; i < (size_t)SIDE * SIDE; i++)
        for (size_t c = 0; c < 3; c++)
            assert_int_equal(x->rgb[3 * i + c],
                             (int)(value(c, i / SIDE, i % SIDE) * 255 / 191 + 0.5F));
}

static void patches_and_tiles(void **state)
{
    (void)state;
    for (int tiles = 0; tiles < 2; tiles++)
        for (int weighed = 0; weighed < 2; weighed++) {
            struct err e = {0};
            struct report_pictures *p;

            stream(chunk(tiles, weighed));
            p = read_of("0123456789abcdef-fedcba9876543210", &e);
            if (!p)
                fail_msg("%s", e.text);
            assert_int_equal(p->images, 2);
            assert_int_equal(p->distinct, 1);
            assert_int_equal(p->shown, 1);
            assert_int_equal(p->at[0].times, 2);
            assert_int_equal(p->at[0].tokens, (tiles ? TILES : 1) * TOKENS);
            assert_int_equal(p->image, 2 * p->at[0].tokens);
            assert_int_equal(p->text, 2);
            picture_is_whole(&p->at[0]);
            assert_int_equal(p->at[0].down, 2);
            assert_int_equal(p->at[0].across, 2);
            assert_int_equal(p->at[0].heat != NULL, weighed);
            for (size_t t = 0; weighed && t < TOKENS; t++) /* of the tile that is shown */
                assert_true(p->at[0].heat[t] == (float)(p->at[0].tokens - TOKENS + t + 1));
            report_pictures_close(&p);
        }
}

static void what_does_not_belong_is_refused(void **state)
{
    struct err e = {0};

    (void)state;
    stream(chunk(0, 0));
    assert_null(read_of("fedcba9876543210-fedcba9876543210", &e));
    assert_non_null(strstr(e.text, "another model"));
    truncate(path, 900);
    assert_null(read_of("", &e));
    unlink(path);
    assert_null(read_of("", &e));
}

static void letters(void **state)
{
    static const char *const want[] = {"", "AA==", "AP8=", "AP8Q", "AP8QIA=="};
    static const unsigned char bytes[] = {0, 255, 16, 32};
    unsigned char back[8];
    struct err e = {0};

    (void)state;
    for (size_t n = 0; n < 5; n++) {
        char *text = base64_write(bytes, n, &e);

        assert_string_equal(text, want[n]);
        assert_int_equal(base64_read(text, strlen(text), back), n);
        assert_memory_equal(back, bytes, n);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_does_not_belong_is_refused),
                                       cmocka_unit_test(patches_and_tiles),
                                       cmocka_unit_test(letters)};

    snprintf(path, sizeof path, "/tmp/ptq-pictures-%d.ptq", (int)getpid());
    return cmocka_run_group_tests(tests, NULL, NULL);
}

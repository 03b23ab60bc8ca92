/* SPDX-License-Identifier: Apache-2.0 */
/* Messages and frames: every kind, dtype and codec there and back; then truncation at every
 * byte, every bit flipped, and headers that lie with a correct CRC. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/base/hash.h"
#include "../../common/wire/frame.h"
#include "../../common/wire/mpk.h"
#include "../../common/wire/share.h"

static const struct frame_limits small = {16, 1 << 16, 1 << 20, 1 << 21, 0, 0};

static struct msg *sample(enum msg_kind k, size_t tensors)
{
    struct err e = {0};
    struct msg *m = msg_create(k, "test", &e);
    char name[16];

    assert_non_null(m);
    assert_int_equal(msg_set_id(m, &e, "b3.attn.qkv/c12"), 0);
    snprintf(m->run, sizeof m->run, "0123456789abcdef");
    m->seq = 77;
    assert_int_equal(json_set_real(m->meta, "loss", 0.1), 0);
    assert_int_equal(json_set_int(m->meta, "order", 14), 0);
    for (size_t i = 0; i < tensors; i++) {
        enum dtype t = (enum dtype)(i % DT_COUNT);
        uint64_t shape[4] = {5, 3, 2, 7};
        unsigned char *data;

        snprintf(name, sizeof name, "t%zu", i);
        data = msg_add_new(m, name, t, (int)(i % 5), shape, &e);
        assert_non_null(data);
        for (size_t b = 0; b < m->tensors[i].bytes; b++)
            data[b] = (unsigned char)(b % 5 + i);
    }
    return m;
}

static void assert_same(const struct msg *a, const struct msg *b)
{
    void *x, *y;
    size_t n, k;
    struct err e = {0};

    assert_int_equal(a->kind, b->kind);
    assert_string_equal(a->id, b->id);
    assert_string_equal(a->stage, b->stage);
    assert_string_equal(a->run, b->run);
    assert_true(a->seq == b->seq);
    assert_int_equal(mpk_encode(a->meta, &x, &n, &e), 0);
    assert_int_equal(mpk_encode(b->meta, &y, &k, &e), 0);
    assert_int_equal(n, k);
    assert_memory_equal(x, y, n);
    free(x);
    free(y);
    assert_int_equal(a->ntensors, b->ntensors);
    for (size_t i = 0; i < a->ntensors; i++) {
        assert_string_equal(a->tensors[i].name, b->tensors[i].name);
        assert_int_equal(a->tensors[i].dtype, b->tensors[i].dtype);
        assert_true(tensor_has_shape(&a->tensors[i], b->tensors[i].ndim, b->tensors[i].shape));
        assert_memory_equal(a->tensors[i].data, b->tensors[i].data, a->tensors[i].bytes);
    }
    assert_true(msg_checksum(a) == msg_checksum(b));
}

static int temp_file(void)
{
    FILE *f = tmpfile();
    int fd = dup(fileno(f));

    fclose(f);
    return fd;
}

/* The framed bytes of a message. */
static unsigned char *framed(const struct msg *m, enum frame_compress c, size_t *n)
{
    int fd = temp_file();
    uint64_t bytes = 0;
    unsigned char *data;
    struct err e = {0};

    assert_int_equal(frame_write(fd, m, c, "file", &bytes, &e), 0);
    data = malloc(bytes);
    assert_non_null(data);
    assert_int_equal(pread(fd, data, bytes, 0), bytes);
    close(fd);
    *n = (size_t)bytes;
    return data;
}

static void test_msg_bad(void **state)
{
    struct err e = {0};
    struct msg *m = sample(MSG_ACTS, 0);
    uint64_t shape[1] = {4};
    char text[200];
    enum msg_kind k;

    (void)state;
    assert_null(msg_create(MSG_KIND_COUNT, "x", &e));
    assert_int_equal(msg_kind_parse("letter", &k), -1);
    assert_int_equal(msg_kind_parse(NULL, &k), -1);
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    assert_int_equal(msg_set_id(m, &e, "%s", text), -1);
    assert_null(msg_add_new(m, "", DT_F32, 1, shape, &e));
    assert_null(msg_add_new(m, text, DT_F32, 1, shape, &e));
    assert_non_null(msg_add_new(m, "x", DT_F32, 1, shape, &e));
    assert_null(msg_add_new(m, "x", DT_F32, 1, shape, &e));
    assert_non_null(strstr(e.text, "twice"));
    assert_null(msg_need(m, "y", DT_F32, 1, &e));
    assert_non_null(strstr(e.text, "'y' is missing"));
    assert_null(msg_need(m, "x", DT_BF16, 1, &e));
    assert_null(msg_need(m, "x", DT_F32, 2, &e));
    assert_non_null(msg_need(m, "x", DT_COUNT, 1, &e));
    assert_int_equal(m->ntensors, 1);
    msg_destroy(&m);
    msg_destroy(&m);
    msg_destroy(NULL);
    m = sample(MSG_ACTS, 0);
    assert_int_equal(msg_set_site_id(m, 3, "attn.qkv", "/c5", &e), 0);
    assert_string_equal(m->id, "b3.attn.qkv/c5");
    assert_int_equal(msg_set_site_id(m, 3, "attn.qkv", "", &e), 0);
    assert_string_equal(m->id, "b3.attn.qkv");
    msg_destroy(&m);
}

static void test_round_trip(void **state)
{
    (void)state;
    for (int k = 0; k < MSG_KIND_COUNT; k++)
        for (int c = FRAME_RAW; c <= FRAME_ZSTD; c++) {
            struct msg *m = sample((enum msg_kind)k, (size_t)k * 3), *back;
            struct part *parts;
            size_t n, used;
            struct err e = {0};
            unsigned char *data = framed(m, (enum frame_compress)c, &n);

            back = frame_parse(data, n, NULL, &used, &e);
            assert_non_null(back);
            assert_int_equal(used, n);
            assert_same(m, back);
            msg_destroy(&back);
            assert_int_equal(frame_encode(m, (enum frame_compress)c, &parts, &n, &e), 0);
            /* takes what the parts own; raw ones borrow from m */
            back = frame_decode(parts, n, NULL, &e);
            assert_non_null(back);
            assert_same(m, back);
            free(parts);
            msg_destroy(&back);
            msg_destroy(&m);
            free(data);
        }
}

static int freed;
static void count_free(void *owner)
{
    freed++;
    free(owner);
}

/* A raw part that is aligned becomes the tensor; one that is not is copied; both are released
 * once. */
static void test_adoption(void **state)
{
    struct msg *m = sample(MSG_ACTS, 0), *back;
    struct err e = {0};
    uint64_t shape[1] = {100};
    float *x = msg_add_new(m, "x", DT_F32, 1, shape, &e);

    (void)state;
    for (int i = 0; i < 100; i++)
        x[i] = (float)i;
    for (size_t shift = 0; shift < 2; shift++) {
        struct part *parts;
        size_t n;
        char *block = malloc(401);

        freed = 0;
        assert_int_equal(frame_encode(m, FRAME_RAW, &parts, &n, &e), 0);
        assert_ptr_equal(parts[1].data, x);
        memcpy(block + shift, x, 400);
        parts[1] = (struct part){block + shift, 400, count_free, block};
        back = frame_decode(parts, n, NULL, &e);
        assert_non_null(back);
        assert_same(m, back);
        assert_int_equal(back->tensors[0].data == (void *)block, shift == 0);
        assert_int_equal(freed, shift);
        msg_destroy(&back);
        assert_int_equal(freed, 1);
        free(parts);
    }
    msg_destroy(&m);
}

static void test_truncated(void **state)
{
    struct msg *m = sample(MSG_ACTS, 14), *back;
    size_t n;
    unsigned char *data = framed(m, FRAME_RAW, &n);
    int fd = temp_file();

    (void)state;
    for (size_t cut = 0; cut < n; cut++) {
        struct err e = {0};
        unsigned char *exact = malloc(cut + 1); /* so that a sanitizer sees reads behind the end */

        memcpy(exact, data, cut);
        exact = realloc(exact, cut ? cut : 1);
        assert_null(frame_parse(exact, cut, NULL, NULL, &e));
        assert_int_equal(e.kind, ERR_DATA);
        free(exact);
        if (cut % 7 == 0) {
            assert_int_equal(ftruncate(fd, 0), 0);
            assert_int_equal(pwrite(fd, data, cut, 0), cut);
            lseek(fd, 0, SEEK_SET);
            assert_int_equal(frame_read(fd, &back, NULL, "file", NULL, &e), cut ? -1 : 0);
        }
    }
    close(fd);
    free(data);
    msg_destroy(&m);
}

static void test_flipped(void **state)
{
    (void)state;
    for (int c = FRAME_RAW; c <= FRAME_ZSTD; c++) {
        struct msg *m = sample(MSG_ACTS, 0);
        uint64_t shape[1] = {300};
        struct err e = {0};
        size_t n;

        memset(msg_add_new(m, "x", DT_F32, 1, shape, &e), 3, 1200);
        unsigned char *data = framed(m, (enum frame_compress)c, &n);
        for (size_t i = 0; i < n * 8; i++) {
            data[i / 8] ^= (unsigned char)(1 << i % 8);
            if (frame_parse(data, n, &small, NULL, &e))
                fail_msg("bit %zu of byte %zu was not noticed", i % 8, i / 8);
            data[i / 8] ^= (unsigned char)(1 << i % 8);
        }
        free(data);
        msg_destroy(&m);
    }
}

/* A message whose header says key = value (for a tensor: of tensor 0), with a correct CRC. */
static void check_lie(const char *key, struct json *value, int of_tensor, const char *says)
{
    struct msg *m = sample(MSG_ACTS, 0), *back;
    uint64_t shape[2] = {4, 8};
    struct part *parts;
    struct json *head;
    void *map;
    size_t n, bytes;
    uint32_t crc;
    struct err e = {0};

    memset(msg_add_new(m, "x", DT_F32, 2, shape, &e), 1, 128);
    memset(msg_add_new(m, "y", DT_F32, 2, shape, &e), 1, 128);
    assert_int_equal(frame_encode(m, FRAME_RAW, &parts, &n, &e), 0);
    head = mpk_decode((char *)parts[0].data + 4, parts[0].bytes - 4, "head", &e);
    assert_non_null(head);
    struct json *at =
        of_tensor ? (struct json *)(uintptr_t)json_at(json_get(head, "tensors"), 0) : head;
    assert_int_equal(value ? json_set(at, key, value) : json_del(at, key), 0);
    assert_int_equal(mpk_encode(head, &map, &bytes, &e), 0);
    part_release(&parts[0]);
    crc = hash_crc32c(0, map, bytes);
    char *data = malloc(bytes + 4);
    memcpy(data, &crc, 4);
    memcpy(data + 4, map, bytes);
    parts[0] = (struct part){data, bytes + 4, free, data};
    back = frame_decode(parts, n, &small, &e);
    if (back || !strstr(e.text, says))
        fail_msg("%s: %s does not say '%s'", key, back ? "taken," : e.text, says);
    assert_int_equal(e.kind, ERR_USE);
    free(parts);
    free(map);
    json_destroy(&head);
    msg_destroy(&m);
}

static struct json *shape_of(int64_t a, int64_t b)
{
    struct json *s = json_new_array();

    json_push(s, json_new_int(a));
    json_push(s, json_new_int(b));
    return s;
}

static void test_lies(void **state)
{
    struct json *five = json_new_array();

    (void)state;
    for (int i = 0; i < 5; i++)
        json_push(five, json_new_int(1));
    check_lie("v", json_new_int(2), 0, "version 2");
    check_lie("v", NULL, 0, "'v' is missing");
    check_lie("kind", json_new_text("letter"), 0, "'letter'");
    check_lie("kind", json_new_int(3), 0, "'kind'");
    check_lie("id", NULL, 0, "'id'");
    check_lie("id", json_new_text("a\nb"), 0, "control characters");
    check_lie("run", json_new_text("01234567890123456789012345678901234567890123456789"), 0,
              "'run'");
    check_lie("seq", json_new_int(-1), 0, "'seq'");
    check_lie("meta", json_new_array(), 0, "'meta'");
    check_lie("tensors", json_new_object(), 0, "'tensors'");
    check_lie("tensors", json_new_array(), 0, "2 tensors came, the header names 0");
    check_lie("name", json_new_text(""), 1, "no name");
    check_lie("name", json_new_text("y"), 1, "twice");
    check_lie("name", json_new_text_n("a\0b", 3), 1, "control characters");
    check_lie("dtype", json_new_text("F8"), 1, "'F8'");
    check_lie("codec", json_new_text("gzip"), 1, "'gzip'");
    check_lie("codec", json_new_text("zstd"), 1, "zstd");
    check_lie("codec", json_new_text("f32+zstd"), 1, "zstd");
    check_lie("shape", json_new_int(32), 1, "'shape'");
    check_lie("shape", five, 1, "'shape'");
    check_lie("shape", shape_of(4, -8), 1, "'shape'");
    check_lie("shape", shape_of(4, 9), 1, "'raw'");
    check_lie("shape", shape_of(INT64_MAX, INT64_MAX), 1, "does not fit");
    check_lie("shape", shape_of((int64_t)1 << 31, (int64_t)1 << 33), 1, "does not fit");
    check_lie("raw", json_new_int(127), 1, "'raw'");
    check_lie("packed", json_new_int(127), 1, "'packed'");
    check_lie("packed", json_new_int(INT64_MAX), 1, "'packed'");
    check_lie("crc", json_new_int(0), 1, "CRC");
    check_lie("crc", json_new_int((int64_t)1 << 32), 1, "'crc'");
}

static void test_limits(void **state)
{
    static const struct {
        struct frame_limits lim;
        const char *says;
    } cases[] = {
        {{.parts = 14}, "15 parts"},
        {{.parts = 15, .header_bytes = 64}, "64"},
        {{.tensor_bytes = 100}, "the limit is 100"},
        {{.message_bytes = 1000}, "more than the 1000 bytes"},
    };
    struct msg *m = sample(MSG_ACTS, 14), *back;
    size_t n;
    unsigned char *data = framed(m, FRAME_RAW, &n);
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        back = frame_parse(data, n, &cases[i].lim, NULL, &e);
        if (back || !strstr(e.text, cases[i].says))
            fail_msg("case %zu: '%s'", i, e.text);
    }
    assert_null(frame_parse("PTQ1\xff\xff\xff\xff", 8, NULL, NULL, &e));
    assert_null(frame_parse("PTQ1\0\0\0\0", 8, NULL, NULL, &e));
    assert_null(frame_parse("PTQ1\1\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 16, NULL, NULL, &e));
    assert_null(frame_parse("GGUF\1\0\0\0", 8, NULL, NULL, &e));
    assert_non_null(strstr(e.text, "not a stream of messages"));
    assert_null(frame_decode(NULL, 0, NULL, &e));
    free(data);
    msg_destroy(&m);
}

/* A pipe gives bytes in pieces; two messages and a clean end. */
static void test_pipe(void **state)
{
    struct msg *m = sample(MSG_PROBLEM, 12), *back;
    uint64_t out = 0, in = 0;
    int p[2];
    struct err e = {0};

    (void)state;
    assert_int_equal(pipe(p), 0);
    assert_int_equal(frame_write(p[1], m, FRAME_ZSTD, "pipe", &out, &e), 0);
    assert_int_equal(frame_write(p[1], m, FRAME_RAW, "pipe", &out, &e), 0);
    close(p[1]);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(frame_read(p[0], &back, NULL, "pipe", &in, &e), 1);
        assert_same(m, back);
        for (size_t k = 0; k < back->ntensors; k++)
            assert_int_equal((uintptr_t)back->tensors[k].data % 64, 0);
        msg_destroy(&back);
    }
    assert_int_equal(frame_read(p[0], &back, NULL, "pipe", &in, &e), 0);
    assert_true(in == out);
    close(p[0]);
    assert_int_equal(frame_write(-1, m, FRAME_RAW, "nowhere", NULL, &e), -1);
    assert_int_equal(e.kind, ERR_SYS);
    msg_destroy(&m);
}

/* A message with a small tensor and one in shared memory, as parts. */
static struct msg *in_memory(struct part **parts, size_t *n)
{
    const uint64_t small_one = 100, large = SHARE_LEAST;
    struct err e = {0};
    struct msg *m = msg_create(MSG_CHUNK, "test", &e);

    assert_non_null(m);
    memset(msg_add_new(m, "small", DT_U8, 1, &small_one, &e), 's', small_one);
    memset(msg_add_new(m, "large", DT_U8, 1, &large, &e), 'l', large);
    assert_int_equal(frame_encode(m, FRAME_MEMORY, parts, n, &e), 0);
    assert_int_equal(*n, 3);
    assert_int_equal((*parts)[1].bytes, small_one);
    assert_int_equal((*parts)[2].bytes, SHARE_HANDLE);
    return m;
}

/* Only who has agreed to it looks into another process, and there only for what it is told of. */
static void test_memory(void **state)
{
    struct frame_limits lim = FRAME_LIMITS_DEFAULT;
    struct err e = {0};
    struct part *parts;
    struct msg *m, *back;
    size_t n;

    (void)state;
    share_begin();
    for (int what = 0; what < 4; what++) {
        m = in_memory(&parts, &n);
        lim.memory_of = what == 0 ? 0 : what == 1 ? getppid() : getpid();
        if (what == 2)
            ((unsigned char *)parts[2].data)[8] ^= 1;
        back = frame_decode(parts, n, &lim, &e);
        if (what == 3)
            assert_same(m, back);
        else if (back || !strstr(e.text, what == 0 ? "'memory'" : "has no memory for us"))
            fail_msg("%d: %s", what, e.text);
        free(parts);
        msg_destroy(&back);
        msg_destroy(&m);
    }
    m = in_memory(&parts, &n);
    memset(m->tensors[0].data, 'x', 1); /* behind its CRC: this one travels */
    assert_null(frame_decode(parts, n, &lim, &e));
    assert_non_null(strstr(e.text, "CRC"));
    free(parts);
    msg_destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_msg_bad),  cmocka_unit_test(test_lies),
        cmocka_unit_test(test_limits),   cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_flipped),  cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_adoption), cmocka_unit_test(test_pipe),
        cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}

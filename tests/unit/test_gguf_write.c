/* SPDX-License-Identifier: Apache-2.0 */
/* The writer of GGUF files: what is put in is read again, what does not fit is refused, and a file
 * appears whole or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../common/base/fs.h"
#include "../../common/tensor/gguf_write.h"

static char root[] = "/tmp/ptq-gguf-XXXXXX";

static int make_root(void **state)
{
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    return fs_remove_tree(root, NULL);
}

static const char *at(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}

static void container(void **state)
{
    const uint64_t row[] = {3}, matrix[] = {2, 32}, odd[] = {2, 31};
    const float norm[] = {1, 2, 3};
    unsigned char blocks[2 * 34];
    struct gguf_meta m = {0};
    struct gguf_writer *w;
    struct gguf *g;
    struct err e = {0};
    float back[64];

    (void)state;
    assert_non_null(w = gguf_create(at("c.gguf"), &e));
    assert_int_equal(gguf_declare(w, "", GGUF_F32, 1, row, &e), -1);
    assert_int_equal(gguf_declare(w, "odd", GGUF_Q8_0, 2, odd, &e), -1);
    assert_int_equal(gguf_declare(w, "type", 999, 1, row, &e), -1);
    assert_int_equal(gguf_put_part(w, "norm", 0, norm, 12, &e), -1); /* no header yet */
    assert_int_equal(gguf_declare(w, "norm", GGUF_F32, 1, row, &e), 0);
    assert_int_equal(gguf_declare(w, "blocks", GGUF_Q8_0, 2, matrix, &e), 0);
    assert_int_equal(gguf_meta_text(&m, "general.architecture", "x", &e), 0);
    assert_int_equal(gguf_meta_u32(&m, "n", (uint64_t)1 << 33, &e), -1);
    assert_int_equal(gguf_meta_bool(&m, "yes", 1, &e), 0);
    assert_int_equal(gguf_begin(w, &m, &e), 0);
    assert_int_equal(gguf_declare(w, "late", GGUF_F32, 1, row, &e), -1);
    assert_int_equal(gguf_put_part(w, "other", 0, norm, 12, &e), -1);
    assert_int_equal(gguf_put_part(w, "norm", 4, norm, 4, &e), -1); /* a gap */
    for (int i = 0; i < 2 * 34; i++)
        blocks[i] = i % 34 == 0 ? 0 : i % 34 == 1 ? 0x3c : (unsigned char)(i % 34 - 18);
    assert_int_equal(gguf_put_at(w, "blocks", 35, blocks, 34, &e), -1); /* past the end */
    assert_int_equal(gguf_put_at(w, "blocks", 34, blocks + 34, 34, &e), 0);
    assert_int_equal(gguf_put_at(w, "blocks", 0, blocks, 34, &e), 0);
    assert_int_equal(gguf_put_at(w, "blocks", 0, blocks, 34, &e), -1); /* it is full */
    assert_int_equal(gguf_put_part(w, "norm", 0, norm, 12, &e), 0);
    if (gguf_publish(&w, &e))
        fail_msg("%s", e.text);
    gguf_meta_release(&m);
    if (!(g = gguf_open(at("c.gguf"), &e)))
        fail_msg("%s", e.text);
    assert_int_equal(g->count, 2);
    assert_string_equal(json_as_text(json_get(g->meta, "general.architecture")), "x");
    assert_int_equal(gguf_load_f32(g, gguf_find(g, "norm"), back, &e), 0);
    assert_memory_equal(back, norm, sizeof norm);
    assert_int_equal(gguf_load_f32(g, gguf_find(g, "blocks"), back, &e), 0);
    for (int i = 0; i < 64; i++)
        assert_true(back[i] == (float)(i % 32 - 16));
    gguf_close(&g);
}

static void incomplete(void **state)
{
    const uint64_t row[] = {3};
    struct gguf_meta m = {0};
    struct gguf_writer *w;
    struct err e = {0};

    (void)state;
    assert_non_null(w = gguf_create(at("i.gguf"), &e));
    assert_int_equal(gguf_declare(w, "norm", GGUF_F32, 1, row, &e), 0);
    assert_int_equal(gguf_begin(w, &m, &e), 0);
    assert_int_equal(gguf_publish(&w, &e), -1);
    assert_non_null(strstr(e.text, "'norm' has 0 of its 12 bytes"));
    assert_false(fs_exists(at("i.gguf")));
    assert_non_null(w = gguf_create(at("i.gguf"), &e));
    assert_int_equal(gguf_declare(w, "norm", GGUF_F32, 1, row, &e), 0);
    assert_int_equal(gguf_declare(w, "norm", GGUF_F32, 1, row, &e), 0);
    assert_int_equal(gguf_begin(w, &m, &e), -1);
    assert_non_null(strstr(e.text, "'norm' is declared twice"));
    gguf_abort(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(container), cmocka_unit_test(incomplete)};

    return cmocka_run_group_tests(tests, make_root, remove_root);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks that are rounded to nearest: Q8_0 of a real embedding to the byte as llama.cpp's tools
 * made it; Q4_0 by hand and read back. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../common/format/format_gguf.h"
#include "../../common/tensor/gguf.h"
#include "shared.h"

static void as_llama_cpp(void **state)
{
    struct err e = {0};
    struct st_set *s;
    struct gguf *g;
    const struct gguf_entry *x;
    const struct st_entry *y;
    float *w;
    unsigned char *got, *want;
    size_t n;

    (void)state;
    shared_or_skip(file, "data/tinystories-656k-gguf/TinyStories-656K-Q8_0.gguf");
    shared_or_skip(model, "data/tinystories-656k/model.safetensors");
    assert_non_null(s = st_open(model, &e));
    assert_non_null(g = gguf_open(file, &e));
    assert_non_null(x = gguf_find(g, "token_embd.weight"));
    assert_int_equal(x->type, GGUF_Q8_0);
    assert_non_null(y = st_find(s, "lm_head.weight"));
    n = (size_t)(y->shape[0] * y->shape[1]);
    w = malloc(n * sizeof *w);
    got = malloc(x->bytes);
    want = malloc(x->bytes);
    assert_int_equal(st_load_rows_f32(s, y, 0, y->shape[0], w, &e), 0);
    assert_int_equal(x->bytes, n / 32 * 34);
    assert_true(pread(g->fd, want, x->bytes, (off_t)x->offset) == (ssize_t)x->bytes);
    format_gguf_round(8, w, n, got);
    assert_memory_equal(got, want, x->bytes);
    free(want);
    free(got);
    free(w);
    gguf_close(&g);
    st_close(&s);
}

static void four_bits(void **state)
{
    float w[64] = {0}, back[64];
    unsigned char out[36];

    (void)state;
    for (int i = 0; i < 32; i++)
        w[32 + i] = (float)(i - 12) * 0.25F; /* to 4.75: that is -8 steps of -0.59375 */
    format_gguf_round(4, w, 64, out);
    assert_int_equal(gguf_decode(GGUF_Q4_0, out, 64, back), 0);
    for (int i = 0; i < 32; i++) {
        assert_true(back[i] == 0);
        assert_true(fabsf(back[32 + i] - w[32 + i]) <= 0.59375F / 2);
    }
    assert_true(back[63] == 4.75F);
    w[0] = -8;
    w[1] = 7.6F; /* beyond 7 steps */
    format_gguf_round(4, w, 32, out);
    assert_int_equal(gguf_decode(GGUF_Q4_0, out, 32, back), 0);
    assert_true(back[0] == -8 && back[1] == 7 && back[2] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_llama_cpp), cmocka_unit_test(four_bits)};

    return cmocka_run_group_tests_name("gguf_round", tests, NULL, NULL);
}

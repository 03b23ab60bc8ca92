/* SPDX-License-Identifier: Apache-2.0 */
/* test_reduce_sink - first tokens that hold nearly all of a site are noted, by their weight. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "../../stages/reduce/reduce.h"
#include "reduce_acts.h"

static int keep(void *ctx, struct msg **m, struct err *e)
{
    (void)ctx;
    (void)e;
    msg_destroy(m);
    return 0;
}

/* The first row of each sequence so many times as large; weight: of it, 1 for the others. */
static struct msg *with_sink(uint64_t chunk, float scale, float weight)
{
    struct msg *m = acts_of(chunk, DT_F32, weight < 1 ? (const float[]){1, 1} : NULL);
    float *x = msg_tensor(m, "x")->data, *w = weight < 1 ? msg_tensor(m, "w")->data : NULL;

    for (size_t row = 0; row < NT; row += 20) {
        for (size_t k = 0; row < 40 && k < NK; k++)
            x[row * NK + k] *= scale;
        if (w && row < 40)
            w[row] = weight;
    }
    return m;
}

static void first_tokens_that_hold_all_are_noted(void **state)
{
    static const struct {
        float scale, weight;
        int noted;
    } cases[] = {{1, 1, 0}, {30, 1, 1}, {30, 0.001f, 0}, {30, 0.5f, 1}, {3, 1, 0}};
    const struct reduce_sink *sink;
    struct err e = {0};
    struct par *par = par_open(1, &e);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reduce *r = reduce_open(&(struct reduce_opts){.mem = UINT64_MAX, .tmp = "/tmp"}, par,
                                       keep, NULL, &e);
        struct msg *m = weights_of();

        assert_int_equal(reduce_push(r, &m, &e), 0);
        for (uint64_t c = 0; c < CHUNKS; c++) {
            assert_null(reduce_sink(r));
            m = with_sink(c, cases[i].scale, cases[i].weight);
            assert_int_equal(reduce_push(r, &m, &e), 0);
        }
        assert_int_equal((sink = reduce_sink(r)) != NULL, cases[i].noted);
        assert_true(!sink || (sink->share > 0.7 && sink->share < 1));
        assert_string_equal(sink ? sink->name : "b0.attn.qkv", "b0.attn.qkv");
        reduce_close(&r);
    }
    par_close(&par);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_tokens_that_hold_all_are_noted),
    };

    return cmocka_run_group_tests_name("reduce sink", tests, NULL, NULL);
}

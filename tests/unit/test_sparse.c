/* SPDX-License-Identifier: Apache-2.0 */
/* test_sparse - weights beside the codes: which are chosen, how they travel, where they are put
 * in, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/rng.h"
#include "../../common/format/coded.h"
#include "../../stages/solve/solve_beside.h"

enum { N = 3, K = 8 };

/* Against looking through all for the highest that is left, one after the other. */
static void marks_the_highest(void **state)
{
    float score[200];
    uint8_t got[200], want[200];
    struct rng r;
    struct err e = {0};

    (void)state;
    rng_seed(&r, 5, 0);
    for (int round = 0; round < 50; round++) {
        const size_t n = 1 + rng_next(&r) % 200, count = rng_next(&r) % (n + 1);
        size_t marked = 0;

        for (size_t i = 0; i < n; i++) /* of few values: many are equal, some of them 0 */
            score[i] = (float)(rng_next(&r) % 12) * 1e-20F;
        for (size_t i = 0; i < n; i++)
            marked += got[i] = want[i] = rng_next(&r) % 5 == 0;
        for (size_t left = count < n - marked ? count : n - marked; left > 0; left--) {
            size_t best = n;

            for (size_t i = 0; i < n; i++)
                if (!want[i] && (best == n || score[i] > score[best]))
                    best = i;
            want[best] = 1;
        }
        assert_int_equal(beside_mark(score, n, count, got, &e), 0);
        assert_memory_equal(got, want, n);
    }
}

static struct solve_job job(const uint16_t *w, struct tensor *out)
{
    return (struct solve_job){
        .name = "o", .N = N, .K = K, .w_type = DT_BF16, .W = w, .beside = out};
}

static void release(struct tensor out[3])
{
    for (int i = 0; i < 3; i++)
        tensor_release(&out[i]);
}

/* Taken from marks, put into any range of columns: those that are marked, and no others. */
static void puts_what_was_taken(void **state)
{
    uint16_t w[N * K];
    uint8_t mark[N * K] = {0};
    struct err e = {0};

    (void)state;
    for (uint16_t i = 0; i < N * K; i++)
        w[i] = (uint16_t)(0x3f80 + i);
    for (unsigned pattern = 1; pattern < 1u << K; pattern++) {
        struct tensor out[3] = {{.data = NULL}};
        struct solve_job j = job(w, out);
        double all[K], row[K], value;

        for (size_t k = 0; k < K; k++)
            mark[K + k] = (uint8_t)(pattern >> k & 1), mark[2 * K + k] = (pattern + k) % 3 == 0;
        assert_int_equal(beside_take(&j, mark, &e), 0);
        assert_int_equal(sparse_check(&j.apart, N, K, "o", &e), 0);
        for (size_t n = 0; n < N; n++)
            for (size_t from = 0; from < K; from++)
                for (size_t width = 0; from + width <= K; width++) {
                    for (size_t k = 0; k < K; k++)
                        row[k] = -1;
                    sparse_put(&j.apart, n, from, width, row);
                    for (size_t k = 0; k < K; k++) {
                        dtype_to_f64(DT_BF16, &w[n * K + from + (k < width ? k : 0)], 1, &value);
                        all[k] = k < width && mark[n * K + from + k] ? value : -1;
                    }
                    assert_memory_equal(row, all, sizeof row);
                }
        release(out);
    }
}

static void refuses_rows_and_columns(void **state)
{
    const float value[3] = {1, 2, 3};
    static const struct {
        int32_t end[N], column[3];
        const char *word;
    } bad[] = {
        {{0, 2, 2}, {0, 1, 2}, "the last row ends at 2, of 3"},
        {{0, 4, 3}, {0, 1, 2}, "row 1 ends at 4, of 3"},
        {{2, 1, 3}, {0, 1, 2}, "row 1 ends at 1, of 3"},
        {{-1, 1, 3}, {0, 1, 2}, "row 0 ends at -1, of 3"},
        {{0, 3, 3}, {0, 2, 2}, "number 2 is 2"},
        {{0, 3, 3}, {0, 2, 8}, "number 2 is 8"},
        {{0, 3, 3}, {-1, 2, 4}, "number 0 is -1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct sparse s = {3, bad[i].end, bad[i].column, value, DT_F32};
        struct err e = {0};

        assert_int_equal(sparse_check(&s, N, K, "o", &e), -1);
        if (!strstr(e.text, bad[i].word))
            fail_msg("'%s' does not say '%s'", e.text, bad[i].word);
    }
}

/* The message of a linear with three weights beside its codes; without: a part that is left out. */
static struct msg *message(int without, float value)
{
    static const uint64_t codes[2] = {N, K}, groups[2] = {N, 1}, rows[1] = {N}, count[1] = {3};
    const struct solution_linear x = {
        .name = "o", .N = N, .K = K, .bits = 2, .group = -1, .grid = "sym"};
    struct solution_view v = {.sites = 1, .site = "attn.o", .K = K, .solver = "gwq", .nlinears = 1};
    struct err e = {0};
    struct msg *m;
    void *to;

    v.linear[0] = x;
    m = solution_create(&v, "solve", &e);
    assert_non_null(m);
    memset(msg_add_new(m, "o.codes", DT_U8, 2, codes, &e), 1, N * K);
    for (size_t n = 0; n < N; n++) {
        to = n ? to : msg_add_new(m, "o.scales", DT_F32, 2, groups, &e);
        ((float *)to)[n] = 2;
    }
    if (without != 0)
        memcpy(msg_add_new(m, "o.sparse_end", DT_I32, 1, rows, &e), (int32_t[N]){1, 1, 3}, 12);
    if (without != 1)
        memcpy(msg_add_new(m, "o.sparse_column", DT_I32, 1, count, &e), (int32_t[3]){7, 0, 4}, 12);
    if (without != 2)
        memcpy(msg_add_new(m, "o.sparse_value", DT_F32, 1, count, &e), (float[3]){5, value, 9}, 12);
    return m;
}

static void travels(void **state)
{
    static const char *const words[] = {"sparse_end", "sparse_column", "without 'o.sparse_value'"};
    struct solution_view v;
    struct coded c;
    struct err e = {0};
    float w[N * K];
    struct msg *m = message(-1, 8);

    (void)state;
    assert_int_equal(solution_read(m, &v, &e), 0);
    assert_int_equal(coded_read(&v.linear[0], &c, &e), 0);
    assert_int_equal(coded_decode(&c, 0, N, w, &e), 0);
    for (size_t i = 0; i < N * K; i++) /* code 1 of sym with 2 bits: -1 scale */
        assert_true(w[i] == (i == 7 ? 5.0F : i == 16 ? 8.0F : i == 20 ? 9.0F : -2.0F));
    msg_destroy(&m);
    for (int without = 0; without < 3; without++) {
        m = message(without, 8);
        assert_int_equal(solution_read(m, &v, &e), -1);
        if (!strstr(e.text, words[without]))
            fail_msg("'%s' does not say '%s'", e.text, words[without]);
        msg_destroy(&m);
    }
    m = message(-1, strtof("inf", NULL));
    assert_int_equal(solution_read(m, &v, &e), -1);
    assert_non_null(strstr(e.text, "'o.sparse_value' has weights that are not finite"));
    msg_destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_the_highest),
        cmocka_unit_test(puts_what_was_taken),
        cmocka_unit_test(refuses_rows_and_columns),
        cmocka_unit_test(travels),
    };

    return cmocka_run_group_tests_name("sparse", tests, NULL, NULL);
}

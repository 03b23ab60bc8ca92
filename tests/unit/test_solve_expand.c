/* SPDX-License-Identifier: Apache-2.0 */
/* Sums become matrices: the same by any number of threads, the half that is asked for, and what is
 * wrong with them by name, wherever it stands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/wire/msg.h"
#include "../../stages/solve/solve_expand.h"

enum { K = 600, CELLS = K * (K + 1) / 2 }; /* more than one thread looks at; no whole blocks */

static struct par *two;

static int open_two(void **state)
{
    struct err e = {0};

    (void)state;
    return (two = par_open(2, &e)) ? 0 : -1;
}

static int close_two(void **state)
{
    (void)state;
    par_close(&two);
    return 0;
}

/* A message with the triangle of a matrix with rows i of i + j / K. */
static struct msg *sums(struct tensor **S)
{
    const uint64_t cells = CELLS;
    struct err e = {0};
    struct msg *m = msg_create(MSG_PROBLEM, "test", &e);
    struct tensor t;
    double *at;

    assert_non_null(m);
    assert_int_equal(msg_set_id(m, &e, "b0.x"), 0);
    assert_int_equal(tensor_alloc(&t, "S", DT_F64, 1, &cells, &e), 0);
    at = t.data;
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j <= i; j++)
            *at++ = (double)i + (double)j / K;
    assert_int_equal(msg_add(m, &t, &e), 0);
    *S = &m->tensors[0];
    return m;
}

static double *made(enum expand_how how, struct par *par)
{
    struct tensor *S;
    struct msg *m = sums(&S);
    const struct problem_sums s = {.S = S, .tokens = 8, .sum_w = 8};
    struct err e = {0};
    double *H = NULL, *D = NULL;

    assert_int_equal(expand_sums(m, K, &s, how, par, &H, &D, &e), 0);
    assert_null(D);
    assert_null(S->data); /* nobody reads it again */
    msg_destroy(&m);
    return H;
}

static void is_the_matrix(void **state)
{
    struct par *const by[] = {NULL, two};

    (void)state;
    for (size_t b = 0; b < 2; b++) {
        double *whole = made(EXPAND_WHOLE, by[b]), *half = made(EXPAND_HALF, by[b]);

        for (size_t i = 0; i < K; i++)
            for (size_t j = 0; j < K; j++) {
                const size_t r = i > j ? i : j, c = i > j ? j : i;
                const double want = ((double)r + (double)c / K) * 0.125;

                assert_true(whole[i * K + j] == want);
                if (j / EXPAND_BLOCK <= i / EXPAND_BLOCK)
                    assert_true(half[i * K + j] == want);
            }
        free(whole);
        free(half);
    }
}

static void what_is_bad_is_counted(void **state)
{
    struct tensor *S;
    struct msg *m = sums(&S);
    struct err e = {0};

    (void)state;
    assert_int_equal(expand_check(m, NULL, two, &e), 0);
    assert_int_equal(expand_check(m, S, two, &e), 0);
    ((double *)S->data)[0] = (double)NAN;
    ((double *)S->data)[CELLS - 1] = (double)INFINITY;
    for (int b = 0; b < 2; b++) {
        assert_int_equal(expand_check(m, S, b ? two : NULL, &e), -1);
        assert_int_equal(e.kind, ERR_USE);
        assert_string_equal(e.text, "b0.x: tensor 'S' holds 2 NaN or infinite values");
    }
    msg_destroy(&m);
}

static void no_sum_of_squares(void **state)
{
    struct tensor *S;
    struct msg *m = sums(&S);
    const struct problem_sums s = {.S = S, .tokens = 8, .sum_w = 8};
    struct err e = {0};
    double *H = NULL, *D = NULL;

    (void)state;
    ((double *)S->data)[CELLS - 1] = -1;
    assert_int_equal(expand_sums(m, K, &s, EXPAND_HALF, two, &H, &D, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    assert_non_null(strstr(e.text, "'S'[599,599] is negative"));
    free(H);
    msg_destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_the_matrix),
        cmocka_unit_test(what_is_bad_is_counted),
        cmocka_unit_test(no_sum_of_squares),
    };

    return cmocka_run_group_tests(tests, open_two, close_two);
}

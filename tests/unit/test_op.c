/* SPDX-License-Identifier: Apache-2.0 */
/* test_op - single operations on numbers worked out by hand, and what they refuse. Whole blocks
 * are compared with the reference in test_conformance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <math.h>
#include "../../common/model/op.h"
#include "../../common/model/program_build.h"

#define D 8u

static const struct norm_spec rms = {NORM_RMS, 1e-6};

/* A program with a norm: its slot. */
static int begin(struct program *p)
{
    program_init(p, "b.", D);
    return program_norm(p, PROGRAM_STREAM, "norm", &rms);
}

static void refused(struct program *p, const char *word)
{
    struct err e = {0};

    assert_int_equal(program_finish(p, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, word))
        fail_msg("'%s' does not say '%s'", e.text, word);
    program_release(p);
}

static void near(float got, double want)
{
    if (!(fabs((double)got - want) <= 1e-6 * (1 + fabs(want))))
        fail_msg("%.9g, not %.9g", (double)got, want);
}

static void queries_grow_by_pieces(void **state)
{
    static const size_t position[3] = {99, 31, 64};
    float x[2 * D];
    struct program p;
    struct op_args a = {.position = position, .out = x, .width_out = D, .first = 1, .count = 2};
    int slot;

    (void)state;
    slot = begin(&p);
    program_temper(&p, slot, 0.5, 0);
    refused(&p, "pieces of 0");
    slot = begin(&p);
    program_temper(&p, slot, 0.5, 32);
    a.op = &p.op[1];
    for (size_t i = 0; i < 2 * D; i++)
        x[i] = 2;
    p.op[1].kind->each(&a, 0, 2);
    for (size_t i = 0; i < D; i++) {
        near(x[i], 2); /* still the first piece */
        near(x[D + i], 2 * (1 + 0.5 * log(3)));
    }
    program_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries_grow_by_pieces),
    };

    return cmocka_run_group_tests_name("op", tests, NULL, NULL);
}

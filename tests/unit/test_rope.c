/* SPDX-License-Identifier: Apache-2.0 */
/* test_rope - frequencies of each kind against those of transformers 5.24
 * (modeling_rope_utils), which tables sequences share, rotation by halves, by neighbours and of a
 * part of a head. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "../../common/model/rope.h"

#define U 5.9604644775390625e-8

static const double brief[] = {1.0, 1.05, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6},
                    extended[] = {1.1, 1.3, 1.7, 2.1, 2.6, 3.0, 3.5, 4.0};

static const struct {
    struct rope_spec spec;
    size_t length;
    double want[8];
} known[] = {
    {{.type = ROPE_LINEAR, .factor = 3},
     9,
     {0.333333343, 0.105409257, 0.0333333351, 0.0105409259, 0.00333333318, 0.00105409266,
      0.000333333359, 0.000105409265}},
    {{.type = ROPE_DYNAMIC, .factor = 4, .original = 128},
     128,
     {1, 0.316227764, 0.100000001, 0.0316227786, 0.00999999978, 0.00316227786, 0.00100000005,
      0.000316227786}},
    {{.type = ROPE_DYNAMIC, .factor = 4, .original = 128},
     300,
     {1, 0.242702499, 0.05890451, 0.0142962709, 0.00346974074, 0.000842114794, 0.000204383367,
      4.96043576e-05}},
    {{.type = ROPE_YARN, .factor = 4, .original = 32, .low = 1, .high = 32},
     9,
     {1, 0.197642356, 0.0250000004, 0.00790569466, 0.00249999994, 0.000790569466, 0.000250000012,
      7.90569466e-05}},
    {{.type = ROPE_YARN, .factor = 8, .original = 64, .low = 2, .high = 16, .exact = 1},
     9,
     {1, 0.120533988, 0.0125000002, 0.00395284733, 0.00124999997, 0.000395284733, 0.000125000006,
      3.95284733e-05}},
    {{.type = ROPE_LONGROPE, .original = 40, .brief = brief, .extended = extended},
     40,
     {1, 0.301169306, 0.0909090936, 0.0263523124, 0.0076923077, 0.00225876993, 0.00066666666,
      0.000197642366}},
    {{.type = ROPE_LONGROPE, .original = 40, .brief = brief, .extended = extended},
     41,
     {0.909090877, 0.243252128, 0.0588235296, 0.0150584653, 0.00384615385, 0.00105409266,
      0.000285714283, 7.90569466e-05}},
};

static struct rope_spec whole(struct rope_spec s)
{
    s.width = 16;
    s.theta = 10000;
    s.scale = 1;
    return s;
}

/* A power of the base, a few products: each rounds once, and a dynamic base is raised again. */
static void frequencies_are_those_of_the_reference(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
        const struct rope_spec s = whole(known[k].spec);
        struct err e = {0};
        struct rope r;

        rope_init(&r, &s);
        assert_int_equal(rope_reserve(&r, &known[k].length, 1, &e), 0);
        assert_int_equal(r.count, 1);
        for (size_t i = 0; i < 8; i++)
            if (!(fabs((double)r.table[0].inverse[i] - known[k].want[i]) <=
                  8 * U * known[k].want[i]))
                fail_msg("case %zu, %zu: %.9g, not %.9g", k, i, (double)r.table[0].inverse[i],
                         known[k].want[i]);
        rope_release(&r);
    }
}

static void tables_are_shared(void **state)
{
    static const size_t some[] = {40, 7, 41, 300}, other[] = {41, 12};
    const struct rope_spec spec[3] = {
        whole((struct rope_spec){.type = ROPE_DEFAULT}),
        whole((struct rope_spec){
            .type = ROPE_LONGROPE, .original = 40, .brief = brief, .extended = extended}),
        whole((struct rope_spec){.type = ROPE_DYNAMIC, .factor = 2, .original = 40})};
    static const size_t first[3] = {1, 2, 3}, then[3] = {1, 2, 2};
    struct err e = {0};
    struct rope r;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        rope_init(&r, &spec[i]);
        assert_int_equal(rope_reserve(&r, some, 4, &e), 0);
        assert_int_equal(r.count, first[i]);
        assert_int_equal(rope_reserve(&r, other, 2, &e), 0);
        assert_int_equal(r.count, then[i]);
        rope_release(&r);
        for (size_t k = 0; k < 3; k++)
            assert_int_equal(rope_spec_same(&spec[i], &spec[k]), i == k);
    }
}

/* Two heads of 20, of which 16 turn at the scale 2. */
static void heads_turn(void **state)
{
    static const size_t length = 6;
    struct rope_spec s = whole((struct rope_spec){.type = ROPE_DEFAULT});
    struct err e = {0};

    (void)state;
    s.scale = 2;
    for (s.pairs = 0; s.pairs < 2; s.pairs++) {
        float x[40];
        struct rope r;

        for (size_t i = 0; i < 40; i++)
            x[i] = (float)i - 11;
        rope_init(&r, &s);
        assert_int_equal(rope_reserve(&r, &length, 1, &e), 0);
        rope_apply(&r, length, 5, 2, 20, x);
        for (size_t h = 0; h < 2; h++) {
            for (size_t i = 0; i < 8; i++) {
                const size_t a = 20 * h + (s.pairs ? 2 * i : i), b = s.pairs ? a + 1 : a + 8;
                const double angle = 5 * pow(10000, -2.0 * (double)i / 16), c = 2 * cos(angle),
                             t = 2 * sin(angle), u = (double)a - 11, v = (double)b - 11;

                assert_true(fabs((double)x[a] - (u * c - v * t)) <= 1e-4);
                assert_true(fabs((double)x[b] - (v * c + u * t)) <= 1e-4);
            }
            for (size_t i = 16; i < 20; i++)
                assert_true(x[20 * h + i] == (float)(20 * h + i) - 11);
        }
        rope_release(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frequencies_are_those_of_the_reference),
        cmocka_unit_test(tables_are_shared),
        cmocka_unit_test(heads_turn),
    };

    return cmocka_run_group_tests_name("rope", tests, NULL, NULL);
}

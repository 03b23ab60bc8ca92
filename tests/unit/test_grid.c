/* SPDX-License-Identifier: Apache-2.0 */
/* Names of grids, counting of groups, and dequantization in every scale type. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/format/grid.h"

static void names(void **state)
{
    enum grid g = GRID_COUNT;

    (void)state;
    assert_int_equal(grid_parse("symmetric", &g), -1);
    assert_int_equal(grid_parse("", &g), -1);
    assert_int_equal(grid_parse(NULL, &g), -1);
    assert_int_equal(g, GRID_COUNT);
    assert_string_equal(grid_name(GRID_COUNT), "unknown");
    for (int i = 0; i < GRID_COUNT; i++) {
        assert_int_equal(grid_parse(grid_name((enum grid)i), &g), 0);
        assert_int_equal(g, i);
    }
}

static void groups(void **state)
{
    (void)state;
    assert_int_equal(grid_groups(128, -1), 1);
    assert_int_equal(grid_groups(128, 0), 1);
    assert_int_equal(grid_groups(128, 32), 4);
    assert_int_equal(grid_groups(100, 32), 4);
    assert_int_equal(grid_groups(128, 128), 1);
    assert_int_equal(grid_groups(128, INT64_MAX), 1);
}

static void refuses_types(void **state)
{
    const uint8_t codes[2] = {0}, zeros[1] = {0};
    const int32_t scales[1] = {1};
    float w[2];
    struct err e = {0};

    (void)state;
    assert_int_equal(grid_dequantize(1, 2, -1, codes, DT_I32, scales, zeros, w, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
}

/* A short last group, zeros above and below the codes; scales that every type holds exactly. */
static void values(void **state)
{
    const double scale[6] = {0.5, 2, -0.25, 1, 0, 0.125};
    const uint8_t zeros[6] = {8, 0, 255, 1, 3, 16};
    const enum dtype types[4] = {DT_F16, DT_BF16, DT_F32, DT_F64};
    uint8_t codes[10];
    float w[10];
    struct err e = {0};

    (void)state;
    for (unsigned i = 0; i < 10; i++)
        codes[i] = (uint8_t)(i * 5);
    for (int t = 0; t < 4; t++) {
        unsigned char scales[6 * 8];

        assert_int_equal(dtype_from_f64(types[t], scale, 6, scales), 0);
        assert_int_equal(grid_dequantize(2, 5, 2, codes, types[t], scales, zeros, w, &e), 0);
        for (size_t n = 0; n < 2; n++)
            for (size_t k = 0; k < 5; k++) {
                size_t g = n * 3 + k / 2;

                assert_true((double)w[n * 5 + k] == scale[g] * (codes[n * 5 + k] - zeros[g]));
            }
    }
}

/* f32 cannot hold the scale 1 + 2^-24: rounding it before the product would lose what 255 times
 * it has left. */
static void rounds_once(void **state)
{
    const double scale = 1 + 0x1p-24;
    const uint8_t code = 255, zero = 0;
    float w;
    struct err e = {0};

    (void)state;
    assert_int_equal(grid_dequantize(1, 1, -1, &code, DT_F64, &scale, &zero, &w, &e), 0);
    assert_true(w == (float)(255 * scale));
    assert_true(w != 255 * (float)scale);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),  cmocka_unit_test(groups),      cmocka_unit_test(refuses_types),
        cmocka_unit_test(values), cmocka_unit_test(rounds_once),
    };

    return cmocka_run_group_tests_name("grid", tests, NULL, NULL);
}

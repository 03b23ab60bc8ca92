/* SPDX-License-Identifier: Apache-2.0 */
/* Grids of floating-point numbers: the levels of all codes, rounding against a search through all
 * of them, what their scales become; the types of 8 bits in the same way. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/format/grid_float.h"

static double level(const struct grid *g, unsigned code)
{
    const struct grid_group group = {.bits = 8, .scale = 1, .tensor_scale = 1};
    const uint8_t c = (uint8_t)code;
    double w;

    g->value(&group, &c, 1, &w);
    return w;
}

/* One value in every lane. */
static double rounded(const struct grid *g, int bits, double scale, double w, uint8_t *code)
{
    double s[GRID_LANES], z[GRID_LANES], x[GRID_LANES], q[GRID_LANES];
    uint8_t codes[GRID_LANES];

    for (size_t r = 0; r < GRID_LANES; r++) {
        s[r] = scale;
        z[r] = 0;
        x[r] = w;
    }
    g->nearest(&(struct grid_lanes){bits, s, z}, x, q, codes);
    for (size_t r = 1; r < GRID_LANES; r++)
        assert_true(codes[r] == *codes);
    *code = *codes;
    return *q;
}

/* The nearest level; of two the one with the even code. */
static unsigned searched(const struct grid *g, int bits, double x)
{
    const unsigned half = 1u << (bits - 1);
    unsigned best = 0;

    for (unsigned c = 0; c < half; c++) {
        const double d = fabs(level(g, c) - fabs(x)), now = fabs(level(g, best) - fabs(x));

        if ((int)c != g->no_number && (d < now || (!(d > now) && c % 2 == 0)))
            best = c;
    }
    return best && x < 0 ? best | half : best;
}

static void rounds(const struct grid *g, int bits)
{
    const unsigned count = 1u << bits;
    uint8_t code;

    for (unsigned c = 0; c < count; c++) {
        const double w = level(g, c);

        if (g->no_number && (int)(c & (count / 2 - 1)) == g->no_number)
            continue;
        assert_true(rounded(g, bits, 0.25, 0.25 * w, &code) == 0.25 * w);
        assert_int_equal(code, c == count / 2 ? 0 : c);
        for (int i = -3; i < 20; i++) { /* the middle to the next level, and beside it */
            const double next = c + 1 < count / 2 ? level(g, c + 1) : w * 1.5,
                         x = w + (next - w) * i / 8;

            rounded(g, bits, 0.5, 0.5 * x, &code);
            assert_int_equal(code, searched(g, bits, x));
        }
    }
}

static void nearest(void **state)
{
    (void)state;
    assert_true(level(grid_find("fp8"), 0x7e) == 448 && level(grid_find("fp8"), 1) == 0x1p-9);
    assert_true(level(grid_find("fp8"), 0x38) == 1 && level(grid_find("fp8"), 0xb8) == -1);
    assert_true(level(grid_find("nvfp4"), 7) == 6 && level(grid_find("nvfp4"), 9) == -0.5);
    rounds(grid_find("fp8"), 8);
    rounds(grid_find("nvfp4"), 4);
}

static double placed(const char *name, double most, double p, double tensor_scale)
{
    const struct grid *g = grid_find(name);
    const struct grid_fit f = {.bits = g->group ? 4 : 8,
                               .scale_type = grid_scale_type(g, DT_F16),
                               .tensor_scale = tensor_scale};
    double lo = -most / 3, hi = most, scale, zero;
    int raised;

    g->range(&lo, &hi);
    assert_true(lo == -hi);
    assert_int_equal(g->place(&f, lo, hi, p, &scale, &zero, &raised), 0);
    assert_int_equal(raised, 0);
    return scale;
}

static void scales(void **state)
{
    const struct grid *nv = grid_find("nvfp4");
    double s = nv->tensor_scale(0.37);

    (void)state;
    assert_true(placed("fp8", 448, 1, 1) == 1 && placed("fp8", 448, 0.5, 1) == 0.5);
    assert_true(placed("mxfp4", 4, 1, 1) == 1 && placed("mxfp4", 7.9, 1, 1) == 1);
    assert_true(placed("mxfp4", 8, 1, 1) == 2 && placed("mxfp4", 0, 1, 1) == 0.25);
    assert_true(s >= 0.37 / 2688 && s < 2 * 0.37 / 2688 && log2(s) == floor(log2(s)));
    assert_true(nv->tensor_scale(0) == 1);
    assert_true(placed("nvfp4", 6 * 3.25 * s, 1, s) == 3.25 * s);
    assert_true(placed("nvfp4", 6 * 3.3 * s, 1, s) == 3.25 * s);
    assert_true(placed("nvfp4", 1e6 * s, 1, s) == 448 * s);
}

/* Every number of a type comes back; between two of E4M3 the nearer one is taken. */
static void types(void **state)
{
    uint8_t c, back;
    double v, next;
    float f;

    (void)state;
    for (unsigned i = 0; i < 256; i++) {
        c = (uint8_t)i;
        dtype_to_f64(DT_F8_E4M3, &c, 1, &v);
        dtype_to_f32(DT_F8_E4M3, &c, 1, &f);
        assert_int_equal(isnan(v) != 0, (i & 0x7f) == 0x7f);
        dtype_from_f64(DT_F8_E4M3, &v, 1, &back);
        assert_int_equal(back & (isnan(v) ? 0x7f : 0xff), i & (isnan(v) ? 0x7f : 0xff));
        if (isnan(v))
            continue;
        assert_true((double)f == v && v == level(grid_find("fp8"), i));
        dtype_from_f32(DT_F8_E4M3, &f, 1, &back);
        assert_int_equal(back, i);
        c = (uint8_t)(i + 1);
        dtype_to_f64(DT_F8_E4M3, &c, 1, &next);
        v = v + (next - v) * 0.4375;
        if (dtype_from_f64(DT_F8_E4M3, &v, 1, &back) == 0 && !isnan(next))
            assert_int_equal(back, i);
    }
    v = 464;
    dtype_from_f64(DT_F8_E4M3, &v, 1, &back);
    assert_int_equal(back, 0x7e);
    v = -465;
    dtype_from_f64(DT_F8_E4M3, &v, 1, &back);
    assert_int_equal(back, 0xff);
    for (unsigned i = 0; i < 255; i++) {
        c = (uint8_t)i;
        dtype_to_f64(DT_F8_E8M0, &c, 1, &v);
        assert_true(v == ldexp(1, (int)i - 127));
        v *= i < 254 ? 1.9 : 1;
        dtype_from_f64(DT_F8_E8M0, &v, 1, &back);
        assert_int_equal(back, i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nearest), cmocka_unit_test(scales),
                                       cmocka_unit_test(types)};

    return cmocka_run_group_tests_name("grid_float", tests, NULL, NULL);
}

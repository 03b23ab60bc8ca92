/* SPDX-License-Identifier: Apache-2.0 */
/* Grids and codes: names, counting of groups, what a solution must bring for a grid, and the way
 * back to weights, for the grids of the product and for three that only this test knows: levels
 * from a fixed table, two scales, a table for each row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/format/coded.h"

static void names(void **state)
{
    char text[64];

    (void)state;
    assert_null(grid_find("symmetric"));
    assert_null(grid_find(""));
    assert_null(grid_find(NULL));
    for (size_t i = 0; grid_at(i); i++) {
        assert_ptr_equal(grid_find(grid_at(i)->name), grid_at(i));
        assert_string_equal(grid_names()[i], grid_at(i)->name);
        assert_null(grid_names()[i + 1] ? NULL : grid_at(i + 1));
    }
    for (size_t i = 0; grid_bits_names()[i]; i++)
        assert_true(grid_takes_bits(&grid_sym, grid_bits_at(i)));
    assert_false(grid_takes_bits(&grid_sym, 0));
    assert_false(grid_takes_bits(&grid_sym, 40));
    assert_int_equal(grid_bits_at(99), 0);
    assert_int_equal(grid_scale_at(1), DT_BF16);
    assert_int_equal(grid_scale_at(99), DT_COUNT);
    assert_string_equal(grid_name_list(grid_names(), "or", text, sizeof text),
                        "sym, sym-narrow, asym, exact-asym, fp8, nvfp4, mxfp4 or kmeans");
    assert_string_equal(grid_name_list(grid_names(), NULL, text, sizeof text),
                        "sym, sym-narrow, asym, exact-asym, fp8, nvfp4, mxfp4, kmeans");
    assert_string_equal(grid_name_list(grid_names(), NULL, text, 8), "sym, sy");
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
    const struct coded c = {.grid = grid_find("asym"),
                            .N = 1,
                            .K = 2,
                            .G = 1,
                            .bits = 8,
                            .group = -1,
                            .codes = codes,
                            .scale_type = DT_I32,
                            .scales = scales,
                            .zeros = zeros};
    float w[2];
    struct err e = {0};

    (void)state;
    assert_int_equal(coded_decode(&c, 0, 1, w, &e), -1);
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
        const struct coded c = {.grid = grid_find("asym"),
                                .N = 2,
                                .K = 5,
                                .G = 3,
                                .bits = 8,
                                .group = 2,
                                .codes = codes,
                                .scale_type = types[t],
                                .scales = scales,
                                .zeros = zeros};

        assert_int_equal(dtype_from_f64(types[t], scale, 6, scales), 0);
        assert_int_equal(coded_decode(&c, 0, 2, w, &e), 0);
        for (size_t n = 0; n < 2; n++)
            for (size_t k = 0; k < 5; k++) {
                size_t g = n * 3 + k / 2;

                assert_true((double)w[n * 5 + k] == scale[g] * (codes[n * 5 + k] - zeros[g]));
            }
        assert_int_equal(coded_decode(&c, 1, 1, w, &e), 0); /* the second row alone */
        assert_true((double)w[0] == scale[3] * (codes[5] - zeros[3]));
    }
}

/* f32 cannot hold the scale 1 + 2^-24: rounding it before the product would lose what 255 times
 * it has left. */
static void rounds_once(void **state)
{
    const double scale = 1 + 0x1p-24;
    const uint8_t code = 255, zero = 0;
    const struct coded c = {.grid = grid_find("asym"),
                            .N = 1,
                            .K = 1,
                            .G = 1,
                            .bits = 8,
                            .group = -1,
                            .codes = &code,
                            .scale_type = DT_F64,
                            .scales = &scale,
                            .zeros = &zero};
    float w;
    struct err e = {0};

    (void)state;
    assert_int_equal(coded_decode(&c, 0, 1, &w, &e), 0);
    assert_true(w == (float)(255 * scale));
    assert_true(w != 255 * (float)scale);
}

/* ---- grids that only this test knows ---- */

/* FP4 E2M1, as MXFP4 and NVFP4 have it. */
static const double e2m1[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};

static double e2m1_level(unsigned code)
{
    return code & 8 ? -e2m1[code & 7] : e2m1[code & 7];
}

static int no_zero(int bits)
{
    (void)bits;
    return 0;
}

static void fp4_value(const struct grid_group *g, const uint8_t *codes, size_t n, double *w)
{
    for (size_t k = 0; k < n; k++)
        w[k] = g->scale * e2m1_level(codes[k]);
}

static void two_scales_value(const struct grid_group *g, const uint8_t *codes, size_t n, double *w)
{
    for (size_t k = 0; k < n; k++)
        w[k] = e2m1_level(codes[k]) * g->scale / g->tensor_scale;
}

static void table_value(const struct grid_group *g, const uint8_t *codes, size_t n, double *w)
{
    for (size_t k = 0; k < n; k++)
        w[k] = g->scale * (double)g->table[codes[k]];
}

static double three(double most)
{
    (void)most;
    return 3;
}

static const struct grid fp4 = {.name = "fp4",
                                .bits = GRID_BIT(4),
                                .scale_types = GRID_BIT(DT_F32),
                                .zero = no_zero,
                                .value = fp4_value};
static const struct grid two_scales = {.name = "two-scales",
                                       .bits = GRID_BIT(4),
                                       .scale_types = GRID_BIT(DT_F32),
                                       .tensor_scale = three,
                                       .zero = no_zero,
                                       .value = two_scales_value};
static const struct grid means = {.name = "means",
                                  .bits = GRID_BIT(2) | GRID_BIT(3),
                                  .scale_types = GRID_BIT(DT_F32),
                                  .table = 1,
                                  .zero = no_zero,
                                  .value = table_value};

enum { N = 3, K = 6, G = 2 };

/* A solution of one linear [3,6] in groups of 4 and 2 columns, with the parts asked for. */
static struct msg *solution(int bits, int zeros, int tensor_scale, int table)
{
    struct solution_view v = {.site = "attn.o",
                              .order = 0,
                              .sites = 1,
                              .K = K,
                              .tokens = 1,
                              .sum_w = 1,
                              .sum_w2 = 1,
                              .solver = "rtn",
                              .nlinears = 1};
    const uint64_t wide[2] = {N, K}, small[2] = {N, G}, one[1] = {1}, levels[2] = {N, 1u << bits};
    struct err e = {0};
    struct msg *m;
    uint8_t *codes;
    float *f;

    v.linear[0] = (struct solution_linear){
        .name = "o", .N = N, .K = K, .bits = bits, .group = 4, .grid = "sym"};
    assert_non_null(m = solution_create(&v, "test", &e));
    codes = msg_add_new(m, "o.codes", DT_U8, 2, wide, &e);
    for (unsigned i = 0; i < N * K; i++)
        codes[i] = (uint8_t)(i * 7 % (1u << bits));
    f = msg_add_new(m, "o.scales", DT_F32, 2, small, &e);
    for (unsigned i = 0; i < N * G; i++)
        f[i] = 0.25F * (float)(i + 1);
    if (zeros)
        memset(msg_add_new(m, "o.zeros", DT_U8, 2, small, &e), 1, N * G);
    if (tensor_scale)
        *(float *)msg_add_new(m, "o.tensor_scale", DT_F32, 1, one, &e) = 3;
    if (table && (f = msg_add_new(m, "o.table", DT_F32, 2, levels, &e)))
        for (unsigned i = 0; i < (unsigned)N << bits; i++)
            f[i] = (float)(i * i) - 5;
    return m;
}

static void refused(const struct grid *g, struct msg *m, const char *word)
{
    struct solution_view v;
    struct coded c;
    struct err e = {0};

    assert_int_equal(solution_read(m, &v, &e), 0);
    assert_int_equal(coded_take(g, &v.linear[0], &c, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, word) || !strstr(e.text, "'o'"))
        fail_msg("'%s' does not say '%s'", e.text, word);
    msg_destroy(&m);
}

/* What a grid has must be there, what it has not must not. */
static void refuses_parts(void **state)
{
    struct solution_view v;
    struct coded c;
    struct err e = {0};
    struct msg *m = solution(4, 0, 0, 0);

    (void)state;
    assert_int_equal(solution_read(m, &v, &e), 0);
    assert_int_equal(coded_read(&v.linear[0], &c, &e), 0);
    assert_ptr_equal(c.grid, &grid_sym);
    v.linear[0].grid = "hexagonal";
    assert_int_equal(coded_read(&v.linear[0], &c, &e), -1);
    assert_non_null(strstr(e.text,
                           "'hexagonal' is not known (known: sym, sym-narrow, asym, exact-asym, "
                           "fp8, nvfp4, mxfp4, kmeans)"));
    msg_destroy(&m);
    refused(&grid_sym, solution(4, 1, 0, 0), "has no zeros, but the solution brings");
    refused(grid_find("asym"), solution(4, 0, 0, 0), "lacks tensor 'o.zeros'");
    refused(&grid_sym, solution(4, 0, 1, 0), "has no tensor_scale");
    refused(&two_scales, solution(4, 0, 0, 0), "needs tensor_scale");
    refused(&grid_sym, solution(4, 0, 0, 1), "has no table");
    refused(&means, solution(3, 0, 0, 0), "needs table");
    refused(&means, solution(4, 0, 0, 1), "no codes of 4 bits");
    refused(&(struct grid){.name = "f16", .bits = GRID_BIT(4), .scale_types = GRID_BIT(DT_F16)},
            solution(4, 0, 0, 0), "no scales of type F32");
}

/* Weights of the solution on grid g against want(g, n, k). */
static void decodes(const struct grid *g, struct msg *m,
                    double (*want)(const struct coded *c, size_t n, size_t k))
{
    struct solution_view v;
    struct coded c;
    struct err e = {0};
    float w[N * K];

    if (solution_read(m, &v, &e) || coded_take(g, &v.linear[0], &c, &e) ||
        coded_decode(&c, 0, N, w, &e))
        fail_msg("%s: %s", g->name, e.text);
    for (size_t n = 0; n < N; n++)
        for (size_t k = 0; k < K; k++)
            assert_true(w[n * K + k] == (float)want(&c, n, k));
    msg_destroy(&m);
}

static double scale_at(const struct coded *c, size_t n, size_t k)
{
    return (double)((const float *)c->scales)[n * G + k / 4];
}

static double want_sym(const struct coded *c, size_t n, size_t k)
{
    return scale_at(c, n, k) * (c->codes[n * K + k] - 8);
}

static double want_fp4(const struct coded *c, size_t n, size_t k)
{
    static const double level[16] = {0,    0.5,  1,  1.5,  2,  3,  4,  6,
                                     -0.0, -0.5, -1, -1.5, -2, -3, -4, -6};

    return scale_at(c, n, k) * level[c->codes[n * K + k]];
}

static double want_two_scales(const struct coded *c, size_t n, size_t k)
{
    return want_fp4(c, n, k) / 3;
}

static double want_means(const struct coded *c, size_t n, size_t k)
{
    const double i = (double)((n << c->bits) + c->codes[n * K + k]);

    return scale_at(c, n, k) * (i * i - 5);
}

static void other_grids(void **state)
{
    (void)state;
    decodes(&grid_sym, solution(4, 0, 0, 0), want_sym);
    decodes(&fp4, solution(4, 0, 0, 0), want_fp4);
    decodes(&two_scales, solution(4, 0, 1, 0), want_two_scales);
    decodes(&means, solution(3, 0, 0, 1), want_means);
    decodes(&means, solution(2, 0, 0, 1), want_means);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),         cmocka_unit_test(groups),
        cmocka_unit_test(refuses_types), cmocka_unit_test(values),
        cmocka_unit_test(rounds_once),   cmocka_unit_test(refuses_parts),
        cmocka_unit_test(other_grids),
    };

    return cmocka_run_group_tests_name("grid", tests, NULL, NULL);
}

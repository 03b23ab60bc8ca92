/* SPDX-License-Identifier: Apache-2.0 */
/* test_activation - the functions by the names that config.json gives them. Values of torch 2.15 in
 * f64; f32 is a few units of 2^-24 off, of numbers below 5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "../../common/model/activation.h"

static const float at[4] = {-2.0f, -0.5f, 0.75f, 1.5f};
static const struct {
    const char *name;
    double is[4], slope[4];
} known[] = {
    {"silu",
     {-0.238405844044, -0.188770334399, 0.509384024382, 1.22636171429},
     {-0.0907842487849, 0.260038812697, 0.842599944497, 1.0412941543}},
    {"gelu_pytorch_tanh",
     {-0.0454023059122, -0.154285990175, 0.579960555166, 1.39957157698},
     {-0.0860992566236, 0.132630096465, 0.998938256137, 1.12771079315}},
    {"gelu_new",
     {-0.0454023059122, -0.154285990175, 0.579960555166, 1.39957157698},
     {-0.0860992566236, 0.132630096465, 0.998938256137, 1.12771079315}},
    {"gelu",
     {-0.0455002638964, -0.154268769363, 0.580029485717, 1.3997891981},
     {-0.0852318010782, 0.132504875344, 0.999225721739, 1.12746919223}},
    {"quick_gelu",
     {-0.0643413768558, -0.149611563394, 0.586390057535, 1.39166219845},
     {-0.0738153543085, 0.120778088035, 0.999571533467, 1.09884806462}},
    {"relu", {0, 0, 0.75, 1.5}, {0, 0, 1, 1}},
    {"relu2", {0, 0, 0.5625, 2.25}, {0, 0, 1.5, 3}},
};

static void values(void **state)
{
    const float up[4] = {-1.5f, 3, 0.25f, 1};
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        enum activation a;
        float x[4], gate[4];

        assert_int_equal(activation_find(known[i].name, &a, "hidden_act", "config.json", &err), 0);
        memcpy(x, at, sizeof x);
        memcpy(gate, at, sizeof gate);
        activation_row(a, x, 4);
        activation_gate(a, gate, up, 4);
        for (size_t k = 0; k < 4; k++) {
            assert_true(fabs((double)x[k] - known[i].is[k]) < 1e-6);
            assert_true(fabs((double)gate[k] - known[i].is[k] * (double)up[k]) < 2e-6);
            assert_true(fabs(activation_slope(a, (double)at[k]) - known[i].slope[k]) < 1e-9);
        }
    }
}

/* What is no number is not made one, and a relu has no slope at its corner and below. */
static void corners(void **state)
{
    static const enum activation relus[] = {ACTIVATION_RELU, ACTIVATION_RELU2};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        float x[3] = {-1, 0, NAN}, gate[2] = {0, -1}, up[2] = {3, 3}, g[2] = {1, 1}, to[2] = {0};

        activation_row(relus[i], x, 3);
        assert_true(x[0] == 0 && x[1] == 0 && isnan(x[2]));
        activation_gate_back(relus[i], gate, up, 2, g, to);
        assert_true(g[0] == 0 && g[1] == 0 && to[0] == 0 && to[1] == 0);
    }
}

static void unknown_names_are_told(void **state)
{
    struct err err = {0};
    enum activation a;

    (void)state;
    assert_int_equal(activation_find("mish", &a, "hidden_act", "m/config.json", &err), -1);
    assert_non_null(strstr(err.text, "m/config.json: hidden_act 'mish'"));
    assert_non_null(strstr(err.text, "known: silu, swish"));
    assert_int_equal(activation_find(NULL, &a, "hidden_act", "config.json", &err), -1);
    assert_non_null(strstr(err.text, "not a text"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(corners),
        cmocka_unit_test(unknown_names_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

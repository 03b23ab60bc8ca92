/* SPDX-License-Identifier: Apache-2.0 */
/* test_solve_override - what overrides mean for options: refusals first, then the options of one
 * linear. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "../../common/run/override.h"
#include "../../stages/solve/solve.h"
#include "../../stages/solve/solve_opts.h"

extern const struct grid grid_asym;

static struct overrides lines_of(const char *const *text, size_t count)
{
    struct overrides o = OVERRIDES_NONE;
    struct err e = {0};

    if (overrides_load(&o, NULL, text, count, &e))
        fail_msg("%s", e.text);
    return o;
}

static void refused(const char *line, const char *word)
{
    struct overrides lines = lines_of(&line, 1);
    struct solve_opts o = solve_opts_default();
    struct err e = {0};

    o.overrides = &lines;
    assert_int_equal(solve_check_opts(&o, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, word) || !strstr(e.text, "--override"))
        fail_msg("%s", e.text);
    overrides_release(&lines);
}

static void test_refused(void **state)
{
    (void)state;
    refused("*: solver=nobody", "there is no solver 'nobody'");
    refused("*: solver=gptq+gptq", "only qep");
    refused("*: solver=best:gptq,gptq", "twice");
    refused("*: fit=best", "--fit: 'best' is not one of minmax|mse|hessian|neuqi");
}

/* An option that only the solver of an override looks at is not refused. */
static void test_unused(void **state)
{
    const char *line = "mlp.down: solver=gptaq";
    struct overrides lines = lines_of(&line, 1);
    struct solve_opts o = solve_opts_default();
    struct err e = {0};

    (void)state;
    o.alpha = 0.5;
    assert_int_equal(solve_check_opts(&o, &e), -1);
    o.overrides = &lines;
    assert_int_equal(solve_check_opts(&o, &e), 0);
    overrides_release(&lines);
}

static void test_options_of_a_linear(void **state)
{
    static const char *const text[] = {"mlp.*: bits=8 group=32", "b1.*: solver=rtn damp=0.1",
                                       "*.gate: skip", "mlp.up: grid=asym fit=mse"};
    struct overrides lines = lines_of(text, 4);
    struct solve_opts base = solve_opts_default(), o, p;
    struct err e = {0};

    (void)state;
    base.overrides = &lines;
    assert_int_equal(solve_opts_for(&base, 0, "attn.o", "a.o", &o, &e), 0);
    assert_true(solve_opts_same(&o, &base));
    assert_int_equal(solve_opts_for(&base, 0, "mlp.up", "a.gate", &o, &e), 1);
    assert_int_equal(solve_opts_for(&base, 1, "mlp.up", "a.up", &o, &e), 0);
    assert_int_equal(o.bits, 8);
    assert_int_equal(o.group, 32);
    assert_ptr_equal(o.grid, &grid_asym);
    assert_int_equal(o.fit, FIT_MSE);
    assert_string_equal(o.solver, "rtn");
    assert_true(o.damp > 0.09);
    assert_int_equal(solve_opts_for(&base, 0, "mlp.up", "a.up", &p, &e), 0);
    assert_false(solve_opts_same(&o, &p));
    overrides_release(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_unused),
        cmocka_unit_test(test_options_of_a_linear),
    };

    return cmocka_run_group_tests_name("solve_override", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Rates that are none; what lanes, links and experts make of more hosts. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../ops/tools/plan/plan_hosts.h"
#include "../../stages/solve/solve_forecast.h"

static void test_net(void **state)
{
    static const char *const bad[] = {"",   "G",    "10",   "10g",  "10GB",    "-1G",
                                      "0G", "infG", "nanG", "1e9G", "100001G", "0.0009M"};
    struct err e = {0};
    double net = 0;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(hosts_net(bad[i], &net, &e), -1);
        assert_int_equal(e.kind, ERR_USE);
    }
    assert_int_equal(hosts_net("2.5G", &net, &e), 0);
    assert_true(fabs(net - 2.5e9) < 1);
    assert_int_equal(hosts_net("100000G", &net, &e), 0);
    assert_int_equal(hosts_net("0.001M", &net, &e), 0);
    assert_int_equal(hosts_net("100M", &net, &e), 0);
    assert_true(fabs(net - 1e8) < 1);
}

static int is(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fabs(b);
}

/* Two sites of all tokens, then two experts that are ready together. */
static void test_rows(void **state)
{
    struct site_linear linear[4] = {{.rows = 10}, {.rows = 20}, {.rows = 30}, {.rows = 40}};
    struct site site[4] = {{.inputs = 8, .count = 1, .linear = &linear[0], .expert = -1},
                           {.inputs = 8, .count = 1, .linear = &linear[1], .expert = -1},
                           {.inputs = 8, .count = 1, .linear = &linear[2], .expert = 0},
                           {.inputs = 8, .count = 1, .linear = &linear[3], .expert = 1}};
    struct preview p = {.table = {.count = 4, .site = site},
                        .flops_forward = 700,
                        .flops_reduce = 70,
                        .run = {.lanes = 8},
                        .nclasses = 1};
    const struct preview_opts o = {.cores = 2, .forwards = 2};
    const struct hosts_rates r = {.core = 500, .net = 1000}; /* 1000 flops a second of a host */
    const double lane = 8.0 * 36 * 4;
    struct hosts_row row;

    (void)state;
    p.class[0].weights = 800;
    hosts_row(&p, &o, &r, 1, &row);
    assert_true(is(row.forward, 700 / 650.0) && is(row.sums, 70 / 450.0));
    assert_true(row.link <= 0 && !row.head_in && !row.head_out && !row.worker_out);
    assert_true(is(row.solve, (solve_forecast_flops(10, 8) + solve_forecast_flops(20, 8) +
                               solve_forecast_flops(30, 8) + solve_forecast_flops(40, 8)) /
                                  90));
    hosts_row(&p, &o, &r, 3, &row); /* 3, 3 and 2 lanes; the head has 3 of them */
    assert_true(is(row.forward, 700 / 650.0 * 3 / 8));
    assert_int_equal(row.head_in, (uint64_t)(5 * lane));
    assert_int_equal(row.worker_out, (uint64_t)(3 * lane));
    assert_int_equal(row.head_out, 2 * 800 * 2);
    assert_true(is(row.link, 8 * 5 * lane / 1000));
    assert_true(is(row.solve, (solve_forecast_flops(10, 8) + solve_forecast_flops(20, 8) +
                               solve_forecast_flops(40, 8)) /
                                  90));
    hosts_row(&p, &o, &r, 100, &row); /* more hosts than lanes */
    assert_int_equal(row.at_work, 8);
    assert_int_equal(row.head_out, 7 * 800); /* a lane each: one process has it */
    assert_true(is(row.forward, 700 / 650.0 / 8));
    p.run.dual = 1;
    hosts_row(&p, &o, &r, 2, &row);
    assert_int_equal(row.head_in, (uint64_t)(4 * (lane + 8.0 * 64 * 4)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_net), cmocka_unit_test(test_rows)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

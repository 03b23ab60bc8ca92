/* SPDX-License-Identifier: Apache-2.0 */
/* test_law - the scaling law is fitted to points made from known constants: its intervals hold
 * them as often as they say; what cannot be known is refused or said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../common/base/fs.h"
#include "../../common/base/rng.h"
#include "../../ops/tools/law/law_fit.h"

static const double truth[LAW_CONSTANTS] = {1.0, 5.3, .46, .4, 12.0};

struct grid {
    size_t models, shares, blocks;
};

static double law(double params, double qr, double qb)
{
    return exp(truth[LAW_LN_C] + truth[LAW_A] * qr) * pow(params, -truth[LAW_GN]) *
           pow(qb + truth[LAW_D], truth[LAW_GC]);
}

/* Points of a grid with noise of this deviation in the logarithm. */
static void points_make(struct law_points *p, struct grid g, double noise, struct rng *rng)
{
    static char name[8][4] = {"a", "b", "c", "d", "e", "f", "g", "h"};

    *p = (struct law_points){.at = calloc(g.models * g.shares * g.blocks, sizeof *p->at)};
    assert_non_null(p->at);
    for (size_t m = 0; m < g.models; m++)
        for (size_t s = 0; s < g.shares; s++)
            for (size_t b = 0; b < g.blocks; b++) {
                struct law_point *x = &p->at[p->count++];

                *x = (struct law_point){.model = name[m], .kind = name[0], .from = name[m]};
                x->params = 1e6 * pow(6.0, (double)m);
                x->qr = (double)(s + 1) / (double)g.shares;
                x->qb = 16.0 * pow(2.0, (double)b);
                x->delta = law(x->params, x->qr, x->qb) * exp(noise * rng_normal(rng));
            }
}

/* Without noise the constants come back as exactly as the search for d allows. */
static void test_exact(void **state)
{
    struct law_points p;
    struct err err = {0};
    struct rng rng;
    struct law *l;
    const struct law_fit *f;
    struct law_value v;

    (void)state;
    rng_seed(&rng, 1, 0);
    points_make(&p, (struct grid){4, 5, 5}, 0.0, &rng);
    l = law_open(&p, &err);
    assert_non_null(l);
    f = law_fitted(l);
    assert_int_equal(f->constants, 5);
    assert_int_equal(f->models, 4);
    for (size_t i = 0; i < LAW_CONSTANTS; i++)
        assert_true(fabs(f->constant[i].value - truth[i]) < 1e-9 * (1 + fabs(truth[i])));
    assert_true(f->r2 > 1 - 1e-12 && f->left_out < 1e-9);
    assert_true(fabs(f->interaction.value) < 1e-9);
    v = law_predict(l, 1e9, .95, 128);
    assert_true(fabs(v.value / law(1e9, .95, 128) - 1) < 1e-9);
    law_close(&l);
    free(p.at);
}

/* Each constant, and a further measurement, lie in their interval of 95% in 95 of 100 cases: of
 * 120 at least 105 and at most 119 (3.7 standard deviations below, and not always). */
static void test_intervals(void **state)
{
    enum { TRIES = 120 };
    size_t hit[LAW_CONSTANTS + 2] = {0};
    struct rng rng;

    (void)state;
    rng_seed(&rng, 7, 0);
    for (int k = 0; k < TRIES; k++) {
        struct law_points p;
        struct err err = {0};
        struct law_value v;
        struct law *l;
        const double next = law(8e8, .9, 100) * exp(.1 * rng_normal(&rng));

        points_make(&p, (struct grid){3, 4, 4}, .1, &rng);
        l = law_open(&p, &err);
        assert_non_null(l);
        for (size_t i = 0; i < LAW_CONSTANTS; i++) {
            v = law_fitted(l)->constant[i];
            hit[i] += v.low <= truth[i] && truth[i] <= v.high;
        }
        v = law_predict(l, 8e8, .9, 100);
        hit[LAW_CONSTANTS] += v.low <= next && next <= v.high;
        v = law_fitted(l)->interaction;
        hit[LAW_CONSTANTS + 1] += v.low <= 0.0 && 0.0 <= v.high;
        law_close(&l);
        free(p.at);
    }
    for (size_t i = 0; i < LAW_CONSTANTS + 2; i++) {
        print_message("%zu: %zu of %d\n", i, hit[i], TRIES);
        assert_in_range(hit[i], 105, 119);
    }
}

/* A law that does not multiply is found out. */
static void test_interaction(void **state)
{
    struct law_points p;
    struct err err = {0};
    struct rng rng;
    struct law *l;

    (void)state;
    rng_seed(&rng, 3, 0);
    points_make(&p, (struct grid){4, 5, 3}, .05, &rng);
    for (size_t i = 0; i < p.count; i++)
        p.at[i].delta *= pow(p.at[i].params, -.2 * p.at[i].qr);
    l = law_open(&p, &err);
    assert_non_null(l);
    assert_true(law_fitted(l)->interaction.high < -.1);
    assert_true(law_fitted(l)->interaction.low > -.3);
    law_close(&l);
    free(p.at);
}

/* What does not vary has no constant, and the error of a model left out is then not known. */
static void test_one_model(void **state)
{
    struct law_points p;
    struct err err = {0};
    struct rng rng;
    struct law *l;

    (void)state;
    rng_seed(&rng, 5, 0);
    points_make(&p, (struct grid){1, 6, 1}, .01, &rng);
    l = law_open(&p, &err);
    assert_non_null(l);
    assert_true(law_has(l, LAW_LN_C) && law_has(l, LAW_A));
    assert_false(law_has(l, LAW_GN) || law_has(l, LAW_GC) || law_has(l, LAW_D));
    assert_true(isnan(law_fitted(l)->left_out) && isnan(law_fitted(l)->interaction.value));
    assert_true(isnan(law_fitted(l)->constant[LAW_GN].value));
    law_close(&l);
    p.count = 3; /* two constants, and two points more are wanted */
    assert_null(law_open(&p, &err));
    assert_int_equal(err.kind, ERR_USE);
    p.count = 0;
    assert_null(law_open(&p, &err));
    free(p.at);
}

/* Two-sided 5% points, from tables. */
static void test_t(void **state)
{
    (void)state;
    assert_true(fabs(law_t95(1) - 12.7062) < 1e-3);
    assert_true(fabs(law_t95(5) - 2.57058) < 1e-4);
    assert_true(fabs(law_t95(30) - 2.04227) < 1e-4);
    assert_true(fabs(law_t95(1000) - 1.96234) < 1e-4);
}

/* ---- sources ---- */

static int read_text(const char *text, struct law_points *p, struct err *e)
{
    char path[] = "/tmp/test_law.XXXXXX";
    const char *source = path;
    const int fd = mkstemp(path);
    int rc;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    *e = (struct err){0};
    rc = law_points_read(p, &source, 1, LAW_PERPLEXITY, NULL, e);
    unlink(path);
    return rc;
}

#define POINT "{\"model\":\"m\",\"params\":1e6,\"qr\":0.5,\"qb\":64,\"delta\":0.1"

static void test_lines(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {POINT "}\nx\n", ":2"},
        {"{\"model\":\"m\",\"params\":1e6,\"qr\":1.5,\"qb\":64,\"delta\":0.1}", "'qr'"},
        {"{\"model\":\"m\",\"params\":-1,\"qr\":.5,\"qb\":64,\"delta\":0.1}", ":1"},
        {"{\"model\":\"m\",\"params\":0,\"qr\":0.5,\"qb\":64,\"delta\":0.1}", "'params'"},
        {"{\"model\":\"m\",\"params\":1,\"qr\":0.5,\"qb\":0,\"delta\":0.1}", "'qb'"},
        {"{\"params\":1,\"qr\":0.5,\"qb\":1,\"delta\":0.1}", "'model'"},
        {POINT ",\"kind\":\"a\"}\n" POINT ",\"kind\":\"b\"}\n", "of another kind (b)"},
    };
    struct law_points p;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(read_text(bad[i].text, &p, &err), -1);
        assert_int_equal(err.kind, ERR_USE);
        if (!strstr(err.text, bad[i].says))
            fail_msg("%zu: '%s' does not say %s", i, err.text, bad[i].says);
        assert_null(p.at);
    }
    assert_int_equal(read_text(POINT "}\n\n" POINT ",\"kind\":\"\"}\n", &p, &err), 0);
    assert_int_equal(p.count, 2);
    assert_true(p.at[1].qb == 64 && p.at[1].delta == .1);
    law_points_release(&p);
    assert_int_equal(
        read_text("{\"model\":\"m\",\"params\":1,\"qr\":1,\"qb\":1,\"delta\":-0.1}\n", &p, &err),
        0);
    assert_true(p.count == 0 && p.dropped == 1);
    law_points_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_t),           cmocka_unit_test(test_exact),
        cmocka_unit_test(test_interaction), cmocka_unit_test(test_one_model),
        cmocka_unit_test(test_lines),       cmocka_unit_test(test_intervals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

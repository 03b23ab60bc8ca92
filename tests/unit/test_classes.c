/* SPDX-License-Identifier: Apache-2.0 */
/* Classes of rows: what a solution costs on each, against plain loops; what rows of one length
 * alone would give, against solving just that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/rng.h"
#include "../../common/wire/msg_problem.h"
#include "../../common/wire/msg_solution.h"
#include "../../stages/solve/solve.h"

enum { N = 24, K = 64, T = 150, CLASSES = 3 };

static const char *const KINDS[CLASSES] = {"length", "length", "position"};
static const char *const NAMES[CLASSES] = {"128", "2048", "0"};
static const double WEIGHT[CLASSES] = {T, 2 * T, 3 * T};
static float W[N * K];
/* the last is the sum of the others: one position band that holds all rows */
static double S[CLASSES][K * K];

static int make_data(void **ctx)
{
    struct rng r;
    double x[K];

    (void)ctx;
    rng_seed(&r, 5, 0);
    for (size_t i = 0; i < (size_t)N * K; i++)
        W[i] = (float)(0.05 * rng_normal(&r));
    for (size_t c = 0; c < 2; c++)
        for (size_t t = 0; t < T; t++) {
            const double common = rng_normal(&r);

            for (size_t k = 0; k < K; k++)
                x[k] = (rng_normal(&r) + common) * (1.0 + (double)((k + 3 * c) % 7)) *
                       (c == 1 && k % 2 ? 6.0 : 1.0);
            for (size_t i = 0; i < (size_t)K * K; i++) {
                const double v = (double)(c + 1) * x[i / K] * x[i % K];

                S[c][i] += v;
                S[2][i] += v;
            }
        }
    return 0;
}

static double *add_triangle(struct msg *m, const char *name, const double *from)
{
    const uint64_t triangle[1] = {K * (K + 1) / 2};
    struct err e = {0};
    double *to = msg_add_new(m, name, DT_F64, 1, triangle, &e), *p = to;

    assert_non_null(p);
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j <= i; j++)
            *p++ = from[i * K + j];
    return to;
}

/* A problem of two linears whose sums are those of `set`; classes: how many of the list it has. */
static struct msg *problem(size_t set, size_t classes)
{
    const uint64_t shape[2] = {N, K};
    struct tensor header[2] = {{.ndim = 0}};
    struct problem_class list[CLASSES];
    struct problem_view v = {.block = 1,
                             .order = 5,
                             .sites = 8,
                             .site = "mlp.up",
                             .K = K,
                             .tokens = 2 * T,
                             .sum_w = WEIGHT[set],
                             .sum_w2 = WEIGHT[set] * WEIGHT[set] / (2 * T), /* one weight for all */
                             .nlinears = 2};
    struct err e = {0};
    struct msg *m;

    tensor_borrow(&header[0], "gate", DT_F32, 2, shape, W, &e);
    tensor_borrow(&header[1], "up", DT_F32, 2, shape, W, &e);
    v.linear[0] = &header[0];
    v.linear[1] = &header[1];
    m = problem_create(&v, "test", &e);
    assert_non_null(m);
    add_triangle(m, "S", S[set]);
    for (size_t c = 0; c < classes; c++) {
        char name[16];

        snprintf(name, sizeof name, "S.class.%zu", c);
        add_triangle(m, name, S[c]);
        list[c] = (struct problem_class){
            .kind = KINDS[c], .name = NAMES[c], .tokens = T, .sum_w = WEIGHT[c]};
    }
    assert_int_equal(problem_put_classes(m, list, classes, &e), 0);
    for (size_t i = 0; i < 2; i++)
        memcpy(msg_add_new(m, header[i].name, DT_F32, 2, shape, &e), W, sizeof W);
    return m;
}

static struct solve_opts opts(const char *solver, int cross)
{
    struct solve_opts o = solve_opts_default();

    o.solver = solver;
    o.bits = 3;
    o.group = 32;
    o.cross = cross;
    return o;
}

static struct msg *solve(const struct solve_opts *o, struct msg *m, struct solution_view *v)
{
    struct solve_note note;
    struct err e = {0};
    struct par *p = par_open(2, &e);
    struct msg *out = solve_problem(o, &m, p, &note, &e);

    if (!out || solution_read(out, v, &e))
        fail_msg("%s: %s", o->solver, e.text);
    par_close(&p);
    return out;
}

static void refused(const char *solver, int cross, struct msg *m, const char *words)
{
    struct solve_opts o = opts(solver, cross);
    struct solve_note note;
    struct err e = {0};
    struct par *p = par_open(1, &e);

    assert_null(solve_problem(&o, &m, p, &note, &e));
    if (!strstr(e.text, words))
        fail_msg("'%s' does not say '%s'", e.text, words);
    par_close(&p);
}

static void what_cannot_be_is_refused(void **ctx)
{
    struct msg *m = problem(2, CLASSES);
    struct problem_view v;
    struct err e = {0};

    (void)ctx;
    refused("gptq", 1, problem(2, 0), "ptq-reduce --classes length");
    refused("best:gptq,rtn", 1, problem(2, CLASSES),
            "solver best:gptq,rtn cannot be tried on single lengths");
    assert_int_equal(problem_read(m, &v, &e), 0);
    ((double *)msg_tensor(m, "S.class.1")->data)[7] = NAN;
    refused("gptq", 0, m, "'S.class.1' holds 1 NaN");
}

static double real(const struct json *object, const char *key)
{
    double v = NAN;

    json_as_real(json_get(object, key), &v);
    return v;
}

/* tr((W-Q) H (W-Q)') over both linears, by plain loops; whole: tr(W H W'). */
static double cost(const struct solution_view *v, size_t c, int whole)
{
    double sum = 0;

    for (size_t l = 0; l < 2; l++)
        for (size_t n = 0; n < N; n++) {
            const struct solution_linear *x = &v->linear[l];
            double d[K], scale[K / 32];

            dtype_to_f64(x->scales->dtype,
                         (const char *)x->scales->data + n * x->G * dtype_size(x->scales->dtype),
                         x->G, scale);
            for (size_t k = 0; k < K; k++) {
                const double code = ((const uint8_t *)x->codes->data)[n * K + k],
                             zero = 1 << (x->bits - 1);

                d[k] = (double)W[n * K + k] - (whole ? 0 : scale[k / 32] * (code - zero));
            }
            for (size_t i = 0; i < (size_t)K * K; i++)
                sum += d[i / K] * S[c][i] / WEIGHT[c] * d[i % K];
        }
    return sum;
}

static void assert_near(double got, double want)
{
    /* 2 N K^2 products of doubles, summed in another order: far below 1e-9 of sums of mostly one
     * sign */
    if (!(fabs(got - want) <= 1e-9 * fabs(want)))
        fail_msg("%.17g instead of %.17g", got, want);
}

static void costs_are_those_of_plain_loops(void **ctx)
{
    struct solve_opts o = opts("gptq", 0);
    struct solution_view v, without;
    struct msg *out = solve(&o, problem(2, CLASSES), &v),
               *plain = solve(&o, problem(2, 0), &without);
    const struct json *list = json_get(out->meta, "classes");

    (void)ctx;
    assert_int_equal(json_count(list), CLASSES);
    for (size_t c = 0; c < CLASSES; c++) {
        const struct json *x = json_at(list, c);

        assert_string_equal(json_as_text(json_get(x, "kind")), KINDS[c]);
        assert_string_equal(json_as_text(json_get(x, "name")), NAMES[c]);
        assert_near(real(x, "loss"), cost(&v, c, 0));
        assert_near(real(x, "energy"), cost(&v, c, 1));
        assert_null(json_get(x, "cross"));
    }
    /* the class that holds all rows costs what the site does, and the lengths add up to it */
    assert_near(real(json_at(list, 2), "loss"), v.linear[0].loss + v.linear[1].loss);
    assert_near(WEIGHT[0] * real(json_at(list, 0), "loss") +
                    WEIGHT[1] * real(json_at(list, 1), "loss"),
                WEIGHT[2] * real(json_at(list, 2), "loss"));
    assert_null(json_get(plain->meta, "classes"));
    assert_memory_equal(v.linear[1].codes->data, without.linear[1].codes->data, (size_t)N * K);
    msg_destroy(&out);
    msg_destroy(&plain);
}

static void one_length_alone_gives_what_solving_it_gives(void **ctx)
{
    struct solve_opts o = opts("gptq", 1);
    struct solution_view v, plain, alone[2];
    struct msg *out = solve(&o, problem(2, CLASSES), &v), *m[3];
    const struct json *list = json_get(out->meta, "classes");

    (void)ctx;
    o.cross = 0;
    m[0] = solve(&o, problem(0, 0), &alone[0]);
    m[1] = solve(&o, problem(1, 0), &alone[1]);
    m[2] = solve(&o, problem(2, 0), &plain);
    for (size_t c = 0; c < CLASSES; c++) {
        const struct json *cross = json_get(json_at(list, c), "cross");

        assert_int_equal(json_count(cross), 2);
        for (size_t from = 0; from < 2; from++) {
            double got = NAN;

            json_as_real(json_at(cross, from), &got);
            assert_near(got, cost(&alone[from], c, 0));
        }
    }
    assert_memory_not_equal(alone[0].linear[0].codes->data, alone[1].linear[0].codes->data,
                            (size_t)N * K);
    assert_memory_equal(v.linear[0].codes->data, plain.linear[0].codes->data, (size_t)N * K);
    msg_destroy(&out);
    for (size_t i = 0; i < 3; i++)
        msg_destroy(&m[i]);
}

/* Of the classes by length: the logarithm of the ratio of their shares. */
static double unlike(const struct json *list)
{
    const struct json *x = json_at(list, 0), *y = json_at(list, 1);

    return fabs(log(real(x, "loss") / real(x, "energy") / (real(y, "loss") / real(y, "energy"))));
}

/* With the weights that are found each loses nearly the same share, and the solution is that of the
 * sums with these weights. */
static void classes_are_made_to_lose_alike(void **ctx)
{
    struct solve_opts o = opts("gptq", 0);
    struct solution_view plain, equal, mixed;
    struct msg *a = solve(&o, problem(2, 2), &plain), *b, *c;
    double before[K * K], factor[2], weight;

    (void)ctx;
    o.equalise = EQUALISE_LENGTH;
    o.equalise_passes = 6;
    b = solve(&o, problem(2, 2), &equal);
    for (size_t i = 0; i < 2; i++)
        factor[i] = real(json_at(json_get(b->meta, "classes"), i), "factor");
    assert_near(factor[0] * WEIGHT[0] + factor[1] * WEIGHT[1], WEIGHT[2]);
    assert_true(fabs(log(factor[0] / factor[1])) > .05);
    assert_true(unlike(json_get(b->meta, "classes")) < .5 * unlike(json_get(a->meta, "classes")));
    weight = equal.sum_w;
    assert_near(weight, WEIGHT[2]);

    memcpy(before, S[2], sizeof before);
    for (size_t i = 0; i < (size_t)K * K; i++)
        S[2][i] = factor[0] * S[0][i] + factor[1] * S[1][i];
    o.equalise = EQUALISE_NONE;
    c = solve(&o, problem(2, 0), &mixed);
    memcpy(S[2], before, sizeof before);
    assert_memory_equal(equal.linear[0].codes->data, mixed.linear[0].codes->data, (size_t)N * K);
    assert_memory_not_equal(equal.linear[0].codes->data, plain.linear[0].codes->data,
                            (size_t)N * K);
    msg_destroy(&a);
    msg_destroy(&b);
    msg_destroy(&c);
}

static void refused_equal(enum equalise kind, const char *solver, size_t classes, const char *words)
{
    struct solve_opts o = opts(solver, 0);
    struct msg *m = problem(2, classes);
    struct solve_note note;
    struct err e = {0};
    struct par *p = par_open(1, &e);

    o.equalise = kind;
    assert_null(solve_problem(&o, &m, p, &note, &e));
    if (!strstr(e.text, words))
        fail_msg("'%s' does not say '%s'", e.text, words);
    par_close(&p);
}

static void what_cannot_be_equalised_is_refused(void **ctx)
{
    (void)ctx;
    refused_equal(EQUALISE_LENGTH, "gptq", 0, "run ptq-reduce --classes length");
    refused_equal(EQUALISE_FIRST, "gptq", CLASSES, "the classes by position have 150 rows of 300");
    refused_equal(EQUALISE_LENGTH, "best:gptq,rtn", 2, "does not go with --solver best:A,B");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(costs_are_those_of_plain_loops),
        cmocka_unit_test(one_length_alone_gives_what_solving_it_gives),
        cmocka_unit_test(classes_are_made_to_lose_alike),
        cmocka_unit_test(what_cannot_be_equalised_is_refused),
    };

    return cmocka_run_group_tests_name("classes", tests, make_data, NULL);
}

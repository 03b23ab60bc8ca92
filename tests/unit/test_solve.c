/* SPDX-License-Identifier: Apache-2.0 */
/* The core of ptq-solve: what it refuses, and that its messages say what was done. Orders, damping
 * and losses on their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/base/rng.h"
#include "../../common/tensor/blas.h"
#include "../../common/wire/msg_problem.h"
#include "../../common/wire/msg_solution.h"
#include "../../stages/solve/solve.h"
#include "../../stages/solve/solve_opts.h"
#include "../../stages/solve/solve_damp.h"
#include "../../stages/solve/solve_order.h"

enum { N = 70, K = 160, T = 300 };

struct data {
    float W[N * K], x[T * K];
    double S[K * K], D[K * K];
};

static struct data data;

static int make_data(void **ctx)
{
    struct rng r;

    (void)ctx;
    rng_seed(&r, 5, 0);
    for (size_t i = 0; i < N * K; i++)
        data.W[i] = (float)(0.05 * rng_normal(&r));
    for (size_t t = 0; t < T; t++) {
        const double common = rng_normal(&r);
        for (size_t k = 0; k < K; k++)
            data.x[t * K + k] = (float)((rng_normal(&r) + common) * (1.0 + (double)(k % 7)));
    }
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j < K; j++) {
            double sum = 0.0;
            for (size_t t = 0; t < T; t++)
                sum += (double)data.x[t * K + i] * (double)data.x[t * K + j];
            data.S[i * K + j] = sum;
            data.D[i * K + j] = 0.01 * sum * rng_normal(&r);
        }
    return 0;
}

struct want {
    double factor; /* S, D and the sums times this */
    enum dtype s_type;
    int with_d, tokens;
};

static struct msg *problem(const struct want *x)
{
    const uint64_t triangle[1] = {K * (K + 1) / 2}, square[2] = {K, K}, shape[2] = {N, K};
    struct tensor header[2] = {{.ndim = 0}};
    struct problem_view v = {.block = 3,
                             .order = 13,
                             .sites = 20,
                             .site = "mlp.up",
                             .K = K,
                             .tokens = (uint64_t)x->tokens,
                             .sum_w = x->factor * x->tokens,
                             .sum_w2 = x->factor * x->factor * x->tokens,
                             .nlinears = 2};
    struct err e = {0};
    struct msg *m;
    void *p;

    tensor_borrow(&header[0], "model.layers.3.mlp.gate_proj", DT_F32, 2, shape, data.W, &e);
    tensor_borrow(&header[1], "model.layers.3.mlp.up_proj", DT_F32, 2, shape, data.W, &e);
    v.linear[0] = &header[0];
    v.linear[1] = &header[1];
    m = problem_create(&v, "test", &e);
    assert_non_null(m);
    p = msg_add_new(m, "S", x->s_type, 1, triangle, &e);
    for (size_t i = 0, at = 0; i < K; i++)
        for (size_t j = 0; j <= i; j++, at++) {
            const double s = x->tokens ? data.S[i * K + j] * x->factor : 0.0;
            if (x->s_type == DT_F64)
                ((double *)p)[at] = s;
            else
                ((float *)p)[at] = (float)s;
        }
    if (x->with_d) {
        p = msg_add_new(m, "D", DT_F64, 2, square, &e);
        for (size_t i = 0; i < K * K; i++)
            ((double *)p)[i] = data.D[i] * x->factor;
    }
    for (size_t i = 0; i < 2; i++) {
        p = msg_add_new(m, header[i].name, DT_F32, 2, shape, &e);
        memcpy(p, data.W, sizeof data.W);
    }
    return m;
}

static const struct want plain = {1.0, DT_F64, 0, T};

static struct solve_opts opts(void)
{
    struct solve_opts o = solve_opts_default();

    o.group = 32;
    return o;
}

static struct msg *solve(const struct solve_opts *o, struct msg *m, size_t threads,
                         struct solve_note *note, struct err *e)
{
    struct par *p = par_open(threads, e);
    struct msg *out = solve_problem(o, &m, p, note, e);

    assert_null(m);
    par_close(&p);
    return out;
}

static void refuse(const struct solve_opts *o, struct msg *m, enum err_kind kind, const char *words)
{
    struct solve_note note;
    struct err e = {0};

    assert_null(solve(o, m, 1, &note, &e));
    if (!strstr(e.text, words))
        fail_msg("'%s' does not say '%s'", e.text, words);
    assert_int_equal(e.kind, kind);
}

static void test_refuses_options(void **ctx)
{
    struct solve_opts o = opts();
    struct err e = {0};

    (void)ctx;
    assert_int_equal(solve_check_opts(&o, &e), 0);
#define BAD(change, words)                              \
    do {                                                \
        o = opts();                                     \
        change;                                         \
        assert_int_equal(solve_check_opts(&o, &e), -1); \
        assert_int_equal(e.kind, ERR_USE);              \
        assert_non_null(strstr(e.text, words));         \
    } while (0)
    BAD(o.solver = "magic", "magic");
    BAD(o.solver = NULL, "no solver");
    BAD(o.bits = 5, "--bits");
    BAD(o.group = 0, "--group");
    BAD(o.group = -2, "--group");
    BAD(o.block = 0, "--block");
    BAD(o.damp = -0.1, "--damp");
    BAD(o.damp = NAN, "--damp");
    BAD(o.scale_type = DT_U8, "--scale-type");
    BAD(o.zero_min = 2, "--zero-min");
    BAD((o.solver = "rtn", o.order = ORDER_GROUP), "--order means nothing to solver rtn");
    BAD((o.solver = "rtn", o.damp = 0.05), "--damp");
    BAD((o.solver = "rtn", o.block = 1), "--block");
#undef BAD
    o = opts();
    o.solver = "rtn";
    assert_int_equal(solve_check_opts(&o, &e), 0);
}

static void test_refuses_problems(void **ctx)
{
    struct solve_opts o = opts();
    struct msg *m;

    (void)ctx;
    o.group = 64;
    refuse(&o, problem(&plain), ERR_USE,
           "model.layers.3.mlp.gate_proj' has 160 inputs, which --group 64");
    o.group = 192;
    refuse(&o, problem(&plain), ERR_USE, "--group 192");
    o = opts();
    m = problem(&plain);
    m->kind = MSG_SOLUTION;
    refuse(&o, m, ERR_USE, "solution");
    m = problem(&plain);
    ((float *)m->tensors[2].data)[77] = NAN;
    refuse(&o, m, ERR_USE, "'model.layers.3.mlp.up_proj' holds 1 NaN");
    m = problem(&plain);
    ((double *)m->tensors[0].data)[5] = INFINITY;
    refuse(&o, m, ERR_USE, "'S' holds 1 NaN or infinite");
    m = problem(&plain);
    ((double *)m->tensors[0].data)[2] = -1.0;
    refuse(&o, m, ERR_USE, "'S'[1,1] is negative");
    m = problem(&plain);
    json_set_real(m->meta, "sum_w", 0.0);
    json_set_real(m->meta, "sum_w2", 0.0);
    refuse(&o, m, ERR_DATA, "sum_w is 0 with 300 tokens");
    m = problem(&plain);
    json_set_int(m->meta, "tokens", 0);
    refuse(&o, m, ERR_USE, "0 rows cannot weigh that much");
    m = problem(&plain);
    ((float *)m->tensors[1].data)[3 * K] = 1e7F;
    refuse(&o, m, ERR_DATA, "gate_proj: row 3: a scale is too large for F16");
}

/* Of a solution on the grid sym with 4 bits. */
static double direct_loss(const struct solution_linear *x, double *asym, double *norm)
{
    double loss = 0.0, cross = 0.0;

    *norm = 0.0;
    for (size_t n = 0; n < N; n++) {
        double d[K], w[K];
        for (size_t k = 0; k < K; k++) {
            double s;
            dtype_to_f64(x->scales->dtype, (const uint16_t *)x->scales->data + n * x->G + k / 32, 1,
                         &s);
            w[k] = (double)data.W[n * K + k];
            d[k] = w[k] - s * ((double)((const uint8_t *)x->codes->data)[n * K + k] - 8.0);
        }
        for (size_t i = 0; i < K; i++)
            for (size_t j = 0; j < K; j++) {
                loss += d[i] * d[j] * data.S[i * K + j] / T;
                *norm += w[i] * w[j] * data.S[i * K + j] / T;
                cross += w[i] * data.D[i * K + j] * d[j] / T;
            }
    }
    *asym = loss + 2.0 * cross;
    return loss;
}

static void close_to(double have, double want)
{
    if (!(fabs(have - want) <= 1e-10 * fabs(want)))
        fail_msg("%.17g, not %.17g", have, want);
}

/* What needs no H, and what needs its diagonal alone. */
static void check_plain_errors(const struct solution_linear *x)
{
    double e2 = 0.0, w2 = 0.0, trace = 0.0;

    for (size_t n = 0; n < N; n++)
        for (size_t k = 0; k < K; k++) {
            const double w = (double)data.W[n * K + k];
            double s, d;

            dtype_to_f64(x->scales->dtype, (const uint16_t *)x->scales->data + n * x->G + k / 32, 1,
                         &s);
            d = w - s * ((double)((const uint8_t *)x->codes->data)[n * K + k] - 8.0);
            e2 += d * d;
            w2 += w * w;
        }
    for (size_t k = 0; k < K; k++)
        trace += data.S[k * K + k] / T;
    close_to(x->round_off, e2 / w2);
    close_to(x->trace, e2 * trace / K);
}

static void test_solution(void **ctx)
{
    const struct solve_opts o = opts();
    struct want with_d = plain;
    struct solution_view v;
    struct solve_note note;
    struct err e = {0};
    struct msg *m;
    double asym, norm, loss;

    (void)ctx;
    with_d.with_d = 1;
    m = solve(&o, problem(&with_d), 2, &note, &e);
    if (!m || solution_read(m, &v, &e))
        fail_msg("%s", e.text);
    assert_string_equal(m->id, "b3.mlp.up");
    assert_string_equal(v.solver, "gptq");
    assert_int_equal(v.block, 3);
    assert_int_equal(v.order, 13);
    assert_int_equal(v.nlinears, 2);
    assert_int_equal(v.attempts, 1);
    assert_null(v.fallback);
    assert_true(v.damp == 0.01 && v.seconds >= 0.0);
    for (size_t i = 0; i < 2; i++) {
        loss = direct_loss(&v.linear[i], &asym, &norm);
        close_to(v.linear[i].loss, loss);
        close_to(v.linear[i].rel_loss, loss / norm);
        close_to(v.linear[i].asym_loss, asym);
        check_plain_errors(&v.linear[i]);
    }
    assert_string_equal(json_as_text(json_get(json_at(v.prov, json_count(v.prov) - 1), "stage")),
                        "solve");
    assert_string_equal(json_as_text(json_get(json_at(v.prov, json_count(v.prov) - 1), "order")),
                        "act");
    assert_null(json_get(json_at(v.prov, json_count(v.prov) - 1), "seconds"));
    assert_true(note.coverage == (double)T / K && note.dead == 0 && note.raised == 0 &&
                note.worst > 0.0);
    msg_destroy(&m);
}

static void same_tensors(const struct msg *a, const struct msg *b)
{
    assert_int_equal(a->ntensors, b->ntensors);
    for (size_t i = 0; i < a->ntensors; i++) {
        assert_string_equal(a->tensors[i].name, b->tensors[i].name);
        assert_memory_equal(a->tensors[i].data, b->tensors[i].data, a->tensors[i].bytes);
    }
}

/* Threads, and a common factor on sums and their weight, change nothing. */
static void test_same_bytes(void **ctx)
{
    const struct solve_opts o = opts();
    struct want scaled = plain;
    struct solution_view x, y;
    struct solve_note note;
    struct err e = {0};
    struct msg *a = solve(&o, problem(&plain), 1, &note, &e), *b;

    (void)ctx;
    for (size_t threads = 2; threads <= 3; threads++) {
        b = solve(&o, problem(&plain), threads, &note, &e);
        same_tensors(a, b);
        assert_int_equal(solution_read(a, &x, &e), 0);
        assert_int_equal(solution_read(b, &y, &e), 0);
        assert_memory_equal(&x.linear[1].loss, &y.linear[1].loss, sizeof(double));
        msg_destroy(&b);
    }
    scaled.factor = 0x1p-9;
    b = solve(&o, problem(&scaled), 1, &note, &e);
    same_tensors(a, b);
    msg_destroy(&b);
    msg_destroy(&a);
}

static void test_sums_in_f32(void **ctx)
{
    const struct solve_opts o = opts();
    struct want narrow = plain;
    struct solution_view v;
    struct solve_note note;
    struct err e = {0};
    struct msg *m;
    double asym, norm, loss;

    (void)ctx;
    narrow.s_type = DT_F32;
    m = solve(&o, problem(&narrow), 1, &note, &e);
    assert_int_equal(solution_read(m, &v, &e), 0);
    assert_true(isnan(v.linear[0].asym_loss));
    loss = direct_loss(&v.linear[0], &asym, &norm);
    assert_true(fabs(v.linear[0].loss - loss) < 1e-5 * loss); /* K terms of 6e-8 each */
    msg_destroy(&m);
}

static void test_no_tokens(void **ctx)
{
    struct solve_opts o = opts();
    struct want none = plain;
    struct solution_view v;
    struct solve_note note;
    struct err e = {0};
    struct msg *a, *b;

    (void)ctx;
    none.tokens = 0;
    a = solve(&o, problem(&none), 1, &note, &e);
    assert_int_equal(solution_read(a, &v, &e), 0);
    assert_string_equal(v.fallback, "rtn");
    assert_string_equal(note.fallback, "rtn");
    assert_true(v.linear[0].loss == 0.0 && v.linear[0].rel_loss == 0.0);
    b = problem(&none); /* rows that weigh nothing */
    json_set_int(b->meta, "tokens", 7);
    b = solve(&o, b, 1, &note, &e);
    assert_int_equal(solution_read(b, &v, &e), 0);
    assert_string_equal(v.fallback, "rtn");
    assert_int_equal(v.tokens, 7);
    same_tensors(a, b);
    msg_destroy(&b);
    o.solver = "rtn";
    b = solve(&o, problem(&plain), 1, &note, &e);
    same_tensors(a, b);
    assert_int_equal(solution_read(b, &v, &e), 0);
    assert_null(v.fallback);
    assert_int_equal(v.attempts, 0);
    msg_destroy(&a);
    msg_destroy(&b);
}

/* ---- parts ---- */

static void test_order(void **ctx)
{
    static const double diag[6] = {1.0, 5.0, 1.0, 3.0, 5.0, 2.0};
    static const size_t none[6] = {0, 1, 2, 3, 4, 5}, act[6] = {1, 4, 3, 5, 0, 2},
                        group2[6] = {1, 0, 4, 5, 3, 2};
    struct solve_opts o = opts();
    size_t order[6];
    struct err e = {0};

    (void)ctx;
    o.group = 2;
    o.order = ORDER_NONE;
    assert_int_equal(solve_order(&o, 6, NULL, diag, order, NULL, &e), 0);
    assert_memory_equal(order, none, sizeof order);
    o.order = ORDER_ACT;
    assert_int_equal(solve_order(&o, 6, NULL, diag, order, NULL, &e), 0);
    assert_memory_equal(order, act, sizeof order);
    o.order = ORDER_GROUP;
    assert_int_equal(solve_order(&o, 6, NULL, diag, order, NULL, &e), 0);
    assert_memory_equal(order, group2, sizeof order);
    o.group = -1;
    assert_int_equal(solve_order(&o, 6, NULL, diag, order, NULL, &e), 0);
    assert_memory_equal(order, act, sizeof order);
}

/* U is upper, and U'U is the inverse of the damped matrix in that order. */
static void test_factor(void **ctx)
{
    struct solve_opts o = opts();
    struct solve_stats st = {0};
    double *U = mem_raw(K * K, sizeof *U, NULL), *H = mem_raw(K * K, sizeof *H, NULL), diag[K],
           mean = 0.0, worst = 0.0;
    uint8_t dead[K];
    size_t order[K];
    struct err e = {0};

    (void)ctx;
    for (size_t i = 0; i < K * K; i++)
        H[i] = data.S[i] / T;
    assert_int_equal(damp_dead(&o, K, H, diag, dead), 0);
    assert_int_equal(solve_order(&o, K, NULL, diag, order, NULL, &e), 0);
    assert_int_equal(damp_factor(&o, K, H, diag, order, 0, U, NULL, &st, NULL, &e), 0);
    assert_int_equal(st.attempts, 1);
    for (size_t k = 0; k < K; k++)
        mean += diag[k] / K;
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j < K; j++) {
            double sum = 0.0;
            for (size_t k = 0; k < K; k++) {
                double g = 0.0; /* (U'U)[i,k] */
                for (size_t m = 0; m <= i && m <= k; m++)
                    g += U[m * K + i] * U[m * K + k];
                sum += g * (H[order[k] * K + order[j]] + (k == j ? 0.01 * mean : 0.0));
            }
            worst = fmax(worst, fabs(sum - (i == j)));
        }
    assert_true(worst < 1e-9); /* the condition number is below 1e5 */
    free(U);
    free(H);
}

static void test_dead_diagonal(void **ctx)
{
    static const double H[9] = {2.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 4.0};
    static const double none[9] = {0.0};
    struct solve_opts o = opts();
    double diag[3];
    uint8_t dead[3];

    (void)ctx;
    assert_int_equal(damp_dead(&o, 3, H, diag, dead), 1);
    assert_true(diag[0] == 2.0 && diag[1] == 3.0 && diag[2] == 4.0 && !dead[0] && dead[1] &&
                !dead[2]);
    o.dead = DEAD_ZERO;
    assert_int_equal(damp_dead(&o, 3, H, diag, dead), 1);
    assert_true(diag[1] == 1.0);
    o.dead = DEAD_KEEP;
    assert_int_equal(damp_dead(&o, 3, none, diag, dead), 3);
    assert_true(diag[0] == 1.0 && diag[1] == 1.0);
}

/* Each linear gets what its own weights give: changing one leaves the other. */
static void test_linears_keep_apart(void **ctx)
{
    struct solve_opts o = opts();
    struct solve_note note;
    struct solution_view v[3];
    struct msg *out[3];
    struct err e = {0};

    (void)ctx;
    for (int changed = 0; changed < 3; changed++) { /* none, the second, both */
        struct msg *m = problem(&plain);

        for (int i = 2 - changed; i < 2; i++) {
            float *w = (float *)msg_tensor(m, i ? "model.layers.3.mlp.up_proj"
                                                : "model.layers.3.mlp.gate_proj")
                           ->data;
            for (size_t k = 0; k < N * K; k++)
                w[k] = data.W[N * K - 1 - k];
        }
        out[changed] = solve(&o, m, 1, &note, &e);
        assert_non_null(out[changed]);
        assert_int_equal(solution_read(out[changed], &v[changed], &e), 0);
    }
    assert_memory_equal(v[1].linear[0].codes->data, v[0].linear[0].codes->data, N * K);
    assert_memory_equal(v[1].linear[1].codes->data, v[2].linear[1].codes->data, N * K);
    assert_memory_not_equal(v[1].linear[0].codes->data, v[1].linear[1].codes->data, N * K);
    for (int i = 0; i < 3; i++)
        msg_destroy(&out[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refuses_options), cmocka_unit_test(test_refuses_problems),
        cmocka_unit_test(test_solution),        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_sums_in_f32),     cmocka_unit_test(test_no_tokens),
        cmocka_unit_test(test_order),           cmocka_unit_test(test_factor),
        cmocka_unit_test(test_dead_diagonal),   cmocka_unit_test(test_linears_keep_apart),
    };
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("solve", tests, make_data, NULL);
}

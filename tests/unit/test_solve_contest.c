/* SPDX-License-Identifier: Apache-2.0 */
/* Contests between solvers, sums to choose from, and the options of solvers: through the core of
 * ptq-solve. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/rng.h"
#include "../../common/tensor/blas.h"
#include "../../common/wire/msg_problem.h"
#include "../../common/wire/msg_solution.h"
#include "../../stages/solve/solve.h"

enum { N = 40, K = 96, T = 200, SETS = 3 };

static float W[N * K];
static double S[SETS][K * K], D[SETS][K * K]; /* main, held out, plain */

static int make_data(void **ctx)
{
    struct rng r;
    double x[K];

    (void)ctx;
    rng_seed(&r, 21, 0);
    for (size_t i = 0; i < (size_t)N * K; i++)
        W[i] = (float)(0.05 * rng_normal(&r));
    for (size_t set = 0; set < SETS; set++)
        for (size_t t = 0; t < T; t++) {
            const double common = rng_normal(&r);
            for (size_t k = 0; k < K; k++)
                x[k] = (rng_normal(&r) + common) * (1.0 + (double)(k % 7));
            for (size_t i = 0; i < K; i++)
                for (size_t j = 0; j < K; j++) {
                    S[set][i * K + j] += x[i] * x[j];
                    D[set][i * K + j] += (0.2 * x[i] + 0.1 * x[(i + 5) % K]) * x[j];
                }
        }
    return 0;
}

static void add(struct msg *m, const char *name, const double *from, int square)
{
    const uint64_t triangle[1] = {K * (K + 1) / 2}, full[2] = {K, K};
    struct err e = {0};
    double *p = msg_add_new(m, name, DT_F64, square ? 2 : 1, square ? full : triangle, &e);

    assert_non_null(p);
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j < (square ? K : i + 1); j++)
            *p++ = from[i * K + j];
}

/* The main sums are those of set `main`; d, hold, plain: with D, with the further sets. */
static struct msg *problem(size_t set, int d, int hold, int plain)
{
    const uint64_t shape[2] = {N, K};
    struct tensor header[2] = {{.ndim = 0}};
    struct problem_view v = {.block = 1,
                             .order = 5,
                             .sites = 8,
                             .site = "mlp.up",
                             .K = K,
                             .tokens = T,
                             .sum_w = T,
                             .sum_w2 = T,
                             .nlinears = 2};
    struct err e = {0};
    struct msg *m;

    if (hold)
        v.hold = (struct problem_sums){.tokens = T, .sum_w = T, .sum_w2 = T};
    if (plain)
        v.plain = (struct problem_sums){.tokens = T, .sum_w = T, .sum_w2 = T};
    tensor_borrow(&header[0], "gate", DT_F32, 2, shape, W, &e);
    tensor_borrow(&header[1], "up", DT_F32, 2, shape, W, &e);
    v.linear[0] = &header[0];
    v.linear[1] = &header[1];
    m = problem_create(&v, "test", &e);
    assert_non_null(m);
    add(m, "S", S[set], 0);
    if (d)
        add(m, "D", D[set], 1);
    if (hold)
        add(m, "S.hold", S[1], 0);
    if (hold && d)
        add(m, "D.hold", D[1], 1);
    if (plain)
        add(m, "S.plain", S[2], 0);
    if (plain && d)
        add(m, "D.plain", D[2], 1);
    for (size_t i = 0; i < 2; i++)
        memcpy(msg_add_new(m, header[i].name, DT_F32, 2, shape, &e), W, sizeof W);
    return m;
}

static struct solve_opts opts(const char *solver)
{
    struct solve_opts o = solve_opts_default();

    o.solver = solver;
    o.bits = 3;
    o.group = 32;
    return o;
}

static struct msg *solve(const struct solve_opts *o, struct msg *m, struct solve_note *note)
{
    struct err e = {0};
    struct par *p = par_open(2, &e);
    struct msg *out = solve_problem(o, &m, p, note, &e);

    if (!out)
        fail_msg("%s: %s", o->solver, e.text);
    par_close(&p);
    return out;
}

static void refuse(const struct solve_opts *o, struct msg *m, const char *words)
{
    struct solve_note note;
    struct err e = {0};
    struct par *p = par_open(1, &e);

    assert_null(solve_problem(o, &m, p, &note, &e));
    assert_null(m);
    if (!strstr(e.text, words))
        fail_msg("'%s' does not say '%s'", e.text, words);
    assert_int_equal(e.kind, ERR_USE);
    par_close(&p);
}

static void test_refuses(void **ctx)
{
    static const struct {
        const char *solver, *words;
    } bad[] = {
        {"best:", "no solver ''"},
        {"best:gptq,", "no solver ''"},
        {"best:gptq,magic", "no solver 'magic'"},
        {"best:gptq,rtn,gptq", "'gptq' twice"},
        {"best:best:gptq", "no solver 'best:gptq'"},
        {"qep+", "no solver 'qep+'"},
        {"+gptq", "no solver '+gptq'"},
        {"qep+qep+gptq", "no solver 'qep+qep+gptq'"},
        {"gptq+rtn", "only qep stands before"},
        {"qep+qronos", "qronos aims at the full-precision target itself"},
        {"qep+qep", "qep aims at"},
        {"gptq,rtn", "no solver 'gptq,rtn'"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "no solver 'aaa"},
        {"gptaq", "--dual"},
        {"best:gptq,qep+rtn", "qep+rtn needs D"},
    };
    struct solve_opts o;

    (void)ctx;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        o = opts(bad[i].solver);
        refuse(&o, problem(0, 0, 1, 0), bad[i].words);
    }
#define BAD(name, change, words)                \
    do {                                        \
        o = opts(name);                         \
        o.change;                               \
        refuse(&o, problem(0, 1, 1, 0), words); \
    } while (0)
    BAD("gptq", alpha = 0.5, "--alpha means nothing to solver gptq");
    BAD("gptaq", alpha2 = 0.5, "--alpha2 means nothing");
    BAD("gptaq", beta = 0.5, "--beta means nothing");
    BAD("gptaq", tries = 9, "--tries means nothing");
    BAD("gptaq", qep_alpha = 0.7, "--qep-alpha means nothing");
    BAD("qronos", p_source = P_Q, "--p-source means nothing");
    BAD("qep+rtn", order = ORDER_NONE, "--order means nothing");
    BAD("best:gptq,rtn", alpha = 0.5, "--alpha means nothing to solver best:gptq,rtn");
    BAD("gptq", criterion = CRITERION_PLAIN, "--criterion means nothing");
    BAD("gptq", refit = 1, "--refit means nothing");
    BAD("gptq", refine_alpha = 0.5, "--refine-alpha means nothing");
    BAD("gptaq", alpha = NAN, "--alpha must be");
    BAD("gptaq", alpha = -1.0, "--alpha must be");
    BAD("foem", beta = 1.5, "--beta must be");
    BAD("gptq", refine = 101, "--refine must be");
    BAD("ojbkq", tries = 0, "--tries must be");
    BAD("ojbkq", groups = GROUPS_DYNAMIC, "needs --groups static");
    BAD("gptq", sums = SUMS_PLAIN, "ptq-reduce --plain-sums");
#undef BAD
    o = opts("best:gptq,rtn");
    o.refit = 1;
    o.sums = SUMS_PLAIN;
    refuse(&o, problem(0, 1, 1, 1), "--sums plain: choose one");
    o = opts("best:gptq,gptaq"); /* one that looks at it is enough */
    o.alpha = 0.5;
    msg_destroy(&(struct msg *){solve(&o, problem(0, 1, 1, 0), &(struct solve_note){.damp = 0})});
}

static double real(const struct json *object, const char *key)
{
    double v = NAN;

    json_as_real(json_get(object, key), &v);
    return v;
}

static const char *text(const struct json *object, const char *key)
{
    return json_as_text(json_get(object, key));
}

/* The winner is the contender with the smallest loss, and gets what it would have got alone. */
static void check_contest(const char *solver, struct msg *m, struct msg *again, const char *key,
                          enum criterion criterion, const char *judged_on)
{
    struct solve_opts o = opts(solver);
    struct solve_note note;
    struct msg *out, *alone;
    struct solution_view a, b;
    struct err e = {0};
    const struct json *list;
    size_t best = 0;

    o.criterion = criterion;
    out = solve(&o, m, &note);
    list = json_get(out->meta, "contenders");
    assert_true(json_count(list) >= 2);
    for (size_t i = 0; i < json_count(list); i++) {
        assert_true(isfinite(real(json_at(list, i), key)));
        if (real(json_at(list, i), key) < real(json_at(list, best), key))
            best = i;
    }
    assert_int_equal(solution_read(out, &a, &e), 0);
    assert_string_equal(a.solver, text(json_at(list, best), "solver"));
    assert_string_equal(note.solver, a.solver);
    assert_string_equal(text(out->meta, "judged_on"), judged_on);
    assert_int_equal(note.blind, strcmp(judged_on, "main") == 0);
    assert_string_equal(text(json_at(a.prov, json_count(a.prov) - 1), "chosen_from"), solver);
    o = opts(a.solver);
    alone = solve(&o, again, &note);
    assert_null(json_get(alone->meta, "contenders"));
    assert_int_equal(solution_read(alone, &b, &e), 0);
    for (size_t i = 0; i < 2; i++) {
        assert_memory_equal(a.linear[i].codes->data, b.linear[i].codes->data, (size_t)N * K);
        assert_true(fabs(a.linear[i].loss - b.linear[i].loss) <= 0.0);
    }
    msg_destroy(&out);
    msg_destroy(&alone);
}

static void test_contest(void **ctx)
{
    static const char all[] = "best:rtn,gptq,gptaq,qep+gptq,qronos,foem,ojbkq";

    (void)ctx;
    check_contest(all, problem(0, 1, 1, 0), problem(0, 1, 1, 0), "hold_loss", CRITERION_ASYM,
                  "hold");
    check_contest(all, problem(0, 1, 1, 0), problem(0, 1, 1, 0), "hold_loss", CRITERION_PLAIN,
                  "hold");
    check_contest(all, problem(0, 1, 0, 0), problem(0, 1, 0, 0), "asym_loss", CRITERION_ASYM,
                  "main");
    check_contest("best:rtn,gptq", problem(0, 0, 1, 0), problem(0, 0, 1, 0), "hold_loss",
                  CRITERION_ASYM, "hold");
    check_contest("best:gptq,rtn", problem(0, 0, 0, 0), problem(0, 0, 0, 0), "loss",
                  CRITERION_PLAIN, "main");
}

/* Held-out rows of this weight: the two sets do not count alike. */
#define HELD 3.0

static struct msg *unequal(void)
{
    struct msg *m = problem(0, 1, 1, 0);
    struct json *hold = (struct json *)(uintptr_t)json_get(m->meta, "hold");

    for (size_t i = 0; i < m->ntensors; i++)
        if (strstr(m->tensors[i].name, ".hold"))
            for (size_t k = 0; k < m->tensors[i].bytes / sizeof(double); k++)
                ((double *)m->tensors[i].data)[k] *= HELD;
    json_set_real(hold, "sum_w", HELD * T);
    json_set_real(hold, "sum_w2", HELD * HELD * T);
    return m;
}

/* The sums of its two sets as one. */
static struct msg *joined(void)
{
    const size_t cells = (size_t)K * K;
    struct msg *m;

    for (size_t i = 0; i < cells; i++) {
        S[2][i] = S[0][i] + HELD * S[1][i];
        D[2][i] = D[0][i] + HELD * D[1][i];
    }
    m = problem(2, 1, 0, 0);
    json_set_int(m->meta, "tokens", 2 * T);
    json_set_real(m->meta, "sum_w", (1 + HELD) * T);
    json_set_real(m->meta, "sum_w2", (1 + HELD * HELD) * T);
    return m;
}

/* After the choice the winner has all chunks: what it makes of the sums of both sets, but for
 * the rounding of H. */
static void test_refit(void **ctx)
{
    struct solve_opts o = opts("best:rtn,gptq,qep+gptq");
    struct solve_note note;
    struct msg *plain = solve(&o, unequal(), &note), *out, *all;
    struct solution_view a, b, c;
    struct err e = {0};
    size_t differ[2] = {0, 0};

    (void)ctx;
    o.refit = 1;
    out = solve(&o, unequal(), &note);
    assert_true(fabs(note.coverage - 2.0 * T / K) < 1e-9);
    assert_int_equal(solution_read(plain, &c, &e), 0);
    assert_int_equal(solution_read(out, &a, &e), 0);
    assert_string_equal(a.solver, c.solver);
    assert_int_equal(a.tokens, 2 * T);
    assert_true(fabs(a.sum_w - (1 + HELD) * T) <= 0.0);
    assert_int_equal(json_as_text(json_get(out->meta, "judged_on"))[0], 'h');
    assert_true(json_get(json_at(a.prov, json_count(a.prov) - 1), "refit") != NULL);
    o = opts(a.solver);
    all = solve(&o, joined(), &note);
    assert_int_equal(solution_read(all, &b, &e), 0);
    for (size_t i = 0; i < (size_t)N * K; i++) {
        differ[0] += ((const uint8_t *)a.linear[0].codes->data)[i] !=
                     ((const uint8_t *)b.linear[0].codes->data)[i];
        differ[1] += ((const uint8_t *)a.linear[0].codes->data)[i] !=
                     ((const uint8_t *)c.linear[0].codes->data)[i];
    }
    /* T is no power of two, so H differs in its last bits; no code is that close to a boundary */
    assert_int_equal(differ[0], 0);
    /* and it is another solution than that of the main chunks */
    assert_true(differ[1] > N);
    assert_true(fabs(a.linear[0].loss - b.linear[0].loss) <= 1e-9 * b.linear[0].loss);
    msg_destroy(&plain);
    msg_destroy(&out);
    msg_destroy(&all);
}

/* Here the two criteria choose differently, and with D the target-aware solver wins. */
static void test_criteria_differ(void **ctx)
{
    struct solve_opts o = opts("best:gptq,qep+gptq");
    struct solve_note note;
    struct msg *asym, *plain;

    (void)ctx;
    asym = solve(&o, problem(0, 1, 1, 0), &note);
    o.criterion = CRITERION_PLAIN;
    plain = solve(&o, problem(0, 1, 1, 0), &note);
    assert_string_equal(text(asym->meta, "solver"), "qep+gptq");
    assert_string_equal(text(asym->meta, "criterion"), "asym");
    assert_string_equal(text(plain->meta, "solver"), "gptq");
    assert_string_equal(text(plain->meta, "criterion"), "plain");
    msg_destroy(&asym);
    msg_destroy(&plain);
}

/* Held-out sums change nothing for a solver alone; plain sums are what is solved with when
 * asked. */
static void test_sums(void **ctx)
{
    struct solve_opts o = opts("gptaq");
    struct solve_note note;
    struct msg *m[4];
    struct solution_view v[4];
    struct err e = {0};

    (void)ctx;
    m[0] = solve(&o, problem(0, 1, 0, 0), &note);
    m[1] = solve(&o, problem(0, 1, 1, 1), &note);
    m[2] = solve(&o, problem(2, 1, 0, 0), &note);
    o.sums = SUMS_PLAIN;
    m[3] = solve(&o, problem(0, 1, 0, 1), &note);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(solution_read(m[i], &v[i], &e), 0);
    assert_memory_equal(v[0].linear[0].codes->data, v[1].linear[0].codes->data, (size_t)N * K);
    assert_memory_equal(v[2].linear[0].codes->data, v[3].linear[0].codes->data, (size_t)N * K);
    assert_memory_not_equal(v[0].linear[0].codes->data, v[2].linear[0].codes->data, (size_t)N * K);
    assert_true(v[0].linear[0].bound > 0.0);
    assert_string_equal(text(json_at(v[3].prov, 0), "sums"), "plain");
    assert_null(json_get(json_at(v[0].prov, 0), "sums"));
    for (size_t i = 0; i < 4; i++)
        msg_destroy(&m[i]);
}

/* foem works without D, and its record says that the D term had no part. */
static void test_foem_without_d(void **ctx)
{
    const struct solve_opts o = opts("foem");
    struct solve_note note;
    struct msg *with = solve(&o, problem(0, 1, 0, 0), &note),
               *without = solve(&o, problem(0, 0, 0, 0), &note);

    (void)ctx;
    assert_true(real(json_at(json_get(with->meta, "prov"), 0), "alpha") > 0.2);
    assert_true(real(json_at(json_get(without->meta, "prov"), 0), "alpha") <= 0.0);
    msg_destroy(&with);
    msg_destroy(&without);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_contest),
        cmocka_unit_test(test_criteria_differ),
        cmocka_unit_test(test_sums),
        /* last: it overwrites set 2 */
        cmocka_unit_test(test_foem_without_d),
        cmocka_unit_test(test_refit),
    };
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("solve_contest", tests, make_data, NULL);
}

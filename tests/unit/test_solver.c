/* SPDX-License-Identifier: Apache-2.0 */
/* Solvers against the goldens of the official code (data/golden-solver). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "../../common/base/json.h"
#include "../../common/tensor/blas.h"
#include "../../common/tensor/safetensors.h"
#include "shared.h"
#include "solver_run.h"

extern const struct grid grid_sym_narrow, grid_asym;

/* ---- registry ---- */

static void test_registry(void **ctx)
{
    (void)ctx;
    assert_null(solver_find("nothing"));
    assert_null(solver_find(""));
    assert_null(solver_find(NULL));
    assert_null(solver_at(1000));
    for (size_t i = 0; solver_at(i); i++) {
        assert_ptr_equal(solver_find(solver_at(i)->name), solver_at(i));
        assert_false(solver_takes(solver_at(i), "dam"));
        assert_false(solver_takes(solver_at(i), "damp,dead"));
        assert_false(solver_takes(solver_at(i), ""));
    }
    assert_false(solver_takes(solver_find("rtn"), "damp"));
    assert_true(solver_takes(solver_find("gptq"), "damp"));
    assert_true(solver_takes(solver_find("foem"), "p-source"));
    assert_true(solver_takes(solver_find("foem"), "beta"));
}

/* ---- goldens ---- */

struct input {
    char file[64];
    struct st_set *set;
    struct tensor W, H, D;
};

struct tally {
    size_t cases, left, rows, below, ties;
};

static const struct json *option(const struct json *c, const char *key)
{
    return json_get(json_get(c, "options"), key);
}

static int flag(const struct json *c, const char *key)
{
    int v = 0;

    return option(c, key) && json_as_bool(option(c, key), &v) == 0 && v;
}

static double real(const struct json *c, const char *key, double def)
{
    double v = def;

    if (option(c, key))
        assert_int_equal(json_as_real(option(c, key), &v), 0);
    return v;
}

static int text_is(const struct json *v, const char *want)
{
    return json_as_text(v) && strcmp(json_as_text(v), want) == 0;
}

static struct solve_opts case_opts(const struct json *c)
{
    struct solve_opts o = solve_opts_default();
    int64_t bits = 0, block = 128;

    o.solver = text_is(option(c, "method"), "qep") ? "qep+gptq" : json_as_text(option(c, "method"));
    assert_int_equal(json_as_int(option(c, "bits"), &bits), 0);
    assert_int_equal(json_as_int(option(c, "group"), &o.group), 0);
    o.bits = (int)bits;
    o.grid = text_is(option(c, "grid"), "gptq_sym") ? &grid_sym
             : text_is(option(c, "grid"), "asym")   ? &grid_asym
                                                    : &grid_sym_narrow;
    o.fit = flag(c, "mse")                         ? FIT_MSE
            : text_is(option(c, "fit"), "hessian") ? FIT_HESSIAN
                                                   : FIT_MINMAX;
    o.order = text_is(option(c, "order"), "gar") ? ORDER_GROUP
              : flag(c, "act_order")             ? ORDER_ACT
                                                 : ORDER_NONE;
    o.groups = flag(c, "static_groups") ? GROUPS_STATIC : GROUPS_DYNAMIC;
    o.dead = text_is(option(c, "dead"), "keep") ? DEAD_KEEP : DEAD_ZERO;
    if (option(c, "damp"))
        assert_int_equal(json_as_real(option(c, "damp"), &o.damp), 0);
    if (option(c, "block"))
        assert_int_equal(json_as_int(option(c, "block"), &block), 0);
    o.block = block > 0 ? (size_t)block : (size_t)1 << 20;
    if (strcmp(o.solver, "qronos") == 0)
        o.groups = GROUPS_STATIC;
    o.alpha = real(c, "alpha", 0.0);
    o.alpha2 = real(c, "alpha2", 0.0);
    o.beta = real(c, "beta", 0.0);
    o.pull = block;
    o.qep_alpha = o.alpha;
    o.refine = (int)real(c, "refine", 0.0);
    o.refine_alpha = real(c, "refine_alpha", 0.0);
    o.p_source = text_is(option(c, "p_source"), "q")           ? P_Q
                 : text_is(option(c, "p_source"), "pre_clamp") ? P_PRE_CLAMP
                                                               : P_PRE;
    o.scale_type = DT_F64;
    o.zero_min = 0;
    return o;
}

/* ---- cases left out, by name: they only repeat a defect of the published code ---- */

/* of the weights as they were at the start of a block */
#define STALE "grids of groups fitted to stale weights"
/* one value inside a block, another after it: the result depends on the size of the block */
#define MIXED "source of the P term mixed over blocks"

struct left {
    const char *reason, *file, *method, *ids;
};
static const struct left left_out[] = {
    {STALE, "L1.attn_in", "gptaq", "gptaq-b4-qsym-g64-compat-a0.25-mixed"},
    {STALE, "L1.down_in", "gptaq", "gptaq-b4-qsym-g64-compat-a0.25-mixed"},
    {STALE, "L0.attn_in", "gptq", "gptq-b4-gsym-g32-compat"},
    {STALE, "L0.down_in", "gptq", "gptq-b4-gsym-g32-compat"},
    {STALE, "L0.mlp_in", "gptq", "gptq-b4-gsym-g32-compat"},
    {STALE, "L0.o_in", "gptq", "gptq-b4-gsym-g32-compat"},
    {STALE, "L1.attn_in", "gptq",
     "gptq-b4-gsym-g64-compat gptq-b4-gsym-g32-compat gptq-b3-gsym-g64-act-compat "
     "gptq-b3-gsym-g64-gar-compat gptq-b4-gsym-g32-gar-compat gptq-b4-qsym-g64-compat "
     "gptq-b4-qsym-g32-compat gptq-b3-qsym-g64-act-compat gptq-b4-asym-g64-compat "
     "gptq-b4-asym-g32-compat gptq-b3-asym-g64-act-compat gptq-b3-asym-g64-gar-compat "
     "gptq-b4-asym-g32-gar-compat"},
    {STALE, "L1.down_in", "gptq",
     "gptq-b4-gsym-g64-compat gptq-b4-gsym-g32-compat gptq-b3-gsym-g64-act-compat "
     "gptq-b3-gsym-g64-gar-compat gptq-b4-gsym-g32-gar-compat gptq-b4-qsym-g64-compat "
     "gptq-b4-qsym-g32-compat gptq-b3-qsym-g64-act-compat gptq-b4-asym-g64-compat "
     "gptq-b4-asym-g32-compat gptq-b3-asym-g64-act-compat gptq-b3-asym-g64-gar-compat "
     "gptq-b4-asym-g32-gar-compat"},
    {STALE, "L1.mlp_in", "gptq", "gptq-b4-gsym-g32-compat"},
    {STALE, "L1.o_in", "gptq", "gptq-b4-gsym-g32-compat"},
    {STALE, "dead", "gptq", "gptq-b3-qsym-g32-compat"},
    {STALE, "L1.attn_in", "qep", "qep-b3-asym-g64-compat-a0.5 qep-b3-asym-g64-compat-a0.25"},
    {STALE, "L1.down_in", "qep", "qep-b3-asym-g64-compat-a0.5 qep-b3-asym-g64-compat-a0.25"},
    {MIXED, "L0.down_in", "foem", "foem-b3-asym-pc-a0.25-be0.1"},
    {MIXED, "L1.down_in", "foem",
     "foem-b3-gsym-pc-a0.25-be0.1 foem-b3-gsym-g64-static-a0.25-be0.1 "
     "foem-b4-gsym-pc-act-a0.25-be0.1 foem-b3-asym-pc-a0.25-be0.1 "
     "foem-b3-asym-g64-static-a0.25-be0.1 foem-b4-asym-pc-act-a0.25-be0.1"},
    {MIXED, "L0.down_in", "gptaq",
     "gptaq-b3-qsym-pc-a0.25-mixed gptaq-b3-asym-g64-static-act-a0.25-mixed"},
    {MIXED, "L1.down_in", "gptaq",
     "gptaq-b3-qsym-pc-a0.25-mixed gptaq-b3-qsym-g64-static-act-a0.25-mixed "
     "gptaq-b3-qsym-pc-a1-mixed gptaq-b3-qsym-g64-static-act-a1-mixed "
     "gptaq-b3-qsym-pc-a0.25-mixed_clamp gptaq-b3-qsym-g64-static-act-a0.25-mixed_clamp "
     "gptaq-b3-asym-pc-a0.25-mixed gptaq-b3-asym-g64-static-act-a0.25-mixed "
     "gptaq-b3-asym-pc-a1-mixed gptaq-b3-asym-g64-static-act-a1-mixed "
     "gptaq-b3-asym-pc-a0.25-mixed_clamp gptaq-b3-asym-g64-static-act-a0.25-mixed_clamp "
     "gptaq-b2-qsym-g64-static-mse-a0.25-mixed gptaq-b4-gsym-pc-a0.25-mixed"},
    {MIXED, "L0.down_in", "rescomp", "rescomp-b3-qsym-pc-mixed_clamp"},
    {MIXED, "L1.down_in", "rescomp",
     "rescomp-b3-qsym-pc-mixed_clamp rescomp-b3-qsym-g64-static-act-mixed_clamp "
     "rescomp-b2-qsym-g64-static-act-mixed rescomp-b3-asym-pc-mixed_clamp"},
};
#define LEFT (sizeof left_out / sizeof left_out[0])

/* The next of names parted by spaces: *at moves behind it; 0: there is none. */
static size_t name_next(const char **at, const char **name)
{
    const size_t n = strcspn(*at += strspn(*at, " "), " ");

    *name = *at;
    *at += n;
    return n;
}

static const char *left_reason(const char *file, const char *id)
{
    for (size_t i = 0; i < LEFT; i++) {
        const char *at = left_out[i].ids, *name;
        size_t n = strlen(left_out[i].file);

        if (strncmp(file, left_out[i].file, n) != 0 || strcmp(file + n, ".safetensors") != 0)
            continue;
        while ((n = name_next(&at, &name)))
            if (n == strlen(id) && memcmp(id, name, n) == 0)
                return left_out[i].reason;
    }
    return NULL;
}

/* What a case repeats, by its options. A source of the P term that changes at the end of a block
 * is, inside one block, the value before rounding: such a case is not left out. */
static const char *case_defect(const struct json *c, size_t K)
{
    const char *source = json_as_text(option(c, "p_source"));
    const double block = real(c, "block", 0.0);

    if (flag(c, "stale"))
        return STALE;
    return source && strncmp(source, "mixed", 5) == 0 && block > 0.0 && block < (double)K &&
                   real(c, "alpha", 0.0) > 0.0
               ? MIXED
               : NULL;
}

/* 1: the list names this case, and it does repeat what the list says. */
static int is_left_out(const struct json *c, size_t K)
{
    const char *file = json_as_text(json_get(c, "file")), *id = json_as_text(json_get(c, "id"));
    const char *listed = left_reason(file, id), *defect = case_defect(c, K);

    if (defect && !listed)
        fail_msg("%s/%s: %s: run it, or name it in left_out", file, id, defect);
    if (listed && (!defect || strcmp(listed, defect) != 0))
        fail_msg("%s/%s is left out (%s), but its options do not say so", file, id, listed);
    return !!listed;
}

static size_t left_names(const char *method)
{
    size_t names = 0;

    for (size_t i = 0; i < LEFT; i++) {
        const char *at = left_out[i].ids, *name;

        if (strcmp(left_out[i].method, method) != 0)
            continue;
        print_message("%s: left out of %s (%s): %s\n", method, left_out[i].file, left_out[i].reason,
                      at);
        while (name_next(&at, &name))
            names++;
    }
    return names;
}

/* Qronos names its damping as an absolute number. */
static void set_damp(const struct json *c, const struct input *in, struct solve_opts *o)
{
    const size_t K = (size_t)in->W.shape[1];
    const double *H = in->H.data, absolute = real(c, "damp_abs", 0.0);
    double mean = 0.0;

    for (size_t k = 0; k < K; k++)
        mean += H[k * K + k] / (double)K;
    if (absolute > 0.0)
        o->damp = absolute / mean;
}

static void load(const struct st_set *set, const char *name, struct tensor *t)
{
    const struct st_entry *x = st_find(set, name);
    struct err e = {0};

    if (!x)
        fail_msg("no tensor %s", name);
    if (st_load(set, x, t, &e))
        fail_msg("%s", e.text);
}

static void load_part(const struct st_set *set, const char *id, const char *part, struct tensor *t)
{
    char name[TENSOR_NAME];

    snprintf(name, sizeof name, "%s.%s", id, part);
    load(set, name, t);
}

static const struct input *input_open(struct input *list, size_t n, const char *file)
{
    char name[128];
    struct err e = {0};
    size_t i = 0;

    while (i < n && list[i].set && strcmp(list[i].file, file) != 0)
        i++;
    assert_true(i < n);
    if (list[i].set)
        return &list[i];
    snprintf(list[i].file, sizeof list[i].file, "%s", file);
    snprintf(name, sizeof name, "data/golden-solver/%s", file);
    list[i].set = st_open(shared_path(name), &e);
    if (!list[i].set)
        fail_msg("%s", e.text);
    load(list[i].set, "W", &list[i].W);
    load(list[i].set, "H", &list[i].H);
    if (st_find(list[i].set, "D"))
        load(list[i].set, "D", &list[i].D);
    return &list[i];
}

static void check_row(const char *id, const struct solve_opts *o, const struct input *in,
                      const struct result *r, size_t n, const struct tensor want[5],
                      struct tally *t)
{
    const size_t K = (size_t)in->W.shape[1], G = (size_t)want[1].shape[1];
    const uint8_t *codes = want[0].data, *tie = want[4].data;
    const double *scales = want[1].data, loss = ((const double *)want[3].data)[n];
    const int32_t *zeros = want[2].data;
    size_t tied = 0;

    for (size_t g = n * G; g < (n + 1) * G; g++) {
        if (zeros[g] != r->zeros[g])
            fail_msg("%s/%s row %zu: zero %d, golden %d", in->file, id, n, r->zeros[g], zeros[g]);
        if (fabs(scales[g] - r->scales[g]) > 1e-12 * scales[g])
            fail_msg("%s/%s row %zu: scale %.17g, golden %.17g", in->file, id, n, r->scales[g],
                     scales[g]);
    }
    for (size_t k = n * K; k < (n + 1) * K; k++) {
        if (codes[k] == r->codes[k])
            continue;
        if (!tie || !tie[k])
            fail_msg("%s/%s row %zu column %zu: code %d, golden %d", in->file, id, n, k - n * K,
                     r->codes[k], codes[k]);
        tied++;
    }
    t->ties += tied;
    if (tied == 0)
        assert_true(fabs(row_loss(o, K, in->W.data, in->H.data, r, n) - loss) <= 1e-6 * loss);
}

static void run_case(const struct json *c, const struct input *in, struct tally *t)
{
    static const char *const part[] = {"codes", "scales", "zeros", "row_loss", "margin", "tie"};
    const char *id = json_as_text(json_get(c, "id"));
    struct solve_opts o = case_opts(c);
    const size_t N = (size_t)in->W.shape[0], K = (size_t)in->W.shape[1];
    const int rtn = strcmp(o.solver, "rtn") == 0;
    struct tensor want[6] = {{.ndim = 0}};
    struct result r;
    struct err e = {0};
    double loss, tolerance;

    set_damp(c, in, &o);
    for (size_t i = 0; i < 5U + (size_t)rtn; i++)
        load_part(in->set, id, part[i], &want[i]);
    if (solve_drift(&o, N, K, DT_F32, in->W.data, in->H.data, in->D.data, 1, &r, &e))
        fail_msg("%s/%s: %s", in->file, id, e.text);
    for (size_t n = 0; n < N; n++) {
        const struct tensor row[5] = {want[0], want[1], want[2], want[3], want[5]};
        if (((const float *)want[4].data)[n] >= 1e-6F) {
            check_row(id, &o, in, &r, n, row, t);
            t->rows++;
        } else {
            t->below++;
        }
    }
    assert_int_equal(json_as_real(json_get(c, "loss"), &loss), 0);
    assert_int_equal(
        json_as_real(json_get(json_get(c, "tolerance"), "total_loss_rtol"), &tolerance), 0);
    assert_true(fabs(total_loss(&o, N, K, in->W.data, in->H.data, &r) - loss) <= tolerance * loss);
    assert_null(r.stats.fallback);
    t->cases++;
    for (size_t i = 0; i < 6; i++)
        tensor_release(&want[i]);
    result_release(&r);
}

static void run_goldens(const char *method, size_t least)
{
    struct input input[16] = {{.set = NULL}};
    struct tally t = {0};
    struct err e = {0};
    shared_or_skip(path, "data/golden-solver/manifest.json");
    struct json *manifest = json_read(path, &e);
    const struct json *cases = json_get(manifest, "cases");

    assert_true(json_count(cases) > 0);
    for (size_t i = 0; i < json_count(cases); i++) {
        const struct json *c = json_at(cases, i);
        const struct input *in;

        if (!text_is(option(c, "method"), method))
            continue;
        in = input_open(input, 16, json_as_text(json_get(c, "file")));
        if (is_left_out(c, (size_t)in->W.shape[1]))
            t.left++;
        else
            run_case(c, in, &t);
    }
    print_message(
        "%s: %zu cases, %zu left out, %zu rows compared, %zu rows below the margin, %zu codes at "
        "a tie that differ\n",
        method, t.cases, t.left, t.rows, t.below, t.ties);
    if (left_names(method) != t.left)
        fail_msg("%s: the list of cases left out names some that are not there", method);
    assert_true(t.cases >= least);
    /* ties may differ, but true division and half to even leave no choice */
    assert_int_equal(t.ties, 0);
    assert_true(t.below * 4 < t.rows);
    for (size_t i = 0; i < 16 && input[i].set; i++) {
        tensor_release(&input[i].W);
        tensor_release(&input[i].H);
        tensor_release(&input[i].D);
        st_close(&input[i].set);
    }
    json_destroy(&manifest);
}

static void test_golden_rtn(void **ctx)
{
    (void)ctx;
    run_goldens("rtn", 74);
}

static void test_golden_gptq(void **ctx)
{
    (void)ctx;
    run_goldens("gptq", 78);
}

static void test_golden_gptaq(void **ctx)
{
    (void)ctx;
    run_goldens("gptaq", 110);
}

static void test_golden_qep(void **ctx)
{
    (void)ctx;
    run_goldens("qep", 19);
}

static void test_golden_qronos(void **ctx)
{
    (void)ctx;
    run_goldens("qronos", 23);
}

static void test_golden_rescomp(void **ctx)
{
    (void)ctx;
    run_goldens("rescomp", 14);
}

static void test_golden_foem(void **ctx)
{
    (void)ctx;
    run_goldens("foem", 34);
}

/* On every golden input, at the settings people use, gptq loses less than rtn. */
static void test_gptq_beats_rtn_on_goldens(void **ctx)
{
    static const char *const file[] = {"L0.attn_in", "L0.o_in",    "L0.mlp_in",
                                       "L0.down_in", "L1.attn_in", "L1.o_in",
                                       "L1.mlp_in",  "L1.down_in", "dead"};
    shared_or_skip(manifest, "data/golden-solver/manifest.json");

    (void)ctx;
    (void)manifest;
    for (size_t i = 0; i < sizeof file / sizeof file[0]; i++)
        for (int bits = 2; bits <= 8; bits += bits < 4 ? 1 : 4) {
            struct input in = {.set = NULL};
            struct solve_opts o = solve_opts_default();
            struct result gptq, rtn;
            char name[64];

            snprintf(name, sizeof name, "%s.safetensors", file[i]);
            input_open(&in, 1, name);
            o.bits = bits;
            solve_ok(&o, (size_t)in.W.shape[0], (size_t)in.W.shape[1], in.W.data, in.H.data, &gptq);
            o.solver = "rtn";
            solve_ok(&o, (size_t)in.W.shape[0], (size_t)in.W.shape[1], in.W.data, in.H.data, &rtn);
            assert_true(total_loss(&o, (size_t)in.W.shape[0], (size_t)in.W.shape[1], in.W.data,
                                   in.H.data, &gptq) <= total_loss(&o, (size_t)in.W.shape[0],
                                                                   (size_t)in.W.shape[1], in.W.data,
                                                                   in.H.data, &rtn));
            result_release(&gptq);
            result_release(&rtn);
            tensor_release(&in.W);
            tensor_release(&in.H);
            tensor_release(&in.D);
            st_close(&in.set);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registry),
        cmocka_unit_test(test_golden_rtn),
        cmocka_unit_test(test_golden_gptq),
        cmocka_unit_test(test_golden_gptaq),
        cmocka_unit_test(test_golden_qep),
        cmocka_unit_test(test_golden_qronos),
        cmocka_unit_test(test_golden_rescomp),
        cmocka_unit_test(test_golden_foem),
        cmocka_unit_test(test_gptq_beats_rtn_on_goldens),
    };
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("solver", tests, NULL, NULL);
}

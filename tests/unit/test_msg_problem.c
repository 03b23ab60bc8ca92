/* SPDX-License-Identifier: Apache-2.0 */
/* Views of problem and solution: a good message, then each field and tensor made wrong in turn;
 * doubles travel exactly. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/wire/frame.h"
#include "../../common/wire/msg_problem.h"
#include "../../common/wire/msg_solution.h"

#define LOSS 0.1 /* not a sum of few powers of two: shows whether it travels as it is */

static struct msg *problem(void)
{
    struct tensor q = {.name = "q", .ndim = 2, .shape = {5, 4}},
                  k = {.name = "k", .ndim = 2, .shape = {2, 4}};
    struct json *rows = json_new_array(), *row = json_new_array();
    struct problem_view v = {.block = 3,
                             .order = 12,
                             .sites = 120,
                             .site = "attn.qkv",
                             .K = 4,
                             .tokens = 6,
                             .sequences = 2,
                             .sum_w = LOSS,
                             .sum_w2 = LOSS * LOSS / 3,
                             .nlinears = 2,
                             .linear = {&q, &k},
                             .lengths = rows,
                             .bytes_in = 48};
    const struct problem_class class = {.kind = "length", .name = "3", .tokens = 6, .sum_w = LOSS};
    uint64_t s[1] = {10}, d[2] = {4, 4}, diag[2] = {1, 4};
    struct err e = {0};

    json_push(row, json_new_int(3));
    json_push(row, json_new_int(2));
    json_push(row, json_new_real(6));
    json_push(rows, row);
    struct msg *m = problem_create(&v, "reduce", &e);
    assert_non_null(m);
    memset(msg_add_new(m, "S", DT_F64, 1, s, &e), 0, 80);
    memset(msg_add_new(m, "D", DT_F32, 2, d, &e), 0, 64);
    memset(msg_add_new(m, "diag", DT_F64, 2, diag, &e), 0, 32);
    memset(msg_add_new(m, "S.class.0", DT_F64, 1, s, &e), 0, 80);
    assert_int_equal(problem_put_classes(m, &class, 1, &e), 0);
    memset(msg_add_new(m, "q", DT_BF16, 2, q.shape, &e), 0, 40);
    memset(msg_add_new(m, "k", DT_F32, 2, k.shape, &e), 0, 32);
    json_destroy(&rows);
    return m;
}

static struct msg *solution(void)
{
    struct solution_view v = {.block = 3,
                              .order = 12,
                              .sites = 120,
                              .site = "attn.qkv",
                              .K = 4,
                              .tokens = 6,
                              .sequences = 2,
                              .sum_w = LOSS,
                              .sum_w2 = LOSS * LOSS / 3,
                              .solver = "gptq",
                              .damp = 0.01,
                              .attempts = 1,
                              .seconds = 0.5,
                              .nlinears = 1};
    uint64_t codes[2] = {5, 4}, grid[2] = {5, 2}, one[1] = {1}, levels[2] = {5, 16};
    struct err e = {0};

    v.linear[0] = (struct solution_linear){.name = "q",
                                           .N = 5,
                                           .K = 4,
                                           .bits = 4,
                                           .group = 2,
                                           .grid = "asym",
                                           .loss = LOSS,
                                           .rel_loss = LOSS / 7,
                                           .asym_loss = NAN};
    struct msg *m = solution_create(&v, "solve", &e);
    assert_non_null(m);
    memset(msg_add_new(m, "q.codes", DT_U8, 2, codes, &e), 15, 20);
    memset(msg_add_new(m, "q.scales", DT_F16, 2, grid, &e), 0x3c, 20);
    memset(msg_add_new(m, "q.zeros", DT_U8, 2, grid, &e), 8, 10);
    memset(msg_add_new(m, "q.tensor_scale", DT_F32, 1, one, &e), 0x3f, 4);
    memset(msg_add_new(m, "q.table", DT_F32, 2, levels, &e), 0x3f, 5 * 16 * 4);
    return m;
}

static int read_any(const struct msg *m, struct err *e)
{
    struct problem_view p;
    struct solution_view s;

    memset(e, 0, sizeof *e);
    return m->kind == MSG_PROBLEM ? problem_read(m, &p, e) : solution_read(m, &s, e);
}

static void field_refused(struct msg *(*make)(void), const char *field, struct json *value)
{
    struct msg *m = make();
    struct err e;

    assert_int_equal(value ? json_set(m->meta, field, value) : json_del(m->meta, field), 0);
    if (read_any(m, &e) == 0 || e.kind != ERR_USE || !strstr(e.text, m->id) ||
        !strstr(e.text, field))
        fail_msg("%s of %s: '%s'", field, m->id, e.text);
    msg_destroy(&m);
}

/* One field of linear 0 of a solution. */
static void linear_refused(const char *field, struct json *value, const char *says)
{
    struct msg *m = solution();
    struct json *l = (struct json *)(uintptr_t)json_at(json_get(m->meta, "linears"), 0);
    struct err e;

    assert_int_equal(value ? json_set(l, field, value) : json_del(l, field), 0);
    if (read_any(m, &e) == 0 || !strstr(e.text, says))
        fail_msg("%s: '%s'", field, e.text);
    msg_destroy(&m);
}

/* One class; kind: with that field. */
static struct json *class_list(int kind, int64_t tokens, double sum_w)
{
    struct json *list = json_new_array(), *x = json_new_object();

    if (kind)
        json_set_text(x, "kind", "length");
    json_set_text(x, "name", "3");
    json_set_int(x, "tokens", tokens);
    json_set_real(x, "sum_w", sum_w);
    json_push(list, x);
    return list;
}

static void test_fields(void **state)
{
    (void)state;
    field_refused(problem, "order", json_new_int(120));
    field_refused(problem, "K", json_new_int(0));
    field_refused(problem, "K", json_new_int((int64_t)1 << 40));
    field_refused(problem, "tokens", json_new_int(-1));
    field_refused(problem, "sum_w", json_new_real(-0.5));
    field_refused(problem, "sum_w2", json_new_text("1"));
    field_refused(problem, "sum_w", json_new_real(1e308));
    field_refused(problem, "sum_w", json_new_real(0));
    field_refused(problem, "sum_w", json_new_null());
    field_refused(problem, "sum_w2", json_new_real(0));
    field_refused(problem, "sum_w2", json_new_real(1e308));
    field_refused(problem, "block", json_new_int(4));
    field_refused(problem, "site", json_new_text("attn.o"));
    field_refused(problem, "sites", json_new_int((int64_t)1 << 40));
    field_refused(solution, "sum_w", json_new_real(1e308));
    field_refused(solution, "block", json_new_int(4));
    field_refused(solution, "damp", json_new_real(-1));
    field_refused(problem, "bytes_in", NULL);
    field_refused(problem, "lengths", NULL);
    field_refused(problem, "lengths", json_new_array());
    field_refused(problem, "linears", NULL);
    field_refused(problem, "classes", json_new_object());
    field_refused(problem, "classes", class_list(0, 6, LOSS));
    field_refused(problem, "classes", class_list(1, -6, LOSS));
    field_refused(problem, "classes", class_list(1, 6, -LOSS));
    field_refused(problem, "ratios", json_new_object());
    field_refused(problem, "ratios", json_new_text("image=1"));
    field_refused(problem, "prov", json_new_object());
    field_refused(solution, "solver", NULL);
    field_refused(solution, "damp", json_new_null());
    field_refused(solution, "attempts", json_new_int(-1));
    field_refused(solution, "seconds", NULL);
    field_refused(solution, "fallback", json_new_int(1));
    field_refused(solution, "linears", json_new_array());
    linear_refused("name", json_new_text("k"), "'k.codes' is missing");
    linear_refused("rows", json_new_int(6), "q.codes");
    linear_refused("bits", json_new_int(9), "'bits'");
    linear_refused("bits", json_new_int(3), "does not fit 3 bits");
    linear_refused("group", json_new_int(0), "'group'");
    linear_refused("group", json_new_int(5), "'group'");
    linear_refused("group", json_new_int(4), "q.scales");
    linear_refused("grid", NULL, "'grid'");
    linear_refused("loss", json_new_null(), "'loss'");
    linear_refused("asym_loss", json_new_text("x"), "'asym_loss'");
}

static void tensor_refused(struct msg *(*make)(void), const char *name, enum dtype t, int ndim,
                           uint64_t a, uint64_t b, int byte)
{
    struct msg *m = make();
    uint64_t shape[2] = {a, b};
    struct err e;

    for (size_t i = 0; i < m->ntensors; i++)
        if (!strcmp(m->tensors[i].name, name)) {
            tensor_release(&m->tensors[i]);
            assert_int_equal(tensor_alloc(&m->tensors[i], name, t, ndim, shape, &e), 0);
            memset(m->tensors[i].data, byte, m->tensors[i].bytes);
        }
    if (read_any(m, &e) == 0 || !strstr(e.text, name) || !strstr(e.text, m->id))
        fail_msg("%s of %s: '%s'", name, m->id, e.text);
    msg_destroy(&m);
}

static void test_tensors(void **state)
{
    (void)state;
    tensor_refused(problem, "S", DT_F64, 1, 9, 0, 0);
    tensor_refused(problem, "S", DT_F64, 2, 4, 4, 0);
    tensor_refused(problem, "S", DT_BF16, 1, 10, 0, 0);
    tensor_refused(problem, "D", DT_F64, 2, 4, 5, 0);
    tensor_refused(problem, "D", DT_F16, 2, 4, 4, 0);
    tensor_refused(problem, "diag", DT_F64, 2, 2, 4, 0); /* one length */
    tensor_refused(problem, "diag", DT_F64, 2, 1, 5, 0);
    tensor_refused(problem, "diag", DT_U8, 2, 1, 4, 0);
    tensor_refused(problem, "S.class.0", DT_F64, 1, 9, 0, 0);
    tensor_refused(problem, "S.class.0", DT_BF16, 1, 10, 0, 0);
    tensor_refused(problem, "q", DT_BF16, 2, 5, 3, 0);
    tensor_refused(problem, "q", DT_I32, 2, 5, 4, 0);
    tensor_refused(solution, "q.codes", DT_U8, 2, 5, 4, 16);
    tensor_refused(solution, "q.codes", DT_I8, 2, 5, 4, 0);
    tensor_refused(solution, "q.codes", DT_U8, 2, 4, 5, 0);
    tensor_refused(solution, "q.zeros", DT_U8, 2, 5, 2, 16);
    tensor_refused(solution, "q.zeros", DT_U8, 2, 5, 1, 8);
    tensor_refused(solution, "q.scales", DT_F32, 2, 5, 2, 0xff); /* NaN */
    tensor_refused(solution, "q.scales", DT_U8, 2, 5, 2, 1);
    tensor_refused(solution, "q.tensor_scale", DT_F32, 1, 2, 0, 1);
    tensor_refused(solution, "q.tensor_scale", DT_F64, 1, 1, 0, 1);
    tensor_refused(solution, "q.tensor_scale", DT_F32, 1, 1, 0, 0xff); /* NaN */
    tensor_refused(solution, "q.table", DT_F32, 2, 5, 15, 0);
    tensor_refused(solution, "q.table", DT_F32, 2, 1, 16, 0);
    tensor_refused(solution, "q.table", DT_BF16, 2, 5, 16, 0);
    tensor_refused(solution, "q.table", DT_F32, 2, 5, 16, 0xff);
}

static struct msg *travel(struct msg *m)
{
    struct part *parts;
    size_t n;
    struct err e = {0};

    assert_int_equal(frame_encode(m, FRAME_RAW, &parts, &n, &e), 0);
    for (size_t i = 1; i < n; i++) {
        void *copy = malloc(parts[i].bytes + 1);

        memcpy(copy, parts[i].data, parts[i].bytes);
        parts[i] = (struct part){copy, parts[i].bytes, free, copy};
    }
    msg_destroy(&m);
    m = frame_decode(parts, n, NULL, &e);
    free(parts);
    assert_non_null(m);
    return m;
}

static void test_round_trip(void **state)
{
    struct problem_view p;
    struct solution_view s;
    struct err e = {0};
    double want[3] = {LOSS, LOSS * LOSS / 3, LOSS / 7};
    struct msg *m = travel(problem());

    (void)state;
    assert_int_equal(problem_read(m, &p, &e), 0);
    assert_string_equal(m->id, "b3.attn.qkv");
    assert_true(p.block == 3 && p.order == 12 && p.sites == 120 && p.K == 4 && p.tokens == 6 &&
                p.bytes_in == 48);
    assert_memory_equal(&p.sum_w, &want[0], 8);
    assert_memory_equal(&p.sum_w2, &want[1], 8);
    assert_int_equal(p.nlinears, 2);
    assert_string_equal(p.linear[1]->name, "k");
    assert_non_null(p.D);
    assert_int_equal(p.nclasses, 1);
    assert_string_equal(p.classes[0].kind, "length");
    assert_string_equal(p.classes[0].name, "3");
    assert_int_equal(p.classes[0].tokens, 6);
    assert_true(fabs(p.classes[0].sum_w - LOSS) <= 0);
    assert_non_null(p.diag);
    msg_destroy(&m);
    m = solution();
    m->kind = MSG_COMMIT;
    m = travel(m);
    assert_int_equal(solution_read(m, &s, &e), 0);
    assert_string_equal(s.solver, "gptq");
    assert_null(s.fallback);
    assert_int_equal(s.linear[0].G, 2);
    assert_memory_equal(&s.linear[0].loss, &want[0], 8);
    assert_memory_equal(&s.linear[0].rel_loss, &want[2], 8);
    assert_true(isnan(s.linear[0].asym_loss));
    json_set_text(m->meta, "fallback", "floor");
    assert_int_equal(solution_read(m, &s, &e), 0);
    assert_string_equal(s.fallback, "floor");
    m->kind = MSG_PROBLEM;
    assert_int_equal(read_any(m, &e), -1);
    m->kind = MSG_ACTS;
    assert_int_equal(read_any(m, &e), -1);
    msg_destroy(&m);
}

/* A linear that is kept has no results, and a commit that says both is refused. */
static void test_kept(void **state)
{
    struct solution_view v = {.block = 3,
                              .order = 12,
                              .sites = 120,
                              .site = "attn.qkv",
                              .K = 4,
                              .solver = "none",
                              .nlinears = 1};
    struct solution_view s;
    struct err e = {0};
    struct msg *m;

    (void)state;
    linear_refused("kept", json_new_bool(1),
                   "'q' is said to be kept, but tensor 'q.codes' is there");
    linear_refused("kept", json_new_int(1), "kept");
    linear_refused("solver", json_new_int(1), "solver");
    v.linear[0] = (struct solution_linear){.name = "q", .N = 5, .K = 4, .kept = 1};
    assert_non_null(m = solution_create(&v, "solve", &e));
    m = travel(m);
    assert_int_equal(solution_read(m, &s, &e), 0);
    assert_true(s.linear[0].kept && s.linear[0].N == 5 && !s.linear[0].codes &&
                !s.linear[0].solver && s.linear[0].bits == 0);
    msg_destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields), cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_kept)};

    return cmocka_run_group_tests_name("msg_problem", tests, NULL, NULL);
}

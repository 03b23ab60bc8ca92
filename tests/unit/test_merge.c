/* SPDX-License-Identifier: Apache-2.0 */
/* Merging: sums, counts and histograms of every set are added, raw or by tokens; what cannot be
 * added is refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../common/base/fs.h"
#include "../../common/wire/msg_problem.h"
#include "../../ops/tools/merge/merge.h"

enum { K = 3, TRIANGLE = K * (K + 1) / 2 };

static char root[] = "/tmp/ptq-merge-XXXXXX", a[64], b[64], out[64];

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(root))
        return -1;
    snprintf(a, sizeof a, "%s/a.ptq", root);
    snprintf(b, sizeof b, "%s/b.ptq", root);
    snprintf(out, sizeof out, "%s/out.ptq", root);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return fs_remove_tree(root, NULL);
}

/* One site. Every row weighs `w`; sums are w times tokens times `x`. */
struct made {
    uint64_t tokens;
    double w, x;
    const char *lengths; /* histogram, of 2 sequences */
    float weight;        /* of the linear */
    int drift, hold;     /* has D; sums that are held out, of 4 tokens */
    const char *class;   /* of one class, or NULL */
    enum dtype type;     /* of S */
};
#define MADE                                          \
    {                                                 \
        8, 1, 1, "[[4, 2, 8]]", 1, 0, 0, NULL, DT_F64 \
    }

static void sums_put(struct msg *m, const char *name, enum dtype type, double value)
{
    const uint64_t triangle[1] = {TRIANGLE};
    struct err e = {0};
    void *to = msg_add_new(m, name, type, 1, triangle, &e);

    assert_non_null(to);
    for (int i = 0; i < TRIANGLE; i++)
        if (type == DT_F32)
            ((float *)to)[i] = (float)(value + i);
        else
            ((double *)to)[i] = value + i;
}

static struct msg *problem(const struct made *o)
{
    const uint64_t shape[2] = {1, K}, square[2] = {K, K};
    const double sum = o->w * (double)o->tokens;
    struct problem_class class = {
        .kind = "position", .name = o->class, .tokens = 2, .sum_w = 2 * o->w};
    struct problem_view v = {.sites = 1,
                             .site = "import",
                             .K = K,
                             .tokens = o->tokens,
                             .sequences = 2,
                             .sum_w = sum,
                             .sum_w2 = sum * o->w,
                             .nlinears = 1,
                             .bytes_in = 10};
    struct err e = {0};
    struct tensor W;
    struct json *lengths;
    struct msg *m;

    if (o->hold)
        v.hold = (struct problem_sums){NULL, NULL, 4, 1, 4 * o->w, 4 * o->w * o->w};
    assert_int_equal(tensor_alloc(&W, "l", DT_F32, 2, shape, &e), 0);
    for (int i = 0; i < K; i++)
        ((float *)W.data)[i] = o->weight;
    v.linear[0] = &W;
    assert_non_null(lengths = json_parse(o->lengths, strlen(o->lengths), "lengths", &e));
    v.lengths = lengths;
    assert_non_null(m = problem_create(&v, "reduce", &e));
    assert_int_equal(problem_put_classes(m, &class, o->class != NULL, &e), 0);
    sums_put(m, "S", o->type, sum * o->x);
    if (o->hold)
        sums_put(m, "S.hold", DT_F64, 100 * o->x);
    if (o->class)
        sums_put(m, "S.class.0", DT_F64, 50 * o->x);
    if (o->drift)
        assert_non_null(msg_add_new(m, "D", DT_F64, 2, square, &e));
    assert_int_equal(msg_add(m, &W, &e), 0);
    tensor_release(&W);
    json_destroy(&lengths);
    return m;
}

static void file(const char *path, const struct made *o, size_t n)
{
    const struct link_opts lo = {.name = "test"};
    struct err e = {0};
    struct link *l = link_open(path, LINK_OUT, &lo, &e);

    assert_non_null(l);
    for (size_t i = 0; i < n; i++) {
        struct msg *m = problem(o);

        if (link_send(l, &m, &e))
            fail_msg("%s", e.text);
    }
    assert_int_equal(link_end(l, 1, NULL, &e), 0);
    link_close(&l);
}

static int merged(enum merge_by by, struct err *e)
{
    const struct link_opts lo = {.name = "test"};
    const char *const files[] = {a, b};
    struct link *l = link_open(out, LINK_OUT, &lo, e);
    size_t count;
    int rc;

    assert_non_null(l);
    rc = merge_run(files, 2, by, l, &count, e);
    assert_int_equal(link_end(l, rc == 0, NULL, NULL), 0);
    link_close(&l);
    return rc;
}

static struct msg *sum(enum merge_by by, struct problem_view *v)
{
    const struct link_opts lo = {.name = "test"};
    struct err e = {0};
    struct link *l;
    struct msg *m = NULL;

    if (merged(by, &e))
        fail_msg("%s", e.text);
    assert_non_null(l = link_open(out, LINK_IN, &lo, &e));
    if (link_recv(l, &m, -1, &e) != 1 || problem_read(m, v, &e))
        fail_msg("%s", e.text);
    link_close(&l);
    return m;
}

static void refused(const struct made *o, size_t sites, const char *word)
{
    struct err e = {0};

    file(a, &(struct made)MADE, 1);
    file(b, o, sites);
    assert_int_equal(merged(MERGE_WEIGHTS, &e), -1);
    if (!strstr(e.text, word) || !strstr(e.text, "b.ptq"))
        fail_msg("'%s' does not say '%s'", e.text, word);
}

static void refuses(void **state)
{
    struct made o = MADE;

    (void)state;
    o.weight = 2;
    refused(&o, 1, "the weights differ");
    o = (struct made)MADE;
    o.drift = 1;
    refused(&o, 1, "the sums D differ");
    o = (struct made)MADE;
    o.hold = 1;
    refused(&o, 1, "S.hold differ");
    o = (struct made)MADE;
    o.class = "0";
    refused(&o, 1, "classes differ");
    o = (struct made)MADE;
    refused(&o, 0, "fewer sites");
}

static double at(const struct tensor *t, size_t i)
{
    return ((const double *)t->data)[i];
}

static void adds(void **state)
{
    struct made x = MADE, y = MADE;
    struct problem_view v;
    int64_t n = 0;
    double w = 0;
    struct msg *m;

    (void)state;
    x.hold = y.hold = 1;
    x.class = y.class = "0";
    x.type = DT_F32;
    y.tokens = 4;
    y.w = 0.5;
    y.x = 3;
    y.lengths = "[[2, 1, 1], [4, 1, 1]]";
    file(a, &x, 1);
    file(b, &y, 1);
    m = sum(MERGE_WEIGHTS, &v);
    assert_true(v.tokens == 12 && v.sequences == 4 && v.bytes_in == 20);
    assert_true(v.sum_w == 8 + 2 && v.sum_w2 == 8 + 1);
    assert_true(v.S->dtype == DT_F64 && at(v.S, 0) == 8 + 6 && at(v.S, 5) == 8 + 6 + 2 * 5);
    assert_true(v.hold.tokens == 8 && v.hold.sum_w == 6 && at(v.hold.S, 0) == 400);
    assert_true(v.nclasses == 1 && v.classes[0].tokens == 4 && v.classes[0].sum_w == 3);
    assert_true(at(v.classes[0].S, 1) == 202);
    assert_int_equal(json_count(v.lengths), 2);
    assert_int_equal(json_as_int(json_at(json_at(v.lengths, 0), 1), &n), 0);
    assert_int_equal(n, 3); /* of length 4 */
    assert_int_equal(json_as_real(json_at(json_at(v.lengths, 0), 2), &w), 0);
    assert_true(w == 9);
    msg_destroy(&m);
    m = sum(MERGE_TOKENS, &v); /* rows of the second weigh 1 too */
    assert_true(v.sum_w == 12 && v.sum_w2 == 12 && at(v.S, 0) == 8 + 12);
    msg_destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(refuses), cmocka_unit_test(adds)};

    return cmocka_run_group_tests(tests, setup, teardown);
}

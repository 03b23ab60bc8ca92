/* SPDX-License-Identifier: Apache-2.0 */
/* Importance matrices: what a stream of problems has on its diagonals, under the names of
 * llama.cpp; a stream that is cut short, a linear that llama.cpp does not know. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../common/base/fs.h"
#include "../../common/tensor/gguf.h"
#include "../../common/wire/msg_problem.h"
#include "../../ops/tools/stream/stream.h"

enum { K = 3 };

static char root[] = "/tmp/ptq-imatrix-XXXXXX", in[64], out[64];

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(root))
        return -1;
    snprintf(in, sizeof in, "%s/p.ptq", root);
    snprintf(out, sizeof out, "%s/im.gguf", root);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return fs_remove_tree(root, NULL);
}

/* S has 1, 4, 9 on the diagonal times `times`. */
static struct msg *problem(uint64_t order, const char *linear, double sum_w, double times)
{
    const uint64_t shape[2] = {2, K}, triangle[1] = {K * (K + 1) / 2};
    struct tensor W;
    struct problem_view v = {.block = 0,
                             .order = order,
                             .sites = 2,
                             .site = "import",
                             .K = K,
                             .tokens = 8,
                             .sequences = 2,
                             .sum_w = sum_w,
                             .sum_w2 = sum_w * sum_w / 8,
                             .nlinears = 1,
                             .linear = {&W}};
    struct err e = {0};
    struct json *lengths;
    struct msg *m;
    char text[64];
    double *S;

    snprintf(text, sizeof text, "[[4, 2, %g]]", sum_w);
    assert_non_null(lengths = json_parse(text, strlen(text), "lengths", &e));
    v.lengths = lengths;

    assert_int_equal(tensor_alloc(&W, linear, DT_F32, 2, shape, &e), 0);
    memset(W.data, 0, W.bytes);
    assert_non_null(m = problem_create(&v, "reduce", &e));
    assert_non_null(S = msg_add_new(m, "S", DT_F64, 1, triangle, &e));
    for (int i = 0; i < K * (K + 1) / 2; i++)
        S[i] = 0.5;
    for (int k = 0; k < K; k++)
        S[k * (k + 3) / 2] = (k + 1) * (k + 1) * times;
    assert_int_equal(msg_add(m, &W, &e), 0);
    tensor_release(&W);
    json_destroy(&lengths);
    return m;
}

static void stream(const char *first, const char *second)
{
    const struct link_opts o = {.name = "test"};
    struct err e = {0};
    struct link *l = link_open(in, LINK_OUT, &o, &e);
    struct msg *m;

    assert_non_null(l);
    m = first ? problem(0, first, 8, 1) : NULL;
    assert_true(!m || link_send(l, &m, &e) == 0);
    m = second ? problem(1, second, 0.5, 1.0 / 16) : NULL; /* every row weighs 1/16 */
    assert_true(!m || link_send(l, &m, &e) == 0);
    assert_int_equal(link_end(l, 1, NULL, &e), 0);
    link_close(&l);
}

static void fails(const char *word)
{
    struct err e = {0};
    size_t count;

    assert_int_equal(stream_imatrix(in, out, &count, &e), -1);
    if (!strstr(e.text, word))
        fail_msg("'%s' does not say '%s'", e.text, word);
    assert_false(fs_exists(out));
}

static void refuses(void **state)
{
    struct err e = {0};
    uint64_t bytes;
    size_t count;

    (void)state;
    assert_int_equal(stream_imatrix("/nowhere", out, &count, &e), -1);
    stream(NULL, NULL);
    fails("holds no problem");
    stream("model.layers.0.mlp.up_proj", "model.layers.0.mlp.shared_expert.up_proj");
    fails("'model.layers.0.mlp.shared_expert.up_proj': llama.cpp has no weight");
    stream("model.layers.0.mlp.up_proj", "model.layers.0.mlp.experts.65536.up_proj");
    fails("65536 experts at most");
    stream("model.layers.0.mlp.experts.1.up_proj", "model.layers.0.mlp.experts.1.up_proj");
    fails("stands twice");
    stream("model.layers.0.mlp.up_proj", "lm_head");
    fails("'lm_head'");
    stream("model.layers.0.mlp.up_proj", "model.layers.0.mlp.up_proj");
    fails("stands twice");
    stream("model.layers.0.mlp.up_proj", NULL);
    assert_int_equal(fs_size(in, &bytes, &e), 0);
    assert_int_equal(truncate(in, (off_t)bytes - 4), 0); /* cut in its end mark */
    fails("p.ptq");
    assert_int_equal(stream_imatrix(in, in, &count, &e), -1);
    assert_non_null(strstr(e.text, "write to another file"));
}

static void tensor_is(const struct gguf *g, const char *name, const float *want, uint64_t rows,
                      uint64_t n)
{
    const struct gguf_entry *x = gguf_find(g, name);
    float got[4 * K];
    struct err e = {0};

    if (!x || x->ndim != 2 || x->shape[0] != rows || x->shape[1] != n || x->type != GGUF_F32)
        fail_msg("'%s' is not there, or of another shape", name);
    assert_int_equal(gguf_load_f32(g, x, got, &e), 0);
    assert_memory_equal(got, want, rows * n * sizeof *want);
}

static void writes(void **state)
{
    const float squares[K] = {1, 4, 9}, tokens = 8;
    struct err e = {0};
    struct gguf *g;
    size_t count;
    int64_t v;

    (void)state;
    stream("model.layers.1.mlp.up_proj", "model.layers.0.self_attn.q_proj");
    if (stream_imatrix(in, out, &count, &e))
        fail_msg("%s", e.text);
    assert_non_null(g = gguf_open(out, &e));
    assert_int_equal(count, 2);
    assert_string_equal(json_as_text(json_get(g->meta, "general.type")), "imatrix");
    assert_int_equal(json_count(json_get(g->meta, "imatrix.datasets")), 1);
    assert_int_equal(json_as_int(json_get(g->meta, "imatrix.chunk_count"), &v), 0);
    assert_int_equal(v, 2);
    assert_int_equal(json_as_int(json_get(g->meta, "imatrix.chunk_size"), &v), 0);
    assert_int_equal(v, 4);
    tensor_is(g, "blk.1.ffn_up.weight.in_sum2", squares, 1, K);
    tensor_is(g, "blk.1.ffn_up.weight.counts", &tokens, 1, 1);
    tensor_is(g, "blk.0.attn_q.weight.in_sum2", squares, 1,
              K); /* the mean square of weighted rows */
    tensor_is(g, "blk.0.attn_q.weight.counts", &tokens, 1, 1);
    gguf_close(&g);
}

/* Experts 1 and 2 of a block stand in one tensor, and expert 0, which no problem is of. */
static void experts(void **state)
{
    const float squares[3 * K] = {0, 0, 0, 1, 4, 9, 1, 4, 9}, tokens[3] = {0, 8, 8};
    struct err e = {0};
    struct gguf *g;
    size_t count;

    (void)state;
    stream("model.layers.1.block_sparse_moe.experts.2.w2",
           "model.layers.1.block_sparse_moe.experts.1.w2");
    if (stream_imatrix(in, out, &count, &e))
        fail_msg("%s", e.text);
    assert_non_null(g = gguf_open(out, &e));
    assert_int_equal(count, 2);
    tensor_is(g, "blk.1.ffn_down_exps.weight.in_sum2", squares, 3, K);
    tensor_is(g, "blk.1.ffn_down_exps.weight.counts", tokens, 3, 1);
    gguf_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(refuses), cmocka_unit_test(writes),
                                       cmocka_unit_test(experts)};

    return cmocka_run_group_tests(tests, setup, teardown);
}

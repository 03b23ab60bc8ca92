/* SPDX-License-Identifier: Apache-2.0 */
/* Two ways to the same checkpoint through the whole chain (sample, forward, reduce, solve), to
 * the last bit: weights of 1 are no weights, and MaCa's 1/L over rows of one length is plain
 * GPTQ. */
#include "../../common/tensor/blas.h"
#include "../../stages/sample/sample_opts.h"
#include "chain_run.h"

static char root[] = "/tmp/ptq-identities-XXXXXX", model[64], data[64];

/* The model, without its tokenizer, and 600 ids in documents of 50. */
static int set_up(void **state)
{
    struct rng r;
    char tokenizer[96];
    FILE *f;

    (void)state;
    if (!mkdtemp(root))
        return -1;
    snprintf(model, sizeof model, "%s/model", root);
    snprintf(data, sizeof data, "%s/ids.jsonl", root);
    tiny_model(model);
    snprintf(tokenizer, sizeof tokenizer, "%s/tokenizer.json", model);
    if (remove(tokenizer) || !(f = fopen(data, "w")))
        return -1;
    rng_seed(&r, 7, 0);
    for (int i = 0; i < 12; i++) {
        fprintf(f, "{\"input_ids\":[");
        for (int t = 0; t < 50; t++)
            fprintf(f, "%s%d", t ? "," : "", (int)rng_below(&r, TINY_VOCAB));
        fprintf(f, "]}\n");
    }
    return fclose(f);
}

static int tear_down(void **state)
{
    (void)state;
    return fs_remove_tree(root, NULL);
}

/* One run over rows of `length` tokens, in chunks of three rows. */
static void run(struct chain *c, const char *solver, size_t length, enum sample_weights weights,
                const char *file)
{
    const char *const list[] = {data};
    struct sample_opts o = sample_opts_default();
    const struct forward_opts fo = {
        .acts = DT_BF16, .order = FORWARD_SITE, .dual = 1, .mem = 1 << 24, .tmp = "/tmp"};
    struct solve_opts so = solve_opts_default();
    struct err e = {0};
    struct sample *s;

    o.model = model;
    o.data = list;
    o.ndata = 1;
    o.tokens = 36 * length;
    o.length = length;
    o.chunk_tokens = 3 * length;
    o.weights = weights;
    o.token_weights = file;
    so.solver = solver;
    so.bits = 3;
    so.group = 32;
    chain_need(!!(s = sample_open(&o, &e)), &e);
    assert_int_equal(sample_chunks(s), 12);
    chain_run(c, model, s, &fo, &so);
    assert_true(c->nloss == (size_t)TINY_LAYERS * 7);
    sample_close(&s);
}

/* A file of weights for 36 rows of 16 tokens: w[0] and w[1] by turns. */
static const char *weights_file(const char *name, const double w[2])
{
    static char path[96];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", root, name);
    assert_non_null(f = fopen(path, "w"));
    for (int i = 0; i < 36; i++) {
        fprintf(f, "{\"weights\":[");
        for (int t = 0; t < 16; t++)
            fprintf(f, "%s%g", t ? "," : "", w[t % 2]);
        fprintf(f, "]}\n");
    }
    assert_int_equal(fclose(f), 0);
    return path;
}

static void same(const struct chain *a, const struct chain *b)
{
    assert_true(bytes_same(&a->grids, &b->grids));
    assert_int_equal(a->nloss, b->nloss);
    assert_memory_equal(a->loss, b->loss, a->nloss * sizeof *a->loss);
}

/* A file of weights, all 1 or all 3 (which mean 1 makes 1): sums, codes, scales and losses are
 * those without it. */
static void weights_of_one_are_no_weights(void **state)
{
    static const char *const solver[] = {"gptq", "gptaq"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct chain plain, ones, threes, other;

        run(&plain, solver[i], 16, SAMPLE_WEIGHTS_NONE, NULL);
        run(&ones, solver[i], 16, SAMPLE_WEIGHTS_NONE,
            weights_file("ones.jsonl", (const double[]){1, 1}));
        run(&threes, solver[i], 16, SAMPLE_WEIGHTS_NONE,
            weights_file("threes.jsonl", (const double[]){3, 3}));
        run(&other, solver[i], 16, SAMPLE_WEIGHTS_NONE,
            weights_file("other.jsonl", (const double[]){1, 3}));
        assert_true(bytes_same(&plain.sums, &ones.sums) && bytes_same(&plain.sums, &threes.sums));
        same(&plain, &ones);
        same(&plain, &threes);
        assert_false(bytes_same(&plain.sums, &other.sums) ||
                     bytes_same(&plain.grids, &other.grids));
        chain_release(&plain);
        chain_release(&ones);
        chain_release(&threes);
        chain_release(&other);
    }
}

/* A power of two scales every sum without rounding, so S / sum w is the same number: all bytes
 * are. Any other 1/L rounds once in f32 (as does sum w, alike) and each product once in f64: H
 * differs in its last bits, the codes do not. */
static void maca_of_one_length_is_plain(void **state)
{
    static const char *const solver[] = {"gptq", "gptaq"};
    struct chain plain, maca;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        run(&plain, solver[i], 16, SAMPLE_WEIGHTS_NONE, NULL);
        run(&maca, solver[i], 16, SAMPLE_WEIGHTS_LENGTH, NULL);
        assert_false(bytes_same(&plain.sums, &maca.sums)); /* the weights are there */
        same(&plain, &maca);
        chain_release(&plain);
        chain_release(&maca);
        run(&plain, solver[i], 12, SAMPLE_WEIGHTS_NONE, NULL);
        run(&maca, solver[i], 12, SAMPLE_WEIGHTS_LENGTH, NULL);
        assert_true(bytes_same(&plain.grids, &maca.grids));
        chain_release(&plain);
        chain_release(&maca);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_of_one_are_no_weights),
        cmocka_unit_test(maca_of_one_length_is_plain),
    };
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("identities", tests, set_up, tear_down);
}

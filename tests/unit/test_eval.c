/* SPDX-License-Identifier: Apache-2.0 */
/* test_eval - windows, statistics by hand, and the figures of the small demo model against those
 * its makers measured. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <unistd.h>
#include "../../common/tensor/blas.h"
#include "../../stages/eval/eval.h"
#include "model_run.h"

#define TALE "pipelines/demo/tale-qwen3"
#define BARE "tests/golden/conformance/mistral" /* no tokenizer */

static char path[64];

static const char *file(const char *end, const char *text)
{
    FILE *f;

    snprintf(path, sizeof path, "/tmp/ptq-eval-%ld.%s", (long)getpid(), end);
    f = fopen(path, "wb");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    return path;
}

static int read_windows(const char *data, const char *dir, size_t length, size_t max,
                        struct windows *w, struct err *e)
{
    return windows_read(
        &(struct windows_opts){.data = data, .dir = dir, .length = length, .max = max}, w, e);
}

static void refused(const char *data, const char *dir, int kind, const char *word)
{
    struct err e = {0};
    struct windows w;

    assert_int_equal(read_windows(data, dir, 16, 0, &w, &e), -1);
    assert_int_equal(e.kind, kind);
    if (!strstr(e.text, word))
        fail_msg("'%s' does not name '%s'", e.text, word);
    assert_null(w.ids);
}

static void test_refused(void **state)
{
    (void)state;
    refused("/nonexistent.jsonl", TALE, ERR_USE, "/nonexistent.jsonl");
    refused(file("jsonl", "{\"text\": \"once\"}\n"), TALE, ERR_DATA, "16");
    refused(file("jsonl", "{\"text\": \"once\"}\n"), "/nonexistent", ERR_USE, "/nonexistent");
    refused(file("jsonl", "\n"), TALE, ERR_DATA, "no documents");
    refused(file("jsonl", "{\"input_ids\": [1]}\n{\"input_ids\": \"x\"}\n"), TALE, ERR_USE, ":2");
    refused(file("jsonl", "{\"input_ids\": [1]}\n{\"input_ids\": [2048]}\n"), TALE, ERR_USE,
            ":2: token id 2048 is not below the model's vocab_size 2048");
    unlink(path);
}

static void test_windows(void **state)
{
    struct err err = {0};
    struct windows w, all;

    (void)state;
    must(read_windows(
             file("jsonl",
                  "{\"input_ids\": [1, 2, 3]}\n{\"input_ids\": [4]}\n{\"input_ids\": [5, 6]}\n"),
             BARE, 2, 0, &w, &err) == 0); /* ids need no tokenizer, and are not cut */
    assert_true(w.count == 3 && w.tokens == 6 && w.start[0] == 0 && w.start[1] == 3 &&
                w.start[2] == 4 && w.start[3] == 6);
    assert_int_equal(w.ids[3], 4);
    windows_release(&w);
    must(read_windows(path, BARE, 2, 2, &w, &err) == 0);
    assert_true(w.count == 2 && w.tokens == 4);
    windows_release(&w);
    unlink(path);
    must(read_windows(TALE "/eval.jsonl", TALE, 256, 0, &all, &err) == 0);
    must(read_windows(TALE "/eval.jsonl", TALE, 256, 3, &w, &err) == 0);
    assert_true(w.count == 3 && w.tokens == 768 && w.start[3] == 768 && all.count > 100 &&
                all.tokens == all.count * 256);
    assert_true(memcmp(w.ids, all.ids, 768 * sizeof *w.ids) == 0);
    windows_release(&w);
    windows_release(&all);
}

/* Two windows of 2 and 4 predictions, worked out by hand. */
static void test_statistics(void **state)
{
    struct window_sums sums[2] = {
        {.predictions = 2, .nll = 4.0, .ref_nll = 3.0, .kld = 0.75, .agree = 2},
        {.predictions = 4, .nll = 2.0, .ref_nll = 2.0, .kld = 1.5, .agree = 1}};
    float kld[6] = {0.25f, 0.5f, 0.0f, 0.125f, 1.0f, 0.375f};
    struct eval v = {.windows = 2, .tokens = 8, .predictions = 6, .window = sums, .kld = kld};
    struct eval_report r;
    struct err err = {0};

    (void)state;
    must(eval_report(&v, &r, &err) == 0);
    assert_true(fabs(r.nll.value - 1.0) < 1e-15);
    assert_true(fabs(r.nll.se - sqrt(2.0 * (2.0 * 2.0 + 2.0 * 2.0)) / 6.0) < 1e-15);
    assert_true(fabs(r.perplexity.value - exp(1.0)) < 1e-14);
    assert_true(fabs(r.dnll.value - 1.0 / 6.0) < 1e-15);
    assert_true(fabs(r.dnll.se - sqrt(2.0 * 2.0 * (2.0 / 3.0) * (2.0 / 3.0)) / 6.0) < 1e-15);
    assert_true(fabs(r.top1.value - 0.5) < 1e-15);
    assert_true(r.kld_median.value == 0.25 && r.kld_p99.value == 1.0 && r.kld_max.value == 1.0);
    /* a sample of windows has the maximum 0.5 with probability 1/4, else 1: deviation 0.2165;
     * 400 samples give it to 10% */
    assert_true(fabs(r.kld_max.se - 0.2165) < 0.022);
    v.windows = 1;
    v.predictions = 2;
    must(eval_report(&v, &r, &err) == 0);
    assert_true(isnan(r.nll.se) && isnan(r.kld_median.se) && r.kld_median.value == 0.25 &&
                r.kld_max.value == 0.5);
    v.kld = NULL;
    v.predictions = 0;
    assert_int_equal(eval_report(&v, &r, &err), -1);
    assert_int_equal(err.kind, ERR_DATA);
}

static void open_two(const char *a, const char *b, struct par **p, struct model **m,
                     struct model **ref)
{
    struct err err = {0};

    must(*p = par_open(2, &err));
    must(*m = model_open(a, *p, &err));
    must(*ref = model_open(b, *p, &err));
}

/* NLL of every position of sequences 0 and 1 is in the golden; so are the logits. The
 * reference's own f32 error is 6.1e-6 (README of data/tale-qwen3); 20 times that, as in
 * test_model. */
static void test_against_golden(void **state)
{
    struct err err = {0};
    struct st_set *g = st_open("tests/golden/tale-qwen3.safetensors", &err), *kept;
    struct windows w = {.count = 2};
    size_t start[3] = {0}, n, T;
    int32_t *ids[2], all[512];
    struct par *p;
    struct model *m, *ref;
    struct eval v;
    struct eval_report r;
    char out[64];

    (void)state;
    must(g);
    for (int s = 0; s < 2; s++) {
        ids[s] = run_ids(g, s ? "input_ids.1" : "input_ids.0", &T);
        memcpy(all + start[s], ids[s], T * sizeof *all);
        start[s + 1] = start[s] + T;
        free(ids[s]);
    }
    w.start = start;
    w.ids = all;
    w.tokens = start[2];
    open_two(TALE, TALE, &p, &m, &ref);
    snprintf(out, sizeof out, "/tmp/ptq-eval-%ld.safetensors", (long)getpid());
    must(eval_run(m, ref, p, &w, &(struct eval_opts){.mem = 1, .logits = out}, &v, &err) == 0);
    assert_int_equal(v.predictions, start[2] - 2);
    for (int s = 0; s < 2; s++) {
        float *nll = run_golden(g, s ? "nll.1" : "nll.0", &n), *logits;
        double sum = 0.0;

        for (size_t i = 0; i < n; i++)
            sum += (double)nll[i];
        assert_int_equal(v.window[s].predictions, n);
        assert_true(fabs(v.window[s].nll - sum) <= (double)n * 20 * 6.1e-6);
        free(nll);
        must(kept = st_open(out, &err));
        logits = run_golden(kept, s ? "logits.1" : "logits.0", &n);
        run_compare(g, s ? "logits.1" : "logits.0", logits, n, 20 * 6.1e-6);
        free(logits);
        st_close(&kept);
    }
    must(eval_report(&v, &r, &err) == 0);
    /* against itself */
    assert_true(r.kld_max.value == 0.0 && r.top1.value == 1.0 && r.dnll.value == 0.0);
    eval_release(&v);
    unlink(out);
    model_close(&m);
    model_close(&ref);
    par_close(&p);
    st_close(&g);
}

/* KL(ref || model) of two models by the definition in f64 over their logits, and batches that
 * change nothing. */
static void test_divergence(void **state)
{
    struct err err = {0};
    int32_t ids[60];
    size_t start[3] = {0, 40, 60};
    const struct windows w = {.count = 2, .tokens = 60, .start = start, .ids = ids};
    struct par *p;
    struct model *m, *ref;
    struct eval v, again;
    size_t V, k = 0, agree = 0;

    (void)state;
    for (size_t i = 0; i < 60; i++)
        ids[i] = (int32_t)(i * 7 % 300);
    open_two("tests/golden/conformance/llama3", "tests/golden/conformance/mistral", &p, &m, &ref);
    V = model_config(m)->vocab;
    must(eval_run(m, ref, p, &w, &(struct eval_opts){.mem = 1}, &v, &err) == 0);
    must(eval_run(m, ref, p, &w, &(struct eval_opts){.mem = 1 << 20}, &again, &err) == 0);
    assert_true(memcmp(v.kld, again.kld, 58 * sizeof *v.kld) == 0 &&
                memcmp(v.window, again.window, 2 * sizeof *v.window) == 0);
    for (size_t i = 0; i < 2; i++) {
        const size_t T = start[i + 1] - start[i];
        float *q = run_logits(m, ids + start[i], T), *r = run_logits(ref, ids + start[i], T);

        for (size_t t = 0; t + 1 < T; t++, k++) {
            double kl = 0.0;

            for (size_t j = 0; j < V; j++) {
                double lr = -run_nll(r + t * V, V, j);

                kl += exp(lr) * (lr + run_nll(q + t * V, V, j));
            }
            /* f32 terms and 320 of them: 320 u times the largest log ratio, below 40 */
            assert_true(fabs(kl - (double)v.kld[k]) <= 320 * 6e-8 * 40);
            agree += run_argmax(q + t * V, V) == run_argmax(r + t * V, V);
        }
        free(q);
        free(r);
    }
    assert_int_equal(v.window[0].agree + v.window[1].agree, agree);
    eval_release(&v);
    eval_release(&again);
    model_close(&ref);
    must(ref = model_open(TALE, p, &err));
    assert_int_equal(eval_run(m, ref, p, &w, &(struct eval_opts){.mem = 1}, &v, &err), -1);
    assert_non_null(strstr(err.text, "vocabulary"));
    model_close(&m);
    model_close(&ref);
    par_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),    cmocka_unit_test(test_windows),
        cmocka_unit_test(test_statistics), cmocka_unit_test(test_against_golden),
        cmocka_unit_test(test_divergence),
    };
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("eval", tests, NULL, NULL);
}

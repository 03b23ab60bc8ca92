/* SPDX-License-Identifier: Apache-2.0 */
/* test_model - what a checkpoint must hold, forward passes of trained models against transformers
 * (tests/golden/tale-qwen3; of each family: test_conformance.c), the same bytes for any threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <unistd.h>
#include "../../common/base/fs.h"
#include "../../common/base/json.h"
#include "../../common/tensor/blas.h"
#include "model_run.h"
#include "shared.h"

#define CONFORMANCE "tests/golden/conformance/"

static struct model *open_model(const char *dir, size_t threads, struct par **p)
{
    struct err err = {0};
    struct model *m;

    must(*p = par_open(threads, &err));
    must(m = model_open(dir, *p, &err));
    return m;
}

/* ---- bad input ---- */

static char temp[64];

static const char *temp_dir(void)
{
    struct err err = {0};

    snprintf(temp, sizeof temp, "/tmp/ptq-model-%ld", (long)getpid());
    must(fs_mkdir(temp, &err) == 0);
    return temp;
}

static void temp_remove(void)
{
    struct err err = {0};

    must(fs_remove_tree(temp, &err) == 0);
}

static void copy_config(const char *from, const char *to)
{
    struct err err = {0};
    char a[256], b[256];

    snprintf(a, sizeof a, "%s/config.json", from);
    snprintf(b, sizeof b, "%s/config.json", to);
    must(fs_copy(a, b, &err) == 0);
}

/* llama3 with one tensor left out, or of another shape, or holding what is given. */
static void write_broken(const char *dir, const char *name, int leave_out, int ndim,
                         const uint64_t *shape, float value)
{
    struct err err = {0};
    struct st_set *s = st_open_folder(CONFORMANCE "llama3", &err);
    char path[128];
    struct st_writer *w;
    float *data = NULL;
    size_t n = 1;

    must(s);
    copy_config(CONFORMANCE "llama3", dir);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    must(w = st_create(path, &err));
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->entries[i].name, name) != 0)
            must(st_declare(w, s->entries[i].name, s->entries[i].dtype, s->entries[i].ndim,
                            s->entries[i].shape, &err) == 0);
    for (int i = 0; i < ndim; i++)
        n *= (size_t)shape[i];
    data = run_array(n);
    for (size_t i = 0; i < n; i++)
        data[i] = 0.0f;
    data[n - 1] = value;
    if (!leave_out)
        must(st_declare(w, name, DT_F32, ndim, shape, &err) == 0);
    must(st_begin(w, &err) == 0);
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->entries[i].name, name) != 0)
            must(st_copy(w, s->entries[i].name, s, &s->entries[i], &err) == 0);
    if (!leave_out)
        must(st_put(w, name, data, n * sizeof *data, &err) == 0);
    must(st_publish(&w, &err) == 0);
    st_close(&s);
    free(data);
}

static void open_refused(const char *dir, const char *word)
{
    struct err e = {0};
    struct par *p = par_open(1, &e);
    struct model *m = model_open(dir, p, &e);

    assert_null(m);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, word))
        fail_msg("'%s' does not name '%s'", e.text, word);
    par_close(&p);
}

static void test_open_refused(void **state)
{
    static const char q[] = "model.layers.1.self_attn.q_proj.weight";
    const char *dir = temp_dir();

    (void)state;
    open_refused("/nonexistent", "/nonexistent");
    copy_config(CONFORMANCE "llama3", dir);
    open_refused(dir, "model.safetensors");
    write_broken(dir, q, 1, 1, (const uint64_t[]){1}, 0.0f);
    open_refused(dir, q);
    write_broken(dir, q, 0, 2, (const uint64_t[]){64, 32}, 0.0f);
    open_refused(dir, "[64, 32]");
    write_broken(dir, "model.embed_tokens.weight", 0, 2, (const uint64_t[]){319, 64}, 0.0f);
    open_refused(dir, "model.embed_tokens.weight");
    write_broken(dir, "model.layers.2.mlp.up_proj.bias", 0, 1, (const uint64_t[]){160}, 0.0f);
    open_refused(dir, "model.layers.2.mlp.up_proj.bias");
    write_broken(dir, "lm_head.weight", 1, 1, (const uint64_t[]){1}, 0.0f);
    open_refused(dir, "lm_head.weight");
    open_refused(dir, "if 'model.embed_tokens.weight' serves both ends");
    write_broken(dir, "model.embed_tokens.weight", 1, 1, (const uint64_t[]){1}, 0.0f);
    open_refused(dir, "if 'lm_head.weight' serves both ends");
    /* what no program asks for */
    write_broken(dir, "model.layers.4.input_layernorm.weight", 0, 1, (const uint64_t[]){64}, 1.0f);
    open_refused(dir, "'model.layers.4.input_layernorm.weight' is there");
    write_broken(dir, "model.layers.0.self_attn.q_norm.weight", 0, 1, (const uint64_t[]){16}, 1.0f);
    open_refused(dir, "'model.layers.0.self_attn.q_norm.weight' is there");
    write_broken(dir, "lm_head.bias", 0, 1, (const uint64_t[]){320}, 1.0f);
    open_refused(dir, "'lm_head.bias' is there");
    temp_remove();
}

static void test_not_finite(void **state)
{
    static const char q[] = "model.layers.1.self_attn.q_proj.weight",
                      n[] = "model.layers.1.input_layernorm.weight";
    struct par *p;
    struct err e = {0};
    struct model *m;
    struct block *b;

    (void)state;
    write_broken(temp_dir(), q, 0, 2, (const uint64_t[]){64, 64}, NAN);
    m = open_model(temp, 1, &p);
    b = block_open(m, 1, &e);
    assert_non_null(b);
    assert_int_equal(block_load_site(b, 0, &e), -1);
    assert_non_null(strstr(e.text, q));
    block_close(&b);
    model_close(&m);
    par_close(&p);
    write_broken(temp, n, 0, 1, (const uint64_t[]){64}, INFINITY);
    m = open_model(temp, 1, &p);
    assert_null(block_open(m, 1, &e));
    assert_non_null(strstr(e.text, n));
    model_close(&m);
    par_close(&p);
    temp_remove();
}

#define HEAD_N 320
#define HEAD_K 64

/* llama3 with a head in FP8, one scale for all of it, or with what that stands for. */
static void write_head(const char *dir, int coded)
{
    static const char name[] = "lm_head.weight";
    const uint64_t shape[] = {HEAD_N, HEAD_K}, one = 1;
    const float scale = 0.25f;
    uint8_t codes[HEAD_N * HEAD_K];
    static float w[HEAD_N * HEAD_K];
    struct err err = {0};
    struct st_set *s = st_open_folder(CONFORMANCE "llama3", &err);
    char path[128];
    struct st_writer *out;

    must(s);
    for (size_t i = 0; i < HEAD_N * HEAD_K; i++)
        codes[i] = (uint8_t)(i * 7 % 251 % 64 | (i & 1) << 7);
    must(dtype_to_f32(DT_F8_E4M3, codes, HEAD_N * HEAD_K, w) == 0);
    for (size_t i = 0; i < HEAD_N * HEAD_K; i++)
        w[i] *= scale;
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    must(out = st_create(path, &err));
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->entries[i].name, name) != 0)
            must(st_declare(out, s->entries[i].name, s->entries[i].dtype, s->entries[i].ndim,
                            s->entries[i].shape, &err) == 0);
    must(st_declare(out, name, coded ? DT_F8_E4M3 : DT_F32, 2, shape, &err) == 0);
    must(!coded || st_declare(out, "lm_head.weight_scale", DT_F32, 1, &one, &err) == 0);
    must(st_begin(out, &err) == 0);
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->entries[i].name, name) != 0)
            must(st_copy(out, s->entries[i].name, s, &s->entries[i], &err) == 0);
    must(st_put(out, name, coded ? (const void *)codes : w, coded ? sizeof codes : sizeof w,
                &err) == 0);
    must(!coded || st_put(out, "lm_head.weight_scale", &scale, sizeof scale, &err) == 0);
    must(st_publish(&out, &err) == 0);
    st_close(&s);
}

/* As others publish it: where the weight's name would be, and the config says what it is. */
static void test_head_in_codes(void **state)
{
    const int32_t ids[] = {3, 1, 4, 1, 5, 9, 2, 6};
    struct err err = {0};
    struct json *config = json_read(CONFORMANCE "llama3/config.json", &err), *q = json_new_object();
    float *logits[2];
    char *text, path[128];
    struct par *p;
    struct model *m;

    (void)state;
    must(config && q);
    for (int coded = 0; coded < 2; coded++) {
        write_head(coded ? temp : temp_dir(), coded);
        if (coded) {
            must(json_set_text(q, "quant_method", "fp8") == 0);
            must(json_set(config, "quantization_config", q) == 0);
        }
        must(text = json_print(config, 2, &err));
        snprintf(path, sizeof path, "%s/config.json", temp);
        must(fs_publish(path, text, strlen(text), &err) == 0);
        free(text);
        m = open_model(temp, 1, &p);
        logits[coded] = run_logits(m, ids, 8);
        model_close(&m);
        par_close(&p);
    }
    assert_memory_equal(logits[0], logits[1], 8 * HEAD_N * sizeof **logits);
    copy_config(CONFORMANCE "llama3", temp);
    open_refused(temp, "'lm_head.weight' is quantized already, to F8_E4M3");
    free(logits[0]);
    free(logits[1]);
    json_destroy(&config);
    temp_remove();
}

static void test_wrong_calls(void **state)
{
    struct par *p;
    struct err err = {0};
    struct model *m = open_model(CONFORMANCE "llama3", 1, &p);
    const int32_t lengths[] = {3, 2}, ids[] = {1, 2, 320, 4, 5};
    struct rows r = {.T = 5, .nseq = 2, .lengths = lengths};
    float *h = run_array(5 * 64), *x = run_array(5 * 160);
    struct block *b;

    (void)state;
    memset(h, 0, 5 * 64 * sizeof *h);
    memset(x, 0, 5 * 160 * sizeof *x);
    assert_int_equal(model_embed(m, ids, 5, h, &err), -1);
    assert_non_null(strstr(err.text, "320"));
    assert_int_equal(model_embed(m, (const int32_t[]){-1}, 1, h, &err), -1);
    assert_null(block_open(m, 4, &err));
    must(b = block_open(m, 3, &err));
    assert_int_equal(block_stops(b), 4);
    assert_int_equal(block_step(b, 1, &r, h, DT_F32, x, &err), -1);
    assert_non_null(strstr(err.text, "model.layers.3.self_attn.q_proj"));
    assert_int_equal(block_step(b, 4, &r, h, DT_F32, x, &err), -1);
    assert_int_equal(block_forward(b, &r, h, &err), -1);
    assert_int_equal(block_received(b, &r, h, (double *)x, &err), -1);
    must(block_load_site(b, 0, &err) == 0);
    r.T = 6;
    assert_int_equal(block_step(b, 1, &r, h, DT_F32, x, &err), -1);
    r.T = 4;
    assert_int_equal(block_step(b, 1, &r, h, DT_F32, x, &err), -1);
    assert_int_equal(block_set_linear(b, 1, 1, NULL, &err), -1);
    assert_int_equal(block_set_linear(b, 4, 0, NULL, &err), -1);
    r.T = 5;
    must(block_step(b, 1, &r, h, DT_F32, x, &err) == 0);
    block_drop_done(b, 1);
    assert_int_equal(block_step(b, 1, &r, h, DT_F32, x, &err), -1);
    block_close(&b);
    model_close(&m);
    assert_null(m);
    par_close(&p);
    free(h);
    free(x);
}

/* ---- goldens ---- */

/* README of data/tale-qwen3: f64 differs from the golden by at most 6.1e-6 in the logits of the
 * short sequences. Errors of f32 grow with the length of a sum at most linearly: the long
 * sequence (2500 keys against 64) gets the same factor on top of that of the NLL. */
static void test_tale(void **state)
{
    struct par *p;
    struct err err = {0};
    struct st_set *g = st_open("tests/golden/tale-qwen3.safetensors", &err);
    struct model *m = open_model("pipelines/demo/tale-qwen3", 2, &p);
    const size_t V = model_config(m)->vocab;

    (void)state;
    must(g);
    for (int s = 0; s < 3; s++) {
        char name[32];
        size_t T, n, rows;
        int32_t *ids;
        float *logits, *nll, *mine;

        snprintf(name, sizeof name, "input_ids.%d", s);
        ids = run_ids(g, name, &T);
        logits = run_logits(m, ids, T);
        rows = s == 2 ? 4 : T;
        snprintf(name, sizeof name, "logits.%d", s);
        run_compare(g, name, logits + (T - rows) * V, rows * V, 20 * 6.1e-6);
        snprintf(name, sizeof name, "nll.%d", s);
        nll = run_golden(g, name, &n);
        assert_int_equal(n, T - 1);
        mine = run_array(n);
        for (size_t t = 0; t < n; t++)
            mine[t] = (float)run_nll(logits + t * V, V, (size_t)ids[t + 1]);
        assert_true(run_distance(mine, nll, n) <= 2 * 20 * 6.1e-6);
        free(mine);
        free(nll);
        free(logits);
        free(ids);
    }
    model_close(&m);
    par_close(&p);
    st_close(&g);
}

/* f64 logits of a real model whose tied matrix is stored as lm_head.weight only. Gate: that of
 * the conformance models (2 blocks here). */
static void test_tinystories(void **state)
{
    struct err err = {0};
    struct par *p;
    struct model *m;
    struct json *j;
    int32_t ids[256];
    float *logits;
    size_t T, V;

    (void)state;
    shared_or_skip(dir, "data/tinystories-656k");
    shared_or_skip(golden, "data/golden-logits/tinystories-656k.json");
    must(j = json_read(golden, &err));
    m = open_model(dir, 2, &p);
    V = model_config(m)->vocab;
    T = json_count(json_get(j, "ids"));
    assert_in_range(T, 2, 256);
    for (size_t t = 0; t < T; t++) {
        int64_t id;

        assert_int_equal(json_as_int(json_at(json_get(j, "ids"), t), &id), 0);
        ids[t] = (int32_t)id;
    }
    logits = run_logits(m, ids, T);
    for (size_t t = 0; t + 1 < T; t++) {
        double want;

        assert_int_equal(json_as_real(json_at(json_get(j, "nll"), t), &want), 0);
        assert_true(fabs(run_nll(logits + t * V, V, (size_t)ids[t + 1]) - want) <= 20 * 3.02e-5);
    }
    for (size_t v = 0; v < V; v++) {
        double want;

        assert_int_equal(json_as_real(json_at(json_get(j, "last_logits"), v), &want), 0);
        assert_true(fabs((double)logits[(T - 1) * V + v] - want) <= 20 * 3.02e-5);
    }
    free(logits);
    json_destroy(&j);
    model_close(&m);
    par_close(&p);
}

/* ---- same bytes ---- */

static void test_threads_and_neighbours(void **state)
{
    const int32_t lengths[] = {1, 150, 7, 200}, alone = 200;
    const struct rows all = {.T = 358, .nseq = 4, .lengths = lengths},
                      one = {.T = 200, .nseq = 1, .lengths = &alone};
    int32_t ids[358];
    float *first = NULL, *h;

    (void)state;
    for (size_t t = 0; t < 358; t++)
        ids[t] = (int32_t)(t * 37 % 320);
    for (size_t threads = 1; threads <= 3; threads++) {
        struct par *p;
        struct model *m = open_model(CONFORMANCE "mistral", threads, &p);

        h = run_hidden(m, &all, ids);
        if (first) {
            assert_true(memcmp(first, h, 358 * 64 * sizeof *h) == 0);
            free(h);
        } else
            first = h;
        h = run_hidden(m, &one, ids + 158);
        assert_true(run_distance(first + 158 * 64, h, 200 * 64) <= 20 * 1.8e-5);
        free(h);
        model_close(&m);
        par_close(&p);
    }
    free(first);
}

static void test_digest(void **state)
{
    struct par *p, *p2;
    struct model *a = open_model(CONFORMANCE "llama3", 1, &p),
                 *b = open_model(CONFORMANCE "llama3", 2, &p2);

    (void)state;
    assert_true(model_digest(a) == model_digest(b));
    model_close(&b);
    par_close(&p2);
    b = open_model(CONFORMANCE "mistral", 1, &p2);
    assert_true(model_digest(a) != model_digest(b));
    model_close(&a);
    model_close(&b);
    par_close(&p);
    par_close(&p2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_refused),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_head_in_codes),
        cmocka_unit_test(test_wrong_calls),
        cmocka_unit_test(test_tale),
        cmocka_unit_test(test_tinystories),
        cmocka_unit_test(test_threads_and_neighbours),
        cmocka_unit_test(test_digest),
    };
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}

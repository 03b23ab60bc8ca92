/* SPDX-License-Identifier: Apache-2.0 */
/* test_rotate - a rotated checkpoint computes the same function.
 *
 * Tolerance: test_model allows 20 times the difference between the reference's f32 and f64 runs
 * (README of data/conformance). Rotated weights are rounded to f32 once: an error of at most u
 * |w| |x| a product, as much as rounding the product itself costs, which every f32 run does
 * already. So the errors of each sum at most double: twice test_model's gate. A norm that is not
 * folded, or a matrix turned on the wrong side, moves logits by more than 0.1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <unistd.h>
#include "../../common/base/fs.h"
#include "../../common/base/hash.h"
#include "../../common/base/json.h"
#include "../../common/base/rng.h"
#include "../../common/model/config_read.h"
#include "../../common/tensor/blas.h"
#include "../../ops/tools/rotate/rotate.h"
#include "model_run.h"

static char dir[64], source[96], out[96];

static int folder_make(void **state)
{
    struct err e = {0};

    (void)state;
    snprintf(dir, sizeof dir, "/tmp/ptq-rotate-%ld", (long)getpid());
    snprintf(source, sizeof source, "%s/source", dir);
    snprintf(out, sizeof out, "%s/out", dir);
    return fs_mkdir(dir, &e);
}

static int folder_remove(void **state)
{
    struct err e = {0};

    (void)state;
    return fs_remove_tree(dir, &e);
}

static struct rotate_report rotated(const char *model, enum rotation_kind kind, enum dtype dtype,
                                    size_t threads)
{
    const struct rotate_opts o = {model, out, kind, 3, dtype, threads};
    struct rotate_report report = {0};
    struct err err = {0};

    must(fs_remove_tree(out, &err) == 0);
    must(rotate_run(&o, &report, &err) == 0);
    return report;
}

static float *logits_of(const char *model, const int32_t *ids, size_t T, size_t *vocab)
{
    struct err err = {0};
    struct par *p = par_open(2, &err);
    struct model *m = p ? model_open(model, p, &err) : NULL;
    float *logits;

    must(m);
    *vocab = model_config(m)->vocab;
    logits = run_logits(m, ids, T);
    model_close(&m);
    par_close(&p);
    return logits;
}

/* ---- the four families ---- */

static void test_conformance(void **state)
{
    static const struct {
        const char *name;
        double logits;
    } gates[] = {
        {"llama3", 2.12e-5}, {"llama-tied", 3.02e-5}, {"mistral", 1.88e-5}, {"qwen3", 2.15e-5}};

    (void)state;
    for (size_t i = 0; i < sizeof gates / sizeof *gates; i++)
        for (int kind = 0; kind < 3; kind++) {
            char model[96], path[128];
            struct err err = {0};
            struct rotate_report report;
            struct st_set *g;

            snprintf(model, sizeof model, "tests/golden/conformance/%s", gates[i].name);
            snprintf(path, sizeof path, "%s/golden.safetensors", model);
            must(g = st_open(path, &err));
            report = rotated(model, (enum rotation_kind)kind, DT_F32, 2);
            assert_int_equal(report.kind, kind);
            assert_int_equal(report.order, 64);
            assert_int_equal(report.core, kind == ROTATION_ORTHOGONAL ? 0 : 1);
            assert_int_equal(report.untied, i == 1 || i == 3);
            for (int s = 0; s < 2; s++) {
                size_t T, V;
                int32_t *ids;
                float *logits;

                snprintf(path, sizeof path, "input_ids.%d", s);
                ids = run_ids(g, path, &T);
                logits = logits_of(out, ids, T, &V);
                snprintf(path, sizeof path, "logits.%d", s);
                run_compare(g, path, logits, T * V, 2 * 20 * gates[i].logits);
                free(logits);
                free(ids);
            }
            st_close(&g);
        }
}

/* ---- hidden sizes that are no power of two ---- */

struct fill {
    struct st_writer *w;
    struct rng r;
    int put;
};

/* Norm weights differ from channel to channel by a factor of up to 3; linears keep the size of
 * what goes through. */
static void tensor_fill(struct fill *f, const char *name, const char *suffix, size_t rows,
                        size_t width)
{
    const uint64_t two[] = {rows, width}, one[] = {rows};
    struct err err = {0};
    char full[TENSOR_NAME + 8];
    const size_t n = rows * (width ? width : 1);
    float *x;

    snprintf(full, sizeof full, "%s%s", name, suffix);
    if (!f->put) {
        must(st_declare(f->w, full, DT_F32, width ? 2 : 1, width ? two : one, &err) == 0);
        return;
    }
    x = run_array(n);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(width ? rng_normal(&f->r) / sqrt((double)width) : 0.5 + rng_unit(&f->r));
    must(st_put(f->w, full, x, n * sizeof *x, &err) == 0);
    free(x);
}

static void model_fill(struct fill *f, const struct config *c)
{
    char name[TENSOR_NAME];
    struct sites sites;
    struct err err = {0};

    must(sites_make(&sites, c, &err) == 0);
    tensor_fill(f, "model.embed_tokens", ".weight", c->vocab, c->d);
    tensor_fill(f, "model.norm", ".weight", c->d, 0);
    for (size_t b = 0; b < c->layers; b++) {
        snprintf(name, sizeof name, "model.layers.%zu.input_layernorm", b);
        tensor_fill(f, name, ".weight", c->d, 0);
        snprintf(name, sizeof name, "model.layers.%zu.post_attention_layernorm", b);
        tensor_fill(f, name, ".weight", c->d, 0);
    }
    for (size_t k = 0; k < sites.count; k++) {
        const struct site *s = &sites.site[k];

        for (size_t i = 0; i < s->count; i++) {
            tensor_fill(f, s->linear[i].name, ".weight", s->linear[i].rows, s->inputs);
            if (s->linear[i].has_bias)
                tensor_fill(f, s->linear[i].name, ".bias", s->linear[i].rows, 0);
        }
    }
    sites_release(&sites);
}

static void source_make(size_t d, const char *extra)
{
    struct err err = {0};
    struct config c;
    struct fill f = {0};
    char path[128], *text;

    must(fs_remove_tree(source, &err) == 0 && fs_mkdir(source, &err) == 0);
    must(text = mem_printf(&err,
                           "{\"model_type\": \"llama\", \"hidden_size\": %zu, "
                           "\"intermediate_size\": 40, \"head_dim\": 8,\n"
                           " \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "
                           "\"num_key_value_heads\": 2, \"vocab_size\": 50,\n"
                           " \"attention_bias\": true, \"mlp_bias\": true, "
                           "\"tie_word_embeddings\": true, \"rms_norm_eps\": 1e-05}\n",
                           d));
    snprintf(path, sizeof path, "%s/config.json", source);
    must(fs_publish(path, text, strlen(text), &err) == 0 &&
         config_parse(text, strlen(text), path, &c, &err) == 0);
    snprintf(path, sizeof path, "%s/model.safetensors", source);
    must(f.w = st_create(path, &err));
    rng_seed(&f.r, d, 0);
    for (f.put = 0; f.put < 2; f.put++) {
        model_fill(&f, &c);
        if (extra)
            tensor_fill(&f, extra, "", 4, 0);
        if (!f.put)
            must(st_begin(f.w, &err) == 0);
    }
    must(st_publish(&f.w, &err) == 0);
    config_release(&c);
    free(text);
}

static int32_t some_ids[60];

static void test_other_sizes(void **state)
{
    static const size_t sizes[][2] = {{20, 20}, {48, 12}, {72, 36}, {100, 100}, {22, 0}, {54, 0}};

    (void)state;
    for (size_t t = 0; t < 60; t++)
        some_ids[t] = (int32_t)(t * 17 % 50);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct rotate_report report;
        size_t V;
        float *want, *got;

        source_make(sizes[i][0], NULL);
        report = rotated(source, ROTATION_RANDOM_HADAMARD, DT_COUNT, 2);
        assert_int_equal(report.core, sizes[i][1]);
        assert_int_equal(report.kind, sizes[i][1] ? ROTATION_RANDOM_HADAMARD : ROTATION_ORTHOGONAL);
        want = logits_of(source, some_ids, 60, &V);
        got = logits_of(out, some_ids, 60, &V);
        /* Both are f32 runs, each within test_model's gate of the exact one (that of the model
         * with biases). */
        if (!(run_distance(got, want, 60 * V) <= 2 * 20 * 3.02e-5))
            fail_msg("hidden size %zu: %g", sizes[i][0], run_distance(got, want, 60 * V));
        free(want);
        free(got);
    }
}

/* ---- what is written ---- */

static struct st_set *opened(const char *folder)
{
    struct err err = {0};
    struct st_set *s = st_open_folder(folder, &err);

    must(s);
    return s;
}

static void test_tensors(void **state)
{
    struct err err = {0};
    struct st_set *a, *b;
    struct json *prov, *config;
    const char *text;
    char path[128];
    int tied = 1;

    (void)state;
    rotated("tests/golden/conformance/qwen3", ROTATION_RANDOM_HADAMARD, DT_COUNT, 1);
    a = opened("tests/golden/conformance/qwen3");
    b = opened(out);
    assert_int_equal(b->count, a->count + 1); /* the head */
    assert_non_null(st_find(b, "lm_head.weight"));
    for (size_t i = 0; i < a->count; i++) {
        const struct st_entry *x = &a->entries[i], *y = st_find(b, x->name);
        float *v = run_array((size_t)x->bytes), *w = run_array((size_t)x->bytes);

        assert_non_null(y);
        assert_int_equal(x->dtype, y->dtype);
        must(st_load_rows_f32(a, x, 0, x->shape[0], v, &err) == 0 &&
             st_load_rows_f32(b, y, 0, y->shape[0], w, &err) == 0);
        if (strstr(x->name, "q_norm") || strstr(x->name, "k_norm"))
            assert_memory_equal(v, w, x->shape[0] * sizeof *v);
        else if (x->ndim == 1)
            for (size_t k = 0; k < x->shape[0]; k++)
                assert_true(w[k] == 1.0f);
        else
            assert_memory_not_equal(v, w, x->shape[1] * sizeof *v);
        free(v);
        free(w);
    }
    text = json_as_text(json_get(b->metadata, "ptqflow"));
    assert_non_null(text);
    must(prov = json_parse(text, strlen(text), "prov", &err));
    assert_string_equal(json_as_text(json_get(json_at(prov, 0), "kind")), "random-hadamard");
    snprintf(path, sizeof path, "%s/config.json", out);
    must(config = json_read(path, &err));
    assert_int_equal(json_as_bool(json_get(config, "tie_word_embeddings"), &tied), 0);
    assert_int_equal(tied, 0);
    json_destroy(&config);
    json_destroy(&prov);
    st_close(&a);
    st_close(&b);
}

static void test_same_bytes(void **state)
{
    struct err err = {0};
    uint64_t digest[2];
    char path[128];

    (void)state;
    source_make(48, "model.layers.0.self_attn.rotary_emb.inv_freq");
    snprintf(path, sizeof path, "%s/model.safetensors", out);
    for (int kind = 0; kind < 3; kind++)
        for (size_t threads = 1; threads <= 3; threads++) {
            rotated(source, (enum rotation_kind)kind, DT_BF16, threads);
            must(hash_file(path, &digest[threads > 1], &err) == 0);
            assert_true(threads == 1 || digest[0] == digest[1]);
        }
}

static void test_refused(void **state)
{
    struct rotate_opts o = {source, out, ROTATION_HADAMARD, 1, DT_COUNT, 1};
    struct rotate_report report;
    struct err e = {0};

    (void)state;
    assert_int_equal(fs_remove_tree(out, &e), 0);
    source_make(22, NULL);
    assert_int_equal(rotate_run(&o, &report, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    assert_non_null(strstr(e.text, "--kind orthogonal"));
    source_make(48, "model.layers.0.self_attn.gate");
    assert_int_equal(rotate_run(&o, &report, &e), -1);
    assert_non_null(strstr(e.text, "'model.layers.0.self_attn.gate'"));
    o.out = source;
    assert_int_equal(rotate_run(&o, &report, &e), -1);
    assert_non_null(strstr(e.text, "not empty"));
    o.model = "/nonexistent";
    o.out = out;
    assert_int_equal(rotate_run(&o, &report, &e), -1);
    assert_non_null(strstr(e.text, "/nonexistent"));
    assert_false(fs_exists(out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_conformance),
        cmocka_unit_test(test_other_sizes), cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_same_bytes),
    };
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("rotate", tests, folder_make, folder_remove);
}

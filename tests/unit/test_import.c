/* SPDX-License-Identifier: Apache-2.0 */
/* import: a tiny model by hand and all that must be refused, rope factors, llama.cpp's vectors
 * through imported vocabularies, and a real file against the checkpoint it was made from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../../common/base/fs.h"
#include "../../common/base/log.h"
#include "../../common/model/config.h"
#include "../../common/model/config_read.h"
#include "../../common/tensor/safetensors.h"
#include "../../common/text/tokenizer.h"
#include "../../common/tensor/gguf_folder.h"
#include "../../ops/tools/import/import.h"
#include "gguf_build.h"
#include "shared.h"

static char root[64], file[128], dir[128];

static int root_make(void **state)
{
    (void)state;
    strcpy(root, "/tmp/ptq-test-import-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    snprintf(file, sizeof file, "%s/m.gguf", root);
    snprintf(dir, sizeof dir, "%s/hf", root);
    return 0;
}

static int root_remove(void **state)
{
    struct err e = {0};

    (void)state;
    return fs_remove_tree(root, &e);
}

static size_t files_in(const char *path)
{
    char **names;
    size_t n;
    struct err e = {0};

    assert_int_equal(fs_list(path, &names, &n, &e), 0);
    fs_names_free(&names, n);
    return n;
}

/* ---- a tiny model: d 8, one block, 2 heads of 4, 1 key-value head, ff 8, 6 tokens ---- */

struct recipe {
    /* pre: NULL gpt-2, "-" no such key; kind: tokenizer.ggml.model */
    const char *arch, *pre, *kind;
    const char *skip; /* leave this tensor or key out */
    const char *extra_key, *extra_tensor;
    float extra_value[2]; /* of extra_tensor */
    const char *real_key; /* one more, of this value */
    float real;
    int nan, untied, twice, merge, bias, window, rows;
};

static const char *const TOKENS[] = {"<|end|>", "a", "b", "ab", "c", "d"};
static const int32_t TYPES[] = {3, 1, 1, 1, 1, 1};

static int wanted(const struct recipe *r, const char *name)
{
    return !r->skip || strcmp(r->skip, name) != 0;
}

static void sizes(struct gb *b, const struct recipe *r)
{
    static const struct {
        const char *name;
        uint32_t v;
    } list[] = {{"block_count", 1},          {"context_length", 64},
                {"embedding_length", 8},     {"feed_forward_length", 8},
                {"attention.head_count", 2}, {"attention.head_count_kv", 1},
                {"attention.key_length", 4}, {"attention.value_length", 4}};
    char key[96];

    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        snprintf(key, sizeof key, "%s.%s", r->arch, list[i].name);
        if (wanted(r, list[i].name))
            gb_key_u32(b, key, list[i].v);
    }
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", r->arch);
    if (wanted(r, "epsilon"))
        gb_key_f32(b, key, 1e-5f);
    if (r->real_key)
        gb_key_f32(b, r->real_key, r->real);
    snprintf(key, sizeof key, "%s.attention.sliding_window", r->arch);
    if (r->window)
        gb_key_u32(b, key, (uint32_t)r->window);
    if (r->extra_key)
        gb_key_u32(b, r->extra_key, 2);
}

static void words(struct gb *b, const struct recipe *r)
{
    const char *tokens[6], *merges[1] = {r->merge ? "a z" : "a b"};

    memcpy(tokens, TOKENS, sizeof tokens);
    if (r->twice)
        tokens[5] = "a";
    gb_key_text(b, "tokenizer.ggml.model", r->kind ? r->kind : "gpt2");
    if (!r->pre || strcmp(r->pre, "-"))
        gb_key_text(b, "tokenizer.ggml.pre", r->pre ? r->pre : "gpt-2");
    if (wanted(r, "tokens"))
        gb_key_texts(b, "tokenizer.ggml.tokens", tokens, 6);
    gb_key_ints(b, "tokenizer.ggml.token_type", TYPES, 6);
    gb_key_texts(b, "tokenizer.ggml.merges", merges, 1);
    gb_key_u32(b, "tokenizer.ggml.eos_token_id", 0);
    gb_key_u32(b, "tokenizer.ggml.bos_token_id", 0);
}

static void model_make(const struct recipe *r)
{
    static const struct {
        const char *name;
        uint64_t rows, columns;
    } list[] = {{"token_embd.weight", 6, 8},
                {"output_norm.weight", 0, 8},
                {"output.weight", 6, 8},
                {"blk.0.attn_norm.weight", 0, 8},
                {"blk.0.attn_q.weight", 8, 8},
                {"blk.0.attn_k.weight", 4, 8},
                {"blk.0.attn_v.weight", 4, 8},
                {"blk.0.attn_output.weight", 8, 8},
                {"blk.0.ffn_norm.weight", 0, 8},
                {"blk.0.ffn_gate.weight", 8, 8},
                {"blk.0.ffn_up.weight", 8, 8},
                {"blk.0.ffn_down.weight", 8, 8},
                {"blk.0.attn_q_norm.weight", 0, 4},
                {"blk.0.attn_k_norm.weight", 0, 4},
                {"blk.0.attn_q.bias", 0, 8},
                {"blk.0.attn_k.bias", 0, 4},
                {"blk.0.attn_v.bias", 0, 4},
                {NULL, 0, 2}};
    const int qwen2 = strcmp(r->arch, "qwen2") == 0;
    size_t used[18], n = 0;
    struct gb b;

    gb_start(&b);
    gb_key_text(&b, "general.architecture", r->arch);
    sizes(&b, r);
    words(&b, r);
    for (size_t i = 0; i < 18; i++) {
        const char *name = list[i].name ? list[i].name : r->extra_tensor;
        uint64_t rows = i == 0 && r->rows ? (uint64_t)r->rows : list[i].rows;

        if (!name || !wanted(r, name) || (i == 2 && !r->untied) ||
            ((i == 12 || i == 13) && strcmp(r->arch, "qwen3")) || (i == 14 && !r->bias && !qwen2) ||
            ((i == 15 || i == 16) && !qwen2))
            continue;
        gb_tensor(&b, name, 0, rows, list[i].columns, (rows ? rows : 1) * list[i].columns * 4);
        used[n++] = i;
    }
    for (size_t k = 0; k < n; k++) {
        size_t i = used[k], rows = i == 0 && r->rows ? (size_t)r->rows
                                   : list[i].rows    ? list[i].rows
                                                     : 1;
        float v[64];

        for (size_t j = 0; j < rows * list[i].columns; j++)
            v[j] = list[i].name ? (float)(i * 64 + j) / 16 : r->extra_value[j];
        if (r->nan && i == 9)
            v[17] = NAN;
        gb_data(&b, v, rows * list[i].columns * 4);
    }
    gb_save(&b, file);
    gb_free(&b);
}

static int run(enum dtype t, int vocab_only, struct err *e)
{
    struct import_opts o = {.file = file, .dir = dir, .dtype = t, .vocab_only = vocab_only};

    memset(e, 0, sizeof *e);
    return import_run(&o, e);
}

static void refused(const struct recipe *r, const char *word)
{
    struct err e;

    model_make(r);
    assert_int_equal(run(DT_BF16, 0, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, word) || !strstr(e.text, "m.gguf"))
        print_message("'%s' is not in '%s'\n", word, e.text);
    assert_non_null(strstr(e.text, "m.gguf"));
    assert_non_null(strstr(e.text, word));
    assert_int_equal(files_in(root), 1); /* m.gguf alone */
}

static void bad_models(void **state)
{
    (void)state;
    refused(&(struct recipe){.arch = "gemma9"}, "'gemma9' cannot be read");
    refused(&(struct recipe){.arch = "llama", .skip = "block_count"}, "llama.block_count");
    refused(&(struct recipe){.arch = "llama", .skip = "feed_forward_length"},
            "llama.feed_forward_length");
    refused(&(struct recipe){.arch = "llama", .skip = "epsilon"},
            "llama.attention.layer_norm_rms_epsilon' is missing");
    refused(
        &(struct recipe){
            .arch = "llama", .skip = "block_count", .real_key = "llama.block_count", .real = 1},
        "'llama.block_count' is a real number");
    refused(&(struct recipe){.arch = "llama", .real_key = "llama.rope.freq_base", .real = NAN},
            "'llama.rope.freq_base' is NaN or infinite");
    refused(&(struct recipe){.arch = "gemma2",
                             .real_key = "gemma2.final_logit_softcapping",
                             .real = INFINITY},
            "'gemma2.final_logit_softcapping' is NaN or infinite");
    refused(&(struct recipe){.arch = "llama", .extra_key = "llama.logit_scale"},
            "'llama.logit_scale' is not known");
    refused(&(struct recipe){.arch = "llama", .extra_key = "llama.expert_count"}, "2 experts");
    refused(&(struct recipe){.arch = "llama", .extra_key = "llama.rope.dimension_count"},
            "rope dimensions 2");
    refused(&(struct recipe){.arch = "llama", .extra_key = "llama.vocab_size"}, "llama.vocab_size");
    refused(&(struct recipe){.arch = "llama", .extra_key = "split.count"}, "2 files");
    refused(&(struct recipe){.arch = "llama", .skip = "blk.0.ffn_up.weight"},
            "'blk.0.ffn_up.weight' is missing");
    refused(&(struct recipe){.arch = "llama", .skip = "token_embd.weight"}, "token_embd.weight");
    refused(&(struct recipe){.arch = "llama", .extra_tensor = "blk.0.attn_sinks.weight"},
            "'blk.0.attn_sinks.weight' is not part");
    refused(&(struct recipe){.arch = "llama", .skip = "attention.head_count_kv"}, "[4, 8]");
    refused(&(struct recipe){.arch = "llama", .bias = 1}, "'blk.0.attn_k.bias' is missing");
    refused(&(struct recipe){.arch = "llama", .nan = 1},
            "'model.layers.0.mlp.gate_proj.weight' holds NaN");
    refused(&(struct recipe){.arch = "llama", .rows = 5}, "6 tokens");
    refused(&(struct recipe){.arch = "qwen3", .window = 8}, "sliding window");
    refused(&(struct recipe){.arch = "qwen2", .skip = "blk.0.attn_v.bias"}, "attn_v.bias");
    refused(&(struct recipe){.arch = "qwen3",
                             .extra_tensor = "rope_freqs.weight",
                             .extra_value = {1, 8}},
            "rope_freqs.weight");
    refused(&(struct recipe){.arch = "llama",
                             .extra_tensor = "rope_freqs.weight",
                             .extra_value = {1, 0.5f}},
            "rope_freqs.weight");
}

static void bad_tokenizers(void **state)
{
    (void)state;
    refused(&(struct recipe){.arch = "llama", .kind = "bert"}, "'bert'");
    refused(&(struct recipe){.arch = "llama", .pre = "kimi-k2"}, "'kimi-k2' is not known");
    refused(&(struct recipe){.arch = "llama", .pre = "kimi-k2"}, "--pre NAME");
    refused(&(struct recipe){.arch = "llama", .pre = "-"}, "--pre NAME");
    refused(&(struct recipe){.arch = "llama", .pre = "-"}, "is missing");
    refused(&(struct recipe){.arch = "qwen3", .pre = ""}, "is missing");
    refused(&(struct recipe){.arch = "qwen3", .pre = "default"}, "is 'default'");
    refused(&(struct recipe){.arch = "llama", .skip = "tokens"}, "tokenizer.ggml.tokens");
    refused(&(struct recipe){.arch = "llama", .twice = 1}, "'a' is there twice");
    refused(&(struct recipe){.arch = "llama", .merge = 1}, "merge 0 ('a z')");
    refused(&(struct recipe){.arch = "llama", .kind = "llama"}, "tokenizer.ggml.scores");
    refused(&(struct recipe){.arch = "llama",
                             .extra_key = "tokenizer.ggml.unknown_token_id",
                             .rows = 0,
                             .skip = "x",
                             .twice = 1},
            "twice");
    refused(&(struct recipe){.arch = "llama", .extra_key = "tokenizer.ggml.add_bos_token"},
            "add_bos_token");
}

static int run_pre(const char *pre, struct err *e)
{
    memset(e, 0, sizeof *e);
    return import_run(&(struct import_opts){.file = file, .dir = dir, .dtype = DT_BF16, .pre = pre},
                      e);
}

/* --pre stands in for what the file does not say, or says wrongly. */
static void pre_named(void **state)
{
    struct err e;
    struct json *j;
    char path[160];

    (void)state;
    model_make(&(struct recipe){.arch = "llama", .pre = "-"});
    assert_int_equal(run_pre("best", &e), -1);
    assert_non_null(strstr(e.text, "--pre 'best'"));
    assert_int_equal(run_pre("", &e), -1);
    assert_int_equal(run_pre("llama-bpe", &e), 0);
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    j = json_read(path, &e);
    assert_int_equal(json_kind(json_get(json_get(j, "model"), "ignore_merges")), JSON_KIND_BOOL);
    assert_int_equal(json_kind(json_get(j, "post_processor")), JSON_KIND_OBJECT); /* BOS */
    assert_int_equal(json_count(json_get(json_get(j, "pre_tokenizer"), "pretokenizers")), 2);
    json_destroy(&j);
    assert_int_equal(fs_remove_tree(dir, &e), 0);
    model_make(&(struct recipe){.arch = "llama", .pre = "default"});
    assert_int_equal(run_pre("qwen2", &e), 0);
    assert_int_equal(fs_remove_tree(dir, &e), 0);
    model_make(&(struct recipe){.arch = "llama", .kind = "llama"});
    assert_int_equal(run_pre("qwen2", &e), -1);
    assert_non_null(strstr(e.text, "SentencePiece"));
}

static void bad_folders(void **state)
{
    struct err e;
    char inside[160];

    (void)state;
    model_make(&(struct recipe){.arch = "llama"});
    assert_int_equal(fs_mkdir(dir, &e), 0);
    snprintf(inside, sizeof inside, "%s/mine", dir);
    assert_int_equal(fs_publish(inside, "x", 1, &e), 0);
    assert_int_equal(run(DT_BF16, 0, &e), -1);
    assert_non_null(strstr(e.text, "not empty"));
    assert_int_equal(files_in(dir), 1);
    unlink(inside);
    assert_int_equal(run(DT_BF16, 0, &e), 0); /* empty: fine */
    assert_int_equal(files_in(root), 2);
    assert_int_equal(fs_remove_tree(dir, &e), 0);
    assert_int_equal(fs_publish(dir, "x", 1, &e), 0);
    assert_int_equal(run(DT_BF16, 0, &e), -1);
    assert_non_null(strstr(e.text, "not a folder"));
    unlink(file);
    unlink(dir);
    assert_int_equal(run(DT_BF16, 0, &e), -1);
    assert_non_null(strstr(e.text, "m.gguf"));
    assert_int_equal(e.kind, ERR_USE);
}

static void tiny(void **state)
{
    /* of the file, for each of two heads of four */
    static const int rows[8] = {0, 2, 1, 3, 4, 6, 5, 7};
    struct err e = {0};
    struct config c;
    struct st_set *s;
    float q[64], bf[8];

    (void)state;
    model_make(&(struct recipe){.arch = "llama", .untied = 1, .pre = "smollm"});
    assert_int_equal(run(DT_F32, 0, &e), 0);
    assert_int_equal(files_in(dir), 6);
    assert_int_equal(config_read(dir, &c, &e), 0);
    assert_true(c.d == 8 && c.layers == 1 && c.heads == 2 && c.kv_heads == 1 && c.head_dim == 4 &&
                c.ff == 8 && c.vocab == 6);
    assert_true(!c.tied && c.norm.eps == 1e-5 && c.rope.theta == 10000 && c.context == 64 &&
                c.eos == 0);
    config_release(&c);
    s = st_open_folder(dir, &e);
    assert_non_null(s);
    assert_int_equal(s->count, 12);
    assert_int_equal(
        st_load_rows_f32(s, st_find(s, "model.layers.0.self_attn.q_proj.weight"), 0, 8, q, &e), 0);
    for (int r = 0; r < 8; r++)
        assert_true(q[r * 8] == (float)(4 * 64 + rows[r] * 8) / 16);
    st_close(&s);
    assert_int_equal(fs_remove_tree(dir, &e), 0);

    model_make(&(struct recipe){.arch = "qwen3"});
    assert_int_equal(run(DT_BF16, 0, &e), 0);
    assert_int_equal(config_read(dir, &c, &e), 0);
    assert_true(c.tied && c.qk_norm);
    assert_string_equal(c.model_type, "qwen3");
    config_release(&c);
    s = st_open_folder(dir, &e);
    assert_null(st_find(s, "lm_head.weight"));
    assert_int_equal(
        st_load_rows_f32(s, st_find(s, "model.layers.0.self_attn.q_proj.weight"), 1, 1, bf, &e), 0);
    assert_true(bf[0] == bf16_to_f32(f32_to_bf16((float)(4 * 64 + 8) / 16))); /* not turned */
    st_close(&s);
    assert_int_equal(fs_remove_tree(dir, &e), 0);

    model_make(&(struct recipe){.arch = "qwen2", .untied = 1});
    assert_int_equal(run(DT_F32, 0, &e), 0);
    assert_int_equal(config_read(dir, &c, &e), 0);
    assert_string_equal(c.model_type, "qwen2");
    assert_true(c.attention_bias && !c.attention_out_bias && !c.tied);
    config_release(&c);
    s = st_open_folder(dir, &e);
    assert_int_equal(s->count, 15);
    assert_int_equal(
        st_load_rows_f32(s, st_find(s, "model.layers.0.self_attn.q_proj.bias"), 1, 1, bf, &e), 0);
    assert_true(bf[0] == (float)(14 * 64 + 1) / 16); /* not turned */
    st_close(&s);
    assert_int_equal(fs_remove_tree(dir, &e), 0);

    model_make(&(struct recipe){.arch = "llama", .window = 16});
    assert_int_equal(run(DT_F16, 0, &e), 0);
    assert_int_equal(config_read(dir, &c, &e), 0);
    assert_string_equal(c.model_type, "mistral");
    assert_int_equal(c.window, 16);
    config_release(&c);
}

/* ---- rope factors, in f32 as the reference computes them ---- */

static void reference_factors(float *out, size_t n, float theta, float factor, float low,
                              float high, float original)
{
    for (size_t i = 0; i < n; i++) {
        float f = 1 / powf(theta, (float)(2 * i) / (float)(2 * n)), wave = 6.283185307f / f, s;

        s = (original / wave - low) / (high - low);
        out[i] = wave < original / high  ? 1
                 : wave > original / low ? factor
                                         : 1 / ((1 - s) / factor + s);
    }
}

static void rope_factors(void **state)
{
    static const struct {
        size_t n;
        float theta, factor, low, high;
        int64_t original;
    } cases[] = {{64, 500000, 8, 1, 4, 8192},
                 {64, 500000, 32, 1, 4, 8192},
                 {32, 500000, 32, 1, 4, 8192},
                 {8, 500000, 8, 1, 4, 32},
                 {64, 10000, 4, 1, 4, 4096}};
    struct gguf_info m;
    float v[64];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        reference_factors(v, cases[i].n, cases[i].theta, cases[i].factor, cases[i].low,
                          cases[i].high, (float)cases[i].original);
        assert_int_equal(gguf_rope_factors(v, cases[i].n, cases[i].theta, &m), 0);
        assert_true(m.factor == cases[i].factor && m.low == cases[i].low &&
                    m.high == cases[i].high);
        if (cases[i].n > 8)
            assert_int_equal(m.original, cases[i].original);
        v[cases[i].n / 2] *= 1.001f;
        if (gguf_rope_factors(v, cases[i].n, cases[i].theta, &m) != -1)
            fail_msg("case %zu: %g %g %g %lld", i, m.factor, m.low, m.high, (long long)m.original);
    }
    for (size_t i = 0; i < 64; i++)
        v[i] = 1;
    assert_int_equal(gguf_rope_factors(v, 64, 10000, &m), 0);
    assert_true(m.factor == 0);
    v[3] = NAN;
    assert_int_equal(gguf_rope_factors(v, 64, 10000, &m), -1);
    v[3] = INFINITY;
    assert_int_equal(gguf_rope_factors(v, 64, 10000, &m), -1);
}

/* ---- llama.cpp's vectors ---- */

#define MARK "\n__ggml_vocab_test__\n"

static size_t vectors_run(const struct tokenizer *t, const char *in, const char *out)
{
    size_t cases = 0;

    for (;;) {
        const char *end = strstr(in, MARK), *line = strchrnul(out, '\n');
        size_t n = end ? (size_t)(end - in) : strlen(in), count, i = 0;
        struct err e = {0};
        int32_t *ids;
        char *at = (char *)(uintptr_t)out;

        assert_int_equal(tokenizer_encode(t, in, n, 0, 0, &ids, &count, &e), 0);
        while (at < line) {
            long want = strtol(at, &at, 10);

            if (i >= count || ids[i] != want)
                fail_msg("vector %zu: token %zu", cases, i);
            i++;
            at += strspn(at, " ");
        }
        assert_int_equal(i, count);
        free(ids);
        cases++;
        if (!end)
            return cases;
        assert_true(*line);
        out = line + 1;
        in = end + strlen(MARK);
    }
}

static void vectors(void **state)
{
    static const char *const names[] = {"gpt-2", "llama-spm", "phi-3"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char name[128], with[160];
        struct err e = {0};
        struct tokenizer *t;
        char *in, *out;
        size_t n;

        snprintf(name, sizeof name, "data/tok-vectors/ggml-vocab-%s.gguf", names[i]);
        shared_or_skip(gguf, name);
        assert_int_equal(
            import_run(
                &(struct import_opts){.file = gguf, .dir = dir, .dtype = DT_BF16, .vocab_only = 1},
                &e),
            0);
        assert_int_equal(files_in(dir), 3);
        t = tokenizer_open(dir, &e);
        assert_non_null(t);
        snprintf(with, sizeof with, "%s.inp", gguf);
        in = fs_read(with, 1 << 20, &n, &e);
        snprintf(with, sizeof with, "%s.out", gguf);
        out = fs_read(with, 1 << 20, &n, &e);
        assert_true(in && out);
        assert_int_equal(vectors_run(t, in, out), 47);
        assert_int_equal(tokenizer_bos(t), i == 0 ? -1 : 1);
        free(in);
        free(out);
        tokenizer_close(&t);
        assert_int_equal(fs_remove_tree(dir, &e), 0);
    }
}

/* ---- a real file ---- */

static void real(void **state)
{
    shared_or_skip(gguf, "data/tinystories-656k-gguf/TinyStories-656K-Q8_0.gguf");
    shared_or_skip(origin, "data/tinystories-656k/config.json");
    struct err e = {0};
    struct config c, o;
    char from[1024];
    struct st_set *a, *b;

    (void)state;
    snprintf(from, sizeof from, "%.*s", (int)(strrchr(origin, '/') - origin), origin);
    assert_int_equal(
        import_run(&(struct import_opts){.file = gguf, .dir = dir, .dtype = DT_F32}, &e), 0);
    assert_true(config_read(dir, &c, &e) == 0 && config_read(from, &o, &e) == 0);
    assert_true(c.d == o.d && c.layers == o.layers && c.heads == o.heads &&
                c.kv_heads == o.kv_heads && c.head_dim == o.head_dim);
    assert_true(c.ff == o.ff && c.vocab == o.vocab && c.context == o.context &&
                c.norm.eps == o.norm.eps && c.tied == o.tied);
    assert_true(c.rope.theta == o.rope.theta && c.rope.type == o.rope.type && c.bos == o.bos &&
                c.eos == o.eos);
    config_release(&c);
    config_release(&o);
    a = st_open_folder(dir, &e);
    b = st_open_folder(from, &e);
    assert_true(a && b);
    for (size_t i = 0; i < a->count; i++) {
        const struct st_entry *x = &a->entries[i], *y = st_find(b, x->name);
        size_t n = (size_t)x->bytes / 4;
        float *v = malloc(x->bytes), *w = malloc(x->bytes);

        y = y ? y : st_find(b, "lm_head.weight"); /* how that checkpoint names its tied matrix */
        assert_true(y->bytes == x->bytes);
        assert_int_equal(st_load_rows_f32(a, x, 0, x->shape[0], v, &e), 0);
        assert_int_equal(st_load_rows_f32(b, y, 0, y->shape[0], w, &e), 0);
        /* Q8_0 is within half a step of the largest of its 32, and a little for the f16 step */
        for (size_t k = 0; k < n; k += 32) {
            float most = 0;

            for (size_t j = k; j < k + 32; j++)
                most = fmaxf(most, fabsf(w[j]));
            for (size_t j = k; j < k + 32; j++)
                if (!(fabsf(v[j] - w[j]) <=
                      (x->ndim == 1 ? 0 : most * (0.5f / 127 + 0x1p-11f + 0x1p-20f))))
                    fail_msg("%s: element %zu: %g, not %g", x->name, j, (double)v[j], (double)w[j]);
        }
        free(v);
        free(w);
    }
    st_close(&a);
    st_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bad_models, root_make, root_remove),
        cmocka_unit_test_setup_teardown(bad_tokenizers, root_make, root_remove),
        cmocka_unit_test_setup_teardown(pre_named, root_make, root_remove),
        cmocka_unit_test_setup_teardown(bad_folders, root_make, root_remove),
        cmocka_unit_test_setup_teardown(tiny, root_make, root_remove),
        cmocka_unit_test(rope_factors),
        cmocka_unit_test_setup_teardown(vectors, root_make, root_remove),
        cmocka_unit_test_setup_teardown(real, root_make, root_remove),
    };

    log_init("test", LOG_QUIET);
    return cmocka_run_group_tests_name("import", tests, NULL, NULL);
}

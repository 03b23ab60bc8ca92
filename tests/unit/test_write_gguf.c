/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF files: blocks of codes; what is refused before anything is
 * written; and a whole run of a Llama model, whose file ptq-import makes the dense output of again,
 * bit for bit, with its tokenizer. */
#include "writer_run.h"

#include <math.h>

#include "../../common/format/format_gguf.h"
#include "../../common/model/gguf_model.h"
#include "../../common/text/tokenizer_gguf.h"
#include "../../common/text/gguf_tokenizer.h"
#include "../../common/tensor/gguf_folder.h"
#include "../../ops/tools/import/import.h"

#define LLAMA3                                                                             \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| " \
    "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define SPLIT(pattern, how)                                                                 \
    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":" \
    "\"" pattern "\"}," how                                                                 \
    "},{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]}"
#define ISOLATED "\"behavior\":\"Isolated\",\"invert\":false"
#define BYTES(pre)                                                                                 \
    "{\"added_tokens\":[{\"id\":5,\"content\":\"<s>\",\"special\":true},"                          \
    "{\"id\":6,\"content\":\"<tool>\",\"special\":false}],\"normalizer\":null,"                    \
    "\"pre_tokenizer\":" pre ",\"decoder\":{\"type\":\"ByteLevel\"},\"post_processor\":{"          \
    "\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}" \
    "},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"special_tokens\":{\"<s>\":{\"id\":\"<s>\","  \
    "\"ids\":[5],\"tokens\":[\"<s>\"]}}},\"model\":{\"type\":\"BPE\",\"ignore_merges\":true,"      \
    "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"c\":3,\"abc\":4},\"merges\":[\"a b\",[\"ab\",\"c\"]]}}"
#define SPM(normalizer, more) SPM_CUT(normalizer, more, "null")
#define SPM_CUT(normalizer, more, cut)                                                            \
    "{\"added_tokens\":[{\"id\":0,\"content\":\"<unk>\",\"special\":true},{\"id\":6,\"content\":" \
    "\"x\\u2581y\",\"special\":false,\"normalized\":false}],\"normalizer\":" normalizer           \
    ",\"pre_tokenizer\":" cut ",\"decoder\":null,\"post_processor\":null,\"model\":{\"type\":"    \
    "\"BPE\",\"unk_token\":\"<unk>\",\"fuse_unk\":true,\"byte_fallback\":true,\"vocab\":{"        \
    "\"<unk>\":0,\"<0x0A>\":1,\"\\u2581\":2,\"a\":3,\"\\u2581a\":4,\"\\u2581aa\":5" more "},"     \
    "\"merges\":[\"\\u2581 a\",\"\\u2581a a\"]}}"
#define PREPEND                                                                               \
    "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"\\u2581\"}," \
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\\u2581\"}]}"

/* ---- linears ---- */

static struct format_linear linear(int bits)
{
    return (struct format_linear){.name = "model.layers.0.mlp.up_proj",
                                  .N = 2,
                                  .K = 96,
                                  .bits = bits,
                                  .group = 32,
                                  .G = 3,
                                  .grid = &grid_sym,
                                  .scale_type = DT_F16,
                                  .symmetric = 1};
}

static void held_not(const struct format_linear *l, const char *word)
{
    struct err e = {0};

    assert_int_equal(format_find("gguf")->check(l, &e), -1);
    if (e.kind != ERR_USE || !strstr(e.text, word) || !strstr(e.text, l->name))
        fail_msg("'%s' does not say '%s'", e.text, word);
}

static void refuses_linears(void **state)
{
    struct format_linear l = linear(3);
    struct err e = {0};

    (void)state;
    held_not(&l, "4 or 8 bits (Q4_0, Q4_1, Q8_0), not 3");
    l = linear(4);
    l.group = 48;
    held_not(&l, "multiples");
    l.group = -1;
    assert_int_equal(format_find("gguf")->check(&l, &e), 0);
    l.K = 80;
    held_not(&l, "80 inputs");
    l = linear(4);
    l.grid = grid_find("asym");
    held_not(&l, "--grid sym or exact-asym");
    l.grid = grid_find("exact-asym");
    assert_int_equal(format_find("gguf")->check(&l, &e), 0);
    l = (struct format_linear){.name = "x", .N = 2, .K = 64, .scale_type = DT_COUNT};
    assert_int_equal(format_find("gguf")->check(&l, &e), 0); /* nothing known yet */
}

static int keep(void *ctx, const char *name, const void *data, size_t bytes, struct err *e)
{
    (void)name;
    (void)e;
    memcpy(ctx, data, bytes);
    return 0;
}

/* Blocks decode to what the codes stand for; scales that F16 cannot say are refused. */
static void blocks(void **state)
{
    uint8_t codes[2 * 96];
    float scales[6], want[2 * 96], got[2 * 96];
    uint16_t half[6];
    unsigned char bytes[2 * 3 * 34];
    struct err e = {0};

    (void)state;
    for (int bits = 4; bits <= 8; bits += 4) {
        struct format_linear l = linear(bits);
        struct coded c = {.grid = &grid_sym,
                          .N = 2,
                          .K = 96,
                          .G = 3,
                          .bits = bits,
                          .group = 32,
                          .codes = codes,
                          .scale_type = DT_F16,
                          .scales = half,
                          .tensor_scale = 1};

        for (size_t i = 0; i < sizeof codes; i++)
            codes[i] = (uint8_t)((i * 37 + i / 96) & ((1u << bits) - 1));
        for (size_t i = 0; i < 6; i++)
            half[i] = f32_to_f16((float)(i + 1) / 64);
        assert_int_equal(coded_decode(&c, 0, 2, want, &e), 0);
        assert_int_equal(format_find("gguf")->check_codes(&l, &c, &e), 0);
        assert_int_equal(format_find("gguf")->put(&l, &c, keep, bytes, &e), 0);
        assert_int_equal(gguf_decode(format_gguf_type(&l), bytes, 2 * 96, got), 0);
        assert_memory_equal(got, want, sizeof want);
        for (size_t i = 0; i < 6; i++)
            scales[i] = i == 4 ? 0.1f : 0.25f;
        c.scale_type = DT_F32;
        c.scales = scales;
        assert_int_equal(format_find("gguf")->check_codes(&l, &c, &e), -1);
        assert_non_null(strstr(e.text, "--scale-type f16"));
        assert_non_null(strstr(e.text, "row 1"));
    }
}

/* Zero points: what the grid makes is held exactly, another product is refused. */
static void least(void **state)
{
    const struct grid *grid = grid_find("exact-asym");
    const struct grid_fit fit = {4, DT_F16, 0, ZERO_NEAREST, 1};
    struct format_linear l = linear(4);
    uint8_t codes[2 * 96], zeros[6];
    float want[2 * 96], got[2 * 96];
    uint16_t half[6];
    unsigned char bytes[2 * 3 * 20];
    struct err e = {0};
    struct coded c = {.grid = grid,
                      .N = 2,
                      .K = 96,
                      .G = 3,
                      .bits = 4,
                      .group = 32,
                      .codes = codes,
                      .scale_type = DT_F16,
                      .scales = half,
                      .zeros = zeros,
                      .tensor_scale = 1};

    (void)state;
    l.grid = grid;
    l.symmetric = 0;
    for (size_t i = 0; i < sizeof codes; i++)
        codes[i] = (uint8_t)(i * 7 % 16);
    for (size_t round = 0; round < 200; round++) {
        for (size_t i = 0; i < 6; i++) {
            const double low = -0.001 * (double)(1 + (round * 6 + i) * 37 % 991);
            double scale, zero;
            int raised;

            assert_int_equal(grid->place(&fit, low, 0.37, 1, &scale, &zero, &raised), 0);
            half[i] = f32_to_f16((float)scale);
            zeros[i] = (uint8_t)zero;
        }
        assert_int_equal(coded_decode(&c, 0, 2, want, &e), 0);
        if (format_find("gguf")->check_codes(&l, &c, &e))
            fail_msg("%s", e.text);
        assert_int_equal(format_find("gguf")->put(&l, &c, keep, bytes, &e), 0);
        assert_int_equal(format_gguf_type(&l), GGUF_Q4_1);
        assert_int_equal(gguf_decode(GGUF_Q4_1, bytes, 2 * 96, got), 0);
        assert_memory_equal(got, want, sizeof want);
    }
    half[5] = 0x3001; /* eleven bits, times 15 */
    zeros[5] = 15;
    assert_int_equal(format_find("gguf")->check_codes(&l, &c, &e), -1);
    assert_non_null(strstr(e.text, "row 1 times its zero point 15"));
}

static void golden_load(const struct st_set *s, const char *name, struct tensor *t)
{
    struct err e = {0};

    assert_int_equal(st_load(s, st_find(s, name), t, &e), 0);
}

/* Codes and steps in, the bytes of llama.cpp's own package out. */
static void golden_bytes(const struct st_set *s, struct format_linear *l, const uint8_t *codes,
                         const float *d, const char *want)
{
    struct coded c = {.grid = &grid_sym,
                      .N = l->N,
                      .K = l->K,
                      .G = l->G,
                      .bits = l->bits,
                      .group = 32,
                      .codes = codes,
                      .scale_type = DT_F32,
                      .scales = d,
                      .tensor_scale = 1};
    unsigned char got[8 * 4 * 34];
    struct tensor bytes;
    struct err e = {0};

    golden_load(s, want, &bytes);
    assert_true(bytes.bytes <= sizeof got);
    if (format_find("gguf")->put(l, &c, keep, got, &e))
        fail_msg("%s", e.text);
    assert_memory_equal(got, bytes.data, bytes.bytes);
    tensor_release(&bytes);
}

static void goldens(void **state)
{
    struct err e = {0};
    struct st_set *s = st_open("tests/golden/pack/gguf.safetensors", &e);
    struct format_linear l = linear(4);
    struct tensor codes, d, w, bytes;
    uint8_t q[8 * 128];
    float steps[8 * 4];

    (void)state;
    assert_non_null(s);
    golden_load(s, "known4.codes", &codes);
    golden_load(s, "known4.d", &d);
    l.N = 4;
    l.K = 64;
    l.G = 2;
    golden_bytes(s, &l, codes.data, d.data, "known4.Q4_0.bytes");
    golden_load(s, "Q8_0.dequant", &w);
    golden_load(s, "Q8_0.bytes", &bytes);
    l = linear(8);
    l.N = 8;
    l.K = 128;
    l.G = 4;
    for (size_t b = 0; b < 32; b++) {
        dtype_to_f32(DT_F16, (const char *)bytes.data + b * 34, 1, &steps[b]);
        for (size_t i = b * 32; i < b * 32 + 32; i++)
            q[i] = (uint8_t)(128 + (int)roundf(((const float *)w.data)[i] / steps[b]));
    }
    golden_bytes(s, &l, q, steps, "Q8_0.bytes");
    tensor_release(&bytes);
    tensor_release(&w);
    tensor_release(&d);
    tensor_release(&codes);
    st_close(&s);
}

/* ---- a run ---- */

static void file_of(struct gguf **g, const char *formats, const struct tiny_opts *o)
{
    struct err e = {0};

    whole_run(formats, o, 0, 1, 0);
    if (!(*g = gguf_open(at(strchr(formats, ',') ? "@gguf/model.gguf" : "@model.gguf"), &e)))
        fail_msg("%s", e.text);
}

static void same_tensors(const char *a, const char *b)
{
    struct err e = {0};
    struct st_set *x = st_open_folder(a, &e), *y = st_open_folder(b, &e);

    assert_true(x && y);
    assert_int_equal(x->count, y->count);
    for (size_t i = 0; i < x->count; i++) {
        const struct st_entry *p = &x->entries[i], *q = st_find(y, p->name);
        struct tensor s, t;

        if (!q || q->bytes != p->bytes || q->dtype != p->dtype)
            fail_msg("'%s' is not there, or of another shape", p->name);
        assert_int_equal(st_load(x, p, &s, &e), 0);
        assert_int_equal(st_load(y, q, &t, &e), 0);
        if (memcmp(s.data, t.data, s.bytes))
            fail_msg("'%s' has other numbers", p->name);
        tensor_release(&s);
        tensor_release(&t);
    }
    st_close(&x);
    st_close(&y);
}

static void there_and_back(void **state)
{
    struct tiny_opts o = TINY_OPTS;
    struct err e = {0};
    struct gguf *g;

    (void)state;
    put(at("model/tokenizer.json"), BYTES(SPLIT(LLAMA3, ISOLATED)));
    put(at("model/tokenizer_config.json"),
        "{\"eos_token\":{\"content\":\"<tool>\"},\"chat_template\":\"{{ messages }}\"}");
    for (o.bits = 4; o.bits <= 8; o.bits += 4) {
        file_of(&g, "gguf,dense", &o);
        assert_int_equal(gguf_find(g, "blk.1.attn_q.weight")->type,
                         o.bits == 4 ? GGUF_Q4_0 : GGUF_Q8_0);
        assert_int_equal(gguf_find(g, "blk.1.attn_q.bias")->type, GGUF_F32);
        assert_int_equal(gguf_find(g, "token_embd.weight")->type, GGUF_BF16);
        assert_null(gguf_find(g, "output.weight")); /* tied */
        gguf_close(&g);
        if (import_run(&(struct import_opts){at("@gguf/model.gguf"), at("back"), DT_BF16, 0, NULL},
                       &e))
            fail_msg("%s", e.text);
        same_tensors(at("@dense"), at("back"));
        assert_int_equal(fs_remove_tree(at("back"), &e), 0);
    }
}

static int64_t number(const struct gguf *g, const char *key)
{
    int64_t v = -1;

    json_as_int(json_get(g->meta, key), &v);
    return v;
}

static const char *word(const struct gguf *g, const char *key, int i)
{
    const struct json *j = json_get(g->meta, key);
    const char *text = json_as_text(i < 0 ? j : json_at(j, (size_t)i));

    return text ? text : "";
}

static void metadata(void **state)
{
    struct gguf *g;
    int64_t type;
    int yes = 0;

    (void)state;
    put(at("model/tokenizer.json"), BYTES(SPLIT(LLAMA3, ISOLATED)));
    put(at("model/tokenizer_config.json"),
        "{\"eos_token\":{\"content\":\"<tool>\"},\"chat_template\":\"{{ messages }}\"}");
    file_of(&g, "gguf", &(struct tiny_opts)TINY_OPTS);
    assert_string_equal(word(g, "general.architecture", -1), "llama");
    assert_int_equal(number(g, "general.file_type"), 2);
    assert_int_equal(number(g, "llama.attention.head_count_kv"), 2);
    assert_int_equal(number(g, "llama.vocab_size"), TINY_VOCAB);
    assert_string_equal(word(g, "tokenizer.ggml.model", -1), "gpt2");
    assert_string_equal(word(g, "tokenizer.ggml.pre", -1), "llama-bpe");
    assert_string_equal(word(g, "tokenizer.ggml.merges", 1), "ab c");
    assert_string_equal(word(g, "tokenizer.ggml.tokens", 5), "<s>");
    assert_string_equal(word(g, "tokenizer.ggml.tokens", 7), "[PAD7]");
    assert_int_equal(json_count(json_get(g->meta, "tokenizer.ggml.tokens")), TINY_VOCAB);
    for (size_t i = 4; i < 8; i++) {
        assert_int_equal(
            json_as_int(json_at(json_get(g->meta, "tokenizer.ggml.token_type"), i), &type), 0);
        assert_int_equal(type, i == 4   ? TOKEN_NORMAL
                               : i == 5 ? TOKEN_CONTROL
                               : i == 6 ? TOKEN_USER
                                        : TOKEN_UNUSED);
    }
    assert_int_equal(number(g, "tokenizer.ggml.bos_token_id"), 5);
    assert_int_equal(number(g, "tokenizer.ggml.eos_token_id"), 6);
    assert_int_equal(json_as_bool(json_get(g->meta, "tokenizer.ggml.add_bos_token"), &yes), 0);
    assert_true(yes);
    assert_string_equal(word(g, "tokenizer.chat_template", -1), "{{ messages }}");
    assert_non_null(strstr(word(g, "ptqflow.records", -1), "\"stage\":\"solve\""));
    gguf_close(&g);
}

/* The order of the merges is that of the scores; a reader gets the same merges back. */
static void sentencepiece(void **state)
{
    struct gguf_tokenizer t = {0};
    struct err e = {0};
    struct gguf *g;
    const struct json *merges;

    (void)state;
    put(at("model/tokenizer.json"), SPM(PREPEND, ""));
    put(at("model/tokenizer_config.json"), "{\"unk_token\":\"<unk>\"}");
    file_of(&g, "gguf", &(struct tiny_opts)TINY_OPTS);
    assert_string_equal(word(g, "tokenizer.ggml.model", -1), "llama");
    assert_string_equal(word(g, "tokenizer.ggml.tokens", 6), "x y");
    assert_int_equal(number(g, "tokenizer.ggml.unknown_token_id"), 0);
    if (gguf_tokenizer_make(g, NULL, &t, &e))
        fail_msg("%s", e.text);
    assert_null(t.warning);
    merges = json_get(json_get(t.tokenizer, "model"), "merges");
    assert_int_equal(json_count(merges), 2);
    gguf_tokenizer_release(&t);
    gguf_close(&g);
    put(at("model/tokenizer.json"),
        SPM_CUT("{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\\u2581\"}", "",
                "{\"type\":\"Split\",\"pattern\":{\"String\":\" \"},\"behavior\":"
                "\"MergedWithPrevious\",\"invert\":false}"));
    file_of(&g, "gguf", &(struct tiny_opts)TINY_OPTS); /* as Gemma has it */
    assert_string_equal(word(g, "tokenizer.ggml.model", -1), "llama");
    gguf_close(&g);
}

static void refuses_models(void **state)
{
    static const struct {
        const char *tokenizer, *word;
    } cases[] = {
        {"{\"a\": 1}", "model"},
        {BYTES(SPLIT("[a-z]+", ISOLATED)), "llama.cpp has no name for"},
        {BYTES(SPLIT(LLAMA3, "\"behavior\":\"MergedWithNext\",\"invert\":false")), "no name for"},
        {SPM("{\"type\":\"NFKC\"}", ""), "SentencePiece"},
        {SPM(PREPEND, ",\"aa\":7"), "has 2 merges where a SentencePiece model of its tokens has 4"},
        {"{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"byte_fallback\":true,\"vocab\":[[\"?\",0]"
         "]}}",
         "the model is 'Unigram'"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"?\":0},\"unk_token\":\"?\"}}",
         "the model is 'WordLevel'"},
    };
    static const struct {
        const char *from, *to, *word;
    } configs[] = {
        {"\"rope_theta\": 10000.0", "\"rope_scaling\":{\"rope_type\":\"dynamic\",\"factor\":2.0}",
         "dynamic"},
        {"\"vocab_size\": 40", "\"vocab_size\": 40, \"partial_rotary_factor\": 0.5", "part"},
    };
    struct writer *w;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put(at("model/tokenizer.json"), cases[i].tokenizer);
        refused("gguf", 1, ERR_USE, cases[i].word);
    }
    put(at("model/tokenizer.json"), BYTES(SPLIT(LLAMA3, ISOLATED)));
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        char text[2048];
        const char *from = strstr(tiny_config, configs[i].from);

        snprintf(text, sizeof text, "%.*s%s%s", (int)(from - tiny_config), tiny_config,
                 configs[i].to, from + strlen(configs[i].from));
        put(at("model/config.json"), text);
        refused("gguf", 1, ERR_USE, configs[i].word);
    }
    put(at("model/config.json"), tiny_config);
    assert_int_equal(unlink(at("model/tokenizer.json")), 0);
    refused("gguf", 1, ERR_USE, "has no tokenizer.json");
    put(at("model/tokenizer.json"), BYTES(SPLIT(LLAMA3, ISOLATED)));
    w = need_open("gguf", 1);
    give_refused(w, 0, &(struct tiny_opts){4, 32, DT_F16, 1, 0, NULL}, "gguf format: ");
    write_close(&w);
}

static void config_of(const char *name, struct config *c)
{
    struct err e = {0};
    char dir[64];

    snprintf(dir, sizeof dir, "tests/golden/conformance/%s", name);
    if (config_read(dir, c, &e))
        fail_msg("%s", e.text);
}

/* Frequencies, places, and what llama.cpp would compute otherwise, of real configs. */
static void models(void **state)
{
    struct st_set *s = NULL;
    struct gguf_info m = {.head_dim = 0};
    struct gguf_meta meta = {0};
    struct gguf_place p;
    struct err e = {0};
    struct config c;
    struct gguf_table tables[GGUF_TABLES];

    (void)state;
    config_of("llama3", &c);
    assert_int_equal(gguf_model_tables(&c, tables, &e), 0);
    assert_int_equal(tables[0].n, c.head_dim / 2);
    assert_null(tables[1].values);
    assert_int_equal(gguf_rope_factors(tables[0].values, tables[0].n, c.rope.theta, &m), 0);
    assert_true(m.factor == c.rope.factor && m.low == 1 && m.high == 4 &&
                (size_t)m.original == c.rope.original);
    gguf_model_tables_release(tables);
    assert_non_null(s = st_open_folder("tests/golden/conformance/llama3", &e));
    assert_int_equal(gguf_model_place(&c, s, "model.layers.2.self_attn.k_proj.weight", &p, &e), 0);
    assert_string_equal(p.name, "blk.2.attn_k.weight");
    assert_int_equal(p.head_rows, c.head_dim);
    assert_int_equal(gguf_model_place(&c, s, "model.layers.2.self_attn.v_proj.weight", &p, &e), 0);
    assert_int_equal(p.head_rows, 0);
    assert_int_equal(gguf_model_place(&c, s, "model.layers.0.rotary_emb.inv_freq", &p, &e), 0);
    assert_true(p.left_out);
    assert_int_equal(gguf_model_place(&c, s, "model.layers.99.mlp.up_proj.weight", &p, &e), -1);
    assert_int_equal(gguf_model_place(&c, s, "model.layers.0.extra.weight", &p, &e), -1);
    assert_non_null(strstr(e.text, "'model.layers.0.extra.weight' has no place"));
    config_release(&c);
    config_of("qwen3", &c);
    assert_int_equal(gguf_model_place(&c, s, "model.layers.0.self_attn.k_proj.weight", &p, &e), 0);
    assert_int_equal(p.head_rows, 0);
    assert_int_equal(gguf_model_tables(&c, tables, &e), 0);
    assert_null(tables[0].values);
    c.attention_bias = 1;
    assert_int_equal(gguf_model_meta("nowhere", &c, &meta, &e), -1);
    assert_non_null(strstr(e.text, "biases in attention"));
    config_release(&c);
    config_of("mistral", &c);
    assert_int_equal(gguf_model_meta("nowhere", &c, &meta, &e), -1);
    assert_non_null(strstr(e.text, "a sliding window"));
    snprintf(c.model_type, sizeof c.model_type, "gemma7");
    assert_int_equal(gguf_model_meta("nowhere", &c, &meta, &e), -1);
    assert_non_null(strstr(e.text, "model type gemma7"));
    config_release(&c);
    st_close(&s);
    gguf_meta_release(&meta);
}

/* Row i of a head goes where the interleaved order wants it. */
static void weave(void **state)
{
    const uint16_t in[6] = {0, 1, 2, 3, 4, 5}, want[6] = {0, 3, 1, 4, 2, 5};
    uint16_t got[6];

    (void)state;
    gguf_model_weave(in, got, 6, sizeof *in);
    assert_memory_equal(got, want, sizeof want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_linears),
        cmocka_unit_test(blocks),
        cmocka_unit_test(goldens),
        cmocka_unit_test(least),
        cmocka_unit_test(weave),
        cmocka_unit_test(models),
        cmocka_unit_test_teardown(refuses_models, remove_out),
        cmocka_unit_test_teardown(metadata, remove_out),
        cmocka_unit_test_teardown(sentencepiece, remove_out),
        cmocka_unit_test_teardown(there_and_back, remove_out),
    };

    return cmocka_run_group_tests(tests, make_root, remove_root);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* ptq-check: a checkpoint of each format is whole; each damage is told by name, and all of them. */
#include "../../common/format/format_gptq.h"
#include "../../common/tensor/blas.h"
#include "../../ops/tools/check/check.h"
#include "../../ops/tools/check/check_gguf.h"
#include "gguf_build.h"
#include "writer_run.h"

/* What check_folder prints and returns. */
static int said(const char *dir, int json, char **text)
{
    struct err e = {0};
    size_t length;
    FILE *f = open_memstream(text, &length);
    const int rc = check_folder(dir, json, f, &e);

    fclose(f);
    if (rc < 0)
        fail_msg("%s", e.text);
    return rc;
}

static void finds(const char *word)
{
    char *text;

    assert_int_equal(said(out, 0, &text), 1);
    if (!strstr(text, word))
        fail_msg("'%s' does not say '%s'", text, word);
    free(text);
}

/* Writes the weights anew, with one tensor otherwise (data), under another name, or left out. */
static void rewrite(const char *tensor, const char *name, const void *data)
{
    struct err e = {0};
    struct st_set *s = st_open_folder(out, &e);
    struct st_writer *w = st_create(at("@model.safetensors"), &e);

    assert_non_null(s);
    assert_non_null(w);
    assert_non_null(st_find(s, tensor));
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < s->count; i++) {
            const struct st_entry *x = &s->entries[i];
            const int hit = strcmp(x->name, tensor) == 0;
            const char *as = hit ? name : x->name;

            if (!as)
                continue;
            if (!round)
                assert_int_equal(st_declare(w, as, x->dtype, x->ndim, x->shape, &e), 0);
            else if (hit && data)
                assert_int_equal(st_put(w, as, data, x->bytes, &e), 0);
            else
                assert_int_equal(st_copy(w, as, s, x, &e), 0);
        }
        if (!round)
            assert_int_equal(st_begin(w, &e), 0);
    }
    assert_int_equal(st_publish(&w, &e), 0);
    st_close(&s);
}

static void refuses_what_is_no_checkpoint(void **state)
{
    struct err e = {0};

    (void)state;
    assert_int_equal(check_folder("/nowhere", 0, stdout, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    assert_int_equal(check_folder(root, 0, stdout, &e), -1);
}

static void what_we_write_is_whole(void **state)
{
    const struct format *f;
    char *text;

    (void)state;
    for (size_t i = 0; (f = format_at(i)); i++) {
        if (f->container != FORMAT_FOLDER || !f->put)
            continue;
        whole_run(f->name, &(struct tiny_opts)TINY_OPTS, 0, 1, 0);
        assert_int_equal(said(out, 0, &text), 0);
        assert_non_null(strstr(text, "total  14 linears, "));
        assert_non_null(strstr(text, "0 problems, 0 warnings\nloads in: "));
        assert_true(!f->engines->name || strstr(text, "loads in: transformers"));
        free(text);
    }
    assert_int_equal(said(model, 1, &text), 0);
    assert_non_null(strstr(text, "{\"format\":\"dense\",\"linears\":14,\"quantized\":0,"));
    free(text);
}

#define UP "model.layers.1.mlp.up_proj"

static void numbers(void **state)
{
    static uint16_t scales[96 * 4];
    static int32_t groups[64];
    static float norm[64];

    (void)state;
    whole_run("gptq", &(struct tiny_opts)TINY_OPTS, 0, 1, 0);
    scales[9] = 0x7c00; /* infinite */
    rewrite(UP ".scales", UP ".scales", scales);
    finds("problem: ");
    finds("'" UP ".scales' holds NaN or infinite numbers\n");
    whole_run("gptq", &(struct tiny_opts)TINY_OPTS, 0, 1, 0);
    groups[5] = 99;
    rewrite(UP ".g_idx", UP ".g_idx", groups);
    finds("'" UP ".g_idx': group 99 of input 5 is outside 0 to 1\n");
    whole_run("gptq", &(struct tiny_opts)TINY_OPTS, 0, 1, 0);
    memset(norm, 0xff, sizeof norm);
    rewrite("model.norm.weight", "model.norm.weight", norm);
    finds("tensor 'model.norm.weight' has NaN or infinite numbers\n");
}

static void zero_points(void **state)
{
    static uint32_t words[2 * 96 * 4 / 32];

    (void)state;
    whole_run("gptq", &(struct tiny_opts)TINY_OPTS, 0, 1, 0);
    memset(words, 0x77, sizeof words);
    words[0] = 0x777777f7; /* of row 1: 15 + 1 */
    rewrite(UP ".qzeros", UP ".qzeros", words);
    finds("'" UP "': zero point 16 (row 1, group 0) is beyond 4 bits");
}

static void tensors_that_lack(void **state)
{
    char *text;

    (void)state;
    whole_run("gptq", &(struct tiny_opts)TINY_OPTS, 0, 1, 0);
    rewrite(UP ".qzeros", NULL, NULL);
    finds("tensor '" UP ".qzeros' is missing");
    whole_run("gptq", &(struct tiny_opts)TINY_OPTS, 0, 1, 0);
    rewrite("model.norm.weight", NULL, NULL);
    finds("model.norm.weight");
    whole_run("gptq", &(struct tiny_opts)TINY_OPTS, 0, 1, 0);
    rewrite("model.norm.weight", UP ".weight", NULL);
    finds("'" UP "' is there twice: as NAME.weight and as NAME.qweight");
    /* all that is wrong, in JSON too */
    whole_run("gptq", &(struct tiny_opts)TINY_OPTS, 0, 1, 0);
    rewrite(UP ".scales", NULL, NULL);
    rewrite("model.layers.0.mlp.down_proj.qzeros", NULL, NULL);
    assert_int_equal(said(out, 1, &text), 1);
    assert_non_null(strstr(text, "{\"problem\":\""));
    assert_non_null(strstr(text, UP ".scales"));
    assert_non_null(strstr(text, "layers.0.mlp.down_proj.qzeros"));
    assert_non_null(strstr(text, "\"problems\":2,\"warnings\":0"));
    free(text);
}

/* Adds a tensor from a folder, under another name. */
static void graft(const char *dir, const char *tensor, const char *as)
{
    struct err e = {0};
    struct st_set *s = st_open_folder(out, &e), *from = st_open_folder(dir, &e);
    struct st_writer *w = st_create(at("@model.safetensors"), &e);

    assert_true(s && from && w);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i <= s->count; i++) {
            const int new = i == s->count;
            const struct st_entry *x = new ? st_find(from, tensor) : &s->entries[i];
            const char *name = new ? as : x->name;

            assert_int_equal(round ? st_copy(w, name, new ? from : s, x, &e)
                                   : st_declare(w, name, x->dtype, x->ndim, x->shape, &e),
                             0);
        }
        if (!round)
            assert_int_equal(st_begin(w, &e), 0);
    }
    assert_int_equal(st_publish(&w, &e), 0);
    st_close(&s);
    st_close(&from);
}

/* A head that is packed as the linears are. */
static void what_the_model_does_not_know(void **state)
{
    (void)state;
    whole_run("gptq", &(struct tiny_opts)TINY_OPTS, 0, 1, 0);
    graft(out, UP ".qweight", "head.qweight");
    graft(out, UP ".qzeros", "head.qzeros");
    graft(out, UP ".scales", "head.scales");
    finds("'head' is stored as GPTQ, but is no linear that is known here");
}

static void configs(void **state)
{
    char *text;

    (void)state;
    whole_run("gptq", &(struct tiny_opts)TINY_OPTS, 0, 1, 0);
    put(at("@quantize_config.json"), "{\"bits\": 4}\n");
    finds("quantize_config.json says other than quantization_config of config.json");
    whole_run("dense", &(struct tiny_opts)TINY_OPTS, 0, 1, 0);
    assert_int_equal(said(out, 0, &text), 0);
    free(text);
}

#define Q "model.layers.0.self_attn.q_proj"

static void what_engines_fuse(void **state)
{
    char *text;

    (void)state;
    whole_run("gptq", &(struct tiny_opts)TINY_OPTS, 0, 1, 0);
    rewrite(Q ".qweight", NULL, NULL);
    rewrite(Q ".qzeros", NULL, NULL);
    rewrite(Q ".scales", NULL, NULL);
    rewrite(Q ".g_idx", NULL, NULL);
    graft(model, Q ".weight", Q ".weight");
    assert_int_equal(said(out, 0, &text), 0);
    assert_non_null(strstr(text, "warning: '" Q "' and 'model.layers.0.self_attn.k_proj' are of "
                                 "different kinds: engines that fuse them into qkv_proj"));
    assert_non_null(strstr(text, "13 quantized (GPTQ); 0 problems, 1 warning\n"));
    free(text);
}

/* A step for each thing that is wrong; every one of them names its key. */
static void words_of_gguf(void **state)
{
    static const char *const tokens[] = {"a", "b", "c"},
                             *const wrong[] = {"model' is missing",
                                               "token_type' has 2 items, for 3 tokens",
                                               "scores' has 4 items, for 3 tokens",
                                               "bos_token_id' is 3, the vocabulary has 3 tokens",
                                               "eos_token_id' is not an integer"};
    static const int32_t types[] = {1, 1};
    static const float scores[4];
    struct err e = {0};
    struct gguf *g;
    struct gb b;
    size_t n = 0;

    (void)state;
    gb_start(&b);
    gb_key_texts(&b, "tokenizer.ggml.tokens", tokens, 3);
    gb_key_ints(&b, "tokenizer.ggml.token_type", types, 2);
    gb_key_floats(&b, "tokenizer.ggml.scores", scores, 4);
    gb_key_u32(&b, "tokenizer.ggml.bos_token_id", 3);
    gb_key_f32(&b, "tokenizer.ggml.eos_token_id", 1);
    gb_key_u32(&b, "tokenizer.ggml.padding_token_id", 2);
    gb_pad(&b);
    assert_non_null(g = gguf_parse(b.bytes, b.n, b.n, "w.gguf", &e));
    for (size_t step = 0; check_gguf(g, step, &e); step++) {
        if (e.kind == ERR_NONE)
            continue;
        assert_true(n < sizeof wrong / sizeof *wrong);
        assert_non_null(strstr(e.text, wrong[n++]));
        e = (struct err){0};
    }
    assert_int_equal(n, sizeof wrong / sizeof *wrong);
    gguf_close(&g);
    gb_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_no_checkpoint),
        cmocka_unit_test(words_of_gguf),
        cmocka_unit_test_teardown(what_we_write_is_whole, remove_out),
        cmocka_unit_test_teardown(numbers, remove_out),
        cmocka_unit_test_teardown(zero_points, remove_out),
        cmocka_unit_test_teardown(tensors_that_lack, remove_out),
        cmocka_unit_test_teardown(what_the_model_does_not_know, remove_out),
        cmocka_unit_test_teardown(configs, remove_out),
        cmocka_unit_test_teardown(what_engines_fuse, remove_out),
    };
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("check", tests, make_root, remove_root);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Models with experts, and of other families than Llama, as GGUF files: where their tensors go,
 * which models are refused, and that overrides may not make the experts of a block different. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/base/fs.h"
#include "../../common/model/config_read.h"
#include "../../common/model/gguf_model.h"
#include "../../common/run/override.h"

/* The config of a family, with another text in it where `from` stands. */
static void config_of(const char *family, const char *from, const char *to, struct config *c)
{
    char path[96], text[8192], *at;
    struct err e = {0};
    size_t n;
    char *file;

    snprintf(path, sizeof path, "tests/fuzz/corpus/config/%s.json", family);
    assert_non_null(file = fs_read(path, 4096, &n, &e));
    if ((at = strstr(file, "_size\": 48"))) /* inputs of experts: whole blocks of a GGUF file */
        memcpy(at, "_size\": 64", 10);
    at = from ? strstr(file, from) : file;
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - file), file, from ? to : "",
             at + (from ? strlen(from) : 0));
    if (config_parse(text, strlen(text), path, c, &e))
        fail_msg("%s", e.text);
    free(file);
}

static void placed(const struct config *c, const char *tensor, const char *want, uint64_t matrices,
                   uint64_t which, int exact)
{
    const struct st_set none = {.count = 0};
    struct gguf_place p;
    struct err e = {0};

    if (gguf_model_place(c, &none, tensor, &p, &e))
        fail_msg("%s", e.text);
    assert_string_equal(p.name, want);
    assert_true(p.matrices == matrices && p.which == which && p.exact == exact);
}

static void no_place(const struct config *c, const char *tensor)
{
    const struct st_set none = {.count = 0};
    struct gguf_place p;
    struct err e = {0};

    assert_int_equal(gguf_model_place(c, &none, tensor, &p, &e), -1);
    assert_non_null(strstr(e.text, tensor));
}

static void places(void **state)
{
    struct config c;

    (void)state;
    config_of("qwen3_moe", NULL, NULL, &c);
    assert_true(c.experts > 1 && c.layers > 1);
    placed(&c, "model.layers.1.mlp.experts.1.gate_proj.weight", "blk.1.ffn_gate_exps.weight",
           c.experts, 1, 0);
    placed(&c, "model.layers.0.mlp.experts.0.down_proj.weight", "blk.0.ffn_down_exps.weight",
           c.experts, 0, 0);
    placed(&c, "model.layers.0.mlp.gate.weight", "blk.0.ffn_gate_inp.weight", 0, 0, 1);
    placed(&c, "model.layers.0.self_attn.o_proj.weight", "blk.0.attn_output.weight", 0, 0, 0);
    no_place(&c, "model.layers.0.mlp.experts.1000.up_proj.weight");
    no_place(&c, "model.layers.0.mlp.experts.-1.up_proj.weight");
    no_place(&c, "model.layers.0.mlp.experts.1.w1.weight");
    config_release(&c);
    config_of("mixtral", NULL, NULL, &c);
    placed(&c, "model.layers.0.block_sparse_moe.experts.1.w3.weight", "blk.0.ffn_up_exps.weight",
           c.experts, 1, 0);
    placed(&c, "model.layers.0.block_sparse_moe.gate.weight", "blk.0.ffn_gate_inp.weight", 0, 0, 1);
    config_release(&c);
    config_of("qwen3", NULL, NULL, &c);
    no_place(&c, "model.layers.0.mlp.experts.0.up_proj.weight");
    config_release(&c);
}

static void refused(const char *family, const char *from, const char *to, const char *word)
{
    struct gguf_meta m = {0};
    struct err e = {0};
    struct config c;

    config_of(family, from, to, &c);
    assert_int_equal(gguf_model_meta("nowhere", &c, &m, &e), -1);
    if (!strstr(e.text, word))
        fail_msg("'%s' does not say '%s'", e.text, word);
    gguf_meta_release(&m);
    config_release(&c);
}

static void refuses_models(void **state)
{
    (void)state;
    refused("qwen3_moe", "\"norm_topk_prob\": true", "\"norm_topk_prob\": false", "weigh experts");
    refused("qwen2_moe", NULL, NULL, "not written for model type qwen2_moe");
    refused("qwen3_moe", NULL, NULL, "blocks without experts");
    refused("mixtral", NULL, NULL, "nowhere"); /* only its tokenizer is missing */
}

static void shifted(const struct config *c, const char *tensor, const char *want, float shift)
{
    const struct st_set none = {.count = 0};
    struct gguf_place p;
    struct err e = {0};

    if (gguf_model_place(c, &none, tensor, &p, &e))
        fail_msg("%s", e.text);
    assert_string_equal(p.name, want);
    assert_true(p.shift == shift);
}

/* Gemma's norms are 1 + w in the file; Phi-3's fused matrices stay fused; what llama.cpp would
 * compute otherwise. */
static void other_families(void **state)
{
    struct gguf_table t[GGUF_TABLES];
    struct err e = {0};
    struct config c;

    (void)state;
    config_of("gemma2", NULL, NULL, &c);
    shifted(&c, "model.layers.1.post_attention_layernorm.weight",
            "blk.1.post_attention_norm.weight", 1);
    shifted(&c, "model.layers.1.pre_feedforward_layernorm.weight", "blk.1.ffn_norm.weight", 1);
    shifted(&c, "model.norm.weight", "output_norm.weight", 1);
    shifted(&c, "model.layers.0.mlp.up_proj.weight", "blk.0.ffn_up.weight", 0);
    config_release(&c);
    refused("gemma2", NULL, NULL, "another scale of scores");
    refused("gemma2", "\"query_pre_attn_scalar\": 40", "\"query_pre_attn_scalar\": 24", "nowhere");
    refused("gemma2", "\"attn_logit_softcapping\": 4.0", "\"attn_logit_softcapping\": null",
            "scale of scores");
    config_of("phi3-longrope", NULL, NULL, &c);
    shifted(&c, "model.layers.0.self_attn.qkv_proj.weight", "blk.0.attn_qkv.weight", 0);
    shifted(&c, "model.layers.0.mlp.gate_up_proj.weight", "blk.0.ffn_up.weight", 0);
    no_place(&c, "model.layers.0.self_attn.q_proj.weight");
    assert_int_equal(gguf_model_tables(&c, t, &e), 0);
    assert_true(t[0].n == c.rope.width / 2 && t[1].n == t[0].n && t[0].values[0] > t[1].values[0]);
    gguf_model_tables_release(t);
    config_release(&c);
    refused("phi3-longrope", NULL, NULL, "nowhere");
    refused("phi3", NULL, NULL, "a sliding window");
}

static int checked(const struct sites *s, const char *line, struct err *e)
{
    const struct format *f = format_find("gguf");
    const struct format_linear all = {
        .bits = 4, .group = 32, .grid = &grid_sym, .scale_type = DT_F16};
    struct overrides o = OVERRIDES_NONE;
    int rc;

    *e = (struct err){0};
    assert_int_equal(overrides_add(&o, line, strlen(line), "test", e), 0);
    rc = overrides_check_shapes(&o, s, &all, &f, 1, e);
    overrides_release(&o);
    return rc;
}

static void refuses_differences(void **state)
{
    struct err e = {0};
    struct config c;
    struct sites s;

    (void)state;
    config_of("qwen3_moe", NULL, NULL, &c);
    assert_int_equal(sites_make(&s, &c, &e), 0);
    if (checked(&s, "*.down_proj: bits=8", &e))
        fail_msg("%s", e.text);
    assert_int_equal(checked(&s, "b0.*: skip", &e), 0);
    assert_int_equal(checked(&s, "b2.expert.1.down: bits=8", &e), -1);
    assert_non_null(strstr(e.text, "'model.layers.2.mlp.experts.0.down_proj' and "
                                   "'model.layers.2.mlp.experts.1.down_proj'"));
    assert_int_equal(checked(&s, "b0.expert.1.up: skip", &e), -1);
    assert_non_null(strstr(e.text, "override all of them alike"));
    sites_release(&s);
    config_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(places), cmocka_unit_test(refuses_models),
                                       cmocka_unit_test(other_families),
                                       cmocka_unit_test(refuses_differences)};

    return cmocka_run_group_tests_name("gguf_experts", tests, NULL, NULL);
}

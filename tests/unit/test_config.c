/* SPDX-License-Identifier: Apache-2.0 */
/* test_config - config.json: refusals by name first, then both generations of keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "../../common/model/config.h"
#include "../../common/model/config_read.h"
#include "../../common/model/sites.h"

#define BASE                                                                      \
    "\"hidden_size\": 64, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, " \
    "\"intermediate_size\": 160, \"vocab_size\": 320"
#define LLAMA "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], " BASE

static int parse(const char *text, struct config *c, struct err *e)
{
    memset(e, 0, sizeof *e);
    return config_parse(text, strlen(text), "config.json", c, e);
}

#define LINEAR ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 4.0}"
#define DEFAULT ", \"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 7.0}"

/* Refused as wrong input, with both words in the message. */
static void refused(const char *text, const char *word, const char *other)
{
    struct config c;
    struct err e;

    assert_int_equal(parse(text, &c, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, word) || !strstr(e.text, other) || !strstr(e.text, "config.json"))
        fail_msg("'%s' does not name '%s' and '%s'", e.text, word, other);
    assert_null(c.json);
}

static void test_refused(void **state)
{
    (void)state;
    refused("[1]", "object", "");
    refused("{", "", "");
    refused("{" BASE "}", "model_type", "");
    refused("{\"model_type\": \"gemma\", " BASE "}", "model_type", "gemma");
    refused("{\"model_type\": \"gemma\", " BASE "}", "near it is gemma2", "ptq families");
    refused(
        "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForTokenClassification\"], " BASE
        "}",
        "architecture", "LlamaForTokenClassification");
    refused("{\"model_type\": \"llama\", \"architectures\": \"x\", " BASE "}", "architectures",
            "array");
    refused("{\"model_type\": \"llama\", \"hidden_size\": 64}", "num_hidden_layers", "");
    refused(LLAMA ", \"hidden_act\": \"mish\"}", "hidden_act", "mish");
    refused(LLAMA ", \"hidden_act\": 3}", "hidden_act", "");
    refused(LLAMA ", \"rope_scaling\": {\"rope_type\": \"mrope\", \"factor\": 4.0}}", "rope type",
            "mrope");
    refused(LLAMA ", \"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 0.5}}", "factor",
            "below 1");
    refused(LLAMA
            ", \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4.0, \"mrope_section\": [1]}}",
            "mrope_section", "");
    refused(LLAMA ", \"rope_scaling\": {\"type\": \"yarn\", \"beta_fast\": -1}}", "beta_fast",
            "positive");
    refused(LLAMA ", \"rope_scaling\": {\"type\": \"longrope\", \"long_factor\": [1.0]}}",
            "short_factor", "8 numbers");
    refused(LLAMA
            ", \"rope_scaling\": {\"type\": \"su\", \"short_factor\": [1, 1, 1, 1, 1, 1, 1, 1], "
            "\"long_factor\": [1, 1, 1, 1, 1, 1, 1, 0]}}",
            "long_factor[7]", "positive");
    refused(LLAMA ", \"rope_scaling\": {\"type\": \"linear\"}}", "factor", "");
    refused(LLAMA ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": -1.0}}", "factor",
            "positive");
    refused(LLAMA ", \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0}}",
            "low_freq_factor", "");
    refused(LLAMA ", \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, "
                  "\"low_freq_factor\": 4.0, "
                  "\"high_freq_factor\": 1.0, \"original_max_position_embeddings\": 8}}",
            "high_freq_factor", "");
    refused(LLAMA ", \"rope_scaling\": 7}", "rope_scaling", "object");
    refused(LLAMA ", \"rope_parameters\": {\"full_attention\": {\"rope_theta\": 1.0}}}",
            "rope_parameters", "full_attention");
    refused(LLAMA ", \"rope_theta\": 0}", "rope_theta", "");
    refused(LLAMA LINEAR DEFAULT "}", "rope_scaling", "rope_parameters");
    refused(LLAMA LINEAR ", \"rope_parameters\": {\"rope_type\": \"linear\", \"factor\": 2.0}}",
            "rope_scaling", "rope_parameters");
    refused(LLAMA ", \"rope_theta\": 5.0" DEFAULT "}", "rope_theta", "rope_parameters");
    refused(LLAMA ", \"rope_scaling\": {\"type\": \"linear\", \"rope_type\": \"default\", "
                  "\"factor\": 4.0}}",
            "rope_type", "type");
    refused("{\"model_type\": \"mistral\", " BASE ", \"sliding_window_pattern\": 6}",
            "sliding_window_pattern", "");
    refused(LLAMA ", \"partial_rotary_factor\": 0.5}", "partial_rotary_factor", "");
    refused(LLAMA ", \"head_dim\": 15}", "head_dim", "even");
    refused(LLAMA ", \"num_key_value_heads\": 3}", "num_key_value_heads", "");
    refused(LLAMA ", \"rms_norm_eps\": -1.0}", "rms_norm_eps", "");
    refused(LLAMA ", \"tie_word_embeddings\": \"yes\"}", "tie_word_embeddings", "");
    refused(LLAMA ", \"num_experts\": 8}", "num_experts", "llama");
    refused(LLAMA ", \"layer_types\": [\"full_attention\", \"sliding_attention\"]}",
            "layer_types[1]", "sliding_attention");
    refused("{\"model_type\": \"qwen3\", \"use_sliding_window\": true, " BASE "}", "sliding_window",
            "");
    refused("{\"model_type\": \"llama\", \"hidden_size\": 1e30, \"num_hidden_layers\": 2}",
            "hidden_size", "");
    refused("{\"model_type\": \"llama\", \"hidden_size\": 65, \"num_hidden_layers\": 2, "
            "\"num_attention_heads\": 4, "
            "\"intermediate_size\": 1, \"vocab_size\": 3}",
            "hidden_size", "multiple");
}

#define FAMILY(TYPE, REST) "{\"model_type\": \"" TYPE "\", " BASE REST "}"

#define LATENT                                                                          \
    ", \"moe_intermediate_size\": 8, \"num_experts_per_tok\": 2, \"kv_lora_rank\": 8, " \
    "\"q_lora_rank\": null, \"qk_nope_head_dim\": 8, \"qk_rope_head_dim\": 8, \"v_head_dim\": 8"

/* What a family does not do is named, also where another one does it. */
static void test_families_refused(void **state)
{
    (void)state;
    refused(FAMILY("llama", ", \"final_logit_softcapping\": 30.0"), "final_logit_softcapping",
            "llama");
    refused(FAMILY("qwen2", ", \"residual_multiplier\": 0.2"), "residual_multiplier", "qwen2");
    refused(FAMILY("qwen2", ", \"no_rope_layers\": [1, 0]"), "no_rope_layers", "qwen2");
    refused(FAMILY("gemma2", ", \"use_bidirectional_attention\": true"),
            "use_bidirectional_attention", "");
    refused(FAMILY("gemma2", ", \"query_pre_attn_scalar\": 0"), "query_pre_attn_scalar",
            "positive");
    refused(FAMILY("gemma2", ", \"hidden_activation\": \"mish\""), "hidden_activation", "mish");
    refused(FAMILY("gemma2", ", \"layer_types\": [\"full_attention\", \"linear_attention\"]"),
            "layer_types[1]", "linear_attention");
    refused(FAMILY("gemma3_text", ", \"rope_parameters\": {\"rope_theta\": 7.0}"),
            "rope_parameters", "full_attention, sliding_attention");
    refused(FAMILY("gemma3_text",
                   ", \"rope_parameters\": {\"full_attention\": {}}, \"rope_scaling\": {}"),
            "rope_scaling", "rope_parameters");
    refused(FAMILY("olmo3", ", \"rope_parameters\": {\"full_attention\": {\"rope_type\": \"yarn\", "
                            "\"factor\": 2.0, \"truncate\": false}}"),
            "full_attention", "truncate");
    refused(FAMILY("smollm3", ", \"no_rope_layers\": [1]"), "no_rope_layers", "2");
    refused(FAMILY("smollm3", ", \"no_rope_layers\": [1, 2]"), "no_rope_layers[1]", "");
    refused(FAMILY("granite", ", \"logits_scaling\": 0"), "logits_scaling", "positive");
    refused(FAMILY("cohere2", ", \"use_qk_norm\": true"), "use_qk_norm", "cohere2");
    refused(FAMILY("cohere2", ", \"sliding_window\": null"), "sliding_window", "cohere2");
    refused(FAMILY("phi3", ", \"partial_rotary_factor\": 0.2"), "partial_rotary_factor", "0.2");
    refused(FAMILY("phi3", ", \"partial_rotary_factor\": -1"), "partial_rotary_factor", "-1");
    refused(FAMILY("phi3", ", \"partial_rotary_factor\": 2.0"), "partial_rotary_factor", "2");
    refused(FAMILY("phi3", ", \"qk_layernorm\": true"), "qk_layernorm", "phi3");
    refused(FAMILY("glm4", ", \"partial_rotary_factor\": 1.5"), "partial_rotary_factor", "1.5");
    refused(FAMILY("ernie4_5", ", \"use_bias\": 1"), "use_bias", "");
    refused(FAMILY("exaone4", ", \"sliding_window_pattern\": \"LLGL\""),
            "sliding_window_pattern 'LLGL'", "one G");
    refused(FAMILY("exaone4", ", \"sliding_window_pattern\": \"LG\", \"layer_types\": "
                              "[\"full_attention\", \"sliding_attention\"], \"sliding_window\": 4"),
            "sliding_window_pattern 2", "layer_types");
    refused(FAMILY("minimax_m2", ", \"head_dim\": 16, \"rotary_dim\": 7"), "rotary_dim 7", "");
    refused(FAMILY("minimax_m2", ", \"head_dim\": 16, \"rotary_dim\": 17"), "rotary_dim", "");
    refused(FAMILY("minimax_m2", ", \"head_dim\": 16, \"rotary_dim\": 8, "
                                 "\"partial_rotary_factor\": 0.25"),
            "rotary_dim 8", "4");
    refused(FAMILY("minimax_m2", ", \"shared_intermediate_size\": 8"), "shared_intermediate_size",
            "8");
    refused(FAMILY("glm4_moe_lite", ", \"moe_intermediate_size\": 8"), "num_experts_per_tok",
            "missing");
    refused(FAMILY("glm4_moe_lite", LATENT ", \"mlp_layer_types\": [\"dense\"]"), "mlp_layer_types",
            "2 layers");
    refused(FAMILY("glm4_moe_lite", LATENT ", \"mlp_layer_types\": [\"dense\", \"moe\"]"),
            "mlp_layer_types[1]", "moe");
    refused(FAMILY("minimax_m2", ", \"scoring_func\": \"softmax\""), "scoring_func", "softmax");
}

static void parsed(const char *text, struct config *c)
{
    struct err e;

    if (parse(text, c, &e) < 0)
        fail_msg("%s", e.text);
}

#define G4 "\"rope_parameters\": {\"full_attention\": {\"rope_type\": \"proportional\""

static void test_gemma4(void **state)
{
    struct config c;

    (void)state;
    refused(FAMILY("gemma4_text", ""), "global_head_dim", "per_layer_config");
    refused(FAMILY("gemma4_text",
                   ", \"global_head_dim\": 32, \"use_bidirectional_attention\": \"all\""),
            "use_bidirectional_attention", "gemma4_text");
    refused(FAMILY("gemma4_text", ", \"global_head_dim\": 32, \"num_kv_shared_layers\": 1, "
                                  "\"layer_types\": [\"full_attention\", \"sliding_attention\"]"),
            "num_kv_shared_layers 1", "block 1 has none of its kind");
    refused(FAMILY("gemma4_text", ", \"global_head_dim\": 32, \"num_kv_shared_layers\": 3"),
            "num_kv_shared_layers", "3");
    parsed(FAMILY("gemma4_text",
                  ", \"head_dim\": 16, \"global_head_dim\": 32, \"num_kv_shared_layers\": 1, "
                  "\"hidden_size_per_layer_input\": 8, "
                  "\"layer_types\": [\"full_attention\", \"full_attention\"]"),
           &c);
    assert_true(c.block_embed == 8 && c.shared_keys == 1 && c.block_embed_vocab == c.vocab);
    assert_true(c.carry == 2 * 8 + 2 * c.kv_heads * (16 + 32) && config_row(&c) == c.d + c.carry);
    config_release(&c);
    refused(FAMILY("gemma4_text", ", \"global_head_dim\": 33"), "blocks without a window", "33");
    refused(FAMILY("gemma4_text", ", \"layer_types\": [\"full_attention\", \"full_attention\"], "
                                  "\"per_layer_config\": {\"0\": {\"head_dim\": 32}}"),
            "per_layer_config.1", "same sizes");
    refused(
        FAMILY("gemma4_text", ", \"global_head_dim\": 32, " G4 ", \"partial_rotary_factor\": 0}}"),
        "partial_rotary_factor", "0");
    parsed(FAMILY("gemma4_text", ", \"head_dim\": 16, \"global_head_dim\": 32, "
                                 "\"num_global_key_value_heads\": 1, \"attention_k_eq_v\": true, "
                                 "\"use_bidirectional_attention\": \"vision\", "
                                 "\"layer_types\": [\"full_attention\", \"sliding_attention\"], " G4
                                 ", \"partial_rotary_factor\": 0.25, \"rope_theta\": 9.0}}"),
           &c);
    assert_true(c.full_head_dim == 32 && c.full_kv_heads == 1 && c.keys_are_values);
    assert_true(c.rope.type == ROPE_PROPORTIONAL && c.rope.share == 0.25 && c.rope.width == 32 &&
                c.rope.theta == 9 && c.rope_window.width == 16 && c.rope_window.theta == 1e4);
    assert_true(c.attention_scale == 1 && c.tied && c.window == 512);
    config_release(&c);
}

static void test_experts_refused(void **state)
{
    (void)state;
    refused(FAMILY("mixtral", ", \"num_local_experts\": 2, \"num_experts_per_tok\": 3"),
            "num_experts_per_tok", "3 of 2");
    refused(FAMILY("qwen3_moe", ""), "moe_intermediate_size", "");
    refused(FAMILY("qwen3_moe", ", \"moe_intermediate_size\": 8, \"num_experts\": 8, "
                                "\"num_local_experts\": 9"),
            "num_experts", "num_local_experts");
    refused(FAMILY("qwen3_moe", ", \"moe_intermediate_size\": 8, \"mlp_only_layers\": [-1]"),
            "mlp_only_layers[0]", "");
    refused(FAMILY("qwen3_moe", ", \"moe_intermediate_size\": 8, "
                                "\"shared_expert_intermediate_size\": 8"),
            "shared_expert_intermediate_size", "qwen3_moe");
    refused(FAMILY("qwen2_moe", ", \"moe_intermediate_size\": 8"),
            "shared_expert_intermediate_size", "");
    refused(FAMILY("qwen2_moe", ", \"moe_intermediate_size\": 8, "
                                "\"shared_expert_intermediate_size\": 8, "
                                "\"use_sliding_window\": true"),
            "use_sliding_window", "layer_types");
    refused(FAMILY("glm4_moe", ", \"moe_intermediate_size\": 8, \"n_group\": 3"), "n_group", "3");
    refused(FAMILY("glm4_moe",
                   ", \"moe_intermediate_size\": 8, \"n_group\": 16, \"topk_group\": 1, "
                   "\"num_experts_per_tok\": 9"),
            "num_experts_per_tok", "9 of");
    refused(FAMILY("glm4_moe", ", \"moe_intermediate_size\": 8, \"routed_scaling_factor\": 0"),
            "routed_scaling_factor", "positive");
    refused(FAMILY("mistral", ", \"rope_parameters\": {\"llama_4_scaling_beta\": 0.1}"),
            "llama_4_scaling_beta", "not supported");
    refused(FAMILY("ministral3", ", \"rope_parameters\": {\"llama_4_scaling_beta\": 0.1}"),
            "llama_4_scaling_beta", "original_max_position_embeddings");
    refused(FAMILY("ministral3", ""), "rope_parameters", "missing");
    refused(FAMILY("glm4_moe", ", \"moe_intermediate_size\": 8, \"kv_lora_rank\": 8"),
            "kv_lora_rank", "glm4_moe");
    refused(FAMILY("deepseek_v3", ", \"moe_intermediate_size\": 8, \"qk_rope_head_dim\": 7"),
            "qk_rope_head_dim", "even");
    refused(FAMILY("deepseek_v3", ", \"moe_intermediate_size\": 8, \"num_key_value_heads\": 1"),
            "num_key_value_heads", "1 of");
    refused(FAMILY("qwen3_next", ", \"moe_intermediate_size\": 8, \"num_experts\": 4, "
                                 "\"num_experts_per_tok\": 2, "
                                 "\"shared_expert_intermediate_size\": 8, "
                                 "\"linear_num_key_heads\": 3, \"linear_num_value_heads\": 4"),
            "linear_num_value_heads", "3");
    refused(FAMILY("qwen3_next", ", \"layer_types\": [\"linear_attention\", \"mamba\"]"),
            "layer_types[1]", "sliding_attention, linear_attention");
    refused(FAMILY("qwen3_5_moe_text", ""), "moe_intermediate_size", "");
    refused(FAMILY("gpt_oss", ""), "rope_scaling", "missing");
    refused(FAMILY("gpt_oss", ", \"rope_scaling\": {}, \"swiglu_limit\": -1"), "swiglu_limit",
            "positive");
}

static void test_rope_kinds(void **state)
{
    struct config c;

    (void)state;
    parsed(FAMILY("llama", ", \"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2.0}"), &c);
    assert_true(c.rope.type == ROPE_DYNAMIC && c.rope.original == 2048 && c.rope.scale == 1);
    config_release(&c);
    /* a factor of its own, or what the context became */
    parsed(FAMILY("qwen3",
                  ", \"max_position_embeddings\": 4096, \"rope_scaling\": {\"type\": \"yarn\", "
                  "\"original_max_position_embeddings\": 1024}"),
           &c);
    assert_true(c.rope.type == ROPE_YARN && c.rope.factor == 4 && c.rope.original == 1024 &&
                c.rope.high == 32 && c.rope.low == 1 && !c.rope.exact);
    assert_true(c.rope.scale > 1.1386 && c.rope.scale < 1.1387); /* 0.1 ln 4 + 1 */
    config_release(&c);
    parsed(FAMILY("llama", ", \"rope_parameters\": {\"rope_type\": \"yarn\", \"factor\": 2.0, "
                           "\"mscale\": 0.7, \"mscale_all_dim\": 0.7, \"truncate\": false}"),
           &c);
    assert_true(c.rope.scale == 1 && c.rope.exact && c.rope.original == 2048);
    config_release(&c);
    /* old keys: the scaling is of the blocks without a window */
    parsed(FAMILY("gemma3_text",
                  ", \"rope_local_base_freq\": 9.0, \"rope_theta\": 8.0, \"rope_scaling\": "
                  "{\"rope_type\": \"linear\", \"factor\": 8.0}"),
           &c);
    assert_true(c.rope.type == ROPE_LINEAR && c.rope.theta == 8 && c.rope.factor == 8);
    assert_true(c.rope_window.type == ROPE_DEFAULT && c.rope_window.theta == 9);
    assert_true(config_rope(&c, 0) == &c.rope_window && config_window(&c, 0) == 4096);
    config_release(&c);
    parsed(FAMILY("gemma3_text", ""), &c);
    assert_true(c.rope.theta == 1e6 && c.rope_window.theta == 1e4 && c.tied && c.head_dim == 256);
    assert_true(c.logit_cap == 0 && c.attention_cap == 0 && c.embed_scale == 8 &&
                c.attention_scale == 0.0625);
    config_release(&c);
    parsed(FAMILY("olmo3", ", \"rope_theta\": 9.0"), &c);
    assert_true(c.rope.theta == 9 && c.rope_window.theta == 9 && !c.tied);
    config_release(&c);
}

static void test_blocks(void **state)
{
    struct config c;

    (void)state;
    parsed(FAMILY("gemma2", ""), &c);
    assert_true(config_window(&c, 0) == 4096 && config_window(&c, 1) == 0);
    assert_true(c.logit_cap == 30 && c.attention_cap == 50);
    config_release(&c);
    parsed(FAMILY("gemma2", ", \"final_logit_softcapping\": null, \"sliding_window\": 7, "
                            "\"layer_types\": [\"full_attention\", \"sliding_attention\"]"),
           &c);
    assert_true(config_window(&c, 0) == 0 && config_window(&c, 1) == 7 && c.logit_cap == 0);
    config_release(&c);
    parsed(FAMILY("cohere2", ", \"sliding_window_pattern\": 2"), &c);
    assert_true(config_rope(&c, 0) && !config_rope(&c, 1) && config_window(&c, 1) == 0);
    config_release(&c);
    parsed(FAMILY("smollm3", ", \"no_rope_layer_interval\": 2, \"use_sliding_window\": true, "
                             "\"sliding_window\": 5"),
           &c);
    assert_true(config_rope(&c, 0) && !config_rope(&c, 1));
    assert_true(config_window(&c, 0) == 0 && config_window(&c, 1) == 5);
    config_release(&c);
    parsed(FAMILY("qwen2", ", \"use_sliding_window\": true, \"sliding_window\": 8, "
                           "\"max_window_layers\": 1"),
           &c);
    assert_true(config_window(&c, 0) == 0 && config_window(&c, 1) == 8);
    config_release(&c);
    parsed(FAMILY("qwen3_moe", ", \"moe_intermediate_size\": 8, \"num_experts\": 6, "
                               "\"num_experts_per_tok\": 2, \"decoder_sparse_step\": 2"),
           &c);
    assert_true(c.experts == 6 && c.experts_top == 2 && c.expert_ff == 8 && !c.experts_normalized);
    assert_true(!(c.block[0] & BLOCK_EXPERTS) && (c.block[1] & BLOCK_EXPERTS));
    config_release(&c);
    parsed(FAMILY("qwen3",
                  ", \"use_sliding_window\": true, \"sliding_window\": 8, \"max_window_layers\": "
                  "28, \"layer_types\": [\"sliding_attention\", \"full_attention\"]"),
           &c);
    assert_true(config_window(&c, 0) == 8 && config_window(&c, 1) == 0);
    config_release(&c);
    parsed(FAMILY("gemma3_text",
                  ", \"attn_logit_softcapping\": 7.0, \"final_logit_softcapping\": 5.0"),
           &c);
    assert_true(c.attention_cap == 0 && c.logit_cap == 5);
    config_release(&c);
    parsed(FAMILY("qwen2", ", \"sliding_window\": 8, \"max_window_layers\": 1"), &c);
    assert_true(config_window(&c, 1) == 0 && c.attention_bias && !c.attention_out_bias);
    config_release(&c);
}

/* Two keys for one thing. */
static void test_contradictions(void **state)
{
    (void)state;
    refused(LLAMA ", \"layer_types\": [\"full_attention\"]}", "1 layer types for 2 layers", "");
    refused(LLAMA
            ", \"layer_types\": [\"full_attention\", \"full_attention\", \"full_attention\"]}",
            "3 layer types for 2 layers", "");
    refused(LLAMA ", \"layer_types\": \"full_attention\"}", "layer_types is no list", "");
    refused(LLAMA ", \"sliding_window_pattern\": 2}", "sliding_window_pattern", "");
    refused(LLAMA ", \"sliding_window_pattern\": 6, \"layer_types\": [\"full_attention\", "
                  "\"full_attention\"]}",
            "sliding_window_pattern", "");
    refused(FAMILY("gemma3_text", ", \"sliding_window_pattern\": 2, \"layer_types\": "
                                  "[\"full_attention\", \"sliding_attention\"]"),
            "sliding_window_pattern 2 and layer_types", "block 0");
    refused(FAMILY("gemma3_text", ", \"rope_theta\": 5.0, \"rope_parameters\": "
                                  "{\"full_attention\": {\"rope_theta\": 7.0}}"),
            "rope_theta is 5", "7 in rope_parameters.full_attention");
    refused(FAMILY("gemma3_text", ", \"rope_local_base_freq\": 5.0, \"rope_parameters\": "
                                  "{\"sliding_attention\": {\"rope_theta\": 7.0}}"),
            "rope_local_base_freq is 5", "7 in rope_parameters.sliding_attention");
    refused(LLAMA ", \"dtype\": \"float32\", \"torch_dtype\": \"bfloat16\"}", "dtype is 'float32'",
            "torch_dtype is 'bfloat16'");
    refused(LLAMA ", \"text_config\": {\"hidden_size\": 64}}", "text_config", "llama");
    refused(LLAMA ", \"rope_scaling\": {\"factor\": 4.0}}", "rope_scaling has factor 4",
            "rope_type");
    refused(LLAMA ", \"rope_scaling\": {\"type\": null, \"factor\": 4.0}}", "factor 4", "");
    refused(LLAMA ", \"rope_parameters\": {\"rope_type\": \"default\", \"factor\": 8}}",
            "rope_parameters has factor 8", "");
    refused(LLAMA ", \"rope_scaling\": [{\"type\": \"linear\"}]}", "rope_scaling", "object");
    refused(LLAMA ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": \"4\"}}", "factor",
            "number");
    refused(LLAMA ", \"partial_rotary_factor\": 0.5, \"rope_parameters\": "
                  "{\"partial_rotary_factor\": 0.25}}",
            "partial_rotary_factor", "rope_parameters");
    refused(LLAMA ", \"original_max_position_embeddings\": 64, \"rope_scaling\": {\"type\": "
                  "\"yarn\", \"factor\": 2.0, \"original_max_position_embeddings\": 32}}",
            "original_max_position_embeddings is 64", "32 in rope_scaling");
    refused(LLAMA ", \"mlp_layer_types\": [\"dense\", \"sparse\"]}", "mlp_layer_types[1]", "dense");
    refused(FAMILY("mixtral", ", \"num_local_experts\": 4, \"num_experts_per_tok\": 2, "
                              "\"experts_per_token\": 3"),
            "experts_per_token is 3", "num_experts_per_tok is 2");
    refused(LLAMA ", \"num_key_value_heads\": 0}", "num_key_value_heads", "");
    refused(LLAMA ", \"eos_token_id\": [\"a\"]}", "eos_token_id", "");
}

static void taken(const char *text)
{
    struct config c;
    struct err e;

    if (parse(text, &c, &e))
        fail_msg("%s", e.text);
    assert_true(c.rope.type == ROPE_DEFAULT && c.rope.factor == 1.0 && c.window == 0);
    assert_true(c.kv_heads == 4 && c.head_dim == 16 && !c.tied);
    config_release(&c);
}

/* Said twice, or said with null: one meaning. */
static void test_one_meaning(void **state)
{
    (void)state;
    taken(LLAMA ", \"dtype\": \"bfloat16\", \"torch_dtype\": \"torch.bfloat16\"}");
    taken(LLAMA ", \"dtype\": null, \"torch_dtype\": \"bfloat16\"}");
    taken(LLAMA ", \"rope_scaling\": {}, \"rope_parameters\": {}}");
    taken(LLAMA ", \"rope_scaling\": {\"type\": \"default\", \"rope_type\": \"default\"}}");
    taken(LLAMA ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 1.0}" DEFAULT "}");
    taken(LLAMA ", \"rope_scaling\": {\"factor\": 1}}");
    taken(LLAMA ", \"rope_theta\": 7, \"partial_rotary_factor\": 1.0" DEFAULT "}");
    taken(LLAMA ", \"head_dim\": null, \"num_key_value_heads\": null, \"layer_types\": null, "
                "\"sliding_window_pattern\": null, \"tie_word_embeddings\": null, "
                "\"text_config\": null}");
    taken(LLAMA ", \"mlp_layer_types\": [\"dense\", \"dense\"]}");
    taken(LLAMA ", \"eos_token_id\": [], \"quantization_config\": null}");
}

static void test_defaults(void **state)
{
    struct config c;
    struct err e;

    (void)state;
    assert_int_equal(parse(LLAMA "}", &c, &e), 0);
    assert_int_equal(c.d, 64);
    assert_int_equal(c.kv_heads, 4);
    assert_int_equal(c.head_dim, 16);
    assert_true(c.rope.theta == 10000.0 && c.rope.type == ROPE_DEFAULT && c.norm.eps == 1e-6);
    assert_true(!c.tied && !c.attention_bias && !c.mlp_bias && !c.qk_norm && c.window == 0);
    assert_true(c.bos == -1 && c.eos == -1);
    config_release(&c);
    assert_null(c.json);
    assert_int_equal(
        parse(LLAMA ", \"eos_token_id\": [7, 8], \"bos_token_id\": 3, \"rope_scaling\": null}", &c,
              &e),
        0);
    assert_true(c.eos == 7 && c.bos == 3);
    config_release(&c);
    assert_int_equal(
        parse(LLAMA
              ", \"rope_theta\": 5.0, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 4.0}}",
              &c, &e),
        0);
    assert_true(c.rope.type == ROPE_LINEAR && c.rope.factor == 4.0 && c.rope.theta == 5.0);
    config_release(&c);
    assert_int_equal(
        parse(LLAMA ", \"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 7.0}}", &c,
              &e),
        0);
    assert_true(c.rope.type == ROPE_DEFAULT && c.rope.theta == 7.0);
    config_release(&c);
    /* both generations of keys, with one meaning */
    assert_int_equal(parse(LLAMA LINEAR
                           ", \"rope_parameters\": {\"rope_type\": \"linear\", \"factor\": "
                           "4.0, \"rope_theta\": 7.0}}",
                           &c, &e),
                     0);
    assert_true(c.rope.type == ROPE_LINEAR && c.rope.factor == 4.0 && c.rope.theta == 7.0);
    config_release(&c);
    assert_int_equal(parse(LLAMA LINEAR ", \"rope_theta\": 5.0, \"rope_parameters\": {}}", &c, &e),
                     0);
    assert_true(c.rope.type == ROPE_LINEAR && c.rope.factor == 4.0 && c.rope.theta == 5.0);
    config_release(&c);
    assert_int_equal(
        parse(LLAMA ", \"rope_theta\": 7.0" DEFAULT ", \"rope_scaling\": null}", &c, &e), 0);
    assert_true(c.rope.type == ROPE_DEFAULT && c.rope.theta == 7.0);
    config_release(&c);
}

static void test_windows(void **state)
{
    struct config c;
    struct err e;

    (void)state;
    assert_int_equal(parse("{\"model_type\": \"mistral\", " BASE "}", &c, &e), 0);
    assert_int_equal(c.window, 4096);
    config_release(&c);
    assert_int_equal(
        parse("{\"model_type\": \"mistral\", \"sliding_window\": null, " BASE "}", &c, &e), 0);
    assert_int_equal(c.window, 0);
    config_release(&c);
    assert_int_equal(parse("{\"model_type\": \"qwen3\", \"use_sliding_window\": true, "
                           "\"sliding_window\": 8, \"max_window_layers\": 0, " BASE "}",
                           &c, &e),
                     0);
    assert_int_equal(c.window, 8);
    config_release(&c);
    assert_int_equal(
        parse(
            "{\"model_type\": \"qwen3\", \"use_sliding_window\": true, \"sliding_window\": 8, " BASE
            "}",
            &c, &e),
        0);
    assert_int_equal(c.window, 0);
    config_release(&c);
}

static void test_goldens(void **state)
{
    struct config c;
    struct err e = {0};
    struct sites s;

    (void)state;
    assert_int_equal(config_read("tests/golden/conformance/nowhere", &c, &e), -1);
    assert_int_equal(config_read("tests/golden/conformance/llama3", &c, &e), 0);
    assert_true(c.rope.type == ROPE_LLAMA3 && c.rope.factor == 8.0 && c.rope.original == 32 &&
                c.rope.theta == 500000.0);
    config_release(&c);
    assert_int_equal(config_read("tests/golden/conformance/llama-tied", &c, &e), 0);
    assert_true(c.tied && c.attention_bias && c.attention_out_bias && c.mlp_bias);
    config_release(&c);
    assert_int_equal(config_read("tests/golden/conformance/mistral", &c, &e), 0);
    assert_true(c.window == 16 && c.head_dim == 24);
    assert_int_equal(sites_make(&s, &c, &e), 0);
    assert_int_equal(s.site[2 * 4 + 1].inputs, 96);
    assert_string_equal(s.site[2 * 4 + 1].linear[0].name, "model.layers.2.self_attn.o_proj");
    sites_release(&s);
    config_release(&c);
    assert_int_equal(config_read("tests/golden/conformance/qwen3", &c, &e), 0);
    assert_true(c.qk_norm && c.tied && c.rope.theta == 1000000.0);
    config_release(&c);
}

static void test_sites(void **state)
{
    static const char *const names[4] = {"attn.qkv", "attn.o", "mlp.up", "mlp.down"},
                             *const fused[4] = {"qkv_proj", NULL, "gate_up_proj", NULL};
    static const size_t count[4] = {3, 1, 2, 1}, inputs[4] = {64, 64, 64, 160};
    struct config c;
    struct err e;
    struct sites s;

    (void)state;
    assert_int_equal(parse(LLAMA ", \"num_key_value_heads\": 2}", &c, &e), 0);
    assert_int_equal(sites_make(&s, &c, &e), 0);
    assert_int_equal(s.count, 4 * c.layers);
    assert_int_equal(s.linears, 7 * c.layers);
    assert_null(sites_find(&s, 1, "mlp.gate"));
    assert_null(sites_find(&s, c.layers, "mlp.up"));
    for (size_t i = 0; i < s.count; i++) {
        const struct site *x = &s.site[i];

        assert_ptr_equal(sites_find(&s, i / 4, names[i % 4]), x);
        assert_true(x->order == i && x->block == i / 4 && x->stop == i % 4 && x->expert == -1);
        assert_int_equal(x->count, count[i % 4]);
        assert_int_equal(x->inputs, inputs[i % 4]);
        assert_true(fused[i % 4] ? x->fused && strcmp(x->fused, fused[i % 4]) == 0 : !x->fused);
    }
    assert_true(s.site[4].linear[0].rows == 64 && s.site[4].linear[1].rows == 32 &&
                s.site[4].linear[2].rows == 32);
    assert_string_equal(s.site[4].linear[2].name, "model.layers.1.self_attn.v_proj");
    assert_null(s.site[4].linear[2].whole);
    sites_release(&s);
    config_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_contradictions),
        cmocka_unit_test(test_one_meaning), cmocka_unit_test(test_families_refused),
        cmocka_unit_test(test_gemma4),      cmocka_unit_test(test_experts_refused),
        cmocka_unit_test(test_rope_kinds),  cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_defaults),    cmocka_unit_test(test_windows),
        cmocka_unit_test(test_goldens),     cmocka_unit_test(test_sites),
    };

    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}

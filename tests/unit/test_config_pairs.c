/* SPDX-License-Identifier: Apache-2.0 */
/* test_config_pairs - two keys for one thing: refused by name where they differ, taken where they
 * mean the same. Those of rope and windows are in test_config. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "../../common/model/config.h"
#include "../../common/model/config_read.h"

#define BASE                                                                      \
    "\"hidden_size\": 64, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, " \
    "\"intermediate_size\": 160, \"vocab_size\": 320"
#define FAMILY(TYPE, REST) "{\"model_type\": \"" TYPE "\", " BASE REST "}"

static int parse(const char *text, struct config *c, struct err *e)
{
    memset(e, 0, sizeof *e);
    return config_parse(text, strlen(text), "config.json", c, e);
}

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

static void taken(const char *text)
{
    struct config c;
    struct err e;

    if (parse(text, &c, &e) < 0)
        fail_msg("%s: %s", text, e.text);
    config_release(&c);
}

static void accepts_activation(const char *text, enum activation a)
{
    struct config c;
    struct err e;

    if (parse(text, &c, &e) < 0)
        fail_msg("%s: %s", text, e.text);
    assert_int_equal(c.activation, a);
    config_release(&c);
}

/* Gemma's readers go by one key, all others by the other one. */
static void test_activation(void **state)
{
#define ACT(name) ", \"hidden_act\": \"" name "\""
#define ACTIVATION(name) ", \"hidden_activation\": \"" name "\""
    (void)state;
    refused(FAMILY("gemma2", ACT("silu") ACTIVATION("gelu_pytorch_tanh")), "hidden_act is 'silu'",
            "remove one of them");
    refused(FAMILY("gemma2", ACT("gelu") ACTIVATION("gelu_pytorch_tanh")), "hidden_act is 'gelu'",
            "hidden_activation is 'gelu_pytorch_tanh'");
    refused(FAMILY("gemma2", ACT("silu")), "goes by hidden_activation", "'silu'");
    refused(FAMILY("gemma3_text", ACT("relu") ", \"hidden_activation\": null"), "'gemma3_text'",
            "hidden_act is 'relu'");
    refused(FAMILY("gemma2", ", \"hidden_act\": 3"), "hidden_act", "not a text");
    refused(FAMILY("llama", ACT("silu") ACTIVATION("gelu")), "hidden_act is 'silu'",
            "remove one of them");
    refused(FAMILY("llama", ACTIVATION("gelu")), "goes by hidden_act,", "hidden_activation");
    accepts_activation(FAMILY("gemma2", ""), ACTIVATION_GELU_TANH);
    accepts_activation(FAMILY("gemma2", ACT("gelu_pytorch_tanh") ACTIVATION("gelu_pytorch_tanh")),
                       ACTIVATION_GELU_TANH);
    accepts_activation(FAMILY("gemma2", ACT("gelu_new") ACTIVATION("gelu_pytorch_tanh")),
                       ACTIVATION_GELU_TANH); /* another name of it */
    accepts_activation(FAMILY("gemma2", ACT("gelu") ", \"hidden_activation\": null"),
                       ACTIVATION_GELU_TANH);
    accepts_activation(FAMILY("gemma2", ACT("gelu")), ACTIVATION_GELU_TANH);
    accepts_activation(FAMILY("gemma2", ACT("relu") ACTIVATION("relu")), ACTIVATION_RELU);
    accepts_activation(FAMILY("llama", ACT("gelu")), ACTIVATION_GELU);
    accepts_activation(FAMILY("llama", ACT("swish") ACTIVATION("silu")), ACTIVATION_SILU);
#undef ACT
#undef ACTIVATION
}

/* One number of experts under the names of several families. */
static void test_experts(void **state)
{
#define MIXTRAL ", \"num_local_experts\": 4, \"num_experts_per_tok\": 2"
#define GLM ", \"moe_intermediate_size\": 8, \"n_routed_experts\": 8, \"num_experts_per_tok\": 2"
    (void)state;
    refused(FAMILY("mixtral", MIXTRAL ", \"num_experts\": 8"), "num_experts is 8",
            "num_local_experts is 4");
    refused(FAMILY("mixtral", MIXTRAL ", \"n_routed_experts\": 8"), "n_routed_experts is not",
            "say, 4");
    refused(FAMILY("mixtral", MIXTRAL ", \"n_routed_experts\": \"4\""), "n_routed_experts is not",
            "say, 4");
    refused(FAMILY("mixtral", MIXTRAL ", \"n_routed_experts\": -4"), "n_routed_experts is not",
            "say, 4");
    refused(FAMILY("glm4_moe", GLM ", \"num_local_experts\": 4"), "num_local_experts",
            "'glm4_moe'");
    refused(FAMILY("llama", ", \"n_routed_experts\": 8"), "n_routed_experts", "not supported");
    taken(FAMILY("mixtral", MIXTRAL ", \"num_experts\": 4"));
    taken(FAMILY("mixtral", MIXTRAL ", \"num_experts\": null"));
    taken(FAMILY("glm4_moe", GLM ", \"num_local_experts\": 8"));
    /* what some readers look at, and others take for granted */
    refused(FAMILY("glm4_moe", GLM ", \"scoring_func\": \"softmax\""), "scoring_func 'softmax'",
            "sigmoid");
    refused(FAMILY("glm4_moe", GLM ", \"topk_method\": \"greedy\""), "topk_method 'greedy'",
            "noaux_tc");
    refused(FAMILY("glm4_moe", GLM ", \"topk_method\": 1"), "topk_method", "not a text");
    refused(FAMILY("glm4_moe", GLM ", \"moe_layer_freq\": 2"), "moe_layer_freq", "2");
    taken(FAMILY("glm4_moe", GLM ", \"moe_layer_freq\": 1, \"topk_method\": \"noaux_tc\", "
                                 "\"scoring_func\": \"sigmoid\""));
#undef MIXTRAL
#undef GLM
}

static void test_windows(void **state)
{
    (void)state;
    refused(FAMILY("mistral", ", \"sliding_window\": 8, \"use_sliding_window\": false"),
            "use_sliding_window is false", "window of 8");
    refused(FAMILY("gemma2", ", \"sliding_window\": 16, \"use_sliding_window\": false"),
            "use_sliding_window", "16");
    refused(
        FAMILY("gemma3_text", ", \"sliding_window_pattern\": 2, \"_sliding_window_pattern\": 6"),
        "_sliding_window_pattern is 6", "sliding_window_pattern is 2");
    taken(FAMILY("gemma2", ", \"use_sliding_window\": false")); /* 4096 of 2048 positions */
    taken(FAMILY("mistral", ", \"sliding_window\": null, \"use_sliding_window\": false"));
    taken(FAMILY("mistral", ", \"sliding_window\": 8, \"use_sliding_window\": true"));
    taken(FAMILY("mistral", ", \"sliding_window\": 8, \"use_sliding_window\": null"));
    taken(FAMILY("qwen2", ", \"sliding_window\": 8, \"use_sliding_window\": false"));
    taken(FAMILY("gemma3_text", ", \"sliding_window_pattern\": 6, \"_sliding_window_pattern\": 6"));
}

/* In the whole, and in the decoder of a model of several parts. */
static void test_parts(void **state)
{
#define TOWER                                                               \
    "\"vision_config\": {\"hidden_size\": 48, \"num_attention_heads\": 4, " \
    "\"num_hidden_layers\": 3, \"intermediate_size\": 96, \"image_size\": 32, \"patch_size\": 8}"
#define IDEFICS3(REST, INSIDE)                                            \
    "{\"model_type\": \"idefics3\", \"image_token_id\": 310, " TOWER REST \
    ", \"text_config\": {\"model_type\": \"llama\", " BASE INSIDE "}}"
    (void)state;
    refused(IDEFICS3(", \"dtype\": \"float32\", \"torch_dtype\": \"float16\"", ""),
            "dtype is 'float32'", "'float16'");
    refused(IDEFICS3("", ", \"dtype\": \"float32\", \"torch_dtype\": \"float16\""),
            "dtype is 'float32'", "'float16'");
    refused(IDEFICS3(", \"image_token_index\": 5", ""), "image_token_id is 310",
            "image_token_index is 5");
    taken(IDEFICS3(", \"image_token_index\": 310, \"dtype\": \"bfloat16\"",
                   ", \"torch_dtype\": \"float32\""));
#undef TOWER
#undef IDEFICS3
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_activation), cmocka_unit_test(test_experts),
        cmocka_unit_test(test_windows), cmocka_unit_test(test_parts)};

    return cmocka_run_group_tests_name("config_pairs", tests, NULL, NULL);
}

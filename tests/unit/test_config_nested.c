/* SPDX-License-Identifier: Apache-2.0 */
/* test_config_nested - config.json of a decoder with a tower: refusals by name first, then both
 * forms, nested and flat. Ropes that are said apart for blocks with a window and without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "../../common/model/config.h"
#include "../../common/model/config_read.h"
#include "../../common/model/sites.h"
#include "../../common/model/vision.h"

#define BASE                                                                      \
    "\"hidden_size\": 64, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, " \
    "\"intermediate_size\": 160, \"vocab_size\": 320"
#define LLAMA "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], " BASE

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

/* A decoder inside, and a tower. */
#define TEXT "\"text_config\": {\"model_type\": \"llama\", " BASE "}"
#define TOWER                                                               \
    "\"vision_config\": {\"hidden_size\": 48, \"num_attention_heads\": 4, " \
    "\"num_hidden_layers\": 3, \"intermediate_size\": 96, \"image_size\": 32, \"patch_size\": 8}"
#define IDEFICS3                                                                                 \
    "{\"model_type\": \"idefics3\", \"architectures\": [\"Idefics3ForConditionalGeneration\"], " \
    "\"image_token_id\": 310"
#define QWEN_VL                                                                                 \
    "{\"model_type\": \"qwen2_vl\", \"architectures\": [\"Qwen2VLForConditionalGeneration\"], " \
    "\"image_token_id\": 310, " BASE
#define QWEN_TOWER                                                                                \
    ", \"vision_config\": {\"embed_dim\": 48, \"num_heads\": 4, \"depth\": 3, \"mlp_ratio\": 2, " \
    "\"hidden_size\": "

static void wrong_parts_are_refused(void **state)
{
    (void)state;
    refused(IDEFICS3 ", " TOWER "}", "text_config", "object");
    refused(IDEFICS3 ", \"text_config\": {\"model_type\": \"gpt2\"}, " TOWER "}", "gpt2",
            "known: llama");
    refused(IDEFICS3 ", " TEXT "}", "vision_config", "object");
    refused(IDEFICS3 ", " TEXT ", \"vision_config\": {\"image_size\": 0}}", "image_size", "");
    refused(IDEFICS3 ", " TEXT ", \"vision_config\": {\"hidden_act\": \"mish\"}}", "mish",
            "hidden_act");
    refused(IDEFICS3 ", \"scale_factor\": 3, " TEXT ", " TOWER "}", "image_size", "3 cells");
    refused(IDEFICS3 ", " TEXT ", \"vision_config\": {\"hidden_size\": 50, \"image_size\": 128}}",
            "16 heads", "50");
    refused("{\"model_type\": \"idefics3\", " TEXT ", " TOWER "}", "image_token_index", "");
    refused(QWEN_VL ", \"rope_scaling\": {\"type\": \"mrope\"}" QWEN_TOWER "64}}", "mrope_section",
            "without");
    refused(QWEN_VL
            ", \"rope_scaling\": {\"type\": \"mrope\", \"mrope_section\": [2, 3, 4]}" QWEN_TOWER
            "64}}",
            "mrope_section", "sum 8");
    refused(QWEN_VL
            ", \"rope_scaling\": {\"type\": \"mrope\", \"mrope_section\": [2, 3, 3]}" QWEN_TOWER
            "65}}",
            "hidden_size", "65");
    refused(LLAMA ", \"rope_scaling\": {\"type\": \"mrope\", \"mrope_section\": [2, 3, 3]}}",
            "mrope_section", "not supported");
}

static void parts_are_read(void **state)
{
    struct config c;
    struct err e;

    (void)state;
    assert_int_equal(
        parse(IDEFICS3 ", \"tie_word_embeddings\": true, " TEXT ", " TOWER "}", &c, &e), 0);
    assert_true(c.d == 64 && c.tied && c.file != c.json && !c.rope.axes && c.vision);
    assert_true(c.vision->d == 48 && c.vision->side == 4 && c.vision->merge == 2 &&
                c.vision->run == 3 && c.vision->out == 64 && c.vision->token == 310);
    config_release(&c);
    assert_int_equal(
        parse(IDEFICS3
              ", \"tie_word_embeddings\": true, \"text_config\": {\"model_type\": \"llama\", " BASE
              ", \"tie_word_embeddings\": false}, " TOWER "}",
              &c, &e),
        0);
    assert_true(c.tied); /* one of both says so: the file settles it */
    config_release(&c);
    assert_int_equal(
        parse(QWEN_VL
              ", \"rope_scaling\": {\"type\": \"mrope\", \"mrope_section\": [2, 3, 3]}" QWEN_TOWER
              "64}}",
              &c, &e),
        0);
    assert_true(c.file == c.json && c.attention_bias && c.rope.axes == ROPE_SECTIONS &&
                c.rope.section[1] == 3 && c.rope.type == ROPE_DEFAULT);
    assert_true(c.vision->ff == 96 && c.vision->side == 0 && c.vision->rope.axes == ROPE_GRID);
    config_release(&c);
}

/* Its blocks come first in the run, with the numbers behind those of the decoder, which keeps its
 * own. */
static void a_tower_has_sites_when_asked(void **state)
{
    static const char *const names[4] = {"vision.attn.qkv", "vision.attn.o", "vision.mlp.up",
                                         "vision.mlp.down"};
    struct config c;
    struct sites s, plain;
    struct err e;

    (void)state;
    assert_int_equal(parse(LLAMA "}", &c, &e), 0);
    assert_int_equal(vision_quantize(&c, "here", &e), -1);
    assert_non_null(strstr(e.text, "here: --vision quantize: a model_type 'llama' has no tower"));
    config_release(&c);
    assert_int_equal(parse(IDEFICS3 ", " TEXT ", " TOWER "}", &c, &e), 0);
    assert_int_equal(sites_make(&plain, &c, &e), 0);
    assert_true(plain.count == 8 && plain.tower == 0 && plain.blocks == 2);
    assert_int_equal(vision_quantize(&c, "here", &e), 0);
    assert_int_equal(sites_make(&s, &c, &e), 0);
    assert_true(s.count == 4 * 3 + 8 && s.tower == 3 && s.blocks == 5);
    assert_true(sites_block(&s, 0) == 2 && sites_block(&s, 2) == 4 && sites_block(&s, 3) == 0);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(s.site[4 + i].name, names[i]);
        assert_true(s.site[4 + i].block == 3 && s.site[4 + i].order == 4 + i);
        assert_true(site_is_of_tower(s.site[4 + i].name));
    }
    assert_string_equal(s.site[0].fused, "qkv_proj");
    assert_string_equal(s.site[0].linear[0].name,
                        "model.vision_model.encoder.layers.0.self_attn.q_proj");
    assert_true(s.site[12].block == 0 && !site_is_of_tower(s.site[12].name));
    assert_true(s.first[0] == 12 && s.end[1] == 20 && s.first[2] == 0 && s.end[4] == 12);
    assert_ptr_equal(sites_find(&s, 1, "mlp.down"), &s.site[19]);
    assert_null(sites_find(&s, 5, "mlp.down"));
    sites_release(&plain);
    sites_release(&s);
    config_release(&c);
}

static void both_ropes_have_factors_of_their_own(void **state)
{
    struct config c;
    struct err e;

    (void)state;
    assert_int_equal(
        parse("{\"model_type\": \"gemma3_text\", \"architectures\": [\"Gemma3ForCausalLM\"], " BASE
              ", \"head_dim\": 4, \"rope_parameters\": {"
              "\"full_attention\": {\"rope_type\": \"longrope\", \"short_factor\": [1, 2], "
              "\"long_factor\": [3, 4], \"original_max_position_embeddings\": 64}, "
              "\"sliding_attention\": {\"rope_type\": \"longrope\", \"short_factor\": [5, 6], "
              "\"long_factor\": [7, 8], \"original_max_position_embeddings\": 32}}}",
              &c, &e),
        0);
    assert_true(c.rope.brief[1] == 2 && c.rope.extended[1] == 4 && c.rope.original == 64);
    assert_true(c.rope_window.brief[1] == 6 && c.rope_window.extended[1] == 8);
    assert_int_equal(c.rope_window.original, 32);
    config_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_parts_are_refused),
        cmocka_unit_test(parts_are_read),
        cmocka_unit_test(a_tower_has_sites_when_asked),
        cmocka_unit_test(both_ropes_have_factors_of_their_own),
    };

    return cmocka_run_group_tests_name("config_nested", tests, NULL, NULL);
}

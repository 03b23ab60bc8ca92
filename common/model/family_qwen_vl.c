/* SPDX-License-Identifier: Apache-2.0 */
/* family_qwen_vl - Qwen2-VL, Qwen2.5-VL and Qwen3-VL dense: decoders of Qwen2 and Qwen3 whose
 * positions are in time, row and column. */
#include "family.h"
#include "vision.h"

extern const struct family family_qwen2, family_qwen3;
static const struct family_text qwen2[] = {{"qwen2_vl_text", &family_qwen2, NULL},
                                           {"qwen2_vl", &family_qwen2, NULL},
                                           {NULL, NULL, NULL}},
                                qwen2_5[] = {{"qwen2_5_vl_text", &family_qwen2, NULL},
                                             {"qwen2_5_vl", &family_qwen2, NULL},
                                             {NULL, NULL, NULL}},
                                qwen3[] = {{"qwen3_vl_text", &family_qwen3, NULL},
                                           {NULL, NULL, NULL}};
static const char *const reads[] = {"mrope_section", "vision_config", NULL};

extern const struct family family_qwen2_vl, family_qwen2_5_vl, family_qwen3_vl;
const struct family family_qwen2_vl = {
    .model_type = "qwen2_vl",
    .architecture = "Qwen2VLForConditionalGeneration",
    .about = "Qwen2-VL",
    FAMILY_LLAMA_ENDS,
    .reads = reads,
    .texts = qwen2,
    .flat = 1,
    .vision = &vision_qwen2,
};
const struct family family_qwen2_5_vl = {
    .model_type = "qwen2_5_vl",
    .architecture = "Qwen2_5_VLForConditionalGeneration",
    .about = "Qwen2.5-VL",
    FAMILY_LLAMA_ENDS,
    .reads = reads,
    .texts = qwen2_5,
    .flat = 1,
    .vision = &vision_qwen2_5,
};
const struct family family_qwen3_vl = {
    .model_type = "qwen3_vl",
    .architecture = "Qwen3VLForConditionalGeneration",
    .about = "Qwen3-VL dense",
    .embed = "model.language_model.embed_tokens",
    .head = "lm_head",
    .final_norm = "model.language_model.norm",
    .blocks = "model.language_model.layers",
    .reads = reads,
    .texts = qwen3,
    .vision = &vision_qwen3,
};

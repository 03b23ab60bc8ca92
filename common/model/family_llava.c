/* SPDX-License-Identifier: Apache-2.0 */
/* family_llava - LLaVA 1.5 (CLIP tower) and LLaVA-OneVision (SigLIP tower), a projector of two
 * linears, decoders of several families. */
#include "family.h"
#include "vision.h"

extern const struct family family_llama, family_mistral, family_qwen2;
static const struct family_size llama[] = {
    {"hidden_size", 4096},        {"num_hidden_layers", 32}, {"num_attention_heads", 32},
    {"intermediate_size", 11008}, {"vocab_size", 32000},     {NULL, 0}};
static const struct family_text texts[] = {{"llama", &family_llama, llama},
                                           {"mistral", &family_mistral, NULL},
                                           {"qwen2", &family_qwen2, NULL},
                                           {NULL, NULL, NULL}};

#define PARTS                                                                           \
    .embed = "language_model.model.embed_tokens", .head = "language_model.lm_head",     \
    .final_norm = "language_model.model.norm", .blocks = "language_model.model.layers", \
    .texts = texts

extern const struct family family_llava, family_llava_onevision;
const struct family family_llava = {
    .model_type = "llava",
    .architecture = "LlavaForConditionalGeneration",
    .about = "LLaVA 1.5",
    PARTS,
    .vision = &vision_llava,
};
const struct family family_llava_onevision = {
    .model_type = "llava_onevision",
    .architecture = "LlavaOnevisionForConditionalGeneration",
    .about = "LLaVA-OneVision",
    PARTS,
    .vision = &vision_onevision,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* family_idefics3 - Idefics3 and SmolVLM: a Llama decoder behind a SigLIP tower whose cells are
 * put together by pixel shuffle. */
#include "family.h"
#include "vision.h"

extern const struct family family_llama, family_mistral;
static const struct family_size llama[] = {
    {"hidden_size", 4096},        {"num_hidden_layers", 32}, {"num_attention_heads", 32},
    {"intermediate_size", 11008}, {"vocab_size", 32000},     {NULL, 0}};
static const struct family_text texts[] = {
    {"llama", &family_llama, llama}, {"mistral", &family_mistral, NULL}, {NULL, NULL, NULL}};

#define PARTS                                                    \
    .embed = "model.text_model.embed_tokens", .head = "lm_head", \
    .final_norm = "model.text_model.norm", .blocks = "model.text_model.layers", .texts = texts

extern const struct family family_idefics3, family_smolvlm;
const struct family family_idefics3 = {
    .model_type = "idefics3",
    .architecture = "Idefics3ForConditionalGeneration",
    .about = "Idefics3, SmolVLM",
    PARTS,
    .vision = &vision_idefics3,
};
const struct family family_smolvlm = {
    .model_type = "smolvlm",
    .architecture = "SmolVLMForConditionalGeneration",
    .about = "SmolVLM2",
    PARTS,
    .vision = &vision_idefics3,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* family_gemma3_vl - Gemma 3 with its SigLIP tower: the tokens of an image see each other. */
#include "family.h"
#include "vision.h"

extern const struct family family_gemma3;
static const struct family_size sizes[] = {{"hidden_size", 2304},
                                           {"num_hidden_layers", 26},
                                           {"num_attention_heads", 8},
                                           {"num_key_value_heads", 4},
                                           {"intermediate_size", 9216},
                                           {"vocab_size", 262208},
                                           {NULL, 0}};
static const struct family_text texts[] = {{"gemma3_text", &family_gemma3, sizes},
                                           {NULL, NULL, NULL}};

extern const struct family family_gemma3_vl;
const struct family family_gemma3_vl = {
    .model_type = "gemma3",
    .architecture = "Gemma3ForConditionalGeneration",
    .about = "Gemma 3 with images (4B and up); no rotation",
    .embed = "language_model.model.embed_tokens",
    .head = "language_model.lm_head",
    .final_norm = "language_model.model.norm",
    .blocks = "language_model.model.layers",
    .texts = texts,
    .image_blocks = 1,
    .vision = &vision_gemma3,
};

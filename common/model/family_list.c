/* SPDX-License-Identifier: Apache-2.0 */
/* family_list - the list of architectures. */
#include "family.h"

extern const struct family family_llama, family_mistral, family_mixtral, family_qwen2,
    family_qwen2_moe, family_qwen3, family_qwen3_moe, family_olmo2, family_olmo3, family_smollm3,
    family_granite, family_cohere2, family_gemma2, family_gemma3, family_phi3, family_glm4_moe,
    family_ministral3, family_mistral3, family_gpt_oss, family_deepseek_v3, family_qwen3_next,
    family_qwen3_5_text, family_qwen3_5_moe_text, family_qwen3_5, family_qwen3_5_moe,
    family_gemma4_text, family_gemma4, family_idefics3, family_smolvlm, family_llava,
    family_llava_onevision, family_qwen2_vl, family_qwen2_5_vl, family_qwen3_vl, family_gemma3_vl;

static const struct family *const families[] = {&family_llama,
                                                &family_mistral,
                                                &family_mixtral,
                                                &family_qwen2,
                                                &family_qwen2_moe,
                                                &family_qwen3,
                                                &family_qwen3_moe,
                                                &family_olmo2,
                                                &family_olmo3,
                                                &family_smollm3,
                                                &family_granite,
                                                &family_cohere2,
                                                &family_gemma2,
                                                &family_gemma3,
                                                &family_phi3,
                                                &family_glm4_moe,
                                                &family_ministral3,
                                                &family_mistral3,
                                                &family_gpt_oss,
                                                &family_deepseek_v3,
                                                &family_qwen3_next,
                                                &family_qwen3_5_text,
                                                &family_qwen3_5_moe_text,
                                                &family_qwen3_5,
                                                &family_qwen3_5_moe,
                                                &family_gemma4_text,
                                                &family_gemma4,
                                                &family_idefics3,
                                                &family_smolvlm,
                                                &family_llava,
                                                &family_llava_onevision,
                                                &family_qwen2_vl,
                                                &family_qwen2_5_vl,
                                                &family_qwen3_vl,
                                                &family_gemma3_vl};

const struct family *family_at(size_t i)
{
    return i < sizeof families / sizeof families[0] ? families[i] : NULL;
}

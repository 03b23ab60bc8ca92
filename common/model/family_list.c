/* SPDX-License-Identifier: Apache-2.0 */
/* family_list - the list of architectures: a line for each, with the name of its descriptor. */
#include "family.h"

#define FAMILIES(IS)     \
    IS(llama)            \
    IS(mistral)          \
    IS(mixtral)          \
    IS(qwen2)            \
    IS(qwen2_moe)        \
    IS(qwen3)            \
    IS(qwen3_moe)        \
    IS(olmo2)            \
    IS(olmo3)            \
    IS(exaone4)          \
    IS(smollm3)          \
    IS(granite)          \
    IS(cohere2)          \
    IS(gemma2)           \
    IS(gemma3)           \
    IS(phi3)             \
    IS(glm)              \
    IS(glm4)             \
    IS(glm4_moe)         \
    IS(minimax_m2)       \
    IS(ministral3)       \
    IS(arcee)            \
    IS(mistral3)         \
    IS(gpt_oss)          \
    IS(deepseek_v3)      \
    IS(glm4_moe_lite)    \
    IS(ernie4_5)         \
    IS(seed_oss)         \
    IS(qwen3_next)       \
    IS(qwen3_5_text)     \
    IS(qwen3_5_moe_text) \
    IS(qwen3_5)          \
    IS(qwen3_5_moe)      \
    IS(gemma4_text)      \
    IS(gemma4)           \
    IS(idefics3)         \
    IS(smolvlm)          \
    IS(llava)            \
    IS(llava_onevision)  \
    IS(qwen2_vl)         \
    IS(qwen2_5_vl)       \
    IS(qwen3_vl)         \
    IS(gemma3_vl)

#define DECLARED(name) extern const struct family family_##name;
#define POINTER(name) &family_##name,

FAMILIES(DECLARED)
static const struct family *const families[] = {FAMILIES(POINTER)};

const struct family *family_at(size_t i)
{
    return i < sizeof families / sizeof families[0] ? families[i] : NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* format_gptq_engines - who loads GPTQ v1 as format_gptq.c writes it. Tried on a CPU with
 * transformers 5.24 (optimum 2.3, gptqmodel 7.7), GPTQModel 7.7, vLLM 0.32 and OpenVINO 2026.4;
 * what vLLM does on a GPU is read from its source. */
#include "format_gptq.h"

#define B(n) (1u << (n))

/* Its loader crashes on one group a row at 4 bits; 8 bits load. */
static int transformers_group(int bits, int64_t group)
{
    return group > 0 || bits == 8;
}

static int vllm_group(int bits, int64_t group)
{
    (void)bits;
    return group == -1 || group == 32 || group == 64 || group == 128;
}

/* Loads both versions alike. */
#define TRANSFORMERS                                                                              \
    {                                                                                             \
        .name = "transformers", .bits = B(2) | B(3) | B(4) | B(8), .zeros = 1, .kept = 1,         \
        .parts = 1, .permuted = 1, .group = transformers_group,                                   \
        .use =                                                                                    \
            "AutoModelForCausalLM.from_pretrained(\"DIR\", device_map=\"cpu\", "                  \
            "dtype=torch.float32)  # pip install torch transformers accelerate optimum gptqmodel" \
    }
#define USE_GPTQMODEL "GPTQModel.load(\"DIR\", device=\"cpu\", backend=BACKEND.GPTQ_TORCH)"

const struct engine gptq_engines[] = {
    TRANSFORMERS,
    {.name = "GPTQModel",
     .bits = B(2) | B(3) | B(4) | B(8),
     .kept = 1,
     .mixed = 1,
     .parts = 1,
     .head = 1,
     .permuted = 1,
     .use = USE_GPTQMODEL},
    {.name = "vLLM",
     .bits = B(4) | B(8),
     .gpu = B(8),
     .kept = 1,
     .mixed = 1,
     .head = 1,
     .group = vllm_group,
     .use = "vllm serve DIR"},
    {.name = "OpenVINO",
     .bits = B(4),
     .kept = 1,
     .parts = 1,
     .use = "OVModelForCausalLM.from_pretrained(\"DIR\", export=True, ov_config={"
            "\"INFERENCE_PRECISION_HINT\": \"f32\", \"KV_CACHE_PRECISION\": \"f32\", "
            "\"DYNAMIC_QUANTIZATION_GROUP_SIZE\": \"0\"})  # pip install openvino optimum-intel "
            "nncf gptqmodel"},
    {.name = "SGLang",
     .bits = B(4) | B(8),
     .gpu = B(4) | B(8),
     .kept = 1,
     .mixed = 1,
     .head = 1,
     .group = vllm_group,
     .refuses = engine_tiles,
     .use = SGLANG,
     .untried = 1},
    {.name = NULL},
};

/* v2 was tried in these two; vLLM and OpenVINO take zero points for those of v1, or none. */
const struct engine gptq_v2_engines[] = {
    TRANSFORMERS,
    {.name = "GPTQModel",
     .bits = B(2) | B(3) | B(4) | B(8),
     .zeros = 1,
     .kept = 1,
     .mixed = 1,
     .parts = 1,
     .head = 1,
     .permuted = 1,
     .use = USE_GPTQMODEL},
    {.name = NULL},
};

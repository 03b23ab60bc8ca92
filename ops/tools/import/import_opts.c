/* SPDX-License-Identifier: Apache-2.0 */
/* import_opts - see import_opts.h. */
#include "import_opts.h"

#include "import.h"

static const struct opt_choice dtypes[] = {
    {"bf16", DT_BF16}, {"f16", DT_F16}, {"f32", DT_F32}, {NULL, 0}};

static const struct opt rows[] = {
    {"dtype", OPT_CHOICE, offsetof(struct import_command, dtype), "TYPE",
     .help = "element type of the tensors written", .def = "bf16", .choices = dtypes},
    {"vocab-only", OPT_FLAG, offsetof(struct import_command, vocab_only),
     .help = "write the tokenizer's files only"},
    {"pre", OPT_TEXT, offsetof(struct import_command, pre), "NAME",
     .help = "pre-tokenizer (llama-bpe, qwen2, gpt-2 ...) instead of the one the file names, for "
             "files that name none"},
    {.name = NULL},
};

const struct stage_spec import_spec = {
    .name = "import",
    .about = "make a Hugging Face model folder of a GGUF file",
    .usage = "[options] FILE.gguf DIR",
    .notes = "DIR must not exist or be empty. Architectures llama, qwen2, qwen3, qwen3moe, "
             "gemma2, gemma3 and phi3; tensor types F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, "
             "Q2_K to Q6_K, IQ4_NL, IQ4_XS.\n"
             "Example: ptq-import SmolLM2-135M-Instruct.Q4_1.gguf smollm2\n",
    .args_min = 2,
    .args_max = 2,
    .shared = STAGE_STATUS,
    .rows = rows,
    .size = sizeof(struct import_command),
};

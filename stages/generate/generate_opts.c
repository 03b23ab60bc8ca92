/* SPDX-License-Identifier: Apache-2.0 */
/* generate_opts - see generate_opts.h. */
#include "generate_opts.h"

#include "../../common/tensor/blas.h"

static const struct opt_choice starts[] = {{"bos", 0}, {"random", 1}, {NULL, 0}};

#define AT(field) offsetof(struct generate_command, field)
static const struct opt rows[] = {
    {"model", OPT_TEXT, AT(model), "DIR",
     .help = "checkpoint that writes, in any format of ptq-write, or a GGUF file", .must = 1,
     .file = OPT_READS},
    {"prompts", OPT_TEXT, AT(prompts), "FILE",
     .help = ".txt with a prompt a line, or .jsonl (.json, also .gz, .zst, a pipe, or -) with "
             "{\"text\"}, {\"input_ids\"} or {\"messages\"} (chats)",
     .file = OPT_READS},
    {"chat-template", OPT_TEXT, AT(chat_template), "FILE",
     .help = "Jinja template of \"messages\" instead of the model's own", .file = OPT_READS},
    {"date", OPT_TEXT, AT(date), "YYYY-MM-DD",
     .help = "today's date, for chat templates that ask for it"},
    {"prompt-tokens", OPT_INT, AT(prompt_tokens), "N",
     .help = "keep only the first N tokens of a prompt (0: all)", "0", 0, 1 << 24},
    {"start", OPT_CHOICE, AT(start), "KIND",
     .help = "without prompts: from the BOS token (random, if the model has none), or from a "
             "random token",
     "bos", .choices = starts},
    {"count", OPT_INT, AT(count), "N",
     .help = "sequences; prompts are used in turn (0: one for each prompt, 128 without)", "0", 0,
     1 << 24},
    {"max-tokens", OPT_INT, AT(tokens), "N", .help = "new tokens of a sequence, at most", "512", 1,
     1 << 24},
    {"temperature", OPT_REAL, AT(temperature), "T",
     .help = "of the draw; 0: always the likeliest token", "1", 0, 100},
    {"top-k", OPT_INT, AT(top_k), "K", .help = "draw among the K likeliest tokens only (0: all)",
     "0", 0, 1 << 24},
    {"top-p", OPT_REAL, AT(top_p), "P",
     .help = "then among the fewest that have the probability P together", "1", 1e-6, 1},
    {"seed", OPT_INT, AT(seed), "N", .help = "of the draws", "1", 0, 9007199254740992.0},
    {"ignore-eos", OPT_FLAG, AT(ignore_eos), .help = "go on behind the end-of-text token"},
    {"ids", OPT_FLAG, AT(ids), .help = "write {\"input_ids\"} instead of {\"text\"}"},
    {"out", OPT_TEXT, AT(out), "FILE",
     .help = "where the lines go, whole or not at all; - is stdout", "-", .file = OPT_WRITES},
    {"batch", OPT_INT, AT(batch), "N",
     .help = "sequences under way at a time; may change the last bits of a product, hence a text",
     "16", 1, 1024},
    {.name = NULL},
};

const struct stage_spec generate_spec = {
    .name = "generate",
    .about = "lets a model write text, one JSON line a sequence: calibration data for ptq-sample",
    .usage = "--model DIR [options]",
    .notes = "Environment: OPENBLAS_CORETYPE, the kernels of OpenBLAS; chosen from the CPU when it "
             "is not set.",
    .mem = "4G",
    .mem_for = "for weights of blocks as f32; those of further blocks are read again for each "
               "token",
    .shared = STAGE_THREADS | STAGE_STATUS | STAGE_PRINTS,
    .rows = rows,
    .size = sizeof(struct generate_command),
    .start = blas_start,
};

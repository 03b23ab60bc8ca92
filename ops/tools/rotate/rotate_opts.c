/* SPDX-License-Identifier: Apache-2.0 */
/* rotate_opts - see rotate_opts.h. */
#include "rotate_opts.h"

#include "../../../common/tensor/blas.h"
#include "rotate.h"

static const struct opt_choice kinds[] = {{"random-hadamard", ROTATION_RANDOM_HADAMARD},
                                          {"hadamard", ROTATION_HADAMARD},
                                          {"orthogonal", ROTATION_ORTHOGONAL},
                                          {NULL, 0}};
static const struct opt_choice dtypes[] = {
    {"keep", DT_COUNT}, {"f32", DT_F32}, {"bf16", DT_BF16}, {NULL, 0}};

#define AT(field) offsetof(struct rotate_command, field)
static const struct opt rows[] = {
    {"model", OPT_TEXT, AT(model), "DIR",
     .help = "checkpoint to rotate, not quantized; architectures that norm what joins the stream, "
             "or take "
             "off a mean, are refused",
     .must = 1},
    {"kind", OPT_CHOICE, AT(kind), "KIND",
     .help = "Hadamard matrix with random signs, the same without, or a random orthogonal matrix",
     .def = "random-hadamard", .choices = kinds},
    {"seed", OPT_INT, AT(seed), "N", .help = "of the random numbers", .def = "1", .min = 0,
     .max = 9007199254740992.0},
    {"dtype", OPT_CHOICE, AT(dtype), "TYPE",
     .help = "element type of the tensors written; keep: each as in DIR. bf16 rounds every rotated "
             "weight anew (by up to 1/512 of its value), f32 keeps the function to about 1e-5",
     .def = "keep", .choices = dtypes},
    {.name = NULL},
};

const struct stage_spec rotate_spec = {
    .name = "rotate",
    .about = "fold a rotation into a checkpoint: the same model with weights and activations that "
             "quantize better",
    .usage = "--model DIR [options] OUT",
    .notes = "OUT must not exist or be empty. The weights of the norms go into the linears behind "
             "them. A model with tied embeddings is\n"
             "untied: OUT has an lm_head.weight of its own, and config.json says so.\n"
             "Example: ptq-rotate --model SmolLM2 rotated && ptq run gptq --model rotated --data "
             "c4.jsonl --bits 3 --out small\n",
    .args_min = 1,
    .args_max = 1,
    .shared = STAGE_THREADS | STAGE_STATUS,
    .rows = rows,
    .size = sizeof(struct rotate_command),
    .start = blas_start,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* stream_opts - see stream_opts.h. */
#include "stream_opts.h"

const struct stage_spec stream_spec = {
    .name = "stream",
    .about = "makes problems from plain tensors, and plain tensors from solutions",
    .usage = "[options] import FILE.safetensors\n       ptq-stream [options] export SOLUTIONS "
             "FILE.safetensors\n       ptq-stream [options] sums PROBLEMS FILE.safetensors\n       "
             "ptq-stream [options] imatrix PROBLEMS FILE.gguf",
    .notes = "import: NAME.W [N,K], NAME.H [K,K] = sum x x'/tokens, optional NAME.D [K,K], "
             "optional NAME.tokens.\n"
             "export: NAME.codes, NAME.scales, NAME.zeros (of grids that have them), "
             "NAME.dequantized.\n"
             "sums: NAME.W, NAME.H, NAME.D, NAME.tokens, as import reads them.\n"
             "imatrix: the importance matrix that llama-quantize --imatrix reads.",
    .args_min = 2,
    .args_max = 3,
    .out = "problems (import)",
    .shared = STAGE_ZSTD,
};

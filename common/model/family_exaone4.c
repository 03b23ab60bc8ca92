/* SPDX-License-Identifier: Apache-2.0 */
/* family_exaone4 - EXAONE 4: norms stand behind the sublayers, the heads of q and k are normed;
 * where most blocks have a window the others have no rope. */
#include "config_parts.h"

static int settle(struct config *c, const char *what, struct err *e)
{
    int64_t window, pattern = 0;

    c->qk_norm = QK_NORM_HEADS;
    if (config_window_key(c, 4096, &window, what, e) < 0 ||
        (window && config_pattern_key(c, 4, &pattern, what, e) < 0) ||
        config_windows(c, window, (size_t)pattern, what, e) < 0)
        return -1;
    for (size_t i = 0; window && i < c->layers; i++)
        if (!(c->block[i] & BLOCK_WINDOW))
            c->block[i] |= BLOCK_NO_ROPE;
    return 0;
}

static const char *const reads[] = {"sliding_window_pattern", NULL};

extern const struct family family_exaone4;
const struct family family_exaone4 = {
    .model_type = "exaone4",
    .architecture = "Exaone4ForCausalLM",
    .about = "EXAONE 4; no rotation",
    FAMILY_LLAMA_ENDS,
    .reads = reads,
    .eps = 1e-5,
    .settle = settle,
    .build = family_block_behind,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* outer - the parts of a model beside its decoder (towers, projectors), as engines name them.
 *
 * vLLM and SGLang call them by the names of the checkpoint with or without "model." in front
 * (hf_to_vllm_mapper of each model: "model.visual." becomes "visual."), and fuse the linears in
 * them: who names such modules one by one misses them there. */
#ifndef PTQ_OUTER_H
#define PTQ_OUTER_H

#include "format.h"

/* "vision_tower" of "model.vision_tower.encoder.layers.0.mlp.fc1"; 0: the module stands in the
 * decoder, or in no part. */
int outer_part(const struct format_model *m, const char *name, char *to, size_t room);
/* "model.layers.3." of a name in a block; 0: it stands in none. */
size_t outer_block(const char *name);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* fingerprint - tells two checkpoints apart without reading them whole: config, and of each
 * tensor name, type, shape and a few pages of its contents. Files that were only copied or sharded
 * otherwise have the same digest; a change of a few weights inside a large tensor may go unseen. */
#ifndef PTQ_FINGERPRINT_H
#define PTQ_FINGERPRINT_H

#include <stdint.h>
#include "../base/err.h"
#include "../base/hash.h"
#include "../base/json.h"
#include "../tensor/safetensors.h"

/* Adds config and each tensor's name, type, shape and size to h: what model_digest() is of. 0, -1
 * when memory is out. */
int fingerprint_shapes(struct hash *h, const struct json *config, const struct st_set *weights,
                       struct err *e);

/* config: all of config.json. 0, -1 when a file cannot be read. */
int fingerprint_model(const struct json *config, const struct st_set *weights, uint64_t *digest,
                      struct err *e);

#endif

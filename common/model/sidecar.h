/* SPDX-License-Identifier: Apache-2.0 */
/* sidecar - the files of a checkpoint folder beside its weights: tokenizer, generation settings,
 * licence. */
#ifndef PTQ_SIDECAR_H
#define PTQ_SIDECAR_H

#include "../base/err.h"

/* Copies the plain files of folder `from` into folder `to`. Left behind: weights in any format
 * and their indexes, data sets, config.json (its writer's business), the README and scripts, which
 * speak of the model that was read, hidden files, files above 64 MiB, and what formats write beside
 * config.json (quantize_config.json). */
int sidecar_copy(const char *from, const char *to, struct err *e);

/* None of them is a link to nothing or a pointer of Git LFS. */
int sidecar_check(const char *from, struct err *e);

#endif

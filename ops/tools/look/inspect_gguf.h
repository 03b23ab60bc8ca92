/* SPDX-License-Identifier: Apache-2.0 */
/* inspect_gguf - what is in a GGUF file, as inspect.h shows the rest. */
#ifndef PTQ_INSPECT_GGUF_H
#define PTQ_INSPECT_GGUF_H

#include <stdio.h>
#include "../../../common/base/err.h"

/* 1: a file that begins as such do. Pipes are not looked into. */
int inspect_is_gguf(const char *path);
/* As inspect_path: metadata first (arrays by their length), then tensors with their type and, with
 * stats, figures of the weights that they stand for. */
int inspect_gguf(const char *path, int json, int stats, FILE *out, struct err *e);

#endif

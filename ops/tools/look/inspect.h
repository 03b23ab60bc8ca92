/* SPDX-License-Identifier: Apache-2.0 */
/* inspect - what is in a stream of messages, a safetensors file, a checkpoint folder or a GGUF
 * file. */
#ifndef PTQ_INSPECT_H
#define PTQ_INSPECT_H

#include <stdio.h>
#include "../../../common/base/err.h"

/* Writes to out: lines for a person, or with json one JSON object a line. stats 0: names, types
 * and shapes only. 0, or -1 when it is damaged (what could be read is there). */
int inspect_path(const char *path, int json, int stats, FILE *out, struct err *e);

#endif

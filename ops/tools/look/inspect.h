/* SPDX-License-Identifier: Apache-2.0 */
/* inspect - what is in a stream of messages, a safetensors file or a checkpoint folder. */
#ifndef PTQ_INSPECT_H
#define PTQ_INSPECT_H

#include <stdio.h>
#include "../../../common/base/err.h"

enum input_kind { INPUT_STREAM, INPUT_FILE, INPUT_FOLDER };

/* By looking: a folder, "PTQ1" at the start, "-" or an endpoint (a stream); anything else must
 * be a safetensors file. */
int input_detect(const char *path, enum input_kind *k, struct err *e);

/* Writes to out: lines for a person, or with json one JSON object a line. stats 0: names, types
 * and shapes only. */
int inspect_path(const char *path, int json, int stats, FILE *out, struct err *e);

#endif

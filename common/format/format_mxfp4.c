/* SPDX-License-Identifier: Apache-2.0 */
/* format_mxfp4 - gpt-oss as it is published: the matrices of its experts in MXFP4, which
 * tensor/safetensors_mxfp4.c unpacks on reading. Every other tensor is plain, so a run may start
 * from it. What compressed-tensors makes of the same numbers: format_ct_float.c. */
#include <string.h>

#include "engine.h"

#define METHOD "mxfp4"

static int claims(const struct json *q)
{
    const char *method = json_as_text(json_get(q, "quant_method"));

    return method && strcmp(method, METHOD) == 0;
}

static const struct engine engines[] = {{.name = NULL}};

extern const struct format format_mxfp4;
const struct format format_mxfp4 = {
    .name = METHOD,
    .title = "MXFP4",
    .about = "read only: MXFP4 (gpt-oss as published), unpacked to BF16",
    .unpacked = 1,
    .engines = engines,
    .claims = claims,
};

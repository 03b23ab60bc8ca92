/* SPDX-License-Identifier: Apache-2.0 */
/* format_gptq_v2 - GPTQ v2: as v1 (format_gptq.c), but zero points are stored as they are, not less
 * 1, so that 0 can be one: checkpoint_format "gptq_v2". Fewer engines read it. */
#include "format_gptq.h"

static int put(const struct format_linear *l, const struct coded *c, format_emit *emit, void *ctx,
               struct err *e)
{
    return gptq_put(2, l, c, emit, ctx, e);
}

static struct json *config(const struct format_model *m, enum dtype *dtype, struct err *e)
{
    return gptq_config(2, m, dtype, e);
}

static int claims(const struct json *q)
{
    return gptq_claims(2, q);
}

extern const struct format format_gptq_v2;
const struct format format_gptq_v2 = {
    .name = "gptq-v2",
    .title = "GPTQ v2",
    .about = "as gptq, with zero points as they are (transformers, GPTQModel): for --grid asym",
    .fuses = 1,
    .heads = 1,
    .one_scale_type = 1,
    .some_codes = 1,
    .check = gptq_check_linear,
    .tensors = gptq_tensors,
    .put = put,
    .config = config,
    .config_copy = "quantize_config.json",
    .engines = gptq_v2_engines,
    .mark = "qweight",
    .claims = claims,
    .open = gptq_open,
    .close = gptq_close,
    .find = gptq_find,
    .read = gptq_read,
    .look = gptq_look,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_quantization - the quantization_config of a checkpoint from anywhere, and the question after
 * a linear that is not there: refused with a reason, whatever its rules say. */
#include <stdlib.h>
#include "../../common/format/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct st_set none = {.count = 0};
    struct err e = {0};
    struct json *config = json_parse((const char *)data, size, "config.json", &e);
    struct format_reader *r;

    if (!config)
        return 0;
    e = (struct err){0};
    r = format_open(config, "folder", &none, &e);
    if (r && format_find_linear(r, "model.layers.0.mlp.up_proj", 64, 128, &e) == 0)
        abort();
    if (e.kind == ERR_NONE)
        abort();
    format_close(&r);
    json_destroy(&config);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_quantization - the quantization_config of a checkpoint from anywhere, and the questions
 * after a linear that is not there, which is refused with a reason whatever its rules say, and
 * after those of a real file, in shapes that may be theirs or not: what is found can be read. */
#include <stdlib.h>
#include "../../common/format/format.h"

#define N 6
#define K 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_real(const struct format_reader *r, const struct st_set *real)
{
    static float w[N * K];
    static const char *const ids[] = {"fp8-channel", "fp8-tensor", "fp8-block", "nvfp4", "mxfp4"};

    for (size_t i = 0; real && i < sizeof ids / sizeof *ids; i++) {
        struct err e = {0};

        if (format_find_linear(r, ids[i], N, K, &e) == 0 &&
            format_load_linear(r, ids[i], N, K, w, &e) < 0 && e.kind == ERR_NONE)
            abort();
        e = (struct err){0};
        if (format_find_linear(r, ids[i], N + 1, K, &e) == 0 ||
            format_find_linear(r, ids[i], N, 2 * K, &e) == 0)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct st_set *real, none = {.count = 0};
    static int opened;
    struct err e = {0};
    struct json *config = json_parse((const char *)data, size, "config.json", &e);
    struct format_reader *r;

    if (!config)
        return 0;
    if (!opened++) /* from the root of the tree, as ops/fuzz runs it */
        real = st_open("tests/golden/pack/ct-float.safetensors", &(struct err){0});
    e = (struct err){0};
    r = format_open(config, "folder", &none, &e);
    if (r && format_find_linear(r, "model.layers.0.mlp.up_proj", 64, 128, &e) == 0)
        abort();
    if (e.kind == ERR_NONE)
        abort();
    format_close(&r);
    if (real && (r = format_open(config, "folder", real, &(struct err){0})))
        read_real(r, real);
    format_close(&r);
    json_destroy(&config);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_token_weights - files of token weights from anywhere: the first byte says whether it is
 * .jsonl or .safetensors. What is taken has a mean of 1 in each row and in each block, and no
 * weight below 0. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../stages/sample/sample_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BLOCKS = 2, ROWS = 2 };

static char dir[] = "/tmp/ptq-fuzz-XXXXXX";

static void mean_check(const float *w, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++) {
        if (!(w[i] >= 0))
            abort();
        sum += (double)w[i];
    }
    if (fabs(sum / (double)n - 1) > 1e-3)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct row row[ROWS] = {{.length = 3}, {.length = 2, .at = 3}};
    struct sample s = {.row = row, .nrow = ROWS};
    struct err e = {0};
    char path[64];
    FILE *f;

    if (size < 1)
        return 0;
    if (dir[sizeof dir - 2] == 'X' && !mkdtemp(dir))
        abort();
    snprintf(path, sizeof path, "%s/w.%s", dir, data[0] & 1 ? "safetensors" : "jsonl");
    if (!(f = fopen(path, "wb")) || fwrite(data + 1, 1, size - 1, f) != size - 1 || fclose(f))
        abort();
    s.o.token_weights = path;
    s.config.layers = BLOCKS;
    if (sample_weights_read(&s, &e) == 0) {
        for (size_t i = 0; s.weight && i < ROWS; i++)
            mean_check(s.weight + row[i].at, row[i].length);
        for (size_t i = 0; s.block_weight && i < BLOCKS; i++)
            mean_check(s.block_weight + i * ROWS, ROWS);
        for (size_t k = 0; k < s.nsites; k++)
            for (size_t i = 0; i < ROWS; i++)
                mean_check(s.site_weight[k].w + row[i].at, row[i].length);
    } else if (!e.kind) {
        abort();
    }
    free(s.weight);
    free(s.block_weight);
    sample_sites_release(&s);
    return 0;
}

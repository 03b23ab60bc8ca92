/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_gguf - a GGUF file from anywhere. What is accepted lies inside the file, and its
 * decodable tensors decode. */
#include <stdint.h>
#include <stdlib.h>
#include "../../common/tensor/gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct gguf *g = gguf_parse(data, size, size, "fuzz", &e);

    if (!g)
        return e.kind ? 0 : (abort(), 0);
    for (size_t i = 0; i < g->count; i++) {
        const struct gguf_entry *x = &g->entries[i];
        uint64_t n = 1;
        float *v;

        if (x->bytes && (x->offset > size || x->bytes > size - x->offset))
            abort();
        for (int k = 0; k < x->ndim; k++)
            n *= x->shape[k];
        if (n > size * 6 || /* IQ1_S: 256 elements in 50 bytes */
            gguf_find(g, x->name) != x)
            abort();
        v = malloc((size_t)n * sizeof *v + 1);
        if (v && x->offset % 8 == 0 && x->type != 0 && x->type != 1 && x->type != 30)
            gguf_decode(x->type, data + x->offset, (size_t)n, v);
        free(v);
    }
    gguf_close(&g);
    return 0;
}

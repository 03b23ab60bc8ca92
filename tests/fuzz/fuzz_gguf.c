/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_gguf - a GGUF file from anywhere. What is accepted lies inside the file, and its
 * decodable tensors decode; what is a model has the rows that its tensors are said to have; its
 * config and its tokenizer are made, or refused with a word. */
#include <stdint.h>
#include <stdlib.h>
#include "../../common/tensor/gguf_folder.h"
#include "../../common/text/gguf_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void folder(const struct gguf *g)
{
    struct gguf_tokenizer t;
    struct gguf_tensor *list;
    struct gguf_info m;
    struct err e = {0};
    struct json *j;
    size_t n;

    if (gguf_info_read(g, &m, &e) == 0 && gguf_tensors(g, &m, &list, &n, &e) == 0) {
        for (size_t i = 0; i < n; i++) {
            const uint64_t width = list[i].ndim > 1 ? list[i].shape[1] : 1;
            uint64_t all = 1;

            for (int k = 0; k < list[i].from->ndim; k++)
                all *= list[i].from->shape[k];
            if ((list[i].first + list[i].shape[0]) * width > all)
                abort();
        }
        free(list);
        if ((j = gguf_config(&m, g, DT_F16, m.quantized, &e)))
            json_destroy(&j);
    }
    if ((j = gguf_generation(g, &e)))
        json_destroy(&j);
    if (gguf_tokenizer_make(g, NULL, &t, &(struct err){0}) == 0)
        gguf_tokenizer_release(&t);
}

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
    folder(g);
    gguf_close(&g);
    return 0;
}

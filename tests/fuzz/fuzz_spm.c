/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_spm - a SentencePiece model from anywhere, then a text through what it made: every id must
 * lie in its vocabulary. */
#include <stdlib.h>
#include "../../common/text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] = "a ab  <s>\xC3\xA9 12\n'll e\xCC\x81 \xFF\0x";
    struct err e = {0};
    struct tokenizer *t = tokenizer_spm_parse(data, size, "tokenizer.model", &e);
    int32_t *ids = NULL;
    size_t n, i, length;

    if (!t)
        return 0;
    if (tokenizer_encode(t, text, sizeof text - 1, 1, 1, &ids, &n, &e) == 0) {
        for (i = 0; i < n; i++)
            if (ids[i] < 0 || (size_t)ids[i] >= tokenizer_vocab(t))
                abort();
        free(tokenizer_decode(t, ids, n, &length, &e));
        free(ids);
    }
    tokenizer_close(&t);
    return 0;
}

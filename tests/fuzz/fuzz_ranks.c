/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_ranks - the first lines of a tiktoken file from anywhere, behind them as many more as make
 * it one of a known size (that of Llama 3), then a text through what it made: every id must lie in
 * its vocabulary. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/text/tokenizer.h"
#include "../../common/text/tokenizer_parts.h"

#define RANKS 128000
#define LINE 20 /* bytes of a line at most */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(struct tokenizer *t)
{
    static const char text[] = "a ab  <s>\xC3\xA9 12\n'll e\xCC\x81 \xFF\0x";
    struct err e = {0};
    int32_t *ids = NULL;
    size_t n, length;

    if (tokenizer_encode(t, text, sizeof text - 1, 0, 1, &ids, &n, &e) < 0)
        return;
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= tokenizer_vocab(t))
            abort();
    free(tokenizer_decode(t, ids, n, &length, &e));
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = malloc(size + 1 + LINE * (size_t)RANKS);
    struct err e = {0};
    struct tokenizer *t;
    size_t n = size, lines = 0;
    int bos;

    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    if (size && text[n - 1] != '\n')
        text[n++] = '\n';
    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    for (size_t i = lines; i < RANKS; i++) /* three bytes each, none of them ASCII */
        n += (size_t)snprintf(text + n, LINE, "%c%c%c%c %zu\n", digits[32 | (i >> 12 & 31)],
                              digits[32], digits[i >> 6 & 63], digits[i & 63], i);
    t = tokenizer_ranks_parse(text, n, "tokenizer.model", &bos, &e);
    if (t)
        encode(t);
    else if (e.kind == ERR_NONE)
        abort();
    tokenizer_close(&t);
    free(text);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_tokenizer - the vocabulary in a GGUF file as tokenizer.json and what goes with it. */
#ifndef PTQ_GGUF_TOKENIZER_H
#define PTQ_GGUF_TOKENIZER_H

#include "../base/err.h"
#include "../base/json.h"
#include "../tensor/gguf.h"
#include "pre_names.h"

struct gguf_tokenizer {
    /* tokenizer.json, tokenizer_config.json, special_tokens_map.json */
    struct json *tokenizer, *config, *special;
    size_t count;        /* tokens */
    const char *warning; /* what a user should know; NULL: nothing */
};

/* pre: pre-tokenizer in place of the one that the file names; NULL: the file's. Release t in any
 * case. */
int gguf_tokenizer_make(const struct gguf *g, const char *pre, struct gguf_tokenizer *t,
                        struct err *e);
void gguf_tokenizer_release(struct gguf_tokenizer *t);
/* asked, or what the file says; a file that does not say is refused. Borrowed, static. */
const struct pre_name *gguf_pre_read(const struct gguf *g, const char *asked, struct err *e);

/* Merges of a SentencePiece vocabulary, best score first; vocab: text -> id. */
struct json *gguf_merges(const struct json *tokens, const struct json *scores,
                         const struct json *types, const struct json *vocab, const char *what,
                         struct err *e);

enum { TOKEN_NORMAL = 1, TOKEN_UNKNOWN, TOKEN_CONTROL, TOKEN_USER, TOKEN_UNUSED, TOKEN_BYTE };

#endif

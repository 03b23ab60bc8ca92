/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer - text to token ids and back, from a Hugging Face tokenizer.json or a SentencePiece
 * model.
 *
 * Models: BPE, of bytes (GPT-2, Llama 3, Qwen) or as SentencePiece has it ("▁" for spaces, byte
 * fallback: Llama 2, Mistral, Gemma), Unigram (T5, XLM-R) and WordLevel; with the normalizers,
 * pre-tokenizers, added tokens and post-processors that go with them.
 * add_bos_token and add_eos_token of tokenizer_config.json, where said, overrule the
 * post-processor. One thread at a time per tokenizer: it keeps a cache of frequent words and
 * scratch space. A part of tokenizer.json that is not known is refused by name, never skipped.
 * Reading is lossless: decode(encode(x)) = x wherever the reference has that property. pcre2 and
 * utf8proc only in unicode.c. */
#ifndef PTQ_TOKENIZER_H
#define PTQ_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"

struct tokenizer;

/* dir/tokenizer.json, or where there is none dir/tokenizer.model of SentencePiece or tiktoken (+
 * tokenizer_config.json). NULL: not there, or a part that is not known. */
struct tokenizer *tokenizer_open(const char *dir, struct err *e);
int tokenizer_is_there(const char *dir); /* one of these files */
struct tokenizer *tokenizer_parse(const char *json, size_t length, const char *what, struct err *e);
/* A SentencePiece model. */
struct tokenizer *tokenizer_spm_parse(const void *data, size_t n, const char *what, struct err *e);
void tokenizer_close(struct tokenizer **t);
size_t tokenizer_vocab(const struct tokenizer *t); /* highest id + 1, added tokens included */
/* the same without those that are added tokens only */
size_t tokenizer_vocab_base(const struct tokenizer *t);
uint64_t tokenizer_digest(const struct tokenizer *t); /* of its file */
/* the token its post-processor puts in front; -1: none */
int32_t tokenizer_bos(const struct tokenizer *t);
/* Bytes of memory that a long text takes while it is encoded, for each of its own, at most about:
 * itself, copies of it, places and ids. */
size_t tokenizer_text_cost(const struct tokenizer *t);
/* Ids of UTF-8 text (NUL bytes allowed). special: 1 adds what the post-processor adds (BOS);
 * added tokens in the text are recognised when parse_added is 1. *ids is malloc'd. Invalid
 * UTF-8: replaced by U+FFFD as the reference does. */
int tokenizer_encode(const struct tokenizer *t, const char *text, size_t length, int special,
                     int parse_added, int32_t **ids, size_t *count, struct err *e);
/* The same (special 0, parse_added 1) of a valid text with places in it, ascending, at most
 * length: tokens[k] is how many of the ids stand for text in front of at[k] alone. */
int tokenizer_encode_at(const struct tokenizer *t, const char *text, size_t length,
                        const size_t *at, size_t places, size_t *tokens, int32_t **ids,
                        size_t *count, struct err *e);
/* The added token with which text begins, if it is a special one, and how long it is; -1: none */
int32_t tokenizer_special(const struct tokenizer *t, const char *text, size_t length, size_t *n);
/* caller frees; NULL: no memory, or an id that is none */
char *tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t count, size_t *length,
                       struct err *e);
/* 1: every id that both have stands for the same token, so rows of ids of one are rows of the
 * other; else 0, and *id is the first that does not. One may have added tokens that the other
 * lacks, and what tokenizer.json says beside may differ. */
int tokenizer_same_ids(const struct tokenizer *a, const struct tokenizer *b, int32_t *id);
int32_t tokenizer_id(const struct tokenizer *t, const char *token); /* -1: no such token */

#endif

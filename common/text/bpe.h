/* SPDX-License-Identifier: Apache-2.0 */
/* bpe - byte pair encoding of one piece of text, and the vocabulary it needs.
 *
 * Follows Sennrich et al. 2016 (arXiv 1508.07909) in the form that tokenizer.json gives it: the
 * pair of lowest rank is merged first, the leftmost of equals. Merging takes O(n log n), so a
 * whole document may be one piece (SentencePiece style); where no token reaches from one word to
 * the next it takes the memory of a word. A cache remembers short pieces, so a
 * bpe serves one thread at a time. */
#ifndef PTQ_BPE_H
#define PTQ_BPE_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"

#define BPE_ID_MAX (1 << 22) /* ids are below this: sixteen times the largest vocabulary in use */

struct bpe;

struct bpe_ids {
    int32_t *id;
    size_t count, cap;
};
/* ids->id is malloc'd, the caller's to free; -1: no memory, here and in all below. */
int bpe_ids_push(struct bpe_ids *ids, int32_t id, struct err *e);

struct bpe_opts {
    /* pieces are bytes; the vocabulary spells each byte as one printable character
     * (bpe_byte_char) */
    int byte_level;
    int byte_fallback; /* characters without a token become tokens <0x00> .. <0xFF> */
    int fuse_unk;      /* neighbouring unknown characters are one unknown token */
    int ignore_merges; /* a piece that is a token is that token, whatever the merges say */
    int32_t unk;       /* -1: unknown characters are dropped */
};

/* Room for tokens and merges, both counts known from the file. Texts are copied. */
struct bpe *bpe_create(size_t tokens, size_t merges, struct err *e);
void bpe_destroy(struct bpe **b);
/* -1 also: an id that is out of range or taken, an empty text, one that is there already */
int bpe_add_token(struct bpe *b, const char *text, size_t n, int64_t id, struct err *e);
/* Tokens come first; the rank of a merge is its number. */
int bpe_add_merge(struct bpe *b, const char *left, size_t nleft, const char *right, size_t nright,
                  struct err *e);
int bpe_start(struct bpe *b, const struct bpe_opts *o, struct err *e);

size_t bpe_vocab(const struct bpe *b);                             /* highest id + 1 */
int32_t bpe_find(const struct bpe *b, const char *text, size_t n); /* -1: no such token */
const char *bpe_text(const struct bpe *b, int64_t id, size_t *n);  /* NULL: no such id */
/* Whether texts of words with "▁" between them are encoded word by word, whole as they may come. */
int bpe_by_words(const struct bpe *b);
/* Appends the ids of one piece of valid UTF-8. */
int bpe_encode(struct bpe *b, const char *piece, size_t n, struct bpe_ids *ids, struct err *e);

/* The printable character that stands for a byte in byte-level vocabularies, and back (-1:
 * stands for none). */
uint32_t bpe_byte_char(unsigned char byte);
int bpe_char_byte(uint32_t c);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* unigram - the most likely cut of one piece of text into tokens that have scores.
 *
 * Kudo 2018 (arXiv 1804.10959), as tokenizer.json has it: the path of the highest sum of scores,
 * the first found of equals; a character that no token begins with alone costs the lowest score
 * less 10; unknown characters beside each other are one. The vocabulary is a struct bpe without
 * merges. */
#ifndef PTQ_UNIGRAM_H
#define PTQ_UNIGRAM_H

#include "bpe.h"

struct unigram;

struct unigram_opts {
    int32_t unk;       /* -1: a text with unknown characters is refused */
    int byte_fallback; /* unknown characters become tokens <0x00> .. <0xFF>, where all are there */
};

/* vocab is borrowed, complete and not changed any more; score[bpe_vocab(vocab)] is copied. */
struct unigram *unigram_create(const struct bpe *vocab, const double *score,
                               const struct unigram_opts *o, struct err *e);
void unigram_destroy(struct unigram **u);
/* Appends the ids of one piece of valid UTF-8. */
int unigram_encode(struct unigram *u, const char *piece, size_t n, struct bpe_ids *ids,
                   struct err *e);

#endif

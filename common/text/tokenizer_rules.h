/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_rules - the merges of a BPE vocabulary that says scores instead, as the reference
 * makes them: every way to cut a token into two tokens, by its score, the best first, then by the
 * ids of the token and of its parts. */
#ifndef PTQ_TOKENIZER_RULES_H
#define PTQ_TOKENIZER_RULES_H

#include "bpe.h"

struct rules { /* in order */
    struct rule {
        double score;
        int32_t token, left, right;
    } * at;
    size_t n, room;
};

/* score[bpe_vocab(vocab)]; type, if not NULL: tokens of another than `only` have no part. */
int rules_find(struct rules *r, const struct bpe *vocab, const double *score,
               const unsigned char *type, unsigned char only, struct err *e);
/* To a vocabulary of the same tokens with room for r->n merges. */
int rules_add(const struct rules *r, struct bpe *vocab, struct err *e);
void rules_release(struct rules *r);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_rules - see tokenizer_rules.h. */
#include "tokenizer_rules.h"

#include <stdlib.h>

#include "../base/mem.h"

static int order(int32_t a, int32_t b)
{
    return (a > b) - (a < b);
}

static int by_rank(const void *a, const void *b)
{
    const struct rule *x = a, *y = b;
    int c = (x->score < y->score) - (x->score > y->score);

    c = c ? c : order(x->token, y->token);
    c = c ? c : order(x->left, y->left);
    return c ? c : order(x->right, y->right);
}

/* All cuts of one token. */
static int token_cut(struct rules *r, const struct bpe *vocab, int32_t id, double score,
                     const unsigned char *type, unsigned char only, struct err *e)
{
    size_t n = 0;
    const char *text = bpe_text(vocab, id, &n);

    for (size_t cut = 1; cut < n; cut++) {
        void *p = r->at;
        int32_t left, right;

        if (((unsigned char)text[cut] & 0xC0) == 0x80) /* inside a character */
            continue;
        left = bpe_find(vocab, text, cut);
        right = left < 0 ? -1 : bpe_find(vocab, text + cut, n - cut);
        if (right < 0 || (type && (type[left] != only || type[right] != only)))
            continue;
        if (mem_grow(&p, &r->room, r->n + 1, sizeof *r->at, e) < 0)
            return -1;
        r->at = p;
        r->at[r->n++] = (struct rule){score, id, left, right};
    }
    return 0;
}

int rules_find(struct rules *r, const struct bpe *vocab, const double *score,
               const unsigned char *type, unsigned char only, struct err *e)
{
    for (size_t i = 0; i < bpe_vocab(vocab); i++)
        if ((!type || type[i] == only) &&
            token_cut(r, vocab, (int32_t)i, score[i], type, only, e) < 0)
            return -1;
    if (r->n)
        qsort(r->at, r->n, sizeof *r->at, by_rank);
    return 0;
}

int rules_add(const struct rules *r, struct bpe *vocab, struct err *e)
{
    for (size_t i = 0; i < r->n; i++) {
        size_t nl = 0, nr = 0;
        const char *left = bpe_text(vocab, r->at[i].left, &nl),
                   *right = bpe_text(vocab, r->at[i].right, &nr);

        if (bpe_add_merge(vocab, left, nl, right, nr, e) < 0)
            return -1;
    }
    return 0;
}

void rules_release(struct rules *r)
{
    free(r->at);
    *r = (struct rules){0};
}

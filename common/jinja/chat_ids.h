/* SPDX-License-Identifier: Apache-2.0 */
/* chat_ids - a conversation as tokens, alike for calibration and for evaluation. */
#ifndef PTQ_CHAT_IDS_H
#define PTQ_CHAT_IDS_H

#include "../text/role.h"
#include "../text/tokenizer.h"
#include "chat.h"
#include "chat_insert.h"

struct chat_ids_opts {
    int32_t bos;                      /* -1: there is none */
    int bare;                         /* a BOS in front is taken off */
    int roles;                        /* wanted */
    size_t first_answer;              /* messages in front of this one are no answers */
    const struct chat_insert *insert; /* texts for the marks of images; NULL: none */
};

struct chat_row { /* what it points to is the caller's */
    int32_t *ids;
    uint8_t *role; /* [n] ROLE_PROMPT or ROLE_ANSWER; NULL: not wanted */
    size_t n;
    int bos_removed;
};

/* Renders vars and tokenizes the text; the template says itself where BOS stands. Of two that
 * come together one is taken off. An answer that the template does not mark itself ends with the
 * special token that ends its turn: one right behind it, or behind spaces. A token that an answer
 * shares with what stands in front is the answer's. */
int chat_ids(const struct chat *c, const struct tokenizer *t, const struct json *vars,
             const struct chat_ids_opts *o, struct chat_row *row, struct err *e);

#endif

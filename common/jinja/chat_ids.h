/* SPDX-License-Identifier: Apache-2.0 */
/* chat_ids - a conversation as tokens, alike for calibration and for evaluation. */
#ifndef PTQ_CHAT_IDS_H
#define PTQ_CHAT_IDS_H

#include "../text/tokenizer.h"
#include "chat.h"

/* Renders vars and tokenizes the text; the template says itself where BOS stands. Of two that
 * come together one is taken off, and with `bare` the only one, too (*removed says so). bos: -1
 * there is none. *ids is malloc'd, the caller's. */
int chat_ids(const struct chat *c, const struct tokenizer *t, const struct json *vars, int32_t bos,
             int bare, int32_t **ids, size_t *count, int *removed, struct err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* chat_parse - statements: the tokens of a template to its nodes. */
#ifndef PTQ_CHAT_PARSE_H
#define PTQ_CHAT_PARSE_H

#include "chat_node.h"

/* The nodes live in the arena, and borrow the texts of the tokens. NULL: e says what is wrong. */
struct node *chat_parse_toks(const struct toks *t, const char *what, struct arena *a,
                             struct err *e);

#endif

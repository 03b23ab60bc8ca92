/* SPDX-License-Identifier: Apache-2.0 */
/* chat_expr - expressions: tokens to nodes. NULL: p->e says what is wrong. */
#ifndef PTQ_CHAT_EXPR_H
#define PTQ_CHAT_EXPR_H

#include "chat_node.h"

struct node *parse_condition(struct parser *p); /* any expression */
struct node *parse_plain(struct parser *p);     /* one without "if" */
struct node *parse_tuple(struct parser *p);     /* one or several with commas */
struct node *parse_filters(struct parser *p, struct node *of);

#endif

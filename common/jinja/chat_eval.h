/* SPDX-License-Identifier: Apache-2.0 */
/* chat_eval - runs the nodes of a template. -1 as chat_value.h says. */
#ifndef PTQ_CHAT_EVAL_H
#define PTQ_CHAT_EVAL_H

#include "chat_node.h"

struct var {
    struct str name;
    struct value value;
    struct var *next;
};
struct scope {
    struct var *var;
    struct scope *up;
};

/* Statements; their output is added to r->out. */
int chat_run(struct render *r, const struct node *body);
int chat_eval(struct render *r, const struct node *n, struct value *out);

#endif

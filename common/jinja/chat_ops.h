/* SPDX-License-Identifier: Apache-2.0 */
/* chat_ops - what Python does with values: attributes, items, slices, "in", arithmetic,
 * comparisons. -1 as chat_value.h says. */
#ifndef PTQ_CHAT_OPS_H
#define PTQ_CHAT_OPS_H

#include "chat_value.h"

enum op {
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_FLOOR,
    OP_MOD,
    OP_POW,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_IN,
    OP_NOT_IN
};

/* v[from:to:step]: an int or none each */
int value_slice(struct render *r, const struct value *v, const struct value bound[3],
                struct value *out);
/* OP_ADD to OP_POW */
int value_binary(struct render *r, enum op op, const struct value *a, const struct value *b,
                 struct value *out);
/* OP_EQ to OP_NOT_IN */
int value_compare(struct render *r, enum op op, const struct value *a, const struct value *b,
                  int *yes);
/* Whether the type has a method of this name in Python, supported here or not. */
int value_has_method(const struct value *v, struct str name);
/* v.name */
int value_get(struct render *r, const struct value *v, struct str name, struct value *out);
/* v[key] */
int value_item(struct render *r, const struct value *v, const struct value *key, struct value *out);
int value_in(struct render *r, const struct value *v, const struct value *in, int *yes);

#endif

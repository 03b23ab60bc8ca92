/* SPDX-License-Identifier: Apache-2.0 */
/* chat_text - what Python's str can do, by name. Results live in the rendering's arena; -1 as
 * chat_value.h says. */
#ifndef PTQ_CHAT_TEXT_H
#define PTQ_CHAT_TEXT_H

#include "chat_value.h"

int str_method(struct render *r, struct str s, struct str name, const struct value *arg, size_t n,
               struct value *out);
/* 'u' 'l' 'c', 't' method, 'T' filter */
int str_case(struct render *r, struct str s, char how, struct value *out);
int str_replace(struct render *r, struct str s, struct str from, struct str to, int64_t most,
                struct value *out);
int str_join(struct render *r, struct str with, const struct list *l, int convert,
             struct value *out);

#endif

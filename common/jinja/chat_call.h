/* SPDX-License-Identifier: Apache-2.0 */
/* chat_call - tests, functions and methods by name, with their arguments. -1 as chat_value.h says;
 * a name that is not known is a failure. */
#ifndef PTQ_CHAT_CALL_H
#define PTQ_CHAT_CALL_H

#include "chat_value.h"

struct args {
    struct value at[8];
    size_t n;
    struct {
        struct str name;
        struct value v;
    } word[32];
    size_t words;
};
int chat_test(struct render *r, struct str name, struct value v, struct args *x, int *yes);
int chat_function(struct render *r, struct str name, struct args *x, struct value *out);
int chat_function_known(const struct render *r, struct str name);
int chat_method(struct render *r, struct value v, struct str name, struct args *x,
                struct value *out);

#endif

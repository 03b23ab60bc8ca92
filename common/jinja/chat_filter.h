/* SPDX-License-Identifier: Apache-2.0 */
/* chat_filter - the filters, by name. -1 as chat_value.h says. */
#ifndef PTQ_CHAT_FILTER_H
#define PTQ_CHAT_FILTER_H

#include "chat_call.h"

int chat_filter(struct render *r, struct str name, struct value v, struct args *x,
                struct value *out);

#endif

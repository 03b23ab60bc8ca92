/* SPDX-License-Identifier: Apache-2.0 */
/* chat_print - values as text: Python's str() and json.dumps(). Results live in the rendering's
 * arena; -1 as chat_value.h says. */
#ifndef PTQ_CHAT_PRINT_H
#define PTQ_CHAT_PRINT_H

#include "chat_value.h"

int value_print(struct render *r, const struct value *v, struct value *out); /* str() */
/* JSON; indent < 0: one line */
int value_dump(struct render *r, const struct value *v, int indent, int sorted, struct value *out);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* chat_answers - where in the text of a conversation the model speaks. */
#ifndef PTQ_CHAT_ANSWERS_H
#define PTQ_CHAT_ANSWERS_H

#include "chat.h"

/* The spans of the answers in `text`, which chat_render_spans made of vars, in order and apart.
 * Where the template marks them ({% generation %}, the spans that came of the rendering), they
 * are these. Else they are found by what changes in the text when the words of an answer do, so
 * a template may say old turns otherwise than the last one; what it prints in front of an answer
 * and behind is no part of it, and a turn that the template refuses with other words has none.
 * first: messages in front of this one are given, whoever speaks. 1: the template marks them, 0: it
 * does not, -1: an error. Caller frees spans->at. */
int chat_answers(const struct chat *c, const struct json *vars, const char *text, size_t n,
                 size_t first, struct chat_spans *spans, struct err *e);

#endif

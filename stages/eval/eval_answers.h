/* SPDX-License-Identifier: Apache-2.0 */
/* eval_answers - questions with answers, perhaps about a picture: a line {"question": "...",
 * "answer": "...", "image": "..."} each, rendered by the model's chat template as a chat of its
 * own. Only tokens of answers are scored, the one that ends an answer included. */
#ifndef PTQ_EVAL_ANSWERS_H
#define PTQ_EVAL_ANSWERS_H

#include "eval_windows.h"

/* As windows_read: a window for each line, with the roles of its tokens. */
int answers_read(const struct windows_opts *o, struct windows *w, struct err *e);
/* One line: what the template gets, the caller's. what: file and line, for errors. */
struct json *answers_chat(const struct json *line, const char *what, struct err *e);

#endif

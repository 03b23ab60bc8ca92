/* SPDX-License-Identifier: Apache-2.0 */
/* chat - conversations to text, by the model's own chat template.
 *
 * A template is a Jinja2 template as transformers configures it (trim_blocks, lstrip_blocks, the
 * loopcontrols extension, {% generation %}, tojson without escapes for HTML). This is the part
 * of Jinja2 that chat templates use; its result is that of Jinja2 byte for byte, or an error: a
 * tag, filter, test, method or function that is not known here is refused by name and line,
 * never skipped. Templates are not trusted: parsing and rendering are bounded in depth, steps,
 * memory and output, and a template sees nothing but its variables. The day of today is a
 * variable too (chat_set_date), because the same data must give the same text tomorrow. */
#ifndef PTQ_CHAT_H
#define PTQ_CHAT_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"
#include "../base/json.h"
#include "chat_spans.h"

struct chat;

/* The template of a model folder: chat_template.jinja, or "chat_template" of chat_template.json
 * (beside a processor of images) or else of tokenizer_config.json (of several, that called
 * "default"); its special tokens (bos_token, eos_token ...) become variables. file: take the
 * template from there. NULL, ERR_USE when there is none. */
struct chat *chat_open(const char *dir, const char *file, struct err *e);
/* what: its name for errors. NULL, ERR_USE: not a template of this language, by line. */
struct chat *chat_parse(const char *text, size_t length, const char *what, struct err *e);
void chat_close(struct chat **c);
uint64_t chat_digest(const struct chat *c); /* of the template's text and its variables */

/* Variables for every rendering; copied. */
int chat_set(struct chat *c, const char *name, const struct json *value, struct err *e);
/* "2024-07-26": what strftime_now() formats. Without it that function is not defined, and
 * calling it an error. */
int chat_set_date(struct chat *c, const char *date, struct err *e);
int chat_check_date(const char *date, struct err *e); /* its errors, without a template */
/* evaluations of one rendering; memory and output of it */
void chat_limit(struct chat *c, size_t steps, size_t bytes);

/* The text of a conversation. vars: an object; "messages" an array of objects; "tools",
 * "documents" and "add_generation_prompt" as in transformers (null, null, false where absent);
 * other members are variables as well. NUL-terminated; caller frees. */
char *chat_render(const struct chat *c, const struct json *vars, size_t *length, struct err *e);

/* The same, and what its {% generation %} blocks printed; those inside of a macro or of a set
 * block are not told. Caller frees spans->at in any case. */
char *chat_render_spans(const struct chat *c, const struct json *vars, size_t *length,
                        struct chat_spans *spans, struct err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* doc_parts - the members of a line that are read, between the doc_*.c files alone. */
#ifndef PTQ_DOC_PARTS_H
#define PTQ_DOC_PARTS_H

#include "docs.h"

enum doc_field {
    DOC_TEXT,
    DOC_IDS,
    DOC_MASK,
    DOC_LABELS,
    DOC_MESSAGES,
    DOC_TOOLS,
    DOC_DOCUMENTS,
    DOC_KWARGS,
    DOC_CONVERSATIONS,
    DOC_SYSTEM,
    DOC_INSTRUCTION,
    DOC_INPUT,
    DOC_OUTPUT,
    DOC_PROMPT,
    DOC_COMPLETION,
    DOC_IMAGE,
    DOC_IMAGES,
    DOC_FIELDS
};
extern const char *const doc_names[DOC_FIELDS + 1]; /* NULL ends them */

struct doc_member {
    const char *at; /* its value, as JSON; NULL: absent, or null */
    size_t n;
    int seen;
};

/* A text that is a member of its own; caller frees. NULL: it is none. */
char *doc_member_text(const struct doc_member *m, const char *name, const char *what,
                      size_t *length, struct err *e);

/* Of the members [DOC_FIELDS]; what they fill in d is released by the caller when they fail.
 * doc_ids.c */
int doc_ids_read(const struct doc_member *m, const char *what, struct doc *d, struct err *e);
/* doc_chat.c: "messages" */
int doc_messages_read(const struct doc_member *m, const char *what, struct doc *d, struct err *e);
/* doc_forms.c: a chat of "conversations", or of "instruction", "input" and "output"; a text or a
 * chat of "prompt" and "completion" */
int doc_conversations_read(const struct doc_member *m, const char *what, struct doc *d,
                           struct err *e);
int doc_instruction_read(const struct doc_member *m, const char *what, struct doc *d,
                         struct err *e);
int doc_prompt_read(const struct doc_member *m, const char *what, struct doc *d, struct err *e);

/* doc_chat.c: d->chat with the variables beside the messages, then the messages themselves (taken
 * in any case, NULL: no memory), which are checked. */
int doc_chat_start(const struct doc_member *m, const char *what, struct doc *d, struct err *e);
int doc_chat_messages(struct doc *d, struct json *messages, const char *what, struct err *e);
/* "image" or "images" of the line, for whoever looks for them. */
int doc_images_read(const struct doc_member *m, const char *what, struct doc *d, struct err *e);
/* A value of the line; one that was stored as JSON text is what that text says. */
struct json *doc_value_of(const struct json *v, const char *name, const char *what, struct err *e);
int doc_objects_check(const struct json *list, const char *name, const char *what, struct err *e);

#endif

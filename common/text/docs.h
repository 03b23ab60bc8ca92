/* SPDX-License-Identifier: Apache-2.0 */
/* docs - the documents of a data file, one at a time.
 *
 * NAME.txt is one document: the whole file. NAME.jsonl has one document a line, {"text": "..."},
 * {"input_ids": [1, 2, ...]} or {"messages": [{"role": "...", "content": ...}, ...]} (a chat,
 * for chat.h to render); other keys are ignored, blank lines skipped, the kinds do not mix in
 * one file. Errors name file and line. */
#ifndef PTQ_DOCS_H
#define PTQ_DOCS_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"
#include "../base/json.h"

struct docs;

struct doc {     /* one of text, ids and chat is set */
    size_t line; /* 1-based */
    char *text;  /* UTF-8 as in the file, NUL-terminated; may hold NUL bytes */
    size_t length;
    int32_t *ids; /* each >= 0; the vocabulary is the caller's business */
    size_t count;
    /* variables of the template: messages (objects with a text "role"), tools, documents,
     * chat_template_kwargs' */
    struct json *chat;
};

struct docs *docs_open(const char *path, struct err *e);
/* 1: *d is the next document (release it), 0: the end, -1: an error. */
int docs_next(struct docs *r, struct doc *d, struct err *e);
void docs_close(struct docs **r);
void doc_release(struct doc *d);

/* One line of a .jsonl file (the fuzz target). */
int doc_parse(const char *line, size_t length, const char *what, struct doc *d, struct err *e);

#endif

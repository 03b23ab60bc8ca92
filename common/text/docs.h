/* SPDX-License-Identifier: Apache-2.0 */
/* docs - the documents of a data file, one at a time.
 *
 * NAME.txt is one document: the whole file. NAME.jsonl has one document a line, NAME.json a
 * list of them (or a document a line): {"text": "..."}, {"input_ids": [1, 2, ...]} (and
 * "attention_mask", "labels") or {"messages": [{"role": "...", "content": ...}, ...]} (a chat,
 * for chat.h to render, with its "tools", "documents" and "chat_template_kwargs"). A line
 * without these may have ShareGPT's "conversations", Alpaca's "instruction", "input" and
 * "output", or "prompt" and "completion"; "system" may stand beside the first two, "image" or
 * "images" beside chats and ids. A text by itself is a document, too. Other members are not
 * looked at, those that are null count as absent, blank lines and a byte order mark are
 * skipped, the kinds do not mix in one file. Bytes that are no UTF-8 become U+FFFD. NAME.parquet
 * has a document a row, in columns of these names (parquet.h). Of a folder its files follow each
 * other. Errors name file and line, or file and element of the list, or row. */
#ifndef PTQ_DOCS_H
#define PTQ_DOCS_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"
#include "../base/json.h"
#include "../base/opt.h"
#include "data_file.h"

struct docs;

/* What becomes of a line that is no document. */
enum docs_bad {
    DOCS_BAD_REFUSE, /* an error, which names the option --bad-lines skip */
    DOCS_BAD_SKIP,   /* counted */
    DOCS_BAD_FINAL   /* an error; the program has no such option */
};

/* "refuse", "skip" of the option --bad-lines; "stop", "skip" of --bad-chats */
extern const struct opt_choice docs_bad_choices[], docs_chat_choices[];

/* Of all programs that read documents: rows of options. */
struct docs_opts {
    enum docs_bad bad_lines;
    enum docs_bad bad_chats; /* what becomes of a chat that its template refuses */
    const char *text_column; /* the member that is the text; no other is read. NULL: the usual */
};

struct doc {          /* one of text, ids and chat is set */
    const char *file; /* its name for messages; there as long as the file is open */
    size_t line;      /* 1-based; of a list: of the element */
    char *text;       /* UTF-8 as in the file, NUL-terminated; may hold NUL bytes */
    size_t length;
    int parted; /* the first `prompt` bytes of the text are given, the rest is an answer */
    size_t prompt;
    int32_t *ids;  /* each >= 0; the vocabulary is the caller's business */
    uint8_t *role; /* [count] ROLE_PROMPT or ROLE_ANSWER (role.h); NULL: not said */
    size_t count;
    size_t masked;   /* tokens that attention_mask left out of ids */
    size_t repaired; /* characters that were no UTF-8, or halves of surrogates: now U+FFFD */
    /* variables of the template: messages (objects with a text "role"), tools, documents (lists
     * of objects), chat_template_kwargs' */
    struct json *chat;
    size_t first_answer; /* messages in front of this one are given */
    struct json *images; /* of a chat or ids: "image" or "images" as they stand; NULL: neither */
};

struct docs_count {
    uint64_t skipped, repaired, masked;  /* lines, documents, tokens */
    uint64_t replaced;                   /* characters of the documents repaired */
    char first_repaired[256];            /* file:line of the first of these */
    uint64_t refused;                    /* chats, by their template */
    char first[256], first_refused[256]; /* why the first of these was */
};

/* The file and what o points to stay the caller's, for as long. */
struct docs *docs_open(const struct data_file *f, const struct docs_opts *o, struct err *e);
/* 1: *d is the next document (release it), 0: the end, -1: an error. */
int docs_next(struct docs *r, struct doc *d, struct err *e);
/* The document that came last, a chat, is refused by its template, as *e says: 0 when it counts as
 * skipped (*e is empty again), -1 when that ends all. */
int docs_reject(struct docs *r, struct err *e);
const struct docs_count *docs_counted(const struct docs *r);
void docs_close(struct docs **r);
void doc_release(struct doc *d);

/* doc_line.c: the names of the members that are read, NULL behind the last; one line, or one
 * element of a list (the fuzz target). */
const char *const *doc_members(void);
int doc_parse(const char *line, size_t length, const char *what, const struct docs_opts *o,
              struct doc *d, struct err *e);

#endif

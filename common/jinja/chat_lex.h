/* SPDX-License-Identifier: Apache-2.0 */
/* chat_lex - the tokens of a template. */
#ifndef PTQ_CHAT_LEX_H
#define PTQ_CHAT_LEX_H

#include "arena.h"
#include "chat_str.h"

enum tok_kind {
    TOK_END,
    TOK_TEXT, /* outside of tags */
    TOK_PRINT,
    TOK_PRINT_END, /* {{ }} */
    TOK_TAG,
    TOK_TAG_END, /* {% %} */
    TOK_NAME,
    TOK_STR,
    TOK_INT,
    TOK_REAL,
    TOK_OP /* text is the operator */
};
struct tok {
    enum tok_kind kind;
    int line;
    struct str text; /* strings without quotes and escapes */
    int64_t i;
    double r;
};
struct toks {
    struct tok *tok;
    size_t n, room;
};
/* The last token is TOK_END. Texts point into `text` or the arena; the caller frees t->tok, also
 * after a failure: -1, the error names what and line. */
int chat_lex(const char *text, size_t n, const char *what, struct arena *a, struct toks *t,
             struct err *e);

#endif

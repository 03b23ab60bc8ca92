/* SPDX-License-Identifier: Apache-2.0 */
/* chat_node - what a template is parsed to, and what its parsers share: the token at hand and
 * making nodes. Nodes live in the parser's arena. */
#ifndef PTQ_CHAT_NODE_H
#define PTQ_CHAT_NODE_H

#include "chat_lex.h"
#include "chat_ops.h"

enum node_kind {
    /* statements; `next` is the one that follows */
    N_TEXT,
    N_PRINT,
    N_IF,
    N_FOR,
    N_SET,
    N_SETBLOCK,
    N_MACRO,
    N_SCOPE,
    N_BREAK,
    N_CONTINUE,
    /* expressions; `next` is the next of a list of arguments */
    N_CONST,
    N_NAME,
    N_LIST,
    N_DICT,
    N_ATTR,
    N_ITEM,
    N_SLICE,
    N_CALL,
    N_FILTER,
    N_TEST,
    N_NOT,
    N_NEG,
    N_POS,
    N_AND,
    N_OR,
    N_COND,
    N_COMPARE,
    N_BINARY,
    N_CONCAT,
    N_KEYWORD,
    N_PAIR
};
/* What a kind keeps where:
 *   TEXT text; PRINT a; IF a cond, b then, c else;
 *   FOR names (N_NAME list) a over b, body c, else d, filter f; SET a target, b value;
 *   SETBLOCK a target, b body, f filter; SCOPE b body (flag: a generation block)
 *   MACRO text name, a parameters (KEYWORD with b default), b body;
 *   CONST value; NAME text; LIST a (marked: tuple); DICT a PAIRs (a, b);
 *   ATTR a, text; ITEM a, b; SLICE a, b, c, d; CALL a, b arguments;
 *   FILTER, TEST text, a, b arguments; COND a if b else c;
 *   COMPARE a, b list of BINARY (op, a); BINARY op a b; KEYWORD text, a */
struct node {
    enum node_kind kind;
    enum op op;
    int line, flag;
    struct str text;
    struct value value;
    struct node *a, *b, *c, *d, *f, *next;
};

struct parser {
    const struct tok *t;
    const char *what;
    struct arena *arena;
    int depth, loops;
    struct err *e;
};
struct node *parse_refuse(struct parser *p, const char *why); /* at the token at hand; NULL */
struct node *node_new(struct parser *p, enum node_kind kind); /* NULL: no memory left */
int parse_deeper(struct parser *p);                           /* -1: nested too deep */
int tok_is_op(const struct parser *p, const char *op);
int tok_is_name(const struct parser *p, const char *name);
int tok_take_op(struct parser *p, const char *op); /* 1: it was there, and is taken */
int tok_take_name(struct parser *p, const char *name);
int tok_need_op(struct parser *p, const char *op); /* -1: it is not there */

#endif

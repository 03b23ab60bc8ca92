/* SPDX-License-Identifier: Apache-2.0 */
/* chat_parts - inside of struct chat, shared by the chat*.c files alone: memory, tokens, nodes,
 * values. */
#ifndef PTQ_CHAT_PARTS_H
#define PTQ_CHAT_PARTS_H

#include "chat.h"

/* ---- memory that is freed as a whole (chat_value.c) ---- */

struct arena_page;
struct arena {
    struct arena_page *page;
    size_t used, max; /* bytes in all */
};
void *arena_get(struct arena *a, size_t n, struct err *e); /* zeroed */
void arena_release(struct arena *a);

struct str {
    const char *p;
    size_t n; /* bytes */
};

/* ---- tokens (chat_lex.c) ---- */

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
/* The last token is TOK_END. */
int chat_lex(const char *text, size_t n, const char *what, struct arena *a, struct toks *t,
             struct err *e);

/* ---- nodes (chat_parse.c) ---- */

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
enum op {
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_FLOOR,
    OP_MOD,
    OP_POW,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_IN,
    OP_NOT_IN
};

enum value_kind {
    V_UNDEF,
    V_NONE,
    V_BOOL,
    V_INT,
    V_REAL,
    V_STR,
    V_LIST,
    V_DICT,
    V_SPACE,
    V_LOOP,
    V_MACRO
};
struct value {
    enum value_kind kind;
    int marked; /* V_STR: went through `safe`; V_LIST: a tuple */
    union {
        int64_t i; /* V_BOOL, V_INT */
        double r;
        struct str s;
        struct list *list;
        struct dict *dict; /* V_DICT, V_SPACE (a namespace) */
        struct loop *loop;
        struct macro *macro;
    } u;
};
struct list {
    struct value *at;
    size_t n, room;
};
struct dict {
    struct pair {
        struct value key, value;
    } * at;
    size_t n, room;
};

/* What a kind keeps where:
 *   TEXT text; PRINT a; IF a cond, b then, c else;
 *   FOR names (N_NAME list) a over b, body c, else d, filter f; SET a target, b value;
 *   SETBLOCK a target, b body, f filter; SCOPE b body
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
struct node *node_new(struct parser *p, enum node_kind kind);
int is_op(const struct parser *p, const char *op);
int is_name(const struct parser *p, const char *name);
int take_op(struct parser *p, const char *op); /* 1: it was there, and is taken */
int take_name(struct parser *p, const char *name);
int need_op(struct parser *p, const char *op);
int parse_deeper(struct parser *p);
struct node *parse_condition(struct parser *p); /* chat_expr.c: an expression */
struct node *parse_plain(struct parser *p);     /* one without "if" */
struct node *parse_tuple(struct parser *p);     /* one or several with commas */
struct node *parse_filters(struct parser *p, struct node *of);

struct node *chat_parse_toks(const struct toks *t, const char *what, struct arena *a,
                             struct err *e);

enum { CHAT_DEPTH = 150 }; /* of nesting in the text; evaluation may go twice as deep */

/* ---- evaluation ---- */

struct chat {
    char *what;
    struct arena arena; /* of the nodes */
    struct node *body;
    struct json *vars;
    uint64_t text_digest;
    size_t steps, bytes;
    int year, month, day; /* 0: no date */
};

struct var {
    struct str name;
    struct value value;
    struct var *next;
};
struct frame {
    struct var *var;
    struct frame *up;
};
struct loop {
    struct list *items;
    size_t i;
};
struct macro {
    const struct node *node;
    struct frame *frame; /* where it was defined */
};

struct text_out {
    char *data;
    size_t n, room;
};

struct run {
    const struct chat *chat;
    struct arena arena;
    struct text_out out;
    struct frame *frame;
    size_t steps;
    int depth, line;
    enum { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE } flow;
    struct err *e;
};

/* chat_value.c. Functions that may fail return -1 with r->e filled, by run_fail. */
int run_fail(struct run *r, const char *fmt, ...) ERR_PRINTF(2, 3);
int run_step(struct run *r); /* counts one */
int out_add(struct run *r, const char *p, size_t n);
int str_same(struct str a, const char *b);
struct value value_of(enum value_kind kind, int64_t i);
struct value value_str(const char *p, size_t n);
int value_text(struct run *r, const char *p, size_t n, struct value *out); /* a copy */
int value_list(struct run *r, size_t room, struct value *out);
int value_dict(struct run *r, enum value_kind kind, struct value *out);
int list_push(struct run *r, struct list *l, struct value v);
int dict_put(struct run *r, struct dict *d, struct value key, struct value v);
const struct value *dict_find(const struct dict *d, struct str key);
int value_json(struct run *r, const struct json *j, struct value *out);
int value_true(const struct value *v);
/* of its type, for errors */
const char *value_name(const struct value *v);
int value_equal(struct run *r, const struct value *a, const struct value *b, int *same);
/* -1, 0, 1 */
int value_order(struct run *r, const struct value *a, const struct value *b, int *order);
int value_length(struct run *r, const struct value *v, size_t *n);
/* Whatever can be iterated, as a list: a list itself, the keys of a dict, the characters of a
 * text, nothing of an undefined value. */
int value_items(struct run *r, const struct value *v, struct list **out);

/* chat_print.c */
int value_print(struct run *r, const struct value *v, struct value *out); /* str() */
/* JSON; indent < 0: one line */
int value_dump(struct run *r, const struct value *v, int indent, int sorted, struct value *out);

/* chat_text.c: texts count in characters */
size_t str_chars(struct str s);
/* characters [from, to) */
struct str str_slice(struct str s, size_t from, size_t to);
struct str str_strip(struct str s, const struct str *set, int left, int right);
/* byte offset, SIZE_MAX: none */
size_t str_find(struct str s, struct str word, size_t from);
/* Python's str.isspace */
int str_space(uint32_t c);
int str_method(struct run *r, struct str s, struct str name, const struct value *arg, size_t n,
               struct value *out);
/* 'u' 'l' 'c', 't' method, 'T' filter */
int str_case(struct run *r, struct str s, char how, struct value *out);
int str_replace(struct run *r, struct str s, struct str from, struct str to, int64_t most,
                struct value *out);
int str_join(struct run *r, struct str with, const struct list *l, int convert, struct value *out);
/* whether the type has an attribute of this name */
int is_method(const struct value *v, struct str name);

/* chat_call.c */
struct args {
    struct value at[8];
    size_t n;
    struct {
        struct str name;
        struct value v;
    } word[32];
    size_t words;
};
/* Fails: the WHAT 'name' is not supported. */
int call_unknown(struct run *r, const char *what, struct str name);
int chat_test(struct run *r, struct str name, struct value v, struct args *x, int *yes);
int chat_function(struct run *r, struct str name, struct args *x, struct value *out);
int chat_function_known(const struct run *r, struct str name);
int chat_method(struct run *r, struct value v, struct str name, struct args *x, struct value *out);

/* chat_filter.c */
int chat_filter(struct run *r, struct str name, struct value v, struct args *x, struct value *out);
/* The pairs of a dict as lists of two; nothing of an undefined value. */
int dict_items(struct run *r, const struct value *v, struct value *out);

/* chat_eval.c */
int chat_run(struct run *r, const struct node *body);
int chat_eval(struct run *r, const struct node *n, struct value *out);

/* chat_ops.c */
/* n: its bounds */
int value_slice(struct run *r, const struct value *v, const struct node *n, struct value *out);
int value_binary(struct run *r, enum op op, const struct value *a, const struct value *b,
                 struct value *out);
int value_compare(struct run *r, const struct node *n, struct value *out);
/* v.name */
int value_get(struct run *r, const struct value *v, struct str name, struct value *out);
/* v[key] */
int value_item(struct run *r, const struct value *v, const struct value *key, struct value *out);
int value_in(struct run *r, const struct value *v, const struct value *in, int *yes);

#endif

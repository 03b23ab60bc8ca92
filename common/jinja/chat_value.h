/* SPDX-License-Identifier: Apache-2.0 */
/* chat_value - the values of a template, and the rendering that they live in.
 *
 * All memory of values is the rendering's arena: nobody frees one. Functions that may fail return
 * -1 with r->e filled by render_fail(). */
#ifndef PTQ_CHAT_VALUE_H
#define PTQ_CHAT_VALUE_H

#include "../base/json.h"
#include "arena.h"
#include "chat_str.h"

enum { CHAT_DEPTH = 150 }; /* of nesting in the text; evaluation may go twice as deep */

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
        struct chat_loop *loop;
        struct macro *macro;
    } u;
};
struct list {
    struct value *at;
    size_t n, room;
};
struct dict {
    struct dict_pair {
        struct value key, value;
    } * at;
    size_t n, room;
};

struct node;
struct scope;
struct chat_spans;
struct chat_loop {
    struct list *items;
    size_t i;
};
struct macro {
    const struct node *node;
    struct scope *scope; /* where it was defined */
};

struct text_out {
    char *data;
    size_t n, room;
};

/* One rendering: what the evaluation is allowed, and where it stands. */
struct render {
    const char *what; /* the template's name for errors */
    struct arena arena;
    struct text_out out;
    struct chat_spans *spans; /* NULL: nobody asks, or out is not the text itself */
    struct scope *scope;
    size_t steps, steps_max, bytes_max; /* evaluations; bytes of output */
    int year, month, day;               /* 0: no date */
    int depth, line;
    enum { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE } flow;
    struct err *e;
};
int render_fail(struct render *r, const char *fmt, ...) ERR_PRINTF(2, 3);
/* Fails: the WHAT 'name' is not supported. */
int render_unknown(struct render *r, const char *what, struct str name);
int render_step(struct render *r); /* counts one */
int render_add(struct render *r, const char *p, size_t n);

struct value value_of(enum value_kind kind, int64_t i);
struct value value_str(const char *p, size_t n);
int value_text(struct render *r, const char *p, size_t n, struct value *out); /* a copy */
int value_list(struct render *r, size_t room, struct value *out);
int value_dict(struct render *r, enum value_kind kind, struct value *out);
int list_push(struct render *r, struct list *l, struct value v);
int dict_put(struct render *r, struct dict *d, struct value key, struct value v);
const struct value *dict_find(const struct dict *d, struct str key);
int value_json(struct render *r, const struct json *j, struct value *out);
int value_true(const struct value *v);
/* of its type, for errors */
const char *value_name(const struct value *v);
int value_equal(struct render *r, const struct value *a, const struct value *b, int *same);
/* -1, 0, 1 */
int value_order(struct render *r, const struct value *a, const struct value *b, int *order);
int value_length(struct render *r, const struct value *v, size_t *n);
/* Whatever can be iterated, as a list: a list itself, the keys of a dict, the characters of a
 * text, nothing of an undefined value. */
int value_items(struct render *r, const struct value *v, struct list **out);
/* The pairs of a dict as lists of two; nothing of an undefined value. */
int value_pairs(struct render *r, const struct value *v, struct value *out);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* json - trees of JSON values: config files, journals, message metadata (mpk.c turns them into
 * msgpack).
 *
 * The only file that knows jansson is json.c; struct json is opaque (a json_t inside). Objects
 * keep insertion order. "set" and "push" functions take ownership of the child and accept NULL
 * as an out-of-memory mark: the first failure sticks to nothing, it is returned as -1. Getters
 * borrow. Parsing refuses duplicate keys, bad UTF-8 and nesting beyond a limit. */
#ifndef PTQ_JSON_H
#define PTQ_JSON_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "err.h"

struct json;

enum json_kind {
    JSON_KIND_NULL,
    JSON_KIND_BOOL,
    JSON_KIND_INT,
    JSON_KIND_REAL,
    JSON_KIND_TEXT,
    JSON_KIND_ARRAY,
    JSON_KIND_OBJECT
};

/* The tree is the caller's. NULL: not JSON, or not readable; e says where. what: file name for
 * errors. */
struct json *json_parse(const char *text, size_t length, const char *what, struct err *e);
struct json *json_read(const char *path, struct err *e);
/* A file of at most max bytes with a value a line, one after the other to each(); empty lines and a
 * byte order mark are left out. what: "FILE:12"; j is gone afterwards. each(): 0; 1: that is
 * enough; -1. -1: a line that is not JSON, or each() says so. */
int json_read_lines(const char *path, size_t max,
                    int (*each)(void *ctx, const struct json *j, const char *what, struct err *e),
                    void *ctx, struct err *e);
/* indent 0: one line; caller frees. NULL: out of memory. */
char *json_print(const struct json *j, int indent, struct err *e);
struct json *json_clone(const struct json *j); /* deep; NULL: out of memory */
void json_destroy(struct json **j);

/* NULL: out of memory, or a text that is not UTF-8. Texts are copied. */
struct json *json_new_object(void);
struct json *json_new_array(void);
struct json *json_new_null(void);
struct json *json_new_bool(int v);
struct json *json_new_int(int64_t v);
struct json *json_new_real(double v); /* not finite: null */
struct json *json_new_text(const char *v);
struct json *json_new_text_n(const char *v, size_t n);

enum json_kind json_kind(const struct json *j); /* NULL counts as null */
int json_set(struct json *object, const char *key, struct json *child);
int json_set_int(struct json *object, const char *key, int64_t v);
int json_set_real(struct json *object, const char *key, double v);
int json_set_text(struct json *object, const char *key, const char *v);
int json_set_bool(struct json *object, const char *key, int v);
int json_del(struct json *object, const char *key); /* tests take fields out of messages with it */
int json_push(struct json *array, struct json *child);

/* NULL when absent or not an object */
const struct json *json_get(const struct json *object, const char *key);
int json_has(const struct json *object, const char *key); /* there, and not null */
size_t json_count(const struct json *array_or_object);
const struct json *json_at(const struct json *array, size_t i);
/* i-th member of an object in order. */
const struct json *json_member(const struct json *object, size_t i, const char **key);

/* Typed reads of the value itself. int accepts an integral real; -1 when of another type. */
int json_as_int(const struct json *j, int64_t *v);
int json_as_real(const struct json *j, double *v);
int json_as_bool(const struct json *j, int *v);
const char *json_as_text(const struct json *j); /* NULL when not a text */
size_t json_text_length(const struct json *j);
/* A member of an object, or what stands for one that is absent or of another type. */
const char *json_text_or(const struct json *object, const char *key, const char *otherwise);
double json_real_or(const struct json *object, const char *key, double otherwise);

/* Fields that must be there: error names `what` and the field. */
int json_need_int(const struct json *object, const char *key, int64_t min, int64_t max, int64_t *v,
                  const char *what, struct err *e);
int json_need_real(const struct json *object, const char *key, double *v, const char *what,
                   struct err *e);
const char *json_need_text(const struct json *object, const char *key, const char *what,
                           struct err *e);
/* Fields with a default (absent or null); wrong type is an error. */
int json_opt_int(const struct json *object, const char *key, int64_t min, int64_t max, int64_t def,
                 int64_t *v, const char *what, struct err *e);
int json_opt_real(const struct json *object, const char *key, double def, double *v,
                  const char *what, struct err *e);
int json_opt_bool(const struct json *object, const char *key, int def, int *v, const char *what,
                  struct err *e);

#endif

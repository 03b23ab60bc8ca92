/* SPDX-License-Identifier: Apache-2.0 */
/* json - struct json is a json_t of jansson under another name. What the parser refuses beyond
 * the grammar: duplicate keys, bad UTF-8, NUL in keys, reals out of range, nesting beyond
 * jansson's limit of 2048. */
#include "json.h"

#include <jansson.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "mem.h"

#define FILE_MAX ((size_t)1 << 30)

/* json_member() walks objects in order with a cursor, else big vocabularies would take quadratic
 * time. The cursor is void once anything was removed or destroyed anywhere. A few of them,
 * because objects are walked inside objects. */
#define CURSORS 16
static atomic_ulong removals;
static _Thread_local struct cursor {
    const struct json *object;
    size_t index;
    void *iter;
    unsigned long removals;
} cursors[CURSORS];

static json_t *in(struct json *j)
{
    return (json_t *)j;
}
static const json_t *cin(const struct json *j)
{
    return (const json_t *)j;
}
static struct json *ex(json_t *j)
{
    return (struct json *)j;
}

struct json *json_parse(const char *text, size_t length, const char *what, struct err *e)
{
    json_error_t bad;
    size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_t *j = json_loadb(text, length, flags, &bad);

    /* Integers beyond 64 bits are common in tokenizer_config.json ("no limit" is 10^30): such a
     * text is read as reals. */
    if (!j && json_error_code(&bad) == json_error_numeric_overflow)
        j = json_loadb(text, length, flags | JSON_DECODE_INT_AS_REAL, &bad);
    if (!j)
        err_set(e, ERR_USE, "'%s': not valid JSON: %s (line %d, column %d)", what, bad.text,
                bad.line, bad.column);
    return ex(j);
}

struct json *json_read(const char *path, struct err *e)
{
    size_t length;
    char *text = fs_read(path, FILE_MAX, &length, e);
    struct json *j = text ? json_parse(text, length, path, e) : NULL;

    free(text);
    return j;
}

int json_read_lines(const char *path, size_t max,
                    int (*each)(void *ctx, const struct json *j, const char *what, struct err *e),
                    void *ctx, struct err *e)
{
    size_t length, number = 1;
    char *text = fs_read(path, max, &length, e), *from = text;
    int rc = text ? 0 : -1;

    if (text && length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) /* a byte order mark */
        from += 3;
    for (char *at = from; rc == 0 && at < text + length; number++) {
        char *end = memchr(at, '\n', (size_t)(text + length - at));
        const size_t n = (size_t)((end ? end : text + length) - at);

        if (strspn(at, " \t\r") < n) {
            char *what = mem_printf(e, "%s:%zu", path, number);
            struct json *j = what ? json_parse(at, n, what, e) : NULL;

            rc = j ? each(ctx, j, what, e) : -1;
            json_destroy(&j);
            free(what);
        }
        at += n + 1;
    }
    free(text);
    return rc < 0 ? -1 : 0;
}

char *json_print(const struct json *j, int indent, struct err *e)
{
    size_t flags = JSON_ENCODE_ANY | (indent > 0 ? JSON_INDENT((size_t)indent) : JSON_COMPACT);
    char *text = json_dumps(cin(j), flags);

    if (!text)
        err_set(e, ERR_SYS, "cannot print JSON: out of memory, or nested too deep");
    return text;
}

struct json *json_clone(const struct json *j)
{
    return ex(json_deep_copy(cin(j)));
}

static void drop(struct json *j)
{
    if (!j)
        return;
    atomic_fetch_add(&removals, 1);
    json_decref(in(j));
}

void json_destroy(struct json **j)
{
    if (!j)
        return;
    drop(*j);
    *j = NULL;
}

struct json *json_new_object(void)
{
    return ex(json_object());
}
struct json *json_new_array(void)
{
    return ex(json_array());
}
struct json *json_new_null(void)
{
    return ex(json_null());
}
struct json *json_new_bool(int v)
{
    return ex(json_boolean(v));
}
struct json *json_new_int(int64_t v)
{
    return ex(json_integer(v));
}
struct json *json_new_real(double v)
{
    return ex(isfinite(v) ? json_real(v) : json_null());
}
struct json *json_new_text(const char *v)
{
    return ex(v ? json_string(v) : NULL);
}
struct json *json_new_text_n(const char *v, size_t n)
{
    return ex(v ? json_stringn(v, n) : NULL);
}

enum json_kind json_kind(const struct json *j)
{
    if (!j)
        return JSON_KIND_NULL;
    switch (json_typeof(cin(j))) {
    case JSON_OBJECT:
        return JSON_KIND_OBJECT;
    case JSON_ARRAY:
        return JSON_KIND_ARRAY;
    case JSON_STRING:
        return JSON_KIND_TEXT;
    case JSON_INTEGER:
        return JSON_KIND_INT;
    case JSON_REAL:
        return JSON_KIND_REAL;
    case JSON_TRUE:
    case JSON_FALSE:
        return JSON_KIND_BOOL;
    case JSON_NULL:
        break;
    }
    return JSON_KIND_NULL;
}

/* A child that is replaced, or that cannot be taken in, is destroyed. */
int json_set(struct json *object, const char *key, struct json *child)
{
    int replaces = json_object_get(in(object), key) != NULL,
        rc = json_object_set_new(in(object), key, in(child));

    if (replaces || rc != 0)
        atomic_fetch_add(&removals, 1);
    return rc;
}

int json_set_int(struct json *object, const char *key, int64_t v)
{
    return json_set(object, key, json_new_int(v));
}
int json_set_real(struct json *object, const char *key, double v)
{
    return json_set(object, key, json_new_real(v));
}
int json_set_text(struct json *object, const char *key, const char *v)
{
    return json_set(object, key, json_new_text(v));
}
int json_set_bool(struct json *object, const char *key, int v)
{
    return json_set(object, key, json_new_bool(v));
}

int json_del(struct json *object, const char *key)
{
    atomic_fetch_add(&removals, 1);
    return json_object_del(in(object), key);
}

int json_push(struct json *array, struct json *child)
{
    int rc = json_array_append_new(in(array), in(child));

    if (rc != 0)
        atomic_fetch_add(&removals, 1);
    return rc;
}

const struct json *json_get(const struct json *object, const char *key)
{
    return ex(json_object_get(cin(object), key));
}

int json_has(const struct json *object, const char *key)
{
    return json_kind(json_get(object, key)) != JSON_KIND_NULL;
}

size_t json_count(const struct json *j)
{
    return json_is_array(cin(j)) ? json_array_size(cin(j)) : json_object_size(cin(j));
}

const struct json *json_at(const struct json *array, size_t i)
{
    return ex(json_array_get(cin(array), i));
}

const struct json *json_member(const struct json *object, size_t i, const char **key)
{
    /* jansson's iterators want it writable, and do not write */
    json_t *o = (json_t *)(uintptr_t)object;
    unsigned long now = atomic_load(&removals);
    struct cursor *c;
    size_t at = 0;
    void *iter;

    if (!object || !json_is_object(cin(object)) || i >= json_object_size(cin(object)))
        return NULL;
    c = &cursors[((uintptr_t)object >> 5) % CURSORS];
    if (c->object == object && c->removals == now && c->iter && c->index <= i) {
        at = c->index;
        iter = c->iter;
    } else {
        iter = json_object_iter(o);
    }
    for (; iter && at < i; at++)
        iter = json_object_iter_next(o, iter);
    *c = (struct cursor){object, at, iter, now};
    if (!iter)
        return NULL;
    if (key)
        *key = json_object_iter_key(iter);
    return ex(json_object_iter_value(iter));
}

int json_as_int(const struct json *j, int64_t *v)
{
    if (json_is_integer(cin(j))) {
        *v = json_integer_value(cin(j));
        return 0;
    }
    if (json_is_real(cin(j))) {
        double r;

        json_as_real(j, &r);
        if (r != floor(r) || r < -0x1p63 || r >= 0x1p63)
            return -1;
        *v = (int64_t)r;
        return 0;
    }
    return -1;
}

int json_as_real(const struct json *j, double *v)
{
    if (!json_is_number(cin(j)))
        return -1;
    *v = json_number_value(cin(j));
    return 0;
}

int json_as_bool(const struct json *j, int *v)
{
    if (!json_is_boolean(cin(j)))
        return -1;
    *v = json_is_true(cin(j));
    return 0;
}

const char *json_as_text(const struct json *j)
{
    return json_string_value(cin(j));
}

size_t json_text_length(const struct json *j)
{
    return json_string_length(cin(j));
}

const char *json_text_or(const struct json *object, const char *key, const char *otherwise)
{
    const char *v = json_as_text(json_get(object, key));

    return v ? v : otherwise;
}

double json_real_or(const struct json *object, const char *key, double otherwise)
{
    double v;

    return json_as_real(json_get(object, key), &v) == 0 ? v : otherwise;
}

static int bad_field(const struct json *object, const char *key, const char *want, const char *what,
                     struct err *e)
{
    if (json_kind(object) != JSON_KIND_OBJECT)
        return err_set(e, ERR_USE, "%s: is not an object with a field '%s'", what, key);
    if (!json_get(object, key))
        return err_set(e, ERR_USE, "%s: field '%s' is missing", what, key);
    return err_set(e, ERR_USE, "%s: field '%s' must be %s", what, key, want);
}

static int in_range(int64_t v, int64_t min, int64_t max, const char *key, const char *what,
                    struct err *e)
{
    if (v >= min && v <= max)
        return 0;
    return err_set(e, ERR_USE, "%s: field '%s' is %lld, must be %lld to %lld", what, key,
                   (long long)v, (long long)min, (long long)max);
}

int json_need_int(const struct json *object, const char *key, int64_t min, int64_t max, int64_t *v,
                  const char *what, struct err *e)
{
    int64_t x;

    if (json_as_int(json_get(object, key), &x) < 0)
        return bad_field(object, key, "an integer", what, e);
    if (in_range(x, min, max, key, what, e) < 0)
        return -1;
    *v = x;
    return 0;
}

int json_need_real(const struct json *object, const char *key, double *v, const char *what,
                   struct err *e)
{
    if (json_as_real(json_get(object, key), v) < 0)
        return bad_field(object, key, "a number", what, e);
    return 0;
}

const char *json_need_text(const struct json *object, const char *key, const char *what,
                           struct err *e)
{
    const char *v = json_as_text(json_get(object, key));

    if (!v)
        bad_field(object, key, "a text", what, e);
    return v;
}

static int is_absent(const struct json *object, const char *key)
{
    return json_kind(json_get(object, key)) == JSON_KIND_NULL;
}

int json_opt_int(const struct json *object, const char *key, int64_t min, int64_t max, int64_t def,
                 int64_t *v, const char *what, struct err *e)
{
    if (!is_absent(object, key))
        return json_need_int(object, key, min, max, v, what, e);
    *v = def;
    return 0;
}

int json_opt_real(const struct json *object, const char *key, double def, double *v,
                  const char *what, struct err *e)
{
    if (!is_absent(object, key))
        return json_need_real(object, key, v, what, e);
    *v = def;
    return 0;
}

int json_opt_bool(const struct json *object, const char *key, int def, int *v, const char *what,
                  struct err *e)
{
    if (is_absent(object, key)) {
        *v = def;
        return 0;
    }
    if (json_as_bool(json_get(object, key), v) < 0)
        return bad_field(object, key, "true or false", what, e);
    return 0;
}

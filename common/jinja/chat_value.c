/* SPDX-License-Identifier: Apache-2.0 */
/* chat_value - the values of a template and what Python does with them: truth, equality, order.
 * All memory of a rendering is in one arena. */
#include "chat_value.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "../text/unicode.h"

int render_fail(struct render *r, const char *fmt, ...)
{
    char text[400];
    va_list list;

    va_start(list, fmt);
    vsnprintf(text, sizeof text, fmt, list);
    va_end(list);
    return err_set(r->e, ERR_USE, "%s:%d: %s", r->what, r->line, text);
}

int render_unknown(struct render *r, const char *what, struct str name)
{
    return render_fail(r, "the %s '%.*s' is not supported", what, (int)(name.n < 40 ? name.n : 40),
                       name.p);
}

int render_step(struct render *r)
{
    return ++r->steps > r->steps_max ? render_fail(r, "more than %zu steps", r->steps_max) : 0;
}

int render_add(struct render *r, const char *p, size_t n)
{
    void *data = r->out.data;

    if (n > r->bytes_max || r->out.n > r->bytes_max - n)
        return render_fail(r, "more than %zu bytes of output", r->bytes_max);
    if (r->out.n + n + 1 > r->out.room &&
        mem_grow(&data, &r->out.room, r->out.n + n + 1, 1, r->e) < 0)
        return -1;
    r->out.data = data;
    if (n)
        memcpy(r->out.data + r->out.n, p, n);
    r->out.n += n;
    r->out.data[r->out.n] = 0;
    return 0;
}

/* ---- making values ---- */

struct value value_of(enum value_kind kind, int64_t i)
{
    struct value v = {.kind = kind};

    v.u.i = i;
    return v;
}

struct value value_str(const char *p, size_t n)
{
    struct value v = {.kind = V_STR};

    v.u.s = (struct str){p, n};
    return v;
}

int value_text(struct render *r, const char *p, size_t n, struct value *out)
{
    char *copy = arena_get(&r->arena, n + 1, r->e);

    if (!copy)
        return -1;
    if (n)
        memcpy(copy, p, n);
    *out = value_str(copy, n);
    return 0;
}

int value_list(struct render *r, size_t room, struct value *out)
{
    *out = value_of(V_LIST, 0);
    if (!(out->u.list = arena_get(&r->arena, sizeof *out->u.list, r->e)))
        return -1;
    if (room > SIZE_MAX / sizeof(struct value) / 2)
        return render_fail(r, "a list that is too long");
    out->u.list->room = room;
    return room && !(out->u.list->at = arena_get(&r->arena, room * sizeof *out->u.list->at, r->e))
               ? -1
               : 0;
}

int value_dict(struct render *r, enum value_kind kind, struct value *out)
{
    *out = value_of(kind, 0);
    return (out->u.dict = arena_get(&r->arena, sizeof *out->u.dict, r->e)) ? 0 : -1;
}

int list_push(struct render *r, struct list *l, struct value v)
{
    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : 8;
        struct value *at = arena_get(&r->arena, room * sizeof *at, r->e);

        if (!at)
            return -1;
        if (l->n)
            memcpy(at, l->at, l->n * sizeof *at);
        l->at = at;
        l->room = room;
    }
    l->at[l->n++] = v;
    return 0;
}

const struct value *dict_find(const struct dict *d, struct str key)
{
    for (size_t i = 0; i < d->n; i++) {
        const struct value *k = &d->at[i].key;

        if (k->kind == V_STR && k->u.s.n == key.n && !memcmp(k->u.s.p, key.p, key.n))
            return &d->at[i].value;
    }
    return NULL;
}

int dict_put(struct render *r, struct dict *d, struct value key, struct value v)
{
    struct value *old;

    if (key.kind != V_STR)
        return render_fail(r, "a key that is %s: only texts are supported", value_name(&key));
    if ((old = (struct value *)dict_find(d, key.u.s))) {
        *old = v;
        return 0;
    }
    if (d->n == d->room) {
        size_t room = d->room ? 2 * d->room : 8;
        struct dict_pair *at = arena_get(&r->arena, room * sizeof *at, r->e);

        if (!at)
            return -1;
        if (d->n)
            memcpy(at, d->at, d->n * sizeof *at);
        d->at = at;
        d->room = room;
    }
    d->at[d->n++] = (struct dict_pair){key, v};
    return 0;
}

static int json_value(struct render *r, const struct json *j, int depth, struct value *out)
{
    size_t n = json_count(j), i;
    const char *key;
    struct value v;
    int yes = 0;

    if (depth > CHAT_DEPTH)
        return render_fail(r, "a conversation that is nested too deep");
    switch (json_kind(j)) {
    case JSON_KIND_NULL:
        *out = value_of(V_NONE, 0);
        return 0;
    case JSON_KIND_BOOL:
        json_as_bool(j, &yes);
        *out = value_of(V_BOOL, yes);
        return 0;
    case JSON_KIND_INT:
        *out = value_of(V_INT, 0);
        json_as_int(j, &out->u.i);
        return 0;
    case JSON_KIND_REAL:
        *out = value_of(V_REAL, 0);
        json_as_real(j, &out->u.r);
        return 0;
    case JSON_KIND_TEXT:
        return value_text(r, json_as_text(j), json_text_length(j), out);
    case JSON_KIND_ARRAY:
        if (value_list(r, n, out) < 0)
            return -1;
        for (i = 0; i < n; i++)
            if (json_value(r, json_at(j, i), depth + 1, &v) < 0 || list_push(r, out->u.list, v) < 0)
                return -1;
        return 0;
    case JSON_KIND_OBJECT:
        break;
    }
    if (value_dict(r, V_DICT, out) < 0 ||
        (n && !(out->u.dict->at = arena_get(&r->arena, n * sizeof *out->u.dict->at, r->e))))
        return -1;
    out->u.dict->room = n;
    for (i = 0; i < n; i++) { /* keys of an object differ already */
        const struct json *child = json_member(j, i, &key);
        struct dict_pair *p = &out->u.dict->at[i];

        if (value_text(r, key, strlen(key), &p->key) < 0 ||
            json_value(r, child, depth + 1, &p->value) < 0)
            return -1;
        out->u.dict->n++;
    }
    return 0;
}

int value_json(struct render *r, const struct json *j, struct value *out)
{
    return json_value(r, j, 0, out);
}

/* ---- what they are ---- */

int value_true(const struct value *v)
{
    switch (v->kind) {
    case V_BOOL:
    case V_INT:
        return v->u.i != 0;
    case V_REAL:
        return v->u.r < 0 || v->u.r > 0 || v->u.r != v->u.r;
    case V_STR:
        return v->u.s.n != 0;
    case V_LIST:
        return v->u.list->n != 0;
    case V_DICT:
        return v->u.dict->n != 0;
    case V_SPACE:
    case V_LOOP:
    case V_MACRO:
        return 1;
    default:
        return 0;
    }
}

const char *value_name(const struct value *v)
{
    static const char *const names[] = {
        "an undefined value", "none",   "a bool", "an int", "a float", "a text", "a list", "a dict",
        "a namespace",        "a loop", "a macro"};

    return names[v->kind];
}

static int number(const struct value *v, double *x)
{
    if (v->kind == V_REAL)
        *x = v->u.r;
    else
        *x = (double)v->u.i;
    return v->kind == V_BOOL || v->kind == V_INT || v->kind == V_REAL;
}

static int equal(struct render *r, const struct value *a, const struct value *b, int depth,
                 int *same)
{
    size_t i;
    double x, y;

    *same = 0;
    if (depth > CHAT_DEPTH)
        return render_fail(r, "compared values are nested too deep");
    if (render_step(r) < 0)
        return -1;
    if (number(a, &x) && number(b, &y)) {
        *same =
            a->kind == V_REAL || b->kind == V_REAL ? !(x < y || x > y) && x == x : a->u.i == b->u.i;
        return 0;
    }
    if (a->kind != b->kind)
        return 0;
    switch (a->kind) {
    case V_UNDEF:
    case V_NONE:
        *same = 1;
        return 0;
    case V_STR:
        *same = a->u.s.n == b->u.s.n && !memcmp(a->u.s.p, b->u.s.p, a->u.s.n);
        return 0;
    case V_LIST:
        if (a->u.list->n != b->u.list->n || a->marked != b->marked)
            return 0;
        for (*same = 1, i = 0; i < a->u.list->n && *same; i++)
            if (equal(r, &a->u.list->at[i], &b->u.list->at[i], depth + 1, same) < 0)
                return -1;
        return 0;
    case V_DICT:
        if (a->u.dict->n != b->u.dict->n)
            return 0;
        for (*same = 1, i = 0; i < a->u.dict->n && *same; i++) {
            const struct value *other = dict_find(b->u.dict, a->u.dict->at[i].key.u.s);

            *same = 0;
            if (other && equal(r, &a->u.dict->at[i].value, other, depth + 1, same) < 0)
                return -1;
        }
        return 0;
    default:
        return render_fail(r, "%s compared with %s", value_name(a), value_name(b));
    }
}

int value_equal(struct render *r, const struct value *a, const struct value *b, int *same)
{
    return equal(r, a, b, 0, same);
}

int value_order(struct render *r, const struct value *a, const struct value *b, int *order)
{
    double x, y;

    if (number(a, &x) && number(b, &y)) {
        *order = a->kind == V_REAL || b->kind == V_REAL ? (x > y) - (x < y)
                                                        : (a->u.i > b->u.i) - (a->u.i < b->u.i);
        return 0;
    }
    if (a->kind == V_STR && b->kind == V_STR) { /* UTF-8 sorts as its characters do */
        size_t n = a->u.s.n < b->u.s.n ? a->u.s.n : b->u.s.n;
        int c = n ? memcmp(a->u.s.p, b->u.s.p, n) : 0;

        *order = c ? (c > 0) - (c < 0) : (a->u.s.n > b->u.s.n) - (a->u.s.n < b->u.s.n);
        return 0;
    }
    return render_fail(r, "no order between %s and %s", value_name(a), value_name(b));
}

int value_length(struct render *r, const struct value *v, size_t *n)
{
    *n = v->kind == V_STR    ? str_chars(v->u.s)
         : v->kind == V_LIST ? v->u.list->n
         : v->kind == V_DICT ? v->u.dict->n
                             : 0;
    if (v->kind == V_STR || v->kind == V_LIST || v->kind == V_DICT || v->kind == V_UNDEF)
        return 0;
    return render_fail(r, "%s has no length", value_name(v));
}

int value_items(struct render *r, const struct value *v, struct list **out)
{
    struct value list;
    size_t i, step;
    uint32_t c;

    if (v->kind == V_LIST) {
        *out = v->u.list;
        return 0;
    }
    if (v->kind != V_STR && v->kind != V_DICT && v->kind != V_UNDEF)
        return render_fail(r, "%s cannot be iterated", value_name(v));
    if (value_list(r, 0, &list) < 0)
        return -1;
    for (i = 0; v->kind == V_DICT && i < v->u.dict->n; i++)
        if (list_push(r, list.u.list, v->u.dict->at[i].key) < 0)
            return -1;
    for (i = 0; v->kind == V_STR && i < v->u.s.n; i += step) {
        step = unicode_char(v->u.s.p + i, v->u.s.n - i, &c);
        if (list_push(r, list.u.list, value_str(v->u.s.p + i, step)) < 0)
            return -1;
    }
    *out = list.u.list;
    return 0;
}

int value_pairs(struct render *r, const struct value *v, struct value *out)
{
    struct value pair;
    size_t i;

    if (value_list(r, 0, out) < 0)
        return -1;
    if (v->kind == V_UNDEF)
        return 0;
    if (v->kind != V_DICT)
        return render_fail(r, "items of %s", value_name(v));
    for (i = 0; i < v->u.dict->n; i++) {
        if (value_list(r, 2, &pair) < 0)
            return -1;
        pair.marked = 1;
        if (list_push(r, pair.u.list, v->u.dict->at[i].key) < 0 ||
            list_push(r, pair.u.list, v->u.dict->at[i].value) < 0 ||
            list_push(r, out->u.list, pair) < 0)
            return -1;
    }
    return 0;
}

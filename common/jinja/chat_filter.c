/* SPDX-License-Identifier: Apache-2.0 */
/* chat_filter - the filters, by name. */
#include "chat_filter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat_ops.h"
#include "chat_print.h"
#include "chat_text.h"

/* The i-th argument (SIZE_MAX: none) or the one of that name; NULL: not given. */
static const struct value *arg_of(const struct args *x, size_t i, const char *name)
{
    if (i < x->n && i < sizeof x->at / sizeof *x->at)
        return &x->at[i];
    for (i = 0; name && i < x->words; i++)
        if (str_same(x->word[i].name, name))
            return &x->word[i].v;
    return NULL;
}

/* Arguments of a filter: at most n, of these names. */
static int args_check(struct render *r, const char *what, const struct args *x,
                      const char *const *names, size_t n)
{
    for (size_t i = 0; i < x->words; i++) {
        size_t k = 0;

        while (k < n && !str_same(x->word[i].name, names[k]))
            k++;
        if (k == n)
            return render_fail(r, "%s: the argument '%.*s' is not supported", what,
                               (int)(x->word[i].name.n < 40 ? x->word[i].name.n : 40),
                               x->word[i].name.p);
    }
    return x->n > n ? render_fail(r, "%s: too many arguments", what) : 0;
}

static int filter_tojson(struct render *r, struct value v, const struct args *x, struct value *out)
{
    static const char *const names[] = {"ensure_ascii", "indent", "separators", "sort_keys"};
    const struct value *ascii = arg_of(x, 0, "ensure_ascii"), *indent = arg_of(x, 1, "indent"),
                       *sort = arg_of(x, 3, "sort_keys");
    int width = -1;

    if (args_check(r, "tojson", x, names, 4) < 0)
        return -1;
    if (arg_of(x, 2, "separators") && arg_of(x, 2, "separators")->kind != V_NONE)
        return render_fail(r, "tojson: separators are not supported");
    if (ascii && value_true(ascii))
        return render_fail(r, "tojson: ensure_ascii is not supported");
    if (indent && indent->kind != V_NONE) {
        if (indent->kind != V_INT || indent->u.i < 0 || indent->u.i > 16)
            return render_fail(r, "tojson: indent is a number up to 16");
        width = (int)indent->u.i;
    }
    return value_dump(r, &v, width, sort && value_true(sort), out);
}

/* The attribute of that name, or of that path "a.b"; a number is an index. */
static int attribute(struct render *r, struct value v, const struct value *name, struct value *out)
{
    struct str rest, part;
    const char *dot;
    int items = 0;

    *out = v;
    if (name->kind == V_INT)
        return value_item(r, &v, name, out);
    if (name->kind != V_STR)
        return render_fail(r, "the name of an attribute is %s", value_name(name));
    for (rest = name->u.s; rest.n; items++) {
        struct value key;

        dot = memchr(rest.p, '.', rest.n);
        part = (struct str){rest.p, dot ? (size_t)(dot - rest.p) : rest.n};
        key = value_str(part.p, part.n);
        v = *out;
        if (v.kind == V_UNDEF)
            return render_fail(r, "'%.*s' of an undefined value", (int)(part.n < 40 ? part.n : 40),
                               part.p);
        if (value_item(r, &v, &key, out) < 0)
            return -1;
        rest.n -= part.n + (dot != NULL);
        rest.p += part.n + (dot != NULL);
    }
    return items ? 0 : render_fail(r, "an attribute without a name");
}

/* select, reject, selectattr, rejectattr */
static int filter_select(struct render *r, struct value v, const struct args *x, int by_attribute,
                         int keep, struct value *out)
{
    struct args rest = {0};
    size_t skip = (size_t)by_attribute + 1, i;
    struct list *items;
    struct value one;
    int yes;

    if (x->words || x->n < (size_t)by_attribute)
        return render_fail(r, "select: arguments that are not supported");
    for (i = skip; i < x->n; i++)
        rest.at[rest.n++] = x->at[i];
    if (x->n >= skip && x->at[skip - 1].kind != V_STR)
        return render_fail(r, "select: the name of a test is %s", value_name(&x->at[skip - 1]));
    if (value_items(r, &v, &items) < 0 || value_list(r, 0, out) < 0)
        return -1;
    for (i = 0; i < items->n; i++) {
        one = items->at[i];
        if (by_attribute && attribute(r, items->at[i], &x->at[0], &one) < 0)
            return -1;
        yes = value_true(&one);
        if (x->n >= skip && chat_test(r, x->at[skip - 1].u.s, one, &rest, &yes) < 0)
            return -1;
        if (yes == keep && list_push(r, out->u.list, items->at[i]) < 0)
            return -1;
    }
    return 0;
}

static int filter_map(struct render *r, struct value v, const struct args *x, struct value *out)
{
    const struct value *name = arg_of(x, SIZE_MAX, "attribute"),
                       *otherwise = arg_of(x, SIZE_MAX, "default");
    struct list *items;
    struct value one;
    size_t i;

    if (value_items(r, &v, &items) < 0 || value_list(r, 0, out) < 0)
        return -1;
    if (!name && (!x->n || x->words || x->at[0].kind != V_STR))
        return render_fail(r, "map: arguments that are not supported");
    for (i = 0; i < items->n; i++) {
        struct args rest = {0};

        if (name && attribute(r, items->at[i], name, &one) < 0)
            return -1;
        if (name && one.kind == V_UNDEF && otherwise)
            one = *otherwise;
        for (size_t k = 1; !name && k < x->n; k++)
            rest.at[rest.n++] = x->at[k];
        if (!name && chat_filter(r, x->at[0].u.s, items->at[i], &rest, &one) < 0)
            return -1;
        if (list_push(r, out->u.list, one) < 0)
            return -1;
    }
    return 0;
}

static int filter_list(struct render *r, struct value v, const char *how, struct value *out)
{
    struct list *items;
    size_t i;

    if (value_items(r, &v, &items) < 0)
        return -1;
    if (how[0] == 'f' || how[1] == 'a') { /* first, last */
        if (!items->n)
            *out = value_of(V_UNDEF, 0);
        else
            *out = items->at[how[0] == 'f' ? 0 : items->n - 1];
        return 0;
    }
    if (value_list(r, items->n, out) < 0)
        return -1;
    for (i = 0; i < items->n; i++)
        if (list_push(r, out->u.list, items->at[how[0] == 'r' ? items->n - 1 - i : i]) < 0)
            return -1;
    if (how[0] == 'r' && v.kind == V_STR)
        return str_join(r, (struct str){"", 0}, out->u.list, 0, out);
    return 0;
}

static int filter_default(struct render *r, struct value v, const struct args *x, struct value *out)
{
    static const char *const names[] = {"default_value", "boolean"};
    const struct value *otherwise = arg_of(x, 0, names[0]), *falsy = arg_of(x, 1, names[1]);

    if (args_check(r, "default", x, names, 2) < 0)
        return -1;
    *out = v;
    if (v.kind == V_UNDEF || (falsy && value_true(falsy) && !value_true(&v)))
        *out = otherwise ? *otherwise : value_str("", 0);
    return 0;
}

static int filter_number(struct render *r, struct value v, const struct args *x, int real,
                         struct value *out)
{
    char text[64], *end = text;

    if (x->n || x->words)
        return render_fail(r, "int and float with arguments are not supported");
    if (v.kind == V_STR && v.u.s.n && v.u.s.n < sizeof text) {
        memcpy(text, v.u.s.p, v.u.s.n);
        text[v.u.s.n] = 0;
        v = value_of(real ? V_REAL : V_INT, 0);
        if (strspn(text, real ? "0123456789.-" : "0123456789-") == strlen(text)) {
            if (real)
                v.u.r = strtod(text, &end);
            else
                v.u.i = strtoll(text, &end, 10);
        }
        if (*end || end == text || strlen(text) > 18)
            return render_fail(r, "'%s' is no number that is supported", text);
    }
    if (v.kind != V_INT && v.kind != V_BOOL && v.kind != V_REAL)
        return render_fail(r, "a number of %s", value_name(&v));
    if (!real && v.kind == V_REAL && fabs(v.u.r) >= 9e15)
        return render_fail(r, "a number that is too large");
    *out = value_of(real ? V_REAL : V_INT, 0);
    if (real)
        out->u.r = v.kind == V_REAL ? v.u.r : (double)v.u.i;
    else
        out->u.i = v.kind == V_REAL ? (int64_t)v.u.r : v.u.i;
    return 0;
}

static int filter_join(struct render *r, struct value v, const struct args *x, struct value *out)
{
    static const char *const names[] = {"d", "attribute"};
    const struct value *with = arg_of(x, 0, "d"), *name = arg_of(x, 1, "attribute");
    struct list *items;
    struct value list;

    if (args_check(r, "join", x, names, 2) < 0 || value_items(r, &v, &items) < 0)
        return -1;
    if (with && with->kind != V_STR)
        return render_fail(r, "join with %s", value_name(with));
    if (name) {
        if (value_list(r, 0, &list) < 0)
            return -1;
        for (size_t i = 0; i < items->n; i++) {
            struct value one;

            if (attribute(r, items->at[i], name, &one) < 0 || list_push(r, list.u.list, one) < 0)
                return -1;
        }
        items = list.u.list;
    }
    return str_join(r, with ? with->u.s : (struct str){"", 0}, items, 1, out);
}

static int by_name(const void *a, const void *b)
{
    struct str x = ((const struct value *)a)->u.list->at[0].u.s,
               y = ((const struct value *)b)->u.list->at[0].u.s;
    int c = memcmp(x.p, y.p, x.n < y.n ? x.n : y.n);

    return c ? c : (x.n > y.n) - (x.n < y.n);
}

/* Ignores case, as Jinja2 does; keys that differ in case only are not supported. */
static int filter_dictsort(struct render *r, struct value v, const struct args *x,
                           struct value *out)
{
    struct value list, low;
    size_t i;

    if (x->n || x->words)
        return render_fail(r, "dictsort with arguments is not supported");
    if (value_pairs(r, &v, &list) < 0 || value_list(r, 0, out) < 0)
        return -1;
    for (i = 0; i < list.u.list->n; i++) { /* (lower key, pair) */
        struct value both;

        if (value_list(r, 2, &both) < 0 ||
            str_case(r, list.u.list->at[i].u.list->at[0].u.s, 'l', &low) < 0 ||
            list_push(r, both.u.list, low) < 0 ||
            list_push(r, both.u.list, list.u.list->at[i]) < 0 ||
            list_push(r, out->u.list, both) < 0)
            return -1;
    }
    if (out->u.list->n)
        qsort(out->u.list->at, out->u.list->n, sizeof *out->u.list->at, by_name);
    for (i = 1; i < out->u.list->n; i++)
        if (!by_name(&out->u.list->at[i - 1], &out->u.list->at[i]))
            return render_fail(r, "dictsort of keys that differ in case only");
    for (i = 0; i < out->u.list->n; i++)
        out->u.list->at[i] = out->u.list->at[i].u.list->at[1];
    return 0;
}

static int filter_text(struct render *r, struct str name, struct value v, const struct args *x,
                       struct value *out)
{
    if (v.kind != V_STR && value_print(r, &v, &v) < 0)
        return -1;
    if (str_same(name, "replace")) {
        if (x->words || x->n != 2 || x->at[0].kind != V_STR || x->at[1].kind != V_STR)
            return render_fail(r, "replace takes two texts");
        return str_replace(r, v.u.s, x->at[0].u.s, x->at[1].u.s, -1, out);
    }
    if (x->words)
        return render_fail(r, "trim: arguments by name are not supported");
    if (str_same(name, "title") && !x->n)
        return str_case(r, v.u.s, 'T', out);
    return str_method(r, v.u.s, str_same(name, "trim") ? (struct str){"strip", 5} : name, x->at,
                      x->n, out);
}

/* Filters without arguments. */
static int filter_plain(struct render *r, struct str name, struct value v, struct value *out)
{
    size_t n;

    if (str_same(name, "length") || str_same(name, "count")) {
        if (value_length(r, &v, &n) < 0)
            return -1;
        *out = value_of(V_INT, (int64_t)n);
        return 0;
    }
    if (str_same(name, "string"))
        return value_print(r, &v, out);
    if (str_same(name, "safe")) {
        if (value_print(r, &v, out) < 0)
            return -1;
        out->marked = 1;
        return 0;
    }
    if (str_same(name, "items"))
        return value_pairs(r, &v, out);
    if (str_same(name, "abs") && (v.kind == V_INT || v.kind == V_REAL)) {
        *out = v;
        if (v.kind == V_INT)
            out->u.i = v.u.i < 0 ? -v.u.i : v.u.i;
        else
            out->u.r = fabs(v.u.r);
        return 0;
    }
    if (str_same(name, "first"))
        return filter_list(r, v, "first", out);
    if (str_same(name, "last"))
        return filter_list(r, v, "last", out);
    if (str_same(name, "list"))
        return filter_list(r, v, "list", out);
    return str_same(name, "reverse") ? filter_list(r, v, "reverse", out)
                                     : render_unknown(r, "filter", name);
}

int chat_filter(struct render *r, struct str name, struct value v, struct args *x,
                struct value *out)
{
    static const char *const texts[] = {"trim", "upper", "lower", "title", "capitalize", "replace"};

    if (v.kind == V_STR && v.marked && !str_same(name, "safe") && !str_same(name, "length"))
        return render_fail(r, "a filter on a text that went through safe is not supported");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (str_same(name, texts[i]))
            return filter_text(r, name, v, x, out);
    if (str_same(name, "tojson"))
        return filter_tojson(r, v, x, out);
    if (str_same(name, "default") || str_same(name, "d"))
        return filter_default(r, v, x, out);
    if (str_same(name, "join"))
        return filter_join(r, v, x, out);
    if (str_same(name, "selectattr"))
        return filter_select(r, v, x, 1, 1, out);
    if (str_same(name, "rejectattr"))
        return filter_select(r, v, x, 1, 0, out);
    if (str_same(name, "select"))
        return filter_select(r, v, x, 0, 1, out);
    if (str_same(name, "reject"))
        return filter_select(r, v, x, 0, 0, out);
    if (str_same(name, "map"))
        return filter_map(r, v, x, out);
    if (str_same(name, "dictsort"))
        return filter_dictsort(r, v, x, out);
    if (str_same(name, "int"))
        return filter_number(r, v, x, 0, out);
    if (str_same(name, "float"))
        return filter_number(r, v, x, 1, out);
    if (x->n || x->words)
        return render_fail(r, "the filter '%.*s' with arguments is not supported",
                           (int)(name.n < 40 ? name.n : 40), name.p);
    return filter_plain(r, name, v, out);
}

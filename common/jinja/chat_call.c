/* SPDX-License-Identifier: Apache-2.0 */
/* chat_call - tests, functions and methods by name. */
#include "chat_call.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "chat_ops.h"
#include "chat_print.h"
#include "chat_text.h"

/* ---- tests ---- */

static int test_kind(struct str name, const struct value *v, int *yes)
{
    enum value_kind k = v->kind;
    const struct {
        const char *name;
        int yes;
    } all[] = {
        {"defined", k != V_UNDEF},
        {"undefined", k == V_UNDEF},
        {"none", k == V_NONE},
        {"string", k == V_STR},
        {"mapping", k == V_DICT},
        {"iterable", k == V_STR || k == V_LIST || k == V_DICT || k == V_UNDEF || k == V_LOOP},
        {"sequence", k == V_STR || k == V_LIST || k == V_DICT || k == V_UNDEF},
        {"number", k == V_INT || k == V_REAL || k == V_BOOL},
        {"integer", k == V_INT},
        {"float", k == V_REAL},
        {"boolean", k == V_BOOL},
        {"true", k == V_BOOL && v->u.i},
        {"false", k == V_BOOL && !v->u.i},
        {"callable", k == V_MACRO},
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (str_same(name, all[i].name)) {
            *yes = all[i].yes;
            return 1;
        }
    return 0;
}

static int test_number(struct render *r, struct str name, const struct value *v,
                       const struct args *x, int *yes)
{
    int by = str_same(name, "divisibleby");

    if (v->kind != V_INT || (by && (x->n != 1 || x->at[0].kind != V_INT || x->at[0].u.i <= 0)))
        return render_fail(r, "the test '%.*s' needs whole numbers", (int)name.n, name.p);
    *yes = by ? v->u.i % x->at[0].u.i == 0 : (v->u.i % 2 != 0) == str_same(name, "odd");
    return 0;
}

int chat_test(struct render *r, struct str name, struct value v, struct args *x, int *yes)
{
    static const struct {
        const char *name;
        int op;
    } orders[] = {
        {"lt", -1}, {"lessthan", -1}, {"gt", 1}, {"greaterthan", 1}, {"ge", 2}, {"le", -2},
    };
    int order;

    if (x->words)
        return render_fail(r, "a test with an argument by name is not supported");
    if (!x->n && test_kind(name, &v, yes))
        return 0;
    if (str_same(name, "odd") || str_same(name, "even") || str_same(name, "divisibleby"))
        return test_number(r, name, &v, x, yes);
    if (x->n != 1)
        return render_unknown(r, "test", name);
    if (str_same(name, "equalto") || str_same(name, "eq") || str_same(name, "=="))
        return value_equal(r, &v, &x->at[0], yes);
    if (str_same(name, "ne") || str_same(name, "!=")) {
        if (value_equal(r, &v, &x->at[0], yes) < 0)
            return -1;
        *yes = !*yes;
        return 0;
    }
    if (str_same(name, "in"))
        return value_in(r, &v, &x->at[0], yes);
    if (str_same(name, "sameas") &&
        (v.kind == V_NONE || v.kind == V_BOOL || v.kind != x->at[0].kind)) {
        *yes = v.kind == x->at[0].kind && (v.kind == V_NONE || v.u.i == x->at[0].u.i);
        return 0;
    }
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        if (!str_same(name, orders[i].name))
            continue;
        if (value_order(r, &v, &x->at[0], &order) < 0)
            return -1;
        *yes = orders[i].op == 2    ? order >= 0
               : orders[i].op == -2 ? order <= 0
                                    : order == orders[i].op;
        return 0;
    }
    return render_unknown(r, "test", name);
}

/* ---- functions ---- */

static int function_range(struct render *r, const struct args *x, struct value *out)
{
    int64_t from = 0, to, step = 1, i;

    if (x->words || !x->n || x->n > 3)
        return render_fail(r, "range takes one to three numbers");
    for (size_t k = 0; k < x->n; k++)
        if (x->at[k].kind != V_INT || llabs(x->at[k].u.i) > 1 << 30)
            return render_fail(r, "range takes numbers below 2^30");
    to = x->at[x->n > 1].u.i;
    if (x->n > 1)
        from = x->at[0].u.i;
    if (x->n > 2)
        step = x->at[2].u.i;
    if (!step)
        return render_fail(r, "range with a step of 0");
    if (value_list(r, 0, out) < 0)
        return -1;
    for (i = from; step > 0 ? i < to : i > to; i += step) {
        if (out->u.list->n >= 100000)
            return render_fail(r, "a range of more than 100000 numbers");
        if (list_push(r, out->u.list, value_of(V_INT, i)) < 0)
            return -1;
    }
    return 0;
}

static int function_strftime(struct render *r, const struct args *x, struct value *out)
{
    struct tm day = {.tm_year = r->year - 1900, .tm_mon = r->month - 1, .tm_mday = r->day};
    char format[128], text[512];
    size_t n;

    if (x->n != 1 || x->words || x->at[0].kind != V_STR || x->at[0].u.s.n >= sizeof format - 1 ||
        memchr(x->at[0].u.s.p, 0, x->at[0].u.s.n))
        return render_fail(r, "strftime_now takes one short text");
    timegm(&day);
    memcpy(format, x->at[0].u.s.p, x->at[0].u.s.n);
    format[x->at[0].u.s.n] = 0;
    for (const char *p = format; (p = strchr(p, '%')); p += 2) {
        if (p[1] == '-')
            p++;
        if (!p[1] || !strchr("YmdbByaAjeHMSIp%", p[1]))
            return render_fail(r, "strftime_now: the format '%s' is not supported", format);
    }
    format[x->at[0].u.s.n] = ' '; /* so that an empty result is not an error's 0 */
    format[x->at[0].u.s.n + 1] = 0;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    n = strftime(text, sizeof text, format, &day);
#pragma GCC diagnostic pop
    return n ? value_text(r, text, n - 1, out)
             : render_fail(r, "strftime_now: a text that is too long");
}

int chat_function_known(const struct render *r, struct str name)
{
    static const char *const all[] = {"namespace", "range",  "dict",  "raise_exception",
                                      "lipsum",    "cycler", "joiner"};

    if (r->year && str_same(name, "strftime_now"))
        return 1;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (str_same(name, all[i]))
            return 1;
    return 0;
}

int chat_function(struct render *r, struct str name, struct args *x, struct value *out)
{
    if (str_same(name, "namespace") || str_same(name, "dict")) {
        if (x->n)
            return render_fail(r, "namespace and dict take arguments by name");
        if (value_dict(r, name.n == 4 ? V_DICT : V_SPACE, out) < 0)
            return -1;
        for (size_t i = 0; i < x->words; i++)
            if (dict_put(r, out->u.dict, value_str(x->word[i].name.p, x->word[i].name.n),
                         x->word[i].v) < 0)
                return -1;
        return 0;
    }
    if (str_same(name, "range"))
        return function_range(r, x, out);
    if (str_same(name, "strftime_now")) {
        if (r->year)
            return function_strftime(r, x, out);
        return render_fail(r, "the template asks for today's date (strftime_now): give one with "
                              "--date, or results would change from day to day");
    }
    if (str_same(name, "raise_exception")) {
        struct value text = value_str("", 0);

        if (x->n && value_print(r, &x->at[0], &text) < 0)
            return -1;
        return render_fail(r, "the template refuses the conversation: %.*s",
                           (int)(text.u.s.n < 300 ? text.u.s.n : 300), text.u.s.p);
    }
    return render_unknown(r, "function", name);
}

/* ---- methods ---- */

static int dict_method(struct render *r, struct value v, struct str name, struct args *x,
                       struct value *out)
{
    const struct value *found;
    struct list *keys;

    if (str_same(name, "get") && (x->n == 1 || x->n == 2)) {
        if (x->at[0].kind != V_STR)
            return render_fail(r, "get of %s", value_name(&x->at[0]));
        found = dict_find(v.u.dict, x->at[0].u.s);
        *out = found ? *found : x->n == 2 ? x->at[1] : value_of(V_NONE, 0);
        return 0;
    }
    if (!x->n && str_same(name, "items"))
        return value_pairs(r, &v, out);
    if (!x->n && str_same(name, "keys")) {
        if (value_items(r, &v, &keys) < 0)
            return -1;
        *out = value_of(V_LIST, 0);
        out->u.list = keys;
        return 0;
    }
    if (x->n || !str_same(name, "values"))
        return render_unknown(r, "method", name);
    if (value_list(r, 0, out) < 0)
        return -1;
    for (size_t i = 0; i < v.u.dict->n; i++)
        if (list_push(r, out->u.list, v.u.dict->at[i].value) < 0)
            return -1;
    return 0;
}

int chat_method(struct render *r, struct value v, struct str name, struct args *x,
                struct value *out)
{
    if (x->words)
        return render_fail(r, "a method with an argument by name is not supported");
    if (v.kind == V_STR && v.marked)
        return render_fail(r, "a method of a text that went through safe is not supported");
    if (v.kind == V_STR)
        return str_method(r, v.u.s, name, x->at, x->n, out);
    if (v.kind == V_DICT)
        return dict_method(r, v, name, x, out);
    return render_unknown(r, "method", name);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* chat_ops - what Python does with two values: attributes, items, slices, "in", arithmetic,
 * comparisons. */
#include "chat_ops.h"

#include <math.h>
#include <string.h>

#include "chat_text.h"

/* ---- parts of values ---- */

static int loop_get(struct render *r, const struct chat_loop *l, struct str name, struct value *out)
{
    int64_t n = (int64_t)l->items->n, i = (int64_t)l->i;
    const struct {
        const char *name;
        enum value_kind kind;
        int64_t v;
    } all[] = {
        {"index", V_INT, i + 1},    {"index0", V_INT, i},
        {"revindex", V_INT, n - i}, {"revindex0", V_INT, n - i - 1},
        {"first", V_BOOL, i == 0},  {"last", V_BOOL, i == n - 1},
        {"length", V_INT, n},       {"depth", V_INT, 1},
        {"depth0", V_INT, 0},
    };

    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        if (str_same(name, all[k].name)) {
            *out = value_of(all[k].kind, all[k].v);
            return 0;
        }
    *out = value_of(V_UNDEF, 0);
    if (str_same(name, "previtem")) {
        if (i)
            *out = l->items->at[i - 1];
        return 0;
    }
    if (str_same(name, "nextitem")) {
        if (i + 1 < n)
            *out = l->items->at[i + 1];
        return 0;
    }
    return render_fail(r, "loop.%.*s is not supported", (int)(name.n < 40 ? name.n : 40), name.p);
}

int value_has_method(const struct value *v, struct str name)
{
    static const char *const of_text[] = {
        "capitalize",   "casefold",    "center",    "count",      "encode",       "endswith",
        "expandtabs",   "find",        "format",    "format_map", "index",        "isalnum",
        "isalpha",      "isascii",     "isdecimal", "isdigit",    "isidentifier", "islower",
        "isnumeric",    "isprintable", "isspace",   "istitle",    "isupper",      "join",
        "ljust",        "lower",       "lstrip",    "maketrans",  "partition",    "removeprefix",
        "removesuffix", "replace",     "rfind",     "rindex",     "rjust",        "rpartition",
        "rsplit",       "rstrip",      "split",     "splitlines", "startswith",   "strip",
        "swapcase",     "title",       "translate", "upper",      "zfill",        NULL};
    static const char *const of_list[] = {"append", "clear", "copy",   "count",   "extend", "index",
                                          "insert", "pop",   "remove", "reverse", "sort",   NULL};
    static const char *const of_dict[] = {"clear",      "copy",   "fromkeys", "get",
                                          "items",      "keys",   "pop",      "popitem",
                                          "setdefault", "update", "values",   NULL};
    static const char *const of_number[] = {
        "as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator",
        "from_bytes",       "fromhex",   "hex",        "imag",      "is_integer",
        "numerator",        "real",      "to_bytes",   NULL};
    const char *const *all = v->kind == V_STR    ? of_text
                             : v->kind == V_LIST ? of_list
                             : v->kind == V_DICT ? of_dict
                             : v->kind == V_BOOL || v->kind == V_INT || v->kind == V_REAL
                                 ? of_number
                                 : NULL;

    for (; all && *all; all++)
        if (str_same(name, *all))
            return 1;
    return 0;
}

int value_get(struct render *r, const struct value *v, struct str name, struct value *out)
{
    const struct value *found = NULL;
    int shown = (int)(name.n < 40 ? name.n : 40);

    if (v->kind == V_UNDEF)
        return render_fail(r, "'%.*s' of an undefined value", shown, name.p);
    if (v->kind == V_LOOP)
        return loop_get(r, v->u.loop, name, out);
    if (v->kind == V_MACRO)
        return render_fail(r, "attributes of a macro are not supported");
    if (value_has_method(v, name))
        return render_fail(r, "the method '%.*s' that is not called", shown, name.p);
    if (v->kind == V_DICT || v->kind == V_SPACE)
        found = dict_find(v->u.dict, name);
    *out = found ? *found : value_of(V_UNDEF, 0);
    return 0;
}

int value_item(struct render *r, const struct value *v, const struct value *key, struct value *out)
{
    const struct value *found;
    int64_t i = key->u.i;
    size_t n;

    if (v->kind == V_UNDEF)
        return render_fail(r, "an item of an undefined value");
    if (v->kind == V_DICT && key->kind == V_STR && (found = dict_find(v->u.dict, key->u.s))) {
        *out = *found;
        return 0;
    }
    *out = value_of(V_UNDEF, 0);
    if (key->kind == V_STR)
        return value_get(r, v, key->u.s, out);
    if ((v->kind != V_LIST && v->kind != V_STR) || (key->kind != V_INT && key->kind != V_BOOL))
        return 0;
    if (value_length(r, v, &n) < 0)
        return -1;
    if (i < 0)
        i += (int64_t)n;
    if (i < 0 || i >= (int64_t)n)
        return 0;
    if (v->kind == V_LIST)
        *out = v->u.list->at[i];
    else {
        struct str one = str_slice(v->u.s, (size_t)i, (size_t)i + 1);

        *out = value_str(one.p, one.n);
    }
    return 0;
}

static int bound_of(struct render *r, const struct value *v, int64_t *at, int *given)
{
    *given = v->kind == V_INT;
    if (*given)
        *at = v->u.i;
    return *given || v->kind == V_NONE ? 0 : render_fail(r, "a slice from or to %s", value_name(v));
}

static int64_t clamp(int64_t i, int64_t low, int64_t high)
{
    return i < low ? low : i > high ? high : i;
}

/* v[from:to:step] as in Python. */
int value_slice(struct render *r, const struct value *v, const struct value bound[3],
                struct value *out)
{
    int64_t from = 0, to = 0, step = 1, size, i;
    int has_from, has_to, has_step;
    struct value list;
    struct list *items;

    if (bound_of(r, &bound[0], &from, &has_from) < 0 || bound_of(r, &bound[1], &to, &has_to) < 0 ||
        bound_of(r, &bound[2], &step, &has_step) < 0)
        return -1;
    if (!has_step)
        step = 1;
    if (!step)
        return render_fail(r, "a slice with a step of 0");
    if (v->kind != V_LIST && v->kind != V_STR) {
        if (v->kind == V_UNDEF)
            return render_fail(r, "a slice of an undefined value");
        *out = value_of(V_UNDEF, 0); /* as Jinja2: what cannot be had is undefined */
        return 0;
    }
    if (value_items(r, v, &items) < 0)
        return -1;
    size = (int64_t)items->n;
    from = !has_from ? step > 0 ? 0 : size - 1
                     : clamp(from < 0 ? from + size : from, step > 0 ? 0 : -1,
                             step > 0 ? size : size - 1);
    to = !has_to ? step > 0 ? size : -1
                 : clamp(to < 0 ? to + size : to, step > 0 ? 0 : -1, step > 0 ? size : size - 1);
    step = clamp(step, -size - 1, size + 1);
    if (value_list(r, 0, &list) < 0)
        return -1;
    for (i = from; step > 0 ? i < to : i > to; i += step)
        if (list_push(r, list.u.list, items->at[i]) < 0)
            return -1;
    *out = list;
    out->marked = v->kind == V_LIST && v->marked;
    return v->kind == V_STR ? str_join(r, (struct str){"", 0}, list.u.list, 0, out) : 0;
}

int value_in(struct render *r, const struct value *v, const struct value *in, int *yes)
{
    *yes = 0;
    if (in->kind == V_STR) {
        if (v->kind != V_STR)
            return render_fail(r, "%s cannot be in a text", value_name(v));
        *yes = str_find(in->u.s, v->u.s, 0) != SIZE_MAX;
        return 0;
    }
    if (in->kind == V_DICT) {
        *yes = v->kind == V_STR && dict_find(in->u.dict, v->u.s);
        return 0;
    }
    if (in->kind == V_UNDEF)
        return 0;
    if (in->kind != V_LIST)
        return render_fail(r, "nothing can be in %s", value_name(in));
    for (size_t i = 0; i < in->u.list->n && !*yes; i++)
        if (value_equal(r, v, &in->u.list->at[i], yes) < 0)
            return -1;
    return 0;
}

/* ---- operators ---- */

static int whole(struct render *r, enum op op, int64_t a, int64_t b, struct value *out)
{
    int64_t x = 0;
    int over = 0;

    if ((op == OP_FLOOR || op == OP_MOD) && (!b || (b == -1 && a == INT64_MIN)))
        return render_fail(r, "division by 0");
    if (op == OP_ADD)
        over = __builtin_add_overflow(a, b, &x);
    else if (op == OP_SUB)
        over = __builtin_sub_overflow(a, b, &x);
    else if (op == OP_MUL)
        over = __builtin_mul_overflow(a, b, &x);
    else if (op == OP_FLOOR)
        x = a / b - (a % b != 0 && (a < 0) != (b < 0));
    else if (op == OP_MOD)
        x = a % b + (a % b != 0 && (a < 0) != (b < 0) ? b : 0);
    else {
        if (b < 0 || b > 64)
            return render_fail(r, "a power that is not supported");
        for (x = 1; b-- && !over;)
            over = __builtin_mul_overflow(x, a, &x);
    }
    *out = value_of(V_INT, x);
    return over ? render_fail(r, "a number that is too large") : 0;
}

static int arithmetic(struct render *r, enum op op, const struct value *a, const struct value *b,
                      struct value *out)
{
    double x = a->kind == V_REAL ? a->u.r : (double)a->u.i,
           y = b->kind == V_REAL ? b->u.r : (double)b->u.i;

    if (a->kind != V_REAL && b->kind != V_REAL && op != OP_DIV)
        return whole(r, op, a->u.i, b->u.i, out);
    if (op == OP_MOD || op == OP_FLOOR || op == OP_POW)
        return render_fail(r, "this operation is not supported with fractions");
    if (op == OP_DIV && !(y < 0 || y > 0))
        return render_fail(r, "division by 0");
    *out = value_of(V_REAL, 0);
    out->u.r = op == OP_ADD ? x + y : op == OP_SUB ? x - y : op == OP_MUL ? x * y : x / y;
    return isfinite(out->u.r) ? 0 : render_fail(r, "a number that is too large");
}

static int is_number(const struct value *v)
{
    return v->kind == V_INT || v->kind == V_BOOL || v->kind == V_REAL;
}

static int text_add(struct render *r, struct value a, struct value b, struct value *out)
{
    char *p;

    if (a.marked || b.marked)
        return render_fail(r, "joining a text that went through safe is not supported");
    if (!(p = arena_get(&r->arena, a.u.s.n + b.u.s.n + 1, r->e)))
        return -1;
    if (a.u.s.n)
        memcpy(p, a.u.s.p, a.u.s.n);
    if (b.u.s.n)
        memcpy(p + a.u.s.n, b.u.s.p, b.u.s.n);
    *out = value_str(p, a.u.s.n + b.u.s.n);
    return 0;
}

static int repeat(struct render *r, const struct value *v, int64_t times, struct value *out)
{
    size_t i, n = v->kind == V_STR ? 1 : v->u.list->n;
    struct value list;

    if (times > 100000)
        return render_fail(r, "something repeated more than 100000 times");
    if (v->kind == V_STR && v->marked)
        return render_fail(r, "repeating a text that went through safe is not supported");
    if (value_list(r, 0, &list) < 0)
        return -1;
    for (; times > 0; times--)
        for (i = 0; i < n; i++)
            if (list_push(r, list.u.list, v->kind == V_STR ? *v : v->u.list->at[i]) < 0)
                return -1;
    *out = list;
    out->marked = v->marked;
    return v->kind == V_STR ? str_join(r, (struct str){"", 0}, list.u.list, 0, out) : 0;
}

int value_binary(struct render *r, enum op op, const struct value *a, const struct value *b,
                 struct value *out)
{
    if (is_number(a) && is_number(b))
        return arithmetic(r, op, a, b, out);
    if (op == OP_ADD && a->kind == V_STR && b->kind == V_STR)
        return text_add(r, *a, *b, out);
    if (op == OP_ADD && a->kind == V_LIST && b->kind == V_LIST && a->marked == b->marked) {
        if (value_list(r, a->u.list->n + b->u.list->n, out) < 0)
            return -1;
        out->marked = a->marked;
        for (size_t i = 0; i < a->u.list->n; i++)
            if (list_push(r, out->u.list, a->u.list->at[i]) < 0)
                return -1;
        for (size_t i = 0; i < b->u.list->n; i++)
            if (list_push(r, out->u.list, b->u.list->at[i]) < 0)
                return -1;
        return 0;
    }
    if (op == OP_MUL && (a->kind == V_STR || a->kind == V_LIST) && b->kind == V_INT)
        return repeat(r, a, b->u.i, out);
    if (op == OP_MUL && (b->kind == V_STR || b->kind == V_LIST) && a->kind == V_INT)
        return repeat(r, b, a->u.i, out);
    return render_fail(r, "no such operation between %s and %s", value_name(a), value_name(b));
}

int value_compare(struct render *r, enum op op, const struct value *a, const struct value *b,
                  int *yes)
{
    int order = 0;

    if (op == OP_EQ || op == OP_NE) {
        if (value_equal(r, a, b, yes) < 0)
            return -1;
    } else if (op == OP_IN || op == OP_NOT_IN) {
        if (value_in(r, a, b, yes) < 0)
            return -1;
    } else if (value_order(r, a, b, &order) < 0)
        return -1;
    switch (op) {
    case OP_NE:
    case OP_NOT_IN:
        *yes = !*yes;
        break;
    case OP_LT:
        *yes = order < 0;
        break;
    case OP_LE:
        *yes = order <= 0;
        break;
    case OP_GT:
        *yes = order > 0;
        break;
    case OP_GE:
        *yes = order >= 0;
        break;
    default:
        break;
    }
    return 0;
}

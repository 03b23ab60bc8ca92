/* SPDX-License-Identifier: Apache-2.0 */
/* chat_text - texts as Python's str. Upper and lower case of ASCII only. */
#include "chat_text.h"

#include <string.h>

#include "../text/unicode.h"
#include "chat_print.h"

/* Whether Jinja2's title filter begins a word behind it. */
static int separates(int c)
{
    return str_space((uint32_t)c) || (c && strchr("-({[<", c));
}

int str_case(struct render *r, struct str s, char how, struct value *out)
{
    char *to = arena_get(&r->arena, s.n + 1, r->e);
    int inside = 0; /* of a word: title; of the text: capitalize */
    size_t i;

    if (!to)
        return -1;
    for (i = 0; i < s.n; i++) {
        int c = (unsigned char)s.p[i], letter = (c | 32) >= 'a' && (c | 32) <= 'z';

        if (c > 127)
            return render_fail(r, "upper and lower case beyond ASCII is not supported");
        to[i] = (char)c;
        if (letter)
            to[i] = (char)(how == 'l' || (how != 'u' && inside) ? c | 32 : c & ~32);
        inside = how == 't' ? letter : how == 'T' ? !separates(c) : 1;
    }
    *out = value_str(to, s.n);
    return 0;
}

int str_replace(struct render *r, struct str s, struct str from, struct str to, int64_t most,
                struct value *out)
{
    size_t count = 0, at, done = 0, used = 0, size;
    char *p;

    if (!from.n)
        return render_fail(r, "replace of an empty text is not supported");
    for (at = 0; (most < 0 || count < (uint64_t)most) && (at = str_find(s, from, at)) != SIZE_MAX;
         at += from.n)
        count++;
    if (to.n && count > r->arena.max / to.n)
        return render_fail(r, "a text that is too long");
    size = s.n - count * from.n + count * to.n;
    if (!(p = arena_get(&r->arena, size + 1, r->e)))
        return -1;
    while (count--) {
        at = str_find(s, from, done);
        memcpy(p + used, s.p + done, at - done);
        used += at - done;
        if (to.n)
            memcpy(p + used, to.p, to.n);
        used += to.n;
        done = at + from.n;
    }
    if (s.n > done)
        memcpy(p + used, s.p + done, s.n - done);
    *out = value_str(p, size);
    return 0;
}

int str_join(struct render *r, struct str with, const struct list *l, int convert,
             struct value *out)
{
    struct value one;
    size_t i, used = 0, size = 0;
    char *p = NULL;

    for (int pass = 0; pass < 2; pass++) {
        if (pass && !(p = arena_get(&r->arena, size + 1, r->e)))
            return -1;
        for (i = 0; i < l->n; i++) {
            if (!convert && l->at[i].kind != V_STR)
                return render_fail(r, "join of %s", value_name(&l->at[i]));
            if (l->at[i].kind == V_STR && l->at[i].marked)
                return render_fail(r, "join of a text that went through safe is not supported");
            if (value_print(r, &l->at[i], &one) < 0)
                return -1;
            if (!pass) {
                size += one.u.s.n + (i ? with.n : 0);
                if (size > r->arena.max)
                    return render_fail(r, "a text that is too long");
                continue;
            }
            if (i && with.n)
                memcpy(p + used, with.p, with.n);
            used += i ? with.n : 0;
            if (one.u.s.n)
                memcpy(p + used, one.u.s.p, one.u.s.n);
            used += one.u.s.n;
        }
    }
    *out = value_str(p, used);
    return 0;
}

/* ---- methods ---- */

static int split_spaces(struct render *r, struct str s, int64_t most, struct list *l)
{
    for (s = str_strip(s, NULL, 1, 0); s.n; s = str_strip(s, NULL, 1, 0)) {
        size_t i = 0, step;
        uint32_t c;

        if (most >= 0 && l->n == (uint64_t)most)
            return list_push(r, l, value_str(s.p, s.n));
        for (; i < s.n; i += step) {
            step = unicode_char(s.p + i, s.n - i, &c);
            if (str_space(c))
                break;
        }
        if (list_push(r, l, value_str(s.p, i)) < 0)
            return -1;
        s.p += i;
        s.n -= i;
    }
    return 0;
}

static int split(struct render *r, struct str s, const struct value *arg, size_t n,
                 struct value *out)
{
    int64_t most = n > 1 ? arg[1].u.i : -1;
    size_t at, from = 0;

    if (n > 1 && arg[1].kind != V_INT)
        return render_fail(r, "split: the second argument is not a number");
    if (n && arg[0].kind != V_STR && arg[0].kind != V_NONE)
        return render_fail(r, "split by %s", value_name(&arg[0]));
    if (value_list(r, 0, out) < 0)
        return -1;
    if (!n || arg[0].kind == V_NONE)
        return split_spaces(r, s, most, out->u.list);
    if (!arg[0].u.s.n)
        return render_fail(r, "split by an empty text");
    while ((most < 0 || out->u.list->n < (uint64_t)most) &&
           (at = str_find(s, arg[0].u.s, from)) != SIZE_MAX) {
        if (list_push(r, out->u.list, value_str(s.p + from, at - from)) < 0)
            return -1;
        from = at + arg[0].u.s.n;
    }
    return list_push(r, out->u.list, value_str(s.p + from, s.n - from));
}

static int begins(struct render *r, struct str s, const struct value *with, int end, int *yes)
{
    size_t i;

    if (with->kind == V_LIST && with->marked) {
        *yes = 0;
        for (i = 0; i < with->u.list->n && !*yes; i++) {
            if (with->u.list->at[i].kind != V_STR)
                return render_fail(r, "startswith or endswith of %s",
                                   value_name(&with->u.list->at[i]));
            if (begins(r, s, &with->u.list->at[i], end, yes) < 0)
                return -1;
        }
        return 0;
    }
    if (with->kind != V_STR)
        return render_fail(r, "startswith or endswith of %s", value_name(with));
    *yes = with->u.s.n <= s.n &&
           !memcmp(end ? s.p + s.n - with->u.s.n : s.p, with->u.s.p, with->u.s.n);
    return 0;
}

static size_t count_of(struct str s, struct str word)
{
    size_t n = 0, at = 0;

    if (!word.n)
        return str_chars(s) + 1;
    for (; (at = str_find(s, word, at)) != SIZE_MAX; at += word.n)
        n++;
    return n;
}

enum method {
    M_STRIP,
    M_LSTRIP,
    M_RSTRIP,
    M_SPLIT,
    M_STARTS,
    M_ENDS,
    M_REPLACE,
    M_UPPER,
    M_LOWER,
    M_TITLE,
    M_CAPITAL,
    M_JOIN,
    M_FIND,
    M_COUNT,
    M_NOPREFIX,
    M_NOSUFFIX,
    METHODS
};

static int text_word_method(struct render *r, enum method m, struct str s, const struct value *arg,
                            struct value *out)
{
    size_t at;
    int yes;

    if (m == M_STARTS || m == M_ENDS) {
        if (begins(r, s, arg, m == M_ENDS, &yes) < 0)
            return -1;
        *out = value_of(V_BOOL, yes);
        return 0;
    }
    if (arg->kind != V_STR)
        return render_fail(r, "a text is needed, not %s", value_name(arg));
    if (m == M_FIND) {
        at = str_find(s, arg->u.s, 0);
        *out = value_of(V_INT, at == SIZE_MAX ? -1 : (int64_t)str_chars((struct str){s.p, at}));
    } else if (m == M_COUNT)
        *out = value_of(V_INT, (int64_t)count_of(s, arg->u.s));
    else {
        if (begins(r, s, arg, m == M_NOSUFFIX, &yes) < 0)
            return -1;
        at = yes ? arg->u.s.n : 0;
        *out = value_str(m == M_NOPREFIX ? s.p + at : s.p, s.n - at);
    }
    return 0;
}

int str_method(struct render *r, struct str s, struct str name, const struct value *arg, size_t n,
               struct value *out)
{
    static const struct {
        const char *name;
        size_t min, max;
    } all[METHODS] = {
        {"strip", 0, 1},      {"lstrip", 0, 1},   {"rstrip", 0, 1},       {"split", 0, 2},
        {"startswith", 1, 1}, {"endswith", 1, 1}, {"replace", 2, 3},      {"upper", 0, 0},
        {"lower", 0, 0},      {"title", 0, 0},    {"capitalize", 0, 0},   {"join", 1, 1},
        {"find", 1, 1},       {"count", 1, 1},    {"removeprefix", 1, 1}, {"removesuffix", 1, 1},
    };
    const struct str *set = NULL;
    struct list *items;
    struct str rest;
    unsigned m = 0;

    while (m < METHODS && !str_same(name, all[m].name))
        m++;
    if (m == METHODS)
        return render_fail(r, "the method '%.*s' of a text is not supported",
                           (int)(name.n < 40 ? name.n : 40), name.p);
    if (n < all[m].min || n > all[m].max)
        return render_fail(r, "the method '%s' with %zu arguments", all[m].name, n);
    switch ((enum method)m) {
    case M_STRIP:
    case M_LSTRIP:
    case M_RSTRIP:
        if (n && arg[0].kind == V_STR)
            set = &arg[0].u.s;
        else if (n && arg[0].kind != V_NONE)
            return render_fail(r, "strip of %s", value_name(&arg[0]));
        rest = str_strip(s, set, m != M_RSTRIP, m != M_LSTRIP);
        *out = value_str(rest.p, rest.n);
        return 0;
    case M_SPLIT:
        return split(r, s, arg, n, out);
    case M_REPLACE:
        if (arg[0].kind != V_STR || arg[1].kind != V_STR || (n > 2 && arg[2].kind != V_INT))
            return render_fail(r, "replace takes texts");
        return str_replace(r, s, arg[0].u.s, arg[1].u.s, n > 2 ? arg[2].u.i : -1, out);
    case M_UPPER:
        return str_case(r, s, 'u', out);
    case M_LOWER:
        return str_case(r, s, 'l', out);
    case M_TITLE:
        return str_case(r, s, 't', out);
    case M_CAPITAL:
        return str_case(r, s, 'c', out);
    case M_JOIN:
        return value_items(r, &arg[0], &items) < 0 ? -1 : str_join(r, s, items, 0, out);
    default:
        return text_word_method(r, (enum method)m, s, arg, out);
    }
}

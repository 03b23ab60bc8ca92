/* SPDX-License-Identifier: Apache-2.0 */
/* chat_print - values as text: Python's str() and json.dumps(). */
#include "chat_print.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "../text/unicode.h"

struct printer {
    struct render *r;
    struct text_out t;
    int json, indent, sorted;
};

static int put(struct printer *w, const char *p, size_t n)
{
    void *data = w->t.data;

    if (n > w->r->bytes_max || w->t.n > w->r->bytes_max - n)
        return render_fail(w->r, "a text of more than %zu bytes", w->r->bytes_max);
    if (w->t.n + n + 1 > w->t.room && mem_grow(&data, &w->t.room, w->t.n + n + 1, 1, w->r->e) < 0)
        return -1;
    w->t.data = data;
    memcpy(w->t.data + w->t.n, p, n);
    w->t.n += n;
    return 0;
}

static int put_text(struct printer *w, const char *text)
{
    return put(w, text, strlen(text));
}

static int put_json_string(struct printer *w, struct str s)
{
    static const char plain[] = "\"\\\b\f\n\r\t", short_of[] = "\"\\bfnrt";
    char text[8];
    size_t i;

    if (put_text(w, "\"") < 0)
        return -1;
    for (i = 0; i < s.n; i++) {
        const char *at = s.p[i] ? strchr(plain, s.p[i]) : NULL;

        if (at)
            snprintf(text, sizeof text, "\\%c", short_of[at - plain]);
        else if ((unsigned char)s.p[i] < 32)
            snprintf(text, sizeof text, "\\u%04x", (unsigned)(unsigned char)s.p[i]);
        else
            snprintf(text, sizeof text, "%c", s.p[i]);
        if (put_text(w, text) < 0)
            return -1;
    }
    return put_text(w, "\"");
}

/* repr(); what Python would show of characters beyond ASCII that are neither letters nor digits
 * is not known here. */
static int put_repr_string(struct printer *w, struct str s)
{
    static const char special[] = "\n\r\t\\";
    char quote = memchr(s.p, '\'', s.n) && !memchr(s.p, '"', s.n) ? '"' : '\'', text[16];
    size_t i, step;

    if (put(w, &quote, 1) < 0)
        return -1;
    for (i = 0; i < s.n; i += step) {
        const char *at = s.p[i] ? strchr(special, s.p[i]) : NULL;
        uint32_t c;

        step = unicode_char(s.p + i, s.n - i, &c);
        if (at || s.p[i] == quote)
            snprintf(text, sizeof text, "\\%c", at ? "nrt\\"[at - special] : quote);
        else if (c < 32 || c == 127)
            snprintf(text, sizeof text, "\\x%02x", (unsigned)c);
        else if (c < 127 || unicode_is_word(c))
            snprintf(text, sizeof text, "%.*s", (int)step, s.p + i);
        else
            return render_fail(w->r, "a list or dict printed with U+%04X in it: use tojson",
                               (unsigned)c);
        if (put_text(w, text) < 0)
            return -1;
    }
    return put(w, &quote, 1);
}

/* As Python prints it: the shortest digits that read back as the same number. */
static int put_real(struct printer *w, double x)
{
    char digits[40], text[400];
    int power, n;

    if (!isfinite(x))
        return render_fail(w->r, "a number that is not finite");
    for (n = 1; n < 18; n++) {
        snprintf(digits, sizeof digits, "%.*e", n - 1, x);
        if (!(strtod(digits, NULL) < x) && !(strtod(digits, NULL) > x))
            break;
    }
    power = atoi(strchr(digits, 'e') + 1);
    if (power < -4 || power >= 16)
        return put_text(w, digits);
    snprintf(text, sizeof text, "%.*f", n - 1 > power ? n - 1 - power : 1, x);
    return put_text(w, text);
}

static int put_value(struct printer *w, const struct value *v, int depth);

static int put_break(struct printer *w, int depth)
{
    if (w->indent < 0)
        return 0;
    if (put_text(w, "\n") < 0)
        return -1;
    for (int i = 0; i < depth * w->indent; i++)
        if (put_text(w, " ") < 0)
            return -1;
    return 0;
}

static int by_pair_key(const void *a, const void *b)
{
    struct str x = ((const struct dict_pair *)a)->key.u.s,
               y = ((const struct dict_pair *)b)->key.u.s;
    int c = memcmp(x.p, y.p, x.n < y.n ? x.n : y.n);

    return c ? c : (x.n > y.n) - (x.n < y.n);
}

static int put_dict(struct printer *w, const struct dict *d, int depth)
{
    const char *comma = w->json && w->indent >= 0 ? "," : ", ";
    struct dict_pair *at = d->at;
    size_t i;

    if (!d->n)
        return put_text(w, "{}");
    if (w->sorted) {
        if (!(at = arena_get(&w->r->arena, d->n * sizeof *at, w->r->e)))
            return -1;
        memcpy(at, d->at, d->n * sizeof *at);
        qsort(at, d->n, sizeof *at, by_pair_key);
    }
    if (put_text(w, "{") < 0)
        return -1;
    for (i = 0; i < d->n; i++)
        if ((i && put_text(w, comma) < 0) || put_break(w, depth + 1) < 0 ||
            put_value(w, &at[i].key, depth + 1) < 0 || put_text(w, ": ") < 0 ||
            put_value(w, &at[i].value, depth + 1) < 0)
            return -1;
    return put_break(w, depth) < 0 ? -1 : put_text(w, "}");
}

static int put_list(struct printer *w, const struct value *v, int depth)
{
    const char *comma = w->json && w->indent >= 0 ? "," : ", ";
    const struct list *l = v->u.list;
    int tuple = v->marked && !w->json;
    size_t i;

    if (!l->n)
        return put_text(w, tuple ? "()" : "[]");
    if (put_text(w, tuple ? "(" : "[") < 0)
        return -1;
    for (i = 0; i < l->n; i++)
        if ((i && put_text(w, comma) < 0) || put_break(w, depth + 1) < 0 ||
            put_value(w, &l->at[i], depth + 1) < 0)
            return -1;
    if (put_break(w, depth) < 0)
        return -1;
    return put_text(w, tuple ? l->n == 1 ? ",)" : ")" : "]");
}

static int put_value(struct printer *w, const struct value *v, int depth)
{
    char text[32];

    if (depth > CHAT_DEPTH)
        return render_fail(w->r, "a printed value is nested too deep");
    if (render_step(w->r) < 0)
        return -1;
    switch (v->kind) {
    case V_NONE:
        return put_text(w, w->json ? "null" : "None");
    case V_BOOL:
        return put_text(w, w->json ? v->u.i ? "true" : "false" : v->u.i ? "True" : "False");
    case V_INT:
        snprintf(text, sizeof text, "%lld", (long long)v->u.i);
        return put_text(w, text);
    case V_REAL:
        return put_real(w, v->u.r);
    case V_STR:
        return w->json ? put_json_string(w, v->u.s) : put_repr_string(w, v->u.s);
    case V_LIST:
        return put_list(w, v, depth);
    case V_DICT:
        return put_dict(w, v->u.dict, depth);
    default:
        return render_fail(w->r, "%s cannot be printed", value_name(v));
    }
}

static int written(struct printer *w, const struct value *v, struct value *out)
{
    int rc = put_value(w, v, 0);

    if (rc == 0)
        rc = value_text(w->r, w->t.data, w->t.n, out);
    free(w->t.data);
    return rc;
}

int value_print(struct render *r, const struct value *v, struct value *out)
{
    struct printer w = {.r = r, .indent = -1};

    if (v->kind == V_STR || v->kind == V_UNDEF) {
        *out = v->kind == V_STR ? *v : value_str("", 0);
        return 0;
    }
    return written(&w, v, out);
}

int value_dump(struct render *r, const struct value *v, int indent, int sorted, struct value *out)
{
    struct printer w = {.r = r, .json = 1, .indent = indent, .sorted = sorted};

    return written(&w, v, out);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* chat_lex - a template to tokens, with Jinja2's rules for white space: one line end at the end
 * of the text goes, so does the one behind a tag (trim_blocks) and the blanks in front of a tag
 * that begins a line (lstrip_blocks); "-" at a tag takes all white space on that side, "+" keeps
 * it. Leaves out: {% raw %}, line statements, string escapes by name (\N). */
#include "chat_lex.h"

#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "../text/unicode.h"

enum { NEST_MAX = 256 };

struct lexer {
    const char *text, *what;
    size_t n, at;
    int line;
    int fresh; /* what was read last ended a line: what comes begins one */
    struct arena *arena;
    struct toks *out;
    struct err *e;
};

static int fail(const struct lexer *x, const char *why)
{
    return err_set(x->e, ERR_USE, "%s:%d: %s", x->what, x->line, why);
}

static struct tok *push(struct lexer *x, enum tok_kind kind, const char *p, size_t n)
{
    void *list = x->out->tok;
    struct tok *t;

    if (x->out->n == x->out->room &&
        mem_grow(&list, &x->out->room, x->out->n + 1, sizeof *t, x->e) < 0)
        return NULL;
    x->out->tok = list;
    t = &x->out->tok[x->out->n++];
    *t = (struct tok){.kind = kind, .line = x->line, .text = {p, n}};
    return t;
}

/* Moves on, counting lines. */
static void skip(struct lexer *x, size_t n)
{
    for (; n--; x->at++)
        x->line += x->text[x->at] == '\n';
}

static int looking_at(const struct lexer *x, const char *word)
{
    size_t n = strlen(word);

    return x->n - x->at >= n && !memcmp(x->text + x->at, word, n);
}

static size_t spaces(const struct lexer *x)
{
    size_t at = x->at;

    while (at < x->n) {
        uint32_t c;
        size_t step = unicode_char(x->text + at, x->n - at, &c);

        if (!str_space(c))
            break;
        at += step;
    }
    return at - x->at;
}

/* What stands behind the sign of an end: all white space, one line end, or nothing. */
static void close_tag(struct lexer *x, char sign, int trim)
{
    size_t n =
        sign == '-' ? spaces(x) : trim && sign != '+' && x->at < x->n && x->text[x->at] == '\n';

    x->fresh = n && x->text[x->at + n - 1] == '\n';
    skip(x, n);
}

/* ---- inside of tags ---- */

static int hex(struct lexer *x, const char *p, size_t n, int digits, uint32_t *c)
{
    *c = 0;
    if (n < (size_t)digits)
        return fail(x, "a text with a broken escape");
    for (int i = 0; i < digits; i++) {
        const char *all = "0123456789abcdef",
                   *d = p[i] ? strchr(all, p[i] | (p[i] >= 'A' ? 32 : 0)) : NULL;

        if (!d)
            return fail(x, "a text with a broken escape");
        *c = *c << 4 | (uint32_t)(d - all);
    }
    return 0;
}

/* One escape at p ('\\' first): bytes to out, its length to *used. */
static int escape(struct lexer *x, const char *p, size_t n, char *out, size_t *wrote, size_t *used)
{
    static const char from[] = "abfnrtv\\'\"", to[] = "\a\b\f\n\r\t\v\\'\"";
    const char *known = n > 1 && p[1] ? strchr(from, p[1]) : NULL;
    int digits = n > 1 ? p[1] == 'x' ? 2 : p[1] == 'u' ? 4 : p[1] == 'U' ? 8 : 0 : 0;
    uint32_t c = 0;

    *used = 2;
    *wrote = 1;
    if (known)
        out[0] = to[known - from];
    else if (n > 1 && p[1] == '\n')
        *wrote = 0;
    else if (n > 1 && p[1] == 'N')
        return fail(x, "a character by name (\\N) is not supported");
    else if (digits) {
        if (hex(x, p + 2, n - 2, digits, &c) < 0)
            return -1;
        if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
            return fail(x, "an escape that is no character");
        *wrote = unicode_put(c, out);
        *used += (size_t)digits;
    } else if (n > 1 && p[1] >= '0' && p[1] <= '7') {
        for (*used = 1; *used < 4 && *used < n && p[*used] >= '0' && p[*used] <= '7'; ++*used)
            c = c * 8 + (uint32_t)(p[*used] - '0');
        *wrote = unicode_put(c, out);
    } else { /* an unknown escape is itself */
        out[0] = '\\';
        *used = 1;
    }
    return 0;
}

static int lex_string(struct lexer *x)
{
    char quote = x->text[x->at], *out;
    size_t end = x->at + 1, n = 0, i, wrote, used;

    while (end < x->n && x->text[end] != quote)
        end += x->text[end] == '\\' ? 2 : 1;
    if (end >= x->n)
        return fail(x, "a text without an end");
    if (!(out = arena_get(x->arena, end - x->at + 4, x->e)))
        return -1;
    for (i = x->at + 1; i < end; i += used) {
        used = wrote = 1;
        if (x->text[i] != '\\')
            out[n] = x->text[i];
        else if (escape(x, x->text + i, end - i, out + n, &wrote, &used) < 0)
            return -1;
        n += wrote;
    }
    if (!push(x, TOK_STR, out, n))
        return -1;
    skip(x, end + 1 - x->at);
    return 0;
}

static int digit(char c)
{
    return c >= '0' && c <= '9';
}

static int lex_number(struct lexer *x)
{
    char text[64];
    size_t n = 0, i = x->at;
    int real = 0;
    struct tok *t;

    for (; i < x->n && n < sizeof text - 1; i++) {
        char c = x->text[i];
        int dot = c == '.' && !real && i + 1 < x->n && digit(x->text[i + 1]);
        int power = (c == 'e' || c == 'E') && i + 1 < x->n &&
                    (digit(x->text[i + 1]) ||
                     (i + 2 < x->n && strchr("+-", x->text[i + 1]) && digit(x->text[i + 2])));

        if (!digit(c) && c != '_' && !dot && !power)
            break;
        real |= dot || power;
        if (c != '_')
            text[n++] = c;
        if (power && !digit(x->text[i + 1]))
            text[n++] = x->text[++i];
    }
    text[n] = 0;
    if (n >= sizeof text - 2 || (!real && n > 18) || (n > 1 && text[0] == '0' && !real))
        return fail(x, "a number that is not supported");
    if (i < x->n && ((x->text[i] | 32) >= 'a' && (x->text[i] | 32) <= 'z'))
        return fail(x, "a number that is not supported");
    if (!(t = push(x, real ? TOK_REAL : TOK_INT, x->text + x->at, i - x->at)))
        return -1;
    if (real)
        t->r = strtod(text, NULL);
    else
        t->i = strtoll(text, NULL, 10);
    skip(x, i - x->at);
    return 0;
}

static int lex_operator(struct lexer *x, char *nest, size_t *depth)
{
    static const char *const all[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                      "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                      ">",  "<",  "=",  ".",  ":",  "|",  ","};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char c = all[i][0];

        if (!looking_at(x, all[i]))
            continue;
        if (!all[i][1] && strchr("([{", c)) {
            if (*depth == NEST_MAX)
                return fail(x, "brackets nested too deep");
            nest[(*depth)++] = c == '(' ? ')' : c == '[' ? ']' : '}';
        } else if (!all[i][1] && strchr(")]}", c) && (!*depth || nest[--*depth] != c))
            return fail(x, "a bracket that does not fit");
        if (!push(x, TOK_OP, all[i], strlen(all[i])))
            return -1;
        skip(x, strlen(all[i]));
        return 0;
    }
    return fail(x, "a character that has no meaning here");
}

static int word_char(char c, int first)
{
    return c == '_' || ((c | 32) >= 'a' && (c | 32) <= 'z') || (!first && digit(c));
}

/* One token of a tag that ends with `end` ("%}" or "}}"). 1: that was the end. */
static int lex_one(struct lexer *x, const char *end, char *nest, size_t *depth)
{
    char c = x->text[x->at], sign = 0;
    size_t i = x->at;

    if (!*depth) {
        if ((c == '-' || c == '+') && x->n - x->at > 2 && !memcmp(x->text + x->at + 1, end, 2))
            sign = c;
        if (sign == '+' && end[0] == '}')
            sign = 0;
        if (sign || looking_at(x, end)) {
            if (!push(x, end[0] == '}' ? TOK_PRINT_END : TOK_TAG_END, x->text + x->at, 2))
                return -1;
            skip(x, 2 + (sign != 0));
            close_tag(x, sign, end[0] == '%');
            return 1;
        }
    }
    if (c == '"' || c == '\'')
        return lex_string(x);
    if (digit(c))
        return lex_number(x);
    if (!word_char(c, 1))
        return lex_operator(x, nest, depth);
    while (i < x->n && word_char(x->text[i], 0))
        i++;
    if (!push(x, TOK_NAME, x->text + x->at, i - x->at))
        return -1;
    skip(x, i - x->at);
    return 0;
}

static int lex_tag(struct lexer *x, const char *end)
{
    char nest[NEST_MAX];
    size_t depth = 0;
    int rc = 0;

    while (rc == 0) {
        skip(x, spaces(x));
        if (x->at == x->n)
            return fail(x, "a tag without an end");
        rc = lex_one(x, end, nest, &depth);
    }
    return rc < 0 ? -1 : 0;
}

static int lex_comment(struct lexer *x)
{
    size_t start = x->at;
    char sign;

    while (x->at < x->n && !looking_at(x, "#}"))
        skip(x, 1);
    if (x->at == x->n)
        return fail(x, "a comment without an end");
    sign = x->at > start ? x->text[x->at - 1] : 0;
    skip(x, 2);
    close_tag(x, sign == '-' || sign == '+' ? sign : 0, 1);
    return 0;
}

/* ---- outside of tags ---- */

/* Length of the text before a tag at n, when its white space is stripped as the sign says. */
static size_t text_end(const struct lexer *x, const char *text, size_t n, char sign, int lstrip)
{
    size_t line = n;

    if (sign == '-')
        return str_strip((struct str){text, n}, NULL, 0, 1).n;
    if (sign == '+' || !lstrip)
        return n;
    while (line && text[line - 1] != '\n')
        line--;
    if (!line && !x->fresh)
        return n;
    return str_strip((struct str){text + line, n - line}, NULL, 1, 0).n ? n : line;
}

static int lex_text(struct lexer *x)
{
    size_t start = x->at, n;
    char kind = 0, sign;

    for (n = 0; start + n + 1 < x->n && !kind; n += !kind)
        if (x->text[start + n] == '{' && strchr("{%#", x->text[start + n + 1]) &&
            x->text[start + n + 1])
            kind = x->text[start + n + 1];
    if (!kind) {
        n = x->n - start;
        if (n && !push(x, TOK_TEXT, x->text + start, n))
            return -1;
        skip(x, n);
        return 0;
    }
    sign = start + n + 2 < x->n ? x->text[start + n + 2] : 0;
    if (sign != '-' && sign != '+')
        sign = 0;
    if (text_end(x, x->text + start, n, sign, kind != '{') &&
        !push(x, TOK_TEXT, x->text + start, text_end(x, x->text + start, n, sign, kind != '{')))
        return -1;
    skip(x, n + 2 + (sign != 0));
    if (kind == '#')
        return lex_comment(x);
    if (!push(x, kind == '{' ? TOK_PRINT : TOK_TAG, x->text + start + n, 2))
        return -1;
    return lex_tag(x, kind == '{' ? "}}" : "%}");
}

int chat_lex(const char *text, size_t n, const char *what, struct arena *a, struct toks *t,
             struct err *e)
{
    struct lexer x = {.what = what, .line = 1, .fresh = 1, .arena = a, .out = t, .e = e};
    char *copy = arena_get(a, n + 1, e);
    size_t i;

    if (!copy)
        return -1;
    if (unicode_valid(text, n) != n)
        return err_set(e, ERR_USE, "%s: the template is not UTF-8", what);
    for (i = 0; i < n; i++) { /* line ends become \n */
        if (text[i] == '\r' && i + 1 < n && text[i + 1] == '\n')
            continue;
        copy[x.n++] = text[i] == '\r' ? '\n' : text[i];
    }
    if (x.n && copy[x.n - 1] == '\n')
        x.n--;
    for (x.text = copy; x.at < x.n;)
        if (lex_text(&x) < 0)
            return -1;
    return push(&x, TOK_END, copy + x.n, 0) ? 0 : -1;
}

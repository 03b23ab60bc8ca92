/* SPDX-License-Identifier: Apache-2.0 */
/* chat_expr - the expressions of a template, with the precedences of Jinja2: or, and, not,
 * comparisons, + -, ~, * / // %, **, sign; filters and tests bind tightest. */
#include "chat_expr.h"

#include <string.h>

static struct node *parse_unary(struct parser *p, int filters);

static struct node *parse_const(struct parser *p, struct value v)
{
    struct node *n = node_new(p, N_CONST);

    if (n)
        n->value = v;
    p->t++;
    return n;
}

static struct node *parse_texts(struct parser *p)
{
    struct node *n = node_new(p, N_CONST);
    size_t size = 0, i;
    char *all;

    for (i = 0; p->t[i].kind == TOK_STR; i++)
        size += p->t[i].text.n;
    if (!n || !(all = arena_get(p->arena, size + 1, p->e)))
        return NULL;
    n->value = value_str(all, size);
    for (; p->t->kind == TOK_STR; p->t++) {
        if (p->t->text.n)
            memcpy(all, p->t->text.p, p->t->text.n);
        all += p->t->text.n;
    }
    return n;
}

/* Elements up to `end`, which is taken. */
static int parse_elements(struct parser *p, const char *end, struct node **list, int *commas)
{
    for (*commas = 0; !tok_take_op(p, end); list = &(*list)->next) {
        if (!(*list = parse_condition(p)))
            return -1;
        if (tok_take_op(p, ","))
            ++*commas;
        else if (!tok_is_op(p, end))
            return tok_need_op(p, end);
    }
    return 0;
}

static struct node *parse_dict(struct parser *p)
{
    struct node *n = node_new(p, N_DICT), **to = n ? &n->a : NULL;

    for (p->t++; n && !tok_take_op(p, "}"); to = &(*to)->next) {
        if (!(*to = node_new(p, N_PAIR)) || !((*to)->a = parse_condition(p)) ||
            tok_need_op(p, ":") < 0 || !((*to)->b = parse_condition(p)))
            return NULL;
        if (!tok_take_op(p, ",") && !tok_is_op(p, "}"))
            return parse_refuse(p, "'}' is needed");
    }
    return n;
}

static struct node *parse_brackets(struct parser *p)
{
    int tuple = tok_is_op(p, "("), commas;
    struct node *n = node_new(p, N_LIST);

    p->t++;
    if (!n || parse_elements(p, tuple ? ")" : "]", &n->a, &commas) < 0)
        return NULL;
    n->flag = tuple;
    return tuple && n->a && !commas ? n->a : n;
}

static struct node *parse_primary(struct parser *p)
{
    static const struct {
        const char *name;
        enum value_kind kind;
        int64_t i;
    } consts[] = {
        {"true", V_BOOL, 1},  {"True", V_BOOL, 1}, {"false", V_BOOL, 0},
        {"False", V_BOOL, 0}, {"none", V_NONE, 0}, {"None", V_NONE, 0},
    };
    static const char *const words[] = {"if",  "else", "elif", "in",  "is",
                                        "and", "or",   "not",  "for", "recursive"};
    const struct tok *t = p->t;
    struct value v = {.kind = V_REAL};
    struct node *n;

    if (t->kind == TOK_STR)
        return parse_texts(p);
    if (t->kind == TOK_INT)
        return parse_const(p, value_of(V_INT, t->i));
    v.u.r = t->r;
    if (t->kind == TOK_REAL)
        return parse_const(p, v);
    if (tok_is_op(p, "(") || tok_is_op(p, "["))
        return parse_brackets(p);
    if (tok_is_op(p, "{"))
        return parse_dict(p);
    if (t->kind != TOK_NAME)
        return parse_refuse(p, "an expression is needed");
    for (size_t i = 0; i < sizeof consts / sizeof *consts; i++)
        if (str_same(t->text, consts[i].name))
            return parse_const(p, value_of(consts[i].kind, consts[i].i));
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_same(t->text, words[i]))
            return parse_refuse(p, "an expression is needed");
    if (!(n = node_new(p, N_NAME)))
        return NULL;
    n->text = t->text;
    p->t++;
    return n;
}

/* Arguments behind "(", with the ")". */
static int parse_arguments(struct parser *p, struct node **to)
{
    int words = 0;

    for (p->t++; !tok_take_op(p, ")"); to = &(*to)->next) {
        if (tok_is_op(p, "*") || tok_is_op(p, "**")) {
            parse_refuse(p, "arguments with * are not supported");
            return -1;
        }
        if (p->t->kind == TOK_NAME && p->t[1].kind == TOK_OP && str_same(p->t[1].text, "=")) {
            if (!(*to = node_new(p, N_KEYWORD)))
                return -1;
            (*to)->text = p->t->text;
            p->t += 2;
            words = 1;
            if (!((*to)->a = parse_condition(p)))
                return -1;
        } else if (words) {
            parse_refuse(p, "an argument without a name behind one with a name");
            return -1;
        } else if (!(*to = parse_condition(p)))
            return -1;
        else if ((*to)->next) {
            parse_refuse(p, "an argument that is not supported");
            return -1;
        }
        if (!tok_take_op(p, ",") && !tok_is_op(p, ")"))
            return tok_need_op(p, ")");
    }
    return 0;
}

static struct node *parse_index(struct parser *p, struct node *of)
{
    struct node *n = node_new(p, N_ITEM);

    p->t++;
    if (!n)
        return NULL;
    n->a = of;
    if (!tok_is_op(p, ":") && !(n->b = parse_condition(p)))
        return NULL;
    if (tok_take_op(p, ":")) {
        n->kind = N_SLICE;
        if (!tok_is_op(p, ":") && !tok_is_op(p, "]") && !(n->c = parse_condition(p)))
            return NULL;
        if (tok_take_op(p, ":") && !tok_is_op(p, "]") && !(n->d = parse_condition(p)))
            return NULL;
    }
    return tok_need_op(p, "]") < 0 ? NULL : n;
}

static struct node *parse_postfix(struct parser *p, struct node *n)
{
    struct node *outer;
    int links = 0;

    while (n && (tok_is_op(p, ".") || tok_is_op(p, "[") || tok_is_op(p, "("))) {
        if (++links > CHAT_DEPTH)
            return parse_refuse(p, "nested too deep");
        if (tok_is_op(p, "["))
            n = parse_index(p, n);
        else if (tok_is_op(p, "(")) {
            if (!(outer = node_new(p, N_CALL)) || parse_arguments(p, &outer->b) < 0)
                return NULL;
            outer->a = n;
            n = outer;
        } else {
            p->t++;
            if (p->t->kind != TOK_NAME)
                return parse_refuse(p, "the name of an attribute is needed");
            if (p->t->text.p[0] == '_')
                return parse_refuse(p, "attributes with _ are not accessible");
            if (!(outer = node_new(p, N_ATTR)))
                return NULL;
            outer->a = n;
            outer->text = p->t++->text;
            n = outer;
        }
    }
    return n;
}

static struct node *parse_filter(struct parser *p, struct node *of)
{
    struct node *n = node_new(p, N_FILTER);

    if (!n)
        return NULL;
    if (p->t->kind != TOK_NAME)
        return parse_refuse(p, "the name of a filter is needed");
    n->a = of;
    n->text = p->t++->text;
    if (tok_is_op(p, "."))
        return parse_refuse(p, "a filter that is not supported");
    return tok_is_op(p, "(") && parse_arguments(p, &n->b) < 0 ? NULL : n;
}

/* A test that takes an argument without brackets: "x is divisibleby 3". */
static int test_takes(struct str name)
{
    static const char *const all[] = {"divisibleby", "sameas", "equalto",     "eq",
                                      "ne",          "lt",     "le",          "gt",
                                      "ge",          "in",     "greaterthan", "lessthan"};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (str_same(name, all[i]))
            return 1;
    return 0;
}

static struct node *parse_test(struct parser *p, struct node *of)
{
    struct node *n = node_new(p, N_TEST), *not ;
    int negated = tok_take_name(p, "not");

    if (!n)
        return NULL;
    if (p->t->kind != TOK_NAME)
        return parse_refuse(p, "the name of a test is needed");
    n->a = of;
    n->text = p->t++->text;
    if (tok_is_op(p, "(")) {
        if (parse_arguments(p, &n->b) < 0)
            return NULL;
    } else if (test_takes(n->text) &&
               !((n->b = parse_primary(p)) && (n->b = parse_postfix(p, n->b))))
        return NULL;
    if (tok_is_name(p, "is"))
        return parse_refuse(p, "tests in a row");
    if (!negated)
        return n;
    if ((not = node_new(p, N_NOT)))
        not ->a = n;
    return not ;
}

struct node *parse_filters(struct parser *p, struct node *n)
{
    int links = 0;

    while (n && (tok_is_op(p, "|") || tok_is_name(p, "is"))) {
        int filter = tok_is_op(p, "|");

        if (++links > CHAT_DEPTH)
            return parse_refuse(p, "nested too deep");
        p->t++;
        n = filter ? parse_filter(p, n) : parse_test(p, n);
        if (n && tok_is_op(p, "("))
            return parse_refuse(p, "a call of what a filter gives is not supported");
    }
    return n;
}

static struct node *parse_unary(struct parser *p, int filters)
{
    struct node *n = NULL;
    int minus = tok_is_op(p, "-"), plus = tok_is_op(p, "+");

    if (parse_deeper(p) < 0)
        return NULL;
    if (minus || plus) {
        n = node_new(p, minus ? N_NEG : N_POS);
        p->t++;
        if (n && !(n->a = parse_unary(p, 0)))
            n = NULL;
    } else
        n = parse_primary(p);
    n = n ? parse_postfix(p, n) : NULL;
    n = n && filters ? parse_filters(p, n) : n;
    p->depth--;
    return n;
}

/* Binary operators, the loosest level first. */
static const struct level {
    enum node_kind kind;
    struct {
        const char *name;
        enum op op;
    } op[5];
} levels[] = {
    {N_BINARY, {{"+", OP_ADD}, {"-", OP_SUB}}},
    {N_CONCAT, {{"~", OP_ADD}}},
    {N_BINARY, {{"*", OP_MUL}, {"/", OP_DIV}, {"//", OP_FLOOR}, {"%", OP_MOD}}},
    {N_BINARY, {{"**", OP_POW}}},
};
enum { LEVELS = sizeof levels / sizeof *levels };

static struct node *parse_level(struct parser *p, int level)
{
    struct node *left = level == LEVELS ? parse_unary(p, 1) : parse_level(p, level + 1), *n;
    int links = 0;

    while (left && level < LEVELS) {
        size_t i = 0;

        while (levels[level].op[i].name && !tok_is_op(p, levels[level].op[i].name))
            i++;
        if (!levels[level].op[i].name)
            break;
        if (++links > CHAT_DEPTH)
            return parse_refuse(p, "nested too deep");
        if (!(n = node_new(p, levels[level].kind)))
            return NULL;
        p->t++;
        n->op = levels[level].op[i].op;
        n->a = left;
        if (!(n->b = parse_level(p, level + 1)))
            return NULL;
        left = n;
    }
    return left;
}

static int compare_op(struct parser *p, enum op *op)
{
    static const struct {
        const char *name;
        enum op op;
    } all[] = {
        {"==", OP_EQ}, {"!=", OP_NE}, {"<", OP_LT}, {"<=", OP_LE}, {">", OP_GT}, {">=", OP_GE},
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (tok_take_op(p, all[i].name)) {
            *op = all[i].op;
            return 1;
        }
    *op = OP_IN;
    if (tok_take_name(p, "in"))
        return 1;
    if (!tok_is_name(p, "not") || p->t[1].kind != TOK_NAME || !str_same(p->t[1].text, "in"))
        return 0;
    p->t += 2;
    *op = OP_NOT_IN;
    return 1;
}

static struct node *parse_compare(struct parser *p)
{
    struct node *left = parse_level(p, 0), *n = NULL, **to = NULL, *one;
    enum op op;

    while (left && compare_op(p, &op)) {
        if (!n) {
            if (!(n = node_new(p, N_COMPARE)))
                return NULL;
            n->a = left;
            to = &n->b;
        }
        if (!(one = node_new(p, N_BINARY)) || !(one->a = parse_level(p, 0)))
            return NULL;
        one->op = op;
        *to = one;
        to = &one->next;
    }
    return n ? n : left;
}

static struct node *parse_not(struct parser *p)
{
    struct node *n;

    if (!tok_is_name(p, "not"))
        return parse_compare(p);
    if (parse_deeper(p) < 0 || !(n = node_new(p, N_NOT)))
        return NULL;
    p->t++;
    n->a = parse_not(p);
    p->depth--;
    return n->a ? n : NULL;
}

static struct node *parse_and_or(struct parser *p, int or)
{
    struct node *left = or ? parse_and_or(p, 0) : parse_not(p), *n;
    int links = 0;

    while (left && tok_is_name(p, or ? "or" : "and")) {
        if (++links > CHAT_DEPTH)
            return parse_refuse(p, "nested too deep");
        if (!(n = node_new(p, or ? N_OR : N_AND)))
            return NULL;
        p->t++;
        n->a = left;
        if (!(n->b = or ? parse_and_or(p, 0) : parse_not(p)))
            return NULL;
        left = n;
    }
    return left;
}

struct node *parse_condition(struct parser *p)
{
    struct node *n, *cond;

    if (parse_deeper(p) < 0)
        return NULL;
    n = parse_and_or(p, 1);
    while (n && tok_is_name(p, "if")) {
        if (!(cond = node_new(p, N_COND)))
            return NULL;
        p->t++;
        cond->a = n;
        if (!(cond->b = parse_and_or(p, 1)))
            return NULL;
        if (tok_take_name(p, "else") && !(cond->c = parse_condition(p)))
            return NULL;
        n = cond;
    }
    p->depth--;
    return n;
}

struct node *parse_plain(struct parser *p)
{
    return parse_and_or(p, 1);
}

/* An expression, or several with commas: a tuple. */
struct node *parse_tuple(struct parser *p)
{
    struct node *first = parse_condition(p), *n, **to;

    if (!first || !tok_is_op(p, ","))
        return first;
    if (!(n = node_new(p, N_LIST)))
        return NULL;
    n->flag = 1;
    n->a = first;
    for (to = &first->next;
         tok_take_op(p, ",") && p->t->kind != TOK_TAG_END && p->t->kind != TOK_PRINT_END;
         to = &(*to)->next)
        if (!(*to = parse_condition(p)))
            return NULL;
    return n;
}

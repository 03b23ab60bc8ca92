/* SPDX-License-Identifier: Apache-2.0 */
/* chat_parse - tokens to nodes, with the grammar and the precedences of Jinja2. Tags: if, for
 * (with filter and else), set (plain, tuple, attribute of a namespace, block), macro, break,
 * continue, generation. Any other is refused. Expressions: chat_expr.c. */
#include "chat_parse.h"

#include <string.h>

#include "chat_expr.h"

static int parse_body(struct parser *p, const char *const *ends, struct node **out);

static int tag_end(struct parser *p)
{
    if (p->t->kind != TOK_TAG_END) {
        parse_refuse(p, "the end of the tag is needed");
        return -1;
    }
    p->t++;
    return 0;
}

static int body_to(struct parser *p, const char *end, struct node **out)
{
    const char *const ends[] = {end, NULL};

    if (tag_end(p) < 0 || parse_body(p, ends, out) < 0)
        return -1;
    p->t++; /* the name of the end */
    return tag_end(p);
}

/* At "else" or at the tag that ends the statement: *out is what stands behind "else", if it is
 * there. */
static int else_to(struct parser *p, const char *end, struct node **out)
{
    if (tok_take_name(p, "else"))
        return body_to(p, end, out);
    p->t++;
    return tag_end(p);
}

/* Names with commas between them: a name, a list of them, or (set) the attribute of one. */
static struct node *parse_target(struct parser *p, int attribute)
{
    struct node *list = NULL, **to = &list, *n;

    do {
        if (p->t->kind != TOK_NAME)
            return parse_refuse(p, "the name of a variable is needed");
        if (!(*to = node_new(p, N_NAME)))
            return NULL;
        (*to)->text = p->t++->text;
        if (attribute && !list->next && tok_is_op(p, ".")) {
            p->t++;
            if (p->t->kind != TOK_NAME)
                return parse_refuse(p, "the name of an attribute is needed");
            if (!(n = node_new(p, N_ATTR)))
                return NULL;
            n->a = list;
            n->text = p->t++->text;
            return n;
        }
        to = &(*to)->next;
    } while (tok_take_op(p, ","));
    return list;
}

static struct node *parse_if(struct parser *p)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    struct node *n = node_new(p, N_IF), *rest = NULL;

    p->t++;
    if (parse_deeper(p) < 0 || !n || !(n->a = parse_tuple(p)) || tag_end(p) < 0 ||
        parse_body(p, ends, &n->b) < 0)
        return NULL;
    if (tok_is_name(p, "elif")) {
        if (!(rest = parse_if(p)))
            return NULL;
        n->c = rest;
        p->depth--;
        return n;
    }
    if (else_to(p, "endif", &n->c) < 0)
        return NULL;
    p->depth--;
    return n;
}

static struct node *parse_for(struct parser *p)
{
    static const char *const ends[] = {"else", "endfor", NULL};
    struct node *n = node_new(p, N_FOR);

    p->t++;
    if (parse_deeper(p) < 0 || !n || !(n->a = parse_target(p, 0)))
        return NULL;
    if (!tok_take_name(p, "in"))
        return parse_refuse(p, "'in' is needed");
    /* without a condition of its own: an "if" here is the loop's filter */
    if (!(n->b = parse_plain(p)))
        return NULL;
    if (tok_is_op(p, ","))
        return parse_refuse(p, "a loop over a tuple without brackets is not supported");
    if (tok_take_name(p, "if") && !(n->f = parse_condition(p)))
        return NULL;
    if (tok_is_name(p, "recursive"))
        return parse_refuse(p, "a recursive loop is not supported");
    p->loops++;
    if (tag_end(p) < 0 || parse_body(p, ends, &n->c) < 0)
        return NULL;
    p->loops--;
    if (else_to(p, "endfor", &n->d) < 0)
        return NULL;
    p->depth--;
    return n;
}

static struct node *parse_set(struct parser *p)
{
    struct node *n = node_new(p, N_SET);

    p->t++;
    if (!n || !(n->a = parse_target(p, 1)))
        return NULL;
    if (tok_take_op(p, "="))
        return !(n->b = parse_tuple(p)) || tag_end(p) < 0 ? NULL : n;
    n->kind = N_SETBLOCK;
    if (n->a->next || n->a->kind == N_ATTR)
        return parse_refuse(p, "'=' is needed");
    if (tok_is_op(p, "|")) {
        /* the filters stand on a constant, which evaluation puts the text into */
        if (!(n->f = node_new(p, N_CONST)))
            return NULL;
        n->c = n->f;
        if (!(n->f = parse_filters(p, n->f)))
            return NULL;
    }
    if (parse_deeper(p) < 0 || body_to(p, "endset", &n->b) < 0)
        return NULL;
    p->depth--;
    return n;
}

static struct node *parse_macro(struct parser *p)
{
    struct node *n = node_new(p, N_MACRO), **to;
    int loops = p->loops;

    p->t++;
    if (parse_deeper(p) < 0 || !n)
        return NULL;
    if (p->t->kind != TOK_NAME)
        return parse_refuse(p, "the name of a macro is needed");
    n->text = p->t++->text;
    if (tok_need_op(p, "(") < 0)
        return NULL;
    for (to = &n->a; !tok_take_op(p, ")"); to = &(*to)->next) {
        if (p->t->kind != TOK_NAME)
            return parse_refuse(p, "the name of a parameter is needed");
        if (!(*to = node_new(p, N_KEYWORD)))
            return NULL;
        (*to)->text = p->t++->text;
        if (tok_take_op(p, "=") && !((*to)->a = parse_condition(p)))
            return NULL;
        if (!tok_take_op(p, ",") && !tok_is_op(p, ")"))
            return parse_refuse(p, "')' is needed");
    }
    p->loops = 0;
    if (body_to(p, "endmacro", &n->b) < 0)
        return NULL;
    p->loops = loops;
    p->depth--;
    return n;
}

static struct node *parse_scope(struct parser *p)
{
    struct node *n = node_new(p, N_SCOPE);

    p->t++;
    if (n)
        n->flag = 1;
    if (parse_deeper(p) < 0 || !n || body_to(p, "endgeneration", &n->b) < 0)
        return NULL;
    p->depth--;
    return n;
}

static struct node *parse_jump(struct parser *p)
{
    struct node *n = node_new(p, tok_is_name(p, "break") ? N_BREAK : N_CONTINUE);

    if (!p->loops)
        return parse_refuse(p, "not in a loop");
    p->t++;
    return !n || tag_end(p) < 0 ? NULL : n;
}

static struct node *parse_statement(struct parser *p)
{
    static const struct {
        const char *name;
        struct node *(*parse)(struct parser *p);
    } all[] = {
        {"if", parse_if},         {"for", parse_for},          {"set", parse_set},
        {"macro", parse_macro},   {"generation", parse_scope}, {"break", parse_jump},
        {"continue", parse_jump},
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (tok_is_name(p, all[i].name))
            return all[i].parse(p);
    return parse_refuse(p, p->t->kind == TOK_NAME ? "this tag is not supported or out of place"
                                                  : "the name of a tag is needed");
}

/* Statements up to a tag that begins with one of `ends`; then that name is the token at hand.
 * ends NULL: up to the end. */
static int parse_body(struct parser *p, const char *const *ends, struct node **out)
{
    struct node *n;

    for (;; out = &n->next) {
        if (p->t->kind == TOK_END) {
            if (!ends)
                return 0;
            parse_refuse(p, "the end of a block is missing");
            return -1;
        }
        if (p->t->kind == TOK_TEXT) {
            if ((n = node_new(p, N_TEXT)))
                n->text = p->t++->text;
        } else if (p->t->kind == TOK_PRINT) {
            p->t++;
            if ((n = node_new(p, N_PRINT)) && !(n->a = parse_tuple(p)))
                n = NULL;
            else if (n && p->t->kind != TOK_PRINT_END)
                n = parse_refuse(p, "the end of an expression is needed");
            else if (n)
                p->t++;
        } else {
            p->t++;
            for (size_t i = 0; ends && ends[i]; i++)
                if (tok_is_name(p, ends[i]))
                    return 0;
            n = parse_statement(p);
        }
        if (!n)
            return -1;
        *out = n;
    }
}

struct node *chat_parse_toks(const struct toks *t, const char *what, struct arena *a, struct err *e)
{
    struct parser p = {.t = t->tok, .what = what, .arena = a, .e = e};
    struct node *n = node_new(&p, N_SCOPE);

    return n && parse_body(&p, NULL, &n->b) == 0 ? n : NULL;
}

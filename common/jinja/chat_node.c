/* SPDX-License-Identifier: Apache-2.0 */
/* chat_node - nodes, and the token at hand. */
#include "chat_node.h"

#include <string.h>

static int length_shown(struct str s)
{
    return (int)(s.n < 40 ? s.n : 40);
}

struct node *parse_refuse(struct parser *p, const char *why)
{
    const struct tok *t = p->t;

    if (t->kind == TOK_END)
        err_set(p->e, ERR_USE, "%s:%d: %s, but the template ends here", p->what, t->line, why);
    else
        err_set(p->e, ERR_USE, "%s:%d: %s, at '%.*s'", p->what, t->line, why, length_shown(t->text),
                t->text.p);
    return NULL;
}

struct node *node_new(struct parser *p, enum node_kind kind)
{
    struct node *n = arena_get(p->arena, sizeof *n, p->e);

    if (!n)
        return NULL;
    n->kind = kind;
    n->line = p->t->line;
    return n;
}

int tok_is_op(const struct parser *p, const char *op)
{
    return p->t->kind == TOK_OP && str_same(p->t->text, op);
}
int tok_is_name(const struct parser *p, const char *name)
{
    return p->t->kind == TOK_NAME && str_same(p->t->text, name);
}

int tok_take_op(struct parser *p, const char *op)
{
    if (!tok_is_op(p, op))
        return 0;
    p->t++;
    return 1;
}

int tok_take_name(struct parser *p, const char *name)
{
    if (!tok_is_name(p, name))
        return 0;
    p->t++;
    return 1;
}

int tok_need_op(struct parser *p, const char *op)
{
    char why[32] = "'";

    if (tok_take_op(p, op))
        return 0;
    strcat(strcat(why, op), "' is needed");
    parse_refuse(p, why);
    return -1;
}

int parse_deeper(struct parser *p)
{
    if (++p->depth <= CHAT_DEPTH)
        return 0;
    parse_refuse(p, "nested too deep");
    return -1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* chat_eval - runs the nodes. Scopes are those of Jinja2: a loop's body, a macro and a
 * generation block have their own, a fresh one for each turn; an if has none. A name that
 * nothing set is undefined: printing it gives nothing, an attribute of it is an error. */
#include "chat_eval.h"

#include <stdlib.h>
#include <string.h>

#include "chat_filter.h"
#include "chat_print.h"
#include "chat_spans.h"

/* ---- names ---- */

static struct var *scope_find(struct scope *f, struct str name)
{
    for (struct var *v = f->var; v; v = v->next)
        if (str_equal(v->name, name))
            return v;
    return NULL;
}

static int scope_set(struct render *r, struct str name, struct value value)
{
    struct var *v = scope_find(r->scope, name);

    if (!v) {
        if (!(v = arena_get(&r->arena, sizeof *v, r->e)))
            return -1;
        v->name = name;
        v->next = r->scope->var;
        r->scope->var = v;
    }
    v->value = value;
    return 0;
}

static int scope_open(struct render *r, struct scope *up)
{
    struct scope *f = arena_get(&r->arena, sizeof *f, r->e);

    if (!f)
        return -1;
    f->up = up;
    r->scope = f;
    return 0;
}

static struct var *name_find(const struct render *r, struct str name)
{
    struct var *v = NULL;

    for (struct scope *f = r->scope; f && !v; f = f->up)
        v = scope_find(f, name);
    return v;
}

/* ---- calls ---- */

static int args_eval(struct render *r, const struct node *n, struct args *x)
{
    memset(x, 0, sizeof *x);
    for (; n; n = n->next) {
        if (n->kind == N_KEYWORD) {
            if (x->words == sizeof x->word / sizeof *x->word)
                return render_fail(r, "too many arguments");
            for (size_t i = 0; i < x->words; i++)
                if (str_equal(x->word[i].name, n->text))
                    return render_fail(r, "an argument is given twice");
            x->word[x->words].name = n->text;
            if (chat_eval(r, n->a, &x->word[x->words++].v) < 0)
                return -1;
        } else {
            if (x->n == sizeof x->at / sizeof *x->at)
                return render_fail(r, "too many arguments");
            if (chat_eval(r, n, &x->at[x->n++]) < 0)
                return -1;
        }
    }
    return 0;
}

/* The output of a body as a text. */
static int capture(struct render *r, const struct node *body, struct value *out)
{
    struct text_out kept = r->out;
    struct chat_spans *spans = r->spans;
    int rc;

    memset(&r->out, 0, sizeof r->out);
    r->spans = NULL;
    rc = chat_run(r, body);
    r->spans = spans;
    if (rc == 0)
        rc = value_text(r, r->out.data, r->out.n, out);
    free(r->out.data);
    r->out = kept;
    return rc;
}

static int macro_call(struct render *r, const struct macro *m, const struct args *x,
                      struct value *out)
{
    struct scope *kept = r->scope;
    size_t i = 0, used = 0, k;
    int rc = -1;

    if (scope_open(r, m->scope) < 0)
        return -1;
    for (const struct node *p = m->node->a; p; p = p->next, i++) {
        struct value v = value_of(V_UNDEF, 0);

        for (k = 0; k < x->words; k++)
            if (str_equal(x->word[k].name, p->text))
                break;
        if (k < x->words && i < x->n) {
            render_fail(r, "an argument is given twice");
            goto out;
        }
        if (i < x->n)
            v = x->at[i];
        else if (k < x->words)
            v = x->word[k].v, used++;
        else if (p->a && chat_eval(r, p->a, &v) < 0)
            goto out;
        if (scope_set(r, p->text, v) < 0)
            goto out;
    }
    if (x->n > i || used < x->words) {
        render_fail(r, "more arguments than the macro has parameters");
        goto out;
    }
    rc = capture(r, m->node->b, out);
out:
    r->scope = kept;
    return rc;
}

static int call(struct render *r, const struct node *n, struct value *out)
{
    const struct node *of = n->a;
    struct value v;
    struct args x;
    struct var *var;
    const struct value *member;

    if (of->kind == N_NAME) {
        if (args_eval(r, n->b, &x) < 0)
            return -1;
        r->line = n->line;
        if (!(var = name_find(r, of->text)))
            return chat_function(r, of->text, &x, out);
        v = var->value;
    } else if (of->kind == N_ATTR) {
        if (chat_eval(r, of->a, &v) < 0 || args_eval(r, n->b, &x) < 0)
            return -1;
        r->line = n->line;
        if (v.kind == V_UNDEF)
            return render_fail(r, "'%.*s' of an undefined value",
                               (int)(of->text.n < 40 ? of->text.n : 40), of->text.p);
        member = (v.kind == V_DICT || v.kind == V_SPACE) && !value_has_method(&v, of->text)
                     ? dict_find(v.u.dict, of->text)
                     : NULL;
        if (!member)
            return chat_method(r, v, of->text, &x, out);
        v = *member;
    } else if (chat_eval(r, of, &v) < 0 || args_eval(r, n->b, &x) < 0)
        return -1;
    if (v.kind != V_MACRO)
        return render_fail(r, "%s cannot be called", value_name(&v));
    return macro_call(r, v.u.macro, &x, out);
}

/* ---- expressions ---- */

static int eval_list(struct render *r, const struct node *n, struct value *out)
{
    struct value v;

    if (value_list(r, 0, out) < 0)
        return -1;
    out->marked = n->flag;
    for (const struct node *one = n->a; one; one = one->next)
        if (chat_eval(r, one, &v) < 0 || list_push(r, out->u.list, v) < 0)
            return -1;
    return 0;
}

static int eval_dict(struct render *r, const struct node *n, struct value *out)
{
    struct value key, v;

    if (value_dict(r, V_DICT, out) < 0)
        return -1;
    for (const struct node *one = n->a; one; one = one->next)
        if (chat_eval(r, one->a, &key) < 0 || chat_eval(r, one->b, &v) < 0 ||
            dict_put(r, out->u.dict, key, v) < 0)
            return -1;
    return 0;
}

static int eval_name(struct render *r, const struct node *n, struct value *out)
{
    struct var *v = name_find(r, n->text);

    *out = v ? v->value : value_of(V_UNDEF, 0);
    if (v || !chat_function_known(r, n->text))
        return 0;
    return render_fail(r, "the function '%.*s' that is not called", (int)n->text.n, n->text.p);
}

/* "f is defined" of a function is true, though a function is no value here. */
static int eval_test(struct render *r, const struct node *n, struct value *out)
{
    struct value v;
    struct args x;
    int yes;

    if (n->a->kind == N_NAME && !name_find(r, n->a->text) && chat_function_known(r, n->a->text) &&
        (str_same(n->text, "defined") || str_same(n->text, "undefined"))) {
        *out = value_of(V_BOOL, n->text.n == 7);
        return 0;
    }
    if (chat_eval(r, n->a, &v) < 0 || args_eval(r, n->b, &x) < 0)
        return -1;
    r->line = n->line;
    if (chat_test(r, n->text, v, &x, &yes) < 0)
        return -1;
    *out = value_of(V_BOOL, yes);
    return 0;
}

static int eval_sign(struct render *r, const struct node *n, struct value *out)
{
    struct value v;

    if (chat_eval(r, n->a, &v) < 0)
        return -1;
    if (v.kind != V_INT && v.kind != V_BOOL && v.kind != V_REAL)
        return render_fail(r, "the sign of %s", value_name(&v));
    *out = v;
    if (v.kind == V_BOOL)
        out->kind = V_INT;
    if (n->kind == N_NEG && v.kind == V_REAL)
        out->u.r = -v.u.r;
    else if (n->kind == N_NEG)
        out->u.i = -v.u.i;
    return 0;
}

static int eval_two(struct render *r, const struct node *n, struct value *out)
{
    struct value a, b;

    if (chat_eval(r, n->a, &a) < 0)
        return -1;
    if (n->kind == N_AND || n->kind == N_OR) {
        *out = a;
        return value_true(&a) == (n->kind == N_OR) ? 0 : chat_eval(r, n->b, out);
    }
    if (chat_eval(r, n->b, &b) < 0)
        return -1;
    r->line = n->line;
    if (n->kind == N_ITEM)
        return value_item(r, &a, &b, out);
    if (n->kind == N_BINARY)
        return value_binary(r, n->op, &a, &b, out);
    if (value_print(r, &a, &a) < 0 || value_print(r, &b, &b) < 0)
        return -1;
    return value_binary(r, OP_ADD, &a, &b, out);
}

/* a < b < c: each is evaluated once, and none behind the first that does not hold. */
static int eval_compare(struct render *r, const struct node *n, struct value *out)
{
    struct value a, b;
    int yes = 1;

    if (chat_eval(r, n->a, &a) < 0)
        return -1;
    for (const struct node *one = n->b; one && yes; one = one->next, a = b)
        if (chat_eval(r, one->a, &b) < 0 || value_compare(r, one->op, &a, &b, &yes) < 0)
            return -1;
    *out = value_of(V_BOOL, yes);
    return 0;
}

static int eval_slice(struct render *r, const struct node *n, struct value *out)
{
    const struct node *const given[] = {n->b, n->c, n->d};
    struct value v, bound[3];

    if (chat_eval(r, n->a, &v) < 0)
        return -1;
    for (int i = 0; i < 3; i++) {
        bound[i] = value_of(V_NONE, 0);
        if (given[i] && chat_eval(r, given[i], &bound[i]) < 0)
            return -1;
    }
    return value_slice(r, &v, bound, out);
}

static int eval_kind(struct render *r, const struct node *n, struct value *out)
{
    struct value v;
    struct args x;

    switch (n->kind) {
    case N_CONST:
        *out = n->value;
        return 0;
    case N_NAME:
        return eval_name(r, n, out);
    case N_LIST:
        return eval_list(r, n, out);
    case N_DICT:
        return eval_dict(r, n, out);
    case N_CALL:
        return call(r, n, out);
    case N_TEST:
        return eval_test(r, n, out);
    case N_NEG:
    case N_POS:
        return eval_sign(r, n, out);
    case N_COMPARE:
        return eval_compare(r, n, out);
    case N_ITEM:
    case N_AND:
    case N_OR:
    case N_BINARY:
    case N_CONCAT:
        return eval_two(r, n, out);
    case N_ATTR:
        return chat_eval(r, n->a, &v) < 0 ? -1 : value_get(r, &v, n->text, out);
    case N_SLICE:
        return eval_slice(r, n, out);
    case N_FILTER:
        if (chat_eval(r, n->a, &v) < 0 || args_eval(r, n->b, &x) < 0)
            return -1;
        r->line = n->line;
        return chat_filter(r, n->text, v, &x, out);
    case N_NOT:
        if (chat_eval(r, n->a, &v) < 0)
            return -1;
        *out = value_of(V_BOOL, !value_true(&v));
        return 0;
    case N_COND:
        if (chat_eval(r, n->b, &v) < 0)
            return -1;
        *out = value_of(V_UNDEF, 0);
        return value_true(&v) ? chat_eval(r, n->a, out) : n->c ? chat_eval(r, n->c, out) : 0;
    default:
        return render_fail(r, "an expression that cannot be here");
    }
}

static int step(struct render *r, const struct node *n)
{
    r->line = n->line;
    return render_step(r);
}

int chat_eval(struct render *r, const struct node *n, struct value *out)
{
    int rc;

    if (step(r, n) < 0)
        return -1;
    if (r->depth >= 2 * CHAT_DEPTH)
        return render_fail(r, "nested too deep");
    r->depth++;
    rc = eval_kind(r, n, out);
    r->depth--;
    return rc;
}

/* ---- statements ---- */

/* Sets one name, or each of several to a part of the value. */
static int assign(struct render *r, const struct node *names, struct value v)
{
    struct list *parts;
    size_t i = 0;

    if (!names->next)
        return scope_set(r, names->text, v);
    if (value_items(r, &v, &parts) < 0)
        return -1;
    for (; names; names = names->next, i++) {
        if (i == parts->n)
            return render_fail(r, "more names than values");
        if (scope_set(r, names->text, parts->at[i]) < 0)
            return -1;
    }
    return i < parts->n ? render_fail(r, "more values than names") : 0;
}

static int run_set(struct render *r, const struct node *n)
{
    struct value v, space;

    if (chat_eval(r, n->b, &v) < 0)
        return -1;
    if (n->a->kind != N_ATTR)
        return assign(r, n->a, v);
    if (chat_eval(r, n->a->a, &space) < 0)
        return -1;
    if (space.kind != V_SPACE)
        return render_fail(r, "only a namespace's attributes can be set");
    return dict_put(r, space.u.dict, value_str(n->a->text.p, n->a->text.n), v);
}

/* The filters on the text of a block, the innermost first. */
static int apply_filters(struct render *r, const struct node *f, struct value *v)
{
    struct value in;
    struct args x;

    if (f->kind != N_FILTER)
        return f->kind == N_CONST ? 0 : render_fail(r, "only filters can stand here");
    if (apply_filters(r, f->a, v) < 0 || args_eval(r, f->b, &x) < 0)
        return -1;
    in = *v;
    return chat_filter(r, f->text, in, &x, v);
}

static int run_setblock(struct render *r, const struct node *n)
{
    struct scope *kept = r->scope;
    struct value v;
    int rc = scope_open(r, kept) < 0 ? -1 : capture(r, n->b, &v);

    r->scope = kept;
    if (rc < 0 || (n->f && apply_filters(r, n->f, &v) < 0))
        return -1;
    return scope_set(r, n->a->text, v);
}

/* The items that the loop's condition lets through. */
static int loop_items(struct render *r, const struct node *n, struct list **out)
{
    struct scope *kept = r->scope;
    struct value v, list;
    struct list *all;
    int rc = -1;

    if (chat_eval(r, n->b, &v) < 0 || value_items(r, &v, out) < 0)
        return -1;
    if (!n->f)
        return 0;
    all = *out;
    if (value_list(r, 0, &list) < 0)
        return -1;
    for (size_t i = 0; i < all->n; i++)
        if (scope_open(r, kept) < 0 || assign(r, n->a, all->at[i]) < 0 ||
            chat_eval(r, n->f, &v) < 0 ||
            (value_true(&v) && list_push(r, list.u.list, all->at[i]) < 0))
            goto out;
    *out = list.u.list;
    rc = 0;
out:
    r->scope = kept;
    return rc;
}

static int run_for(struct render *r, const struct node *n)
{
    struct scope *kept = r->scope;
    struct value loop = value_of(V_LOOP, 0);
    struct list *items;
    int rc = -1;

    if (loop_items(r, n, &items) < 0)
        return -1;
    if (!items->n && n->d) {
        rc = scope_open(r, kept) < 0 ? -1 : chat_run(r, n->d);
        goto out;
    }
    if (!(loop.u.loop = arena_get(&r->arena, sizeof *loop.u.loop, r->e)))
        return -1;
    loop.u.loop->items = items;
    for (size_t i = 0; i < items->n && r->flow != FLOW_BREAK; i++) {
        loop.u.loop->i = i;
        r->flow = FLOW_ON;
        if (scope_open(r, kept) < 0 || scope_set(r, (struct str){"loop", 4}, loop) < 0 ||
            assign(r, n->a, items->at[i]) < 0 || chat_run(r, n->c) < 0)
            goto out;
    }
    r->flow = FLOW_ON;
    rc = 0;
out:
    r->scope = kept;
    return rc;
}

static int run_print(struct render *r, const struct node *n)
{
    struct value v;

    if (chat_eval(r, n->a, &v) < 0 || value_print(r, &v, &v) < 0)
        return -1;
    return render_add(r, v.u.s.p, v.u.s.n);
}

static int run_if(struct render *r, const struct node *n)
{
    struct value v;

    if (chat_eval(r, n->a, &v) < 0)
        return -1;
    return chat_run(r, value_true(&v) ? n->b : n->c);
}

/* The template itself, or a generation block; of one inside another the outer counts. */
static int run_scope(struct render *r, const struct node *n)
{
    struct scope *kept = r->scope;
    struct chat_spans *spans = r->spans;
    const size_t from = r->out.n;
    int rc;

    if (n->flag)
        r->spans = NULL;
    rc = scope_open(r, kept) < 0 ? -1 : chat_run(r, n->b);
    r->spans = spans;
    r->scope = kept;
    if (rc == 0 && n->flag && spans && r->out.n > from)
        rc = chat_spans_push(spans, (struct chat_span){from, r->out.n}, r->e);
    return rc;
}

static int run_macro(struct render *r, const struct node *n)
{
    struct value v = value_of(V_MACRO, 0);

    if (!(v.u.macro = arena_get(&r->arena, sizeof *v.u.macro, r->e)))
        return -1;
    *v.u.macro = (struct macro){n, r->scope};
    return scope_set(r, n->text, v);
}

static int run_one(struct render *r, const struct node *n)
{
    switch (n->kind) {
    case N_TEXT:
        return render_add(r, n->text.p, n->text.n);
    case N_PRINT:
        return run_print(r, n);
    case N_IF:
        return run_if(r, n);
    case N_FOR:
        return run_for(r, n);
    case N_SET:
        return run_set(r, n);
    case N_SETBLOCK:
        return run_setblock(r, n);
    case N_MACRO:
        return run_macro(r, n);
    case N_SCOPE:
        return run_scope(r, n);
    case N_BREAK:
        r->flow = FLOW_BREAK;
        return 0;
    case N_CONTINUE:
        r->flow = FLOW_CONTINUE;
        return 0;
    default:
        return render_fail(r, "a statement that cannot be here");
    }
}

int chat_run(struct render *r, const struct node *body)
{
    int rc = 0;

    if (r->depth >= 2 * CHAT_DEPTH)
        return render_fail(r, "nested too deep");
    r->depth++;
    for (; body && rc == 0 && r->flow == FLOW_ON; body = body->next)
        rc = step(r, body) < 0 ? -1 : run_one(r, body);
    r->depth--;
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* write_dynamic - GPTQModel's per-module rules: an object of regular expressions, of which a
 * reader takes the first that matches the start of a module's name. "-:^NAME$" {} leaves a
 * module unquantized, "+:^NAME$" {bits, group_size, sym} changes what it says.
 *
 * One rule names one module, dots escaped. vLLM and SGLang look up q, k, v and gate, up under
 * the name of the module they are fused into (notes: GPTQModel issue 1485); where all of them
 * are alike that name gets the rule too. Where they are not, such engines cannot load the
 * checkpoint: ptq-solve and ptq plan say so. */
#include "write_dynamic.h"

#include <stdio.h>
#include <string.h>

static int same_class(const struct plan_linear *a, const struct plan_linear *b)
{
    return a->bits == b->bits && a->group == b->group && a->grid->zeros == b->grid->zeros;
}

static int class_symmetric(const struct plan *p, const struct plan_linear *of)
{
    for (size_t i = 0; i < p->nlinears; i++)
        if (!p->linear[i].kept && same_class(&p->linear[i], of) && !p->linear[i].symmetric)
            return 0;
    return 1;
}

struct dynamic_base dynamic_base(const struct plan *p)
{
    const struct plan_linear *base = NULL;
    size_t most = 0;

    for (size_t i = 0; i < p->nlinears; i++) {
        const struct plan_linear *x = &p->linear[i];
        size_t n = 0;

        if (x->kept || (base && same_class(base, x)))
            continue;
        for (size_t k = i; k < p->nlinears; k++)
            n += !p->linear[k].kept && same_class(&p->linear[k], x);
        if (n > most) {
            most = n;
            base = x;
        }
    }
    return (struct dynamic_base){base->bits, base->grid->zeros, class_symmetric(p, base),
                                 base->group};
}

/* "+:^NAME$" with everything escaped that a regular expression would read. */
static void rule_name(char sign, const char *name, char *out, size_t room)
{
    size_t n = (size_t)snprintf(out, room, "%c:^", sign);

    for (; *name && n + 4 < room; name++) {
        if (strchr(".^$*+?()[]{}|\\", *name))
            out[n++] = '\\';
        out[n++] = *name;
    }
    snprintf(out + n, room - n, "$");
}

static int rule_put(struct json *rules, const struct plan *p, const struct plan_linear *l,
                    const char *name)
{
    char key[2 * TENSOR_NAME + 8];
    struct json *v = json_new_object();
    int bad = 0;

    if (!l->kept)
        bad = json_set_int(v, "bits", l->bits) || json_set_int(v, "group_size", l->group) ||
              json_set_bool(v, "sym", class_symmetric(p, l));
    if (bad)
        json_destroy(&v);
    rule_name(l->kept ? '-' : '+', name, key, sizeof key);
    return json_set(rules, key, v);
}

static int differs(const struct plan_linear *l, const struct dynamic_base *b)
{
    return l->kept || l->bits != b->bits || l->group != b->group || l->grid->zeros != b->zeros;
}

/* Engines' name for all linears of a site together, when they are alike. */
static int fused_put(struct json *rules, const struct plan *p, const struct plan_site *x)
{
    const struct plan_linear *first = &p->linear[x->first];
    const char *fused = x->site->fused, *dot = strrchr(first->name, '.');
    char name[TENSOR_NAME];

    if (!fused || !dot)
        return 0;
    for (size_t i = 1; i < x->count; i++)
        if (first[i].kept != first->kept || (!first->kept && !same_class(&first[i], first)))
            return 0;
    snprintf(name, sizeof name, "%.*s.%.64s", (int)(dot - first->name), first->name, fused);
    return rule_put(rules, p, first, name);
}

struct json *dynamic_rules(const struct plan *p, const struct dynamic_base *base)
{
    struct json *rules = json_new_object();
    int bad = !rules;

    for (size_t s = 0; s < p->sites && !bad; s++) {
        const struct plan_site *x = &p->site[s];

        for (size_t i = x->first; i < x->first + x->count && !bad; i++)
            bad = differs(&p->linear[i], base) &&
                  rule_put(rules, p, &p->linear[i], p->linear[i].name);
        bad = bad || (differs(&p->linear[x->first], base) && fused_put(rules, p, x));
    }
    if (bad)
        json_destroy(&rules);
    return rules;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* format_gptq_rules - what a GPTQ config says for all linears, and GPTQModel's per-module rules for
 * those that differ: an object of regular expressions, of which a reader takes the first that
 * matches the start of a module's name. "-:^NAME(\.|$)" {} leaves a module unquantized,
 * "+:^NAME(\.|$)" {bits, group_size, sym} changes what it says; some readers ask for the names of
 * tensors, so a dot may follow.
 *
 * One rule names one module, dots escaped, or a whole part beside the decoder. vLLM and SGLang
 * look up q, k, v and gate, up under the name of the module they are fused into (notes: GPTQModel
 * issue 1485); where all of them are alike that name gets the rule too. Where they are not, such
 * engines cannot load the checkpoint: ptq-solve and ptq plan say so. */
#include <stdio.h>
#include <string.h>

#include "format_gptq.h"
#include "outer.h"

static int class_symmetric(const struct format_model *m, const struct format_linear *of)
{
    for (size_t i = 0; i < m->count; i++)
        if (!m->linear[i]->kept && packed_alike(m->linear[i], of) && !m->linear[i]->symmetric)
            return 0;
    return 1;
}

struct gptq_base gptq_base(const struct format_model *m)
{
    const struct format_linear *base = NULL;
    size_t most = 0;

    for (size_t i = 0; i < m->count; i++) {
        const struct format_linear *x = m->linear[i];
        size_t n = 0;

        if (x->kept || (base && packed_alike(base, x)))
            continue;
        for (size_t k = i; k < m->count; k++)
            n += !m->linear[k]->kept && packed_alike(m->linear[k], x);
        if (n > most) {
            most = n;
            base = x;
        }
    }
    return (struct gptq_base){base->bits, base->grid->zeros, class_symmetric(m, base), base->group};
}

/* "+:^NAME(\.|$)" with everything escaped that a regular expression would read. */
static void rule_name(char sign, const char *name, char *out, size_t room)
{
    size_t n = (size_t)snprintf(out, room, "%c:^", sign);

    for (; *name && n + 9 < room; name++) {
        if (strchr(".^$*+?()[]{}|\\", *name))
            out[n++] = '\\';
        out[n++] = *name;
    }
    snprintf(out + n, room - n, "(\\.|$)");
}

static int rule_put(struct json *rules, const struct format_model *m, const struct format_linear *l,
                    const char *name)
{
    char key[2 * TENSOR_NAME + 8];
    struct json *v = json_new_object();
    int bad = 0;

    if (!l->kept)
        bad = json_set_int(v, "bits", l->bits) || json_set_int(v, "group_size", l->group) ||
              json_set_bool(v, "sym", class_symmetric(m, l));
    if (bad)
        json_destroy(&v);
    rule_name(l->kept ? '-' : '+', name, key, sizeof key);
    return json_set(rules, key, v);
}

static int differs(const struct format_linear *l, const struct gptq_base *b)
{
    return l->kept || l->bits != b->bits || l->group != b->group || l->grid->zeros != b->zeros;
}

/* Engines' name for linears [first, end) of a site together, when they are alike. */
static int fused_put(struct json *rules, const struct format_model *m, size_t first, size_t end)
{
    const struct format_linear *x = m->linear[first];
    const char *dot = strrchr(x->name, '.');
    char name[TENSOR_NAME];

    if (!x->fused || !dot)
        return 0;
    for (size_t i = first + 1; i < end; i++)
        if (m->linear[i]->kept != x->kept || (!x->kept && !packed_alike(m->linear[i], x)))
            return 0;
    snprintf(name, sizeof name, "%.*s.%.64s", (int)(dot - x->name), x->name, x->fused);
    return rule_put(rules, m, x, name);
}

/* Readers leave embeddings and heads alone by themselves. */
static int is_end(const char *name)
{
    const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;

    return strcmp(last, "embed_tokens") == 0 || strcmp(last, "lm_head") == 0;
}

/* One rule for a tower or a projector as a whole. */
static int part_put(struct json *rules, const char *part)
{
    char own[2 * TENSOR_NAME + 8], key[2 * TENSOR_NAME + 24];

    rule_name('-', part, own, sizeof own);
    snprintf(key, sizeof key, "-:^(model\\.)?%s", own + strlen("-:^"));
    return json_set(rules, key, json_new_object());
}

/* Routers, towers, projectors: matrices that are no linears of a site. */
static int others_put(struct json *rules, const struct format_model *m)
{
    const struct format_linear kept = {.kept = 1};
    char part[TENSOR_NAME];
    int bad = 0;

    for (size_t i = 0; i < m->nothers && !bad; i++)
        if (outer_part(m, m->other[i], part, sizeof part))
            bad = part_put(rules, part);
        else if (outer_block(m->other[i]) || !is_end(m->other[i]))
            bad = rule_put(rules, m, &kept, m->other[i]);
    return bad;
}

struct json *gptq_rules(const struct format_model *m, const struct gptq_base *base)
{
    struct json *rules = json_new_object();
    int bad = !rules;

    for (size_t first = 0, end; first < m->count && !bad; first = end) {
        for (end = first; end < m->count && m->linear[end]->site == m->linear[first]->site; end++)
            bad = bad || (differs(m->linear[end], base) &&
                          rule_put(rules, m, m->linear[end], m->linear[end]->name));
        bad = bad || (differs(m->linear[first], base) && fused_put(rules, m, first, end));
    }
    if (bad || others_put(rules, m))
        json_destroy(&rules);
    return rules;
}

int gptq_names(struct json *config, const struct format_model *m)
{
    struct json *names, *groups;
    size_t kept = 0;
    int bad = 0;

    for (size_t i = 0; i < m->count; i++)
        kept += m->linear[i]->kept != 0;
    if (!kept)
        return 0;
    names = json_new_array();
    groups = json_new_array();
    for (size_t i = 0; i < m->count && !bad; i++)
        bad = !m->linear[i]->kept && json_push(names, json_new_text(m->linear[i]->name));
    if (bad)
        json_destroy(&names);
    if (json_push(groups, names))
        json_destroy(&groups);
    return json_set(config, "modules_in_block_to_quantize", groups);
}

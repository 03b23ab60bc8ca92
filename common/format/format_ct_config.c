/* SPDX-License-Identifier: Apache-2.0 */
/* format_ct_config - the quantization_config of compressed-tensors: a group for each kind of
 * linears (bits, group, zero points) with the modules that are of it, and `ignore`: every other
 * module with a matrix.
 *
 * One kind alone targets the class "Linear". Several are told apart by name, never by class:
 * engines that fuse q k v look for the class before they look for the parts. Names that differ in
 * numbers only and are all of one kind are one regular expression. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "format_ct.h"
#include "grid_affine.h"

#define KINDS_MAX 32
#define PATTERN (3 * TENSOR_NAME)

/* The name as a regular expression, any number for each number in it. */
static void pattern_of(const char *name, char out[PATTERN])
{
    size_t n = (size_t)snprintf(out, PATTERN, "re:^");

    for (size_t i = 0; name[i] && n + 8 < PATTERN; i++) {
        const int starts = i == 0 || name[i - 1] == '.';
        const size_t digits = starts ? strspn(name + i, "0123456789") : 0;

        if (digits && (name[i + digits] == '.' || !name[i + digits])) {
            n += (size_t)snprintf(out + n, PATTERN - n, "\\d+");
            i += digits - 1;
            continue;
        }
        if (strchr(".^$*+?()[]{}|\\", name[i]))
            out[n++] = '\\';
        out[n++] = name[i];
    }
    snprintf(out + n, PATTERN - n, "$");
}

struct target {
    const struct format_linear *l;
    char *pattern;
};

static int by_pattern(const void *a, const void *b)
{
    const struct target *x = a, *y = b;
    const int c = strcmp(x->pattern, y->pattern);

    return c ? c : strcmp(x->l->name, y->l->name);
}

struct groups {
    size_t kinds, count;
    const struct format_linear *kind[KINDS_MAX]; /* one that is of it */
    struct target *target;                       /* all that are quantized, by pattern */
};

static int kinds_find(struct groups *g, const struct format_model *m, struct err *e)
{
    for (size_t i = 0; i < m->count; i++) {
        size_t k = 0;

        if (m->linear[i]->kept)
            continue;
        g->count++;
        while (k < g->kinds && !packed_alike(g->kind[k], m->linear[i]))
            k++;
        if (k == KINDS_MAX)
            return err_set(e, ERR_USE, "%s: more than %d kinds of bits, group and grid", CT_METHOD,
                           KINDS_MAX);
        if (k == g->kinds)
            g->kind[g->kinds++] = m->linear[i];
    }
    return g->kinds ? 0 : format_check_kept(format_find(CT_METHOD), e);
}

static int targets_sort(struct groups *g, const struct format_model *m, struct err *e)
{
    char pattern[PATTERN];
    size_t n = 0;

    if (!(g->target = mem_array(g->count, sizeof *g->target, e)))
        return -1;
    for (size_t i = 0; i < m->count; i++) {
        if (m->linear[i]->kept)
            continue;
        pattern_of(m->linear[i]->name, pattern);
        g->target[n].l = m->linear[i];
        if (!(g->target[n++].pattern = mem_text(pattern, e)))
            return -1;
    }
    qsort(g->target, g->count, sizeof *g->target, by_pattern);
    return 0;
}

/* What of the linears [first, end), which have one pattern, is of this kind. */
static int targets_push(struct json *list, const struct groups *g, size_t first, size_t end,
                        const struct format_linear *kind)
{
    size_t same = first;

    while (same < end && packed_alike(g->target[same].l, kind))
        same++;
    if (same == end)
        return json_push(list, json_new_text(g->target[first].pattern));
    for (size_t i = first; i < end; i++)
        if (packed_alike(g->target[i].l, kind) &&
            json_push(list, json_new_text(g->target[i].l->name)))
            return -1;
    return 0;
}

static struct json *targets_of(const struct groups *g, const struct format_linear *kind)
{
    struct json *list = json_new_array();
    int bad = !list;

    if (g->kinds == 1)
        bad = bad || json_push(list, json_new_text("Linear"));
    for (size_t i = 0; g->kinds == 1 && i < g->count; i++) /* of a class of its own in vLLM */
        if (g->target[i].l->head)
            bad = bad || json_push(list, json_new_text(g->target[i].pattern));
    for (size_t first = 0, end; g->kinds > 1 && first < g->count && !bad; first = end) {
        for (end = first;
             end < g->count && strcmp(g->target[end].pattern, g->target[first].pattern) == 0;)
            end++;
        bad = targets_push(list, g, first, end, kind);
    }
    if (bad)
        json_destroy(&list);
    return list;
}

/* What its library takes as the type of the scales; NULL: nothing is said of it. */
static const char *scale_type_of(const struct grid *g)
{
    return g->scale_types == GRID_BIT(DT_F8_E4M3)   ? "torch.float8_e4m3fn"
           : g->scale_types == GRID_BIT(DT_F8_E8M0) ? "torch.uint8"
                                                    : NULL;
}

static struct json *weights_of(const struct format_linear *kind)
{
    struct json *w = json_new_object();
    const int row = kind->group < 0, whole = affine_is(kind->grid);
    const char *scales = scale_type_of(kind->grid);

    if (!w || json_set_int(w, "num_bits", kind->bits) ||
        json_set_text(w, "type", whole ? "int" : "float") ||
        json_set_bool(w, "symmetric", !kind->grid->zeros) ||
        json_set_text(w, "strategy",
                      row                        ? "channel"
                      : kind->grid->tensor_scale ? "tensor_group"
                                                 : "group") ||
        json_set(w, "group_size", row ? json_new_null() : json_new_int(kind->group)) ||
        json_set_bool(w, "dynamic", 0) || json_set(w, "actorder", json_new_null()) ||
        json_set(w, "block_structure", json_new_null()) || json_set_text(w, "observer", "minmax") ||
        json_set(w, "observer_kwargs", json_new_object()) ||
        (scales && json_set_text(w, "scale_dtype", scales)))
        json_destroy(&w);
    return w;
}

/* FP8 is for engines that round activations too, each token by its own scale; whole numbers where
 * the run has rounded them. */
static struct json *inputs_of(const struct format_linear *kind)
{
    const int floats = strcmp(ct_format_name(kind->grid), CT_FP8) == 0,
              bits = floats ? 8 : kind->act_bits;
    struct json *a;

    if (!bits)
        return json_new_null();
    if (!(a = json_new_object()) || json_set_int(a, "num_bits", bits) ||
        json_set_text(a, "type", floats ? "float" : "int") || json_set_bool(a, "symmetric", 1) ||
        json_set_text(a, "strategy", "token") || json_set(a, "group_size", json_new_null()) ||
        json_set_bool(a, "dynamic", 1) || json_set(a, "actorder", json_new_null()) ||
        json_set(a, "block_structure", json_new_null()) ||
        json_set(a, "observer", json_new_null()) ||
        json_set(a, "observer_kwargs", json_new_object()))
        json_destroy(&a);
    return a;
}

static const char *kind_format(const struct format_linear *kind)
{
    return kind->act_bits && affine_is(kind->grid) ? CT_INT : ct_format_name(kind->grid);
}

static struct json *groups_make(const struct groups *g)
{
    struct json *all = json_new_object();
    int bad = !all;

    for (size_t k = 0; k < g->kinds && !bad; k++) {
        struct json *group = json_new_object();
        char name[32];

        snprintf(name, sizeof name, "group_%zu", k);
        bad = !group || json_set(group, "targets", targets_of(g, g->kind[k])) ||
              json_set(group, "weights", weights_of(g->kind[k])) ||
              json_set(group, "input_activations", inputs_of(g->kind[k])) ||
              json_set(group, "output_activations", json_new_null()) ||
              json_set_text(group, "format", kind_format(g->kind[k]));
        if (bad)
            json_destroy(&group);
        bad = json_set(all, name, group) || bad;
    }
    if (bad)
        json_destroy(&all);
    return all;
}

/* Of all of them. */
static const char *format_of_all(const struct groups *g)
{
    const char *first = kind_format(g->kind[0]);

    for (size_t k = 1; k < g->kinds; k++)
        if (strcmp(kind_format(g->kind[k]), first) != 0)
            return CT_MIXED;
    return first;
}

/* Readers compute in the type of the scales; where those have 8 bits, in one that holds their
 * products exactly. */
static enum dtype dtype_of(const struct format_linear *kind)
{
    return dtype_size(kind->scale_type) > 1 ? kind->scale_type : DT_BF16;
}

static int has_head(const struct format_model *m)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->linear[i]->head && !m->linear[i]->kept)
            return 1;
    return 0;
}

/* A module that is to be left alone. What models that see have beside their decoder stands in files
 * without the "model." that transformers puts before it. */
static int ignore_push(struct json *list, const char *name)
{
    char longer[TENSOR_NAME + 8];

    if (json_push(list, json_new_text(name)) < 0)
        return -1;
    if (strcmp(name, "lm_head") == 0 || strncmp(name, "model.", strlen("model.")) == 0)
        return 0;
    snprintf(longer, sizeof longer, "model.%s", name);
    return json_push(list, json_new_text(longer));
}

/* The head is there also where the checkpoint has none of its own. */
static struct json *ignore_make(const struct format_model *m)
{
    struct json *list = json_new_array();
    int bad = !list || (!has_head(m) && json_push(list, json_new_text("lm_head")));

    for (size_t i = 0; i < m->count && !bad; i++)
        bad = m->linear[i]->kept && ignore_push(list, m->linear[i]->name);
    for (size_t i = 0; i < m->nothers && !bad; i++)
        bad = strcmp(m->other[i], "lm_head") && ignore_push(list, m->other[i]);
    if (bad)
        json_destroy(&list);
    return list;
}

struct json *ct_config(const struct format_model *m, enum dtype *dtype, struct err *e)
{
    struct groups g = {.kinds = 0};
    struct json *c = NULL;

    *dtype = DT_COUNT;
    if (kinds_find(&g, m, e) < 0 || targets_sort(&g, m, e) < 0)
        goto out;
    *dtype = dtype_of(g.kind[0]);
    c = json_new_object();
    if (!c || json_set_text(c, "quant_method", CT_METHOD) ||
        json_set_text(c, "format", format_of_all(&g)) ||
        json_set_text(c, "quantization_status", "compressed") ||
        json_set(c, "config_groups", groups_make(&g)) || json_set(c, "ignore", ignore_make(m)) ||
        json_set(c, "global_compression_ratio", json_new_null()) ||
        json_set(c, "kv_cache_scheme", json_new_null())) {
        json_destroy(&c);
        err_set(e, ERR_SYS, "quantization_config: out of memory");
    }
out:
    for (size_t i = 0; g.target && i < g.count; i++)
        free(g.target[i].pattern);
    free(g.target);
    return c;
}

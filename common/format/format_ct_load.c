/* SPDX-License-Identifier: Apache-2.0 */
/* format_ct_load - linears of a compressed-tensors checkpoint. What a module is, its exact name
 * among the targets says first, then the first regular expression that matches from its start, then
 * the class Linear. What changes the mathematics and is not done here (activations that are rounded
 * otherwise than each token by itself, the cache of keys and values, transforms, sparsity) is
 * refused by name; beside floating-point weights activations are the engine's affair. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "../text/unicode.h"
#include "field.h"
#include "format_ct.h"

struct pattern {
    char *name; /* NULL: it is a regular expression */
    struct unicode_regex *regex;
    size_t group; /* of config_groups; SIZE_MAX: it is of `ignore` */
};

struct ct_spec {
    size_t nkinds, npatterns, cap;
    struct ct_kind *kind; /* of each of config_groups */
    struct pattern *pattern;
};

int ct_claims(const struct json *q)
{
    const char *method = json_as_text(json_get(q, "quant_method"));

    return method && strcmp(method, CT_METHOD) == 0;
}

void ct_close(void **spec)
{
    struct ct_spec *s = *spec;

    for (size_t i = 0; s && i < s->npatterns; i++) {
        free(s->pattern[i].name);
        unicode_regex_close(&s->pattern[i].regex);
    }
    if (s) {
        free(s->pattern);
        free(s->kind);
    }
    free(s);
    *spec = NULL;
}

static int pattern_add(struct ct_spec *s, const struct json *text, size_t group, const char *what,
                       struct err *e)
{
    const char *t = json_as_text(text);
    void *all = s->pattern;
    struct pattern *p;
    int rc = -1;

    if (!t)
        return err_set(e, ERR_USE, "%s: a name that is no text", what);
    if (mem_grow(&all, &s->cap, s->npatterns + 1, sizeof *p, e) < 0)
        return -1;
    s->pattern = all;
    p = &s->pattern[s->npatterns];
    *p = (struct pattern){.group = group};
    if (strncmp(t, "re:", 3) != 0)
        rc = (p->name = mem_text(t, e)) ? 0 : -1;
    else if (unicode_valid(t + 3, strlen(t + 3)) != strlen(t + 3))
        err_set(e, ERR_USE, "%s: '%.120s' is not UTF-8", what, t);
    else
        rc = (p->regex = unicode_regex_open(t + 3, strlen(t + 3), 0, what, e)) ? 0 : -1;
    s->npatterns += rc == 0;
    return rc;
}

static int patterns_add(struct ct_spec *s, const struct json *list, size_t group, const char *what,
                        struct err *e)
{
    if (json_kind(list) != JSON_KIND_ARRAY)
        return err_set(e, ERR_USE, "%s must be a list of names", what);
    for (size_t i = 0; i < json_count(list); i++)
        if (pattern_add(s, json_at(list, i), group, what, e) < 0)
            return -1;
    return 0;
}

/* A member that must not say anything. */
static int must_lack(const struct json *of, const char *key, const char *what, struct err *e)
{
    const struct json *v = json_get(of, key);

    if (json_kind(v) == JSON_KIND_NULL || (json_kind(v) >= JSON_KIND_ARRAY && json_count(v) == 0))
        return 0;
    return err_set(e, ERR_USE, "%s: field '%s' is not supported", what, key);
}

static int must_be(const struct json *of, const char *key, const char *want, const char *what,
                   struct err *e)
{
    const struct json *v = json_get(of, key);
    const char *t = json_as_text(v);

    if (json_kind(v) == JSON_KIND_NULL || (t && strcmp(t, want) == 0))
        return 0;
    return err_set(e, ERR_USE, "%s: %s '%.64s' is not supported (known: %s)", what, key,
                   t ? t : "not a text", want);
}

/* Which of them it is follows from the weights. */
static int format_check(const struct json *of, const char *what, struct err *e)
{
    static const char *const known[] = {CT_FORMAT,         CT_INT,   CT_FP8,
                                        "naive-quantized", CT_NVFP4, CT_MXFP4};
    const struct json *v = json_get(of, "format");
    const char *t = json_as_text(v);

    for (size_t i = 0; t && i < sizeof known / sizeof *known; i++)
        if (strcmp(t, known[i]) == 0)
            return 0;
    return json_kind(v) == JSON_KIND_NULL
               ? 0
               : err_set(e, ERR_USE,
                         "%s: format '%.64s' is not supported (known: " CT_FORMAT ", " CT_INT
                         ", " CT_FP8 ", naive-quantized, " CT_NVFP4 ", " CT_MXFP4 ")",
                         what, t ? t : "not a text");
}

static int blocks_read(const struct json *w, struct ct_kind *x, const char *what, struct err *e)
{
    const struct json *b = json_get(w, "block_structure");
    int64_t rows, columns;

    if (json_count(b) != 2 || json_as_int(json_at(b, 0), &rows) < 0 ||
        json_as_int(json_at(b, 1), &columns) < 0 || rows < 1 || columns < 1 || rows > INT32_MAX ||
        columns > INT32_MAX)
        return err_set(e, ERR_USE, "%s: block_structure is not [rows, columns]", what);
    x->rows = (size_t)rows;
    x->group = columns;
    return 0;
}

/* type float: which grid, and what has a scale of its own. */
static int float_read(const struct json *w, struct ct_kind *x, int64_t bits, const char *what,
                      struct err *e)
{
    const char *strategy = json_text_or(w, "strategy", "");

    if (bits == 4 && x->group == 16 && strcmp(strategy, "tensor_group") == 0)
        x->grid = grid_find("nvfp4");
    else if (bits == 4 && x->group == 32 && strcmp(strategy, "group") == 0)
        x->grid = grid_find("mxfp4");
    else if (bits == 8)
        x->grid = grid_find("fp8");
    if (!x->grid || x->zeros)
        return err_set(e, ERR_USE,
                       "%s: floats of %lld bits, strategy '%.64s', group_size %lld%s are not "
                       "supported (known: FP8, NVFP4, MXFP4)",
                       what, (long long)bits, strategy, (long long)x->group,
                       x->zeros ? ", not symmetric," : "");
    if (bits == 4 || (strcmp(strategy, "group") == 0 && x->group > 0))
        return 0;
    if (strcmp(strategy, "block") == 0)
        return blocks_read(w, x, what, e);
    x->group = -1;
    x->whole = strcmp(strategy, "tensor") == 0;
    return x->whole || strcmp(strategy, "channel") == 0
               ? 0
               : err_set(e, ERR_USE,
                         "%s: strategy '%.64s' is not supported (known: channel, tensor, block, "
                         "group)",
                         what, strategy);
}

static int kind_read(const struct json *w, struct ct_kind *x, const char *what, struct err *e)
{
    const char *strategy = json_text_or(w, "strategy", "");
    int64_t bits;
    int symmetric, dynamic;

    if (json_need_int(w, "num_bits", 1, 8, &bits, what, e) < 0 ||
        json_opt_bool(w, "symmetric", 1, &symmetric, what, e) < 0 ||
        json_opt_bool(w, "dynamic", 0, &dynamic, what, e) < 0 ||
        json_opt_int(w, "group_size", -1, INT64_C(1) << 32, -1, &x->group, what, e) < 0)
        return -1;
    if (dynamic)
        return err_set(e, ERR_USE, "%s: dynamic weights are not supported", what);
    x->zeros = !symmetric;
    x->bits = (int)bits;
    if (strcmp(json_text_or(w, "type", ""), "float") == 0)
        return float_read(w, x, bits, what, e);
    if (must_be(w, "type", "int", what, e) < 0 || must_lack(w, "block_structure", what, e) < 0)
        return -1;
    if (*strategy && strcmp(strategy, "group") && strcmp(strategy, "channel"))
        return err_set(e, ERR_USE, "%s: strategy '%.64s' is not supported (known: group, channel)",
                       what, strategy);
    if (x->group == 0 || (strcmp(strategy, "group") == 0 && x->group < 0))
        return err_set(e, ERR_USE, "%s: strategy group needs a group_size", what);
    if (strcmp(strategy, "channel") == 0)
        x->group = -1;
    return 0;
}

/* Activations in whole numbers: symmetric, each token by its own scale, found as it comes. */
static int acts_read(const struct json *g, struct ct_kind *x, const char *what, struct err *e)
{
    const struct json *a = json_get(g, "input_activations");
    const char *type = json_text_or(a, "type", "int"), *strategy = json_text_or(a, "strategy", "");
    int symmetric, dynamic;
    int64_t bits;

    if (json_kind(a) == JSON_KIND_NULL)
        return 0;
    if (json_need_int(a, "num_bits", 1, 64, &bits, what, e) < 0 ||
        json_opt_bool(a, "symmetric", 1, &symmetric, what, e) < 0 ||
        json_opt_bool(a, "dynamic", 0, &dynamic, what, e) < 0)
        return err_prefix(e, "input_activations");
    if (strcmp(type, "int") || strcmp(strategy, "token") || !symmetric || !dynamic || bits < 2 ||
        bits > 8)
        return err_set(e, ERR_USE,
                       "%s: input_activations: type '%.32s' of %lld bits, strategy '%.32s'%s%s are "
                       "not supported (known: int of 2 to 8 bits, token, symmetric, dynamic)",
                       what, type, (long long)bits, strategy, symmetric ? "" : ", not symmetric",
                       dynamic ? "" : ", not dynamic");
    x->act_bits = (int)bits;
    return 0;
}

static int group_read(struct ct_spec *s, const struct json *g, const char *what, struct err *e)
{
    char part[760];

    if (json_kind(g) != JSON_KIND_OBJECT)
        return err_set(e, ERR_USE, "%s must be an object", what);
    snprintf(part, sizeof part, "%s: weights", what);
    if (must_lack(g, "output_activations", what, e) < 0 || format_check(g, what, e) < 0 ||
        kind_read(json_get(g, "weights"), &s->kind[s->nkinds], part, e) < 0 ||
        (!s->kind[s->nkinds].grid && acts_read(g, &s->kind[s->nkinds], what, e) < 0))
        return -1;
    snprintf(part, sizeof part, "%s: targets", what);
    return patterns_add(s, json_get(g, "targets"), s->nkinds++, part, e);
}

static int groups_read(struct ct_spec *s, const struct json *groups, const char *what,
                       struct err *e)
{
    const size_t count = json_count(groups);
    char part[700];

    if (json_kind(groups) != JSON_KIND_OBJECT || !count)
        return err_set(e, ERR_USE, "%s: config_groups must be an object that is not empty", what);
    if (!(s->kind = mem_array(count, sizeof *s->kind, e)))
        return -1;
    for (size_t i = 0; i < count; i++) {
        const char *name = "";
        const struct json *g = json_member(groups, i, &name);

        snprintf(part, sizeof part, "%.550s: %.64s", what, name);
        if (group_read(s, g, part, e) < 0)
            return -1;
    }
    return 0;
}

int ct_act_bits(const void *spec)
{
    const struct ct_spec *s = spec;

    return s->nkinds ? s->kind[0].act_bits : 0;
}

/* A model has one kind of activations. */
static int acts_agree(const struct ct_spec *s, const char *what, struct err *e)
{
    for (size_t k = 1; k < s->nkinds; k++)
        if (s->kind[k].act_bits != s->kind[0].act_bits)
            return err_set(e, ERR_USE,
                           "%s: input_activations of %d bits in one group and of %d in another are "
                           "not supported",
                           what, s->kind[0].act_bits, s->kind[k].act_bits);
    return 0;
}

void *ct_open(const struct json *q, const char *what, struct err *e)
{
    struct ct_spec *s = mem_array(1, sizeof *s, e);
    const struct json *ignore = json_get(q, "ignore");
    const char *format = json_text_or(q, "format", "");
    void *spec = s;
    char part[700];

    snprintf(part, sizeof part, "%.600s: ignore", what);
    if (s && (strcmp(format, CT_MIXED) == 0 || format_check(q, what, e) == 0) &&
        must_lack(q, "kv_cache_scheme", what, e) == 0 &&
        must_lack(q, "sparsity_config", what, e) == 0 &&
        must_lack(q, "transform_config", what, e) == 0 &&
        (json_kind(ignore) == JSON_KIND_NULL || patterns_add(s, ignore, SIZE_MAX, part, e) == 0) &&
        groups_read(s, json_get(q, "config_groups"), what, e) == 0 && acts_agree(s, what, e) == 0)
        return spec;
    ct_close(&spec);
    return NULL;
}

static int regex_hits(const struct pattern *p, const char *name, struct err *e)
{
    size_t start, end;
    const int hit =
        p->regex ? unicode_regex_next(p->regex, name, strlen(name), 0, &start, &end, e) : 0;

    return hit < 0 ? -1 : hit && start == 0;
}

/* How well a pattern speaks for a module: 3 by name, 2 by expression, 1 by class, 0 not at all. */
static int pattern_rank(const struct pattern *p, const char *name, struct err *e)
{
    const int hit = regex_hits(p, name, e);

    if (hit != 0)
        return hit < 0 ? -1 : 2;
    if (!p->name)
        return 0;
    return strcmp(p->name, name) == 0 ? 3 : strcmp(p->name, "Linear") == 0;
}

static const struct ct_kind *kind_of(const struct ct_spec *s, const struct format_source *from,
                                     const char *name, struct err *e)
{
    const struct ct_kind *found = NULL;
    int best = 0, ignored = 0;

    for (size_t i = 0; i < s->npatterns; i++) {
        const struct pattern *p = &s->pattern[i];
        const int rank = pattern_rank(p, name, e);

        if (rank < 0) {
            err_prefix(e, "%s/config.json", from->dir);
            return NULL;
        }
        ignored |= rank > 0 && p->group == SIZE_MAX;
        if (p->group == SIZE_MAX || rank <= best)
            continue;
        best = rank;
        found = &s->kind[p->group];
    }
    if (found && !ignored)
        return found;
    err_set(e, ERR_USE,
            "%s: config.json says that '%s' is not quantized, but '%s.weight' is not there",
            from->dir, name, name);
    return NULL;
}

static int shape_check(const struct format_source *from, const char *name, size_t N, size_t K,
                       struct err *e)
{
    const struct st_entry *x = packed_part(from, name, "weight_shape");
    struct tensor t;
    int64_t shape[2];

    if (!x)
        return 0; /* config.json and the packed tensor say the same */
    if ((x->dtype != DT_I64 && x->dtype != DT_I32) || x->ndim != 1 || x->shape[0] != 2)
        return err_set(e, ERR_USE, "%s: tensor '%s' is not I64 [2]", from->set->paths[x->shard],
                       x->name);
    if (st_load(from->set, x, &t, e) < 0)
        return -1;
    for (size_t i = 0; i < 2; i++)
        shape[i] = x->dtype == DT_I64 ? ((const int64_t *)t.data)[i] : ((const int32_t *)t.data)[i];
    tensor_release(&t);
    if (shape[0] == (int64_t)N && shape[1] == (int64_t)K)
        return 0;
    return err_set(e, ERR_USE, "%s: tensor '%s' says [%lld, %lld], config.json wants [%zu, %zu]",
                   from->set->paths[x->shard], x->name, (long long)shape[0], (long long)shape[1], N,
                   K);
}

int ct_find(const void *spec, const struct format_source *from, const char *name, size_t N,
            size_t K, struct err *e)
{
    const struct ct_kind *w = kind_of(spec, from, name, e);
    size_t G;

    if (!w)
        return -1;
    if (w->grid)
        return ct_float_find(w, from, name, N, K, e);
    if (ct_int_is(from, name))
        return ct_int_find(w, from, name, N, K, e);
    if (ct_check(N, K, w->bits, w->group, name, e) < 0)
        return err_prefix(e, "%s", from->dir);
    G = grid_groups(K, w->group);
    if (packed_part_check(from, name, "weight_packed", 0, 2,
                          (const uint64_t[]){N, field_words(K, w->bits)}, e) < 0 ||
        packed_part_check(from, name, "weight_scale", 1, 2, (const uint64_t[]){N, G}, e) < 0 ||
        shape_check(from, name, N, K, e) < 0)
        return -1;
    if (w->zeros && packed_part_check(from, name, "weight_zero_point", 0, 2,
                                      (const uint64_t[]){field_words(N, w->bits), G}, e) < 0)
        return -1;
    return packed_part(from, name, "weight_g_idx")
               ? packed_part_check(from, name, "weight_g_idx", 0, 1, (const uint64_t[]){K}, e)
               : 0;
}

int ct_read(const void *spec, const struct format_source *from, const char *name, size_t N,
            size_t K, struct packed *p, struct err *e)
{
    const struct ct_kind *w = kind_of(spec, from, name, e);
    struct tensor codes = {0}, zeros = {0};
    int rc = -1;

    if (!w)
        return -1;
    if (w->grid)
        return ct_float_read(w, from, name, N, K, p, e);
    if (ct_int_is(from, name))
        return ct_int_read(w, from, name, N, K, p, e);
    if (packed_open(p, N, K, w->bits, w->group, e) < 0)
        return -1;
    if (packed_groups(p, from, name, "weight_g_idx", e) < 0 ||
        packed_scales(p, from, name, "weight_scale", 0, e) < 0 ||
        packed_part_load(from, name, "weight_packed", &codes, e) < 0 ||
        (w->zeros && packed_part_load(from, name, "weight_zero_point", &zeros, e) < 0))
        goto out;
    ct_unpack(N, K, w->bits, 0, codes.data, p->codes);
    if (w->zeros)
        ct_unpack(N, p->G, w->bits, 1, zeros.data, p->zeros);
    else
        memset(p->zeros, 1 << (w->bits - 1), N * p->G);
    rc = 0;
out:
    tensor_release(&codes);
    tensor_release(&zeros);
    if (rc < 0)
        packed_release(p);
    return rc;
}

/* Beside the scales x [N, G]: weight_packed [N, ceil(K bits / 32)], weight_shape = N, K */
int ct_look(const struct st_set *set, const struct st_entry *x, struct format_linear *l)
{
    static const int known[] = {2, 4, 8};
    const struct format_source from = {"", set};
    const size_t tail = sizeof ".weight_scale" - 1;
    const struct st_entry *packed, *shape;
    struct tensor t;

    *l = (struct format_linear){.bits = 0};
    snprintf(l->name, sizeof l->name, "%.*s", (int)(strlen(x->name) - tail), x->name);
    packed = packed_part(&from, l->name, "weight_packed");
    if (!packed || packed->dtype != DT_I32)
        return ct_float_look(set, x, l);
    shape = packed_part(&from, l->name, "weight_shape");
    if (!shape || packed->ndim != 2 || x->ndim != 2 || shape->dtype != DT_I64 || shape->ndim != 1 ||
        shape->shape[0] != 2 || !x->shape[1] || st_load(set, shape, &t, &(struct err){0}) < 0)
        return 0;
    l->N = (size_t)((const int64_t *)t.data)[0];
    l->K = (size_t)((const int64_t *)t.data)[1];
    tensor_release(&t);
    if (l->N != packed->shape[0] || l->K < 1 || l->K > SIZE_MAX / 8)
        return 0;
    for (size_t i = 0; i < 3 && !l->bits; i++)
        if (field_words(l->K, known[i]) == packed->shape[1])
            l->bits = known[i];
    l->G = (size_t)x->shape[1];
    l->group = (int64_t)(l->K / l->G);
    return l->bits && l->group;
}

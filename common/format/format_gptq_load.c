/* SPDX-License-Identifier: Apache-2.0 */
/* format_gptq_load - linears of a GPTQ checkpoint, v1 or v2, with permuted group indices (act-order
 * without static groups) too. Rules of "dynamic" (GPTQModel): the first regular expression that
 * matches a name from its start says its bits and group, or that it is not quantized. */
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "../text/unicode.h"
#include "format_gptq.h"

struct gptq_spec {  /* of quantization_config */
    int bits, less; /* less: what is taken off zero points */
    int64_t group;
    size_t nrules;
    /* its "dynamic": the first that matches a linear's name speaks for it; owned */
    struct gptq_rule *rules;
};

static const char *format_named(const struct json *q)
{
    const struct json *f = json_get(q, "checkpoint_format");

    if (json_kind(f) == JSON_KIND_NULL)
        f = json_get(q, "format");
    return json_kind(f) == JSON_KIND_NULL ? "gptq" : json_as_text(f);
}

static int is_v2(const struct json *q)
{
    const char *name = format_named(q);

    return name && strcmp(name, "gptq_v2") == 0;
}

int gptq_claims(int version, const struct json *q)
{
    const char *method = json_as_text(json_get(q, "quant_method"));

    return method && strcmp(method, "gptq") == 0 && is_v2(q) == (version == 2);
}

static int check_format(const struct json *q, const char *what, struct err *e)
{
    const struct json *p = json_get(q, "pack_dtype");
    const char *format = format_named(q), *pack;
    int lm_head; /* that it is quantized: its tensors say so, too */

    if (!format || (strcmp(format, "gptq") != 0 && !is_v2(q)))
        return err_set(e, ERR_USE,
                       "%s: checkpoint_format '%.64s' is not supported (known: gptq, gptq_v2)",
                       what, format ? format : "not a text");
    pack = json_kind(p) == JSON_KIND_NULL ? "int32" : json_as_text(p);
    if (!pack || strcmp(pack, "int32") != 0)
        return err_set(e, ERR_USE, "%s: pack_dtype is not int32", what);
    return json_opt_bool(q, "lm_head", 0, &lm_head, what, e);
}

struct gptq_rule {
    struct unicode_regex *name;
    int skip;
    int bits;
    int64_t group;
};

static int read_width(const struct json *q, const char *what, int def_bits, int64_t def_group,
                      int *bits, int64_t *group, struct err *e)
{
    int64_t b;

    if (json_opt_int(q, "bits", 2, 8, def_bits, &b, what, e) < 0 ||
        json_opt_int(q, "group_size", -1, INT64_C(1) << 32, def_group, group, what, e) < 0)
        return -1;
    if (b != 2 && b != 3 && b != 4 && b != 8)
        return err_set(e, ERR_USE, "%s: bits is %lld (known: 2, 3, 4, 8)", what, (long long)b);
    if (*group == 0)
        return err_set(e, ERR_USE, "%s: group_size is 0 (-1: one group a row)", what);
    *bits = (int)b;
    return 0;
}

static int read_rule(struct gptq_spec *spec, const char *pattern, const struct json *v,
                     const char *what, struct err *e)
{
    struct gptq_rule *r = &spec->rules[spec->nrules];
    const int sign = (pattern[0] == '-' || pattern[0] == '+') && pattern[1] == ':';
    const char *regex = pattern + 2 * sign;
    char rule[800];

    snprintf(rule, sizeof rule, "%s: dynamic '%.120s'", what, pattern);
    if (json_kind(v) != JSON_KIND_OBJECT)
        return err_set(e, ERR_USE, "%s must be an object", rule);
    if (unicode_valid(regex, strlen(regex)) != strlen(regex))
        return err_set(e, ERR_USE, "%s is not UTF-8", rule);
    r->skip = sign && *pattern == '-';
    if (!r->skip && read_width(v, rule, spec->bits, spec->group, &r->bits, &r->group, e) < 0)
        return -1;
    if (!(r->name = unicode_regex_open(regex, strlen(regex), 0, rule, e)))
        return -1;
    spec->nrules++;
    return 0;
}

static int read_rules(struct gptq_spec *spec, const struct json *d, const char *what, struct err *e)
{
    const size_t count = json_count(d);

    if (json_kind(d) == JSON_KIND_NULL || count == 0)
        return 0;
    if (json_kind(d) != JSON_KIND_OBJECT)
        return err_set(e, ERR_USE, "%s: field 'dynamic' must be an object", what);
    if (!(spec->rules = mem_array(count, sizeof *spec->rules, e)))
        return -1;
    for (size_t i = 0; i < count; i++) {
        const char *pattern = NULL;
        const struct json *v = json_member(d, i, &pattern);

        if (read_rule(spec, pattern, v, what, e) < 0)
            return -1;
    }
    return 0;
}

void gptq_close(void **spec)
{
    struct gptq_spec *s = *spec;

    for (size_t i = 0; s && i < s->nrules; i++)
        unicode_regex_close(&s->rules[i].name);
    if (s)
        free(s->rules);
    free(s);
    *spec = NULL;
}

void *gptq_open(const struct json *q, const char *what, struct err *e)
{
    struct gptq_spec *s = mem_array(1, sizeof *s, e);
    void *spec = s;
    int64_t must;

    if (s && check_format(q, what, e) == 0 && json_need_int(q, "bits", 2, 8, &must, what, e) == 0 &&
        json_need_int(q, "group_size", -1, INT64_C(1) << 32, &must, what, e) == 0 &&
        read_width(q, what, 0, 0, &s->bits, &s->group, e) == 0 &&
        read_rules(s, json_get(q, "dynamic"), what, e) == 0) {
        s->less = !is_v2(q);
        return spec;
    }
    gptq_close(&spec);
    return NULL;
}

/* Bits and group of one linear; an error where the rules say that it is not quantized, or cannot
 * be read. */
static int width_of(const struct gptq_spec *s, const struct format_source *from, const char *name,
                    int *bits, int64_t *group, struct err *e)
{
    *bits = s->bits;
    *group = s->group;
    for (size_t i = 0; i < s->nrules; i++) {
        size_t start, end;
        const int hit =
            unicode_regex_next(s->rules[i].name, name, strlen(name), 0, &start, &end, e);

        if (hit < 0)
            return err_prefix(e, "%s/config.json: dynamic", from->dir);
        if (!hit || start > 0)
            continue;
        if (s->rules[i].skip)
            return err_set(
                e, ERR_USE,
                "%s: config.json says that '%s' is not quantized, but '%s.weight' is not there",
                from->dir, name, name);
        *bits = s->rules[i].bits;
        *group = s->rules[i].group;
        return 0;
    }
    return 0;
}

int gptq_find(const void *spec, const struct format_source *from, const char *name, size_t N,
              size_t K, struct err *e)
{
    size_t b, G;
    int64_t group;
    int bits;

    if (width_of(spec, from, name, &bits, &group, e) < 0)
        return -1;
    if (gptq_check(N, K, bits, group, name, e) < 0)
        return err_prefix(e, "%s", from->dir);
    b = (size_t)bits;
    G = grid_groups(K, group);
    if (packed_part_check(from, name, "qweight", 0, 2, (const uint64_t[]){K * b / 32, N}, e) < 0 ||
        packed_part_check(from, name, "qzeros", 0, 2, (const uint64_t[]){G, N * b / 32}, e) < 0 ||
        packed_part_check(from, name, "scales", 1, 2, (const uint64_t[]){G, N}, e) < 0)
        return -1;
    return packed_part(from, name, "g_idx")
               ? packed_part_check(from, name, "g_idx", 0, 1, (const uint64_t[]){K}, e)
               : 0;
}

int gptq_read(const void *spec, const struct format_source *from, const char *name, size_t N,
              size_t K, struct packed *p, struct err *e)
{
    const struct gptq_spec *s = spec;
    struct tensor q = {0}, qz = {0};
    int bits, rc = -1;
    int64_t group;

    if (width_of(spec, from, name, &bits, &group, e) < 0 ||
        packed_open(p, N, K, bits, group, e) < 0)
        return -1;
    if (packed_groups(p, from, name, "g_idx", e) < 0 ||
        packed_part_load(from, name, "qweight", &q, e) < 0 ||
        packed_part_load(from, name, "qzeros", &qz, e) < 0 ||
        packed_scales(p, from, name, "scales", 1, e) < 0)
        goto out;
    if (gptq_unpack_codes(N, K, bits, q.data, p->codes) != 0 ||
        gptq_unpack_zeros(N, p->G, bits, s->less, qz.data, p->zeros) != 0)
        err_set(e, ERR_USE, "%s: '%s': a zero point lies outside 8 bits", from->dir, name);
    else
        rc = 0;
out:
    tensor_release(&q);
    tensor_release(&qz);
    if (rc < 0)
        packed_release(p);
    return rc;
}

/* qweight [K bits/32, N], scales [G, N], qzeros [G, N bits/32] */
int gptq_look(const struct st_set *set, const struct st_entry *x, struct format_linear *l)
{
    const struct format_source from = {NULL, set};
    const size_t n = strlen(x->name), tail = sizeof ".qweight" - 1;
    const struct st_entry *scales, *zeros;

    *l = (struct format_linear){.bits = 0};
    snprintf(l->name, sizeof l->name, "%.*s", (int)(n - tail), x->name);
    scales = packed_part(&from, l->name, "scales");
    zeros = packed_part(&from, l->name, "qzeros");
    if (!scales || !zeros || x->ndim != 2 || scales->ndim != 2 || zeros->ndim != 2 ||
        x->shape[1] != scales->shape[1] || !scales->shape[0] || !scales->shape[1])
        return 0;
    l->N = (size_t)scales->shape[1];
    if (zeros->shape[1] * 32 / l->N < 1 || zeros->shape[1] * 32 / l->N > 8)
        return 0;
    l->bits = (int)(zeros->shape[1] * 32 / l->N);
    l->K = (size_t)x->shape[0] * 32 / (size_t)l->bits;
    l->G = (size_t)scales->shape[0];
    l->group = (int64_t)(l->K / l->G);
    return 1;
}

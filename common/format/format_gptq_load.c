/* SPDX-License-Identifier: Apache-2.0 */
/* format_gptq_load - linears of a GPTQ v1 checkpoint as f32 matrices. Permuted group indices
 * (act-order without static groups) are read by giving each input its own scale and zero. Rules of
 * "dynamic" (GPTQModel): the first regular expression that matches a name from its start says
 * its bits and group, or that it is not quantized. Leaves out: v2 zeros, a quantized head. */
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "../text/unicode.h"
#include "format_gptq.h"

struct gptq_spec { /* of quantization_config */
    int bits;
    int64_t group;
    size_t nrules;
    /* its "dynamic": the first that matches a linear's name speaks for it; owned */
    struct gptq_rule *rules;
};

int gptq_claims(const struct json *q)
{
    const char *method = json_as_text(json_get(q, "quant_method"));

    return method && strcmp(method, "gptq") == 0;
}

static int check_format(const struct json *q, const char *what, struct err *e)
{
    const struct json *f = json_get(q, "checkpoint_format"), *p = json_get(q, "pack_dtype");
    const char *format, *pack;
    int lm_head;

    if (json_kind(f) == JSON_KIND_NULL)
        f = json_get(q, "format");
    format = json_kind(f) == JSON_KIND_NULL ? "gptq" : json_as_text(f);
    if (!format || strcmp(format, "gptq") != 0)
        return err_set(e, ERR_USE, "%s: checkpoint_format '%.64s' is not supported (known: gptq)",
                       what, format ? format : "not a text");
    pack = json_kind(p) == JSON_KIND_NULL ? "int32" : json_as_text(p);
    if (!pack || strcmp(pack, "int32") != 0)
        return err_set(e, ERR_USE, "%s: pack_dtype is not int32", what);
    if (json_opt_bool(q, "lm_head", 0, &lm_head, what, e) < 0)
        return -1;
    return lm_head ? err_set(e, ERR_USE, "%s: a quantized lm_head is not supported", what) : 0;
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
        read_rules(s, json_get(q, "dynamic"), what, e) == 0)
        return spec;
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

static const struct st_entry *part_find(const struct format_source *from, const char *name,
                                        const char *suffix)
{
    char full[TENSOR_NAME + 16];

    snprintf(full, sizeof full, "%s.%s", name, suffix);
    return st_find(from->set, full);
}

static int part_check(const struct format_source *from, const char *name, const char *suffix,
                      int real, int ndim, const uint64_t *shape, struct err *e)
{
    const struct st_entry *x = part_find(from, name, suffix);
    char want[96], got[96];

    if (!x)
        return err_set(e, ERR_USE,
                       "%s: tensor '%s.%s' is missing (and '%s.weight' is not there either)",
                       from->dir, name, suffix, name);
    if (real ? !dtype_is_float(x->dtype) : x->dtype != DT_I32)
        return err_set(e, ERR_USE, "%s: tensor '%s' has type %s, %s is needed",
                       from->set->paths[x->shard], x->name, dtype_name(x->dtype),
                       real ? "a float type" : "I32");
    if (x->ndim == ndim && memcmp(x->shape, shape, (size_t)ndim * sizeof *shape) == 0)
        return 0;
    tensor_shape_text(ndim, shape, want, sizeof want);
    tensor_shape_text(x->ndim, x->shape, got, sizeof got);
    return err_set(e, ERR_USE, "%s: tensor '%s' has shape %s, config.json wants %s",
                   from->set->paths[x->shard], x->name, got, want);
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
    if (part_check(from, name, "qweight", 0, 2, (const uint64_t[]){K * b / 32, N}, e) < 0 ||
        part_check(from, name, "qzeros", 0, 2, (const uint64_t[]){G, N * b / 32}, e) < 0 ||
        part_check(from, name, "scales", 1, 2, (const uint64_t[]){G, N}, e) < 0)
        return -1;
    return part_find(from, name, "g_idx")
               ? part_check(from, name, "g_idx", 0, 1, (const uint64_t[]){K}, e)
               : 0;
}

/* The group of each input; *plain is 1 when they are k / group. */
static int32_t *groups_read(const struct format_source *from, const char *name, size_t K,
                            int64_t group, int *plain, struct err *e)
{
    const struct st_entry *x = part_find(from, name, "g_idx");
    const size_t G = grid_groups(K, group), width = G == 1 ? K : (size_t)group;
    int32_t *g = mem_array(K, sizeof *g, e);
    struct tensor t = {0};

    *plain = 1;
    if (!g)
        return NULL;
    if (x && st_load(from->set, x, &t, e) < 0)
        goto fail;
    for (size_t k = 0; k < K; k++) {
        if (t.data)
            memcpy(&g[k], (const char *)t.data + k * sizeof *g, sizeof *g);
        else
            g[k] = (int32_t)(k / width);
        if (g[k] < 0 || (size_t)g[k] >= G) {
            err_set(e, ERR_USE, "%s: tensor '%s.g_idx': group %ld of input %zu is outside 0 to %zu",
                    from->dir, name, (long)g[k], k, G - 1);
            goto fail;
        }
        *plain &= (size_t)g[k] == k / width;
    }
    tensor_release(&t);
    return g;
fail:
    tensor_release(&t);
    free(g);
    return NULL;
}

static int dequantize(int bits, int64_t group, size_t N, size_t K, const int32_t *group_of,
                      int plain, const uint8_t *codes, const float *scales, const uint8_t *zeros,
                      float *w, struct err *e)
{
    const size_t G = grid_groups(K, group), width = plain ? G : K;
    float *s = mem_raw(N * width, sizeof *s, e);
    uint8_t *z = mem_raw(N * width, 1, e);
    int rc = -1;

    if (s && z) {
        for (size_t n = 0; n < N; n++)
            for (size_t i = 0; i < width; i++) {
                size_t g = plain ? i : (size_t)group_of[i];

                s[n * width + i] = scales[g * N + n];
                z[n * width + i] = zeros[n * G + g];
            }
        rc = coded_decode(&(struct coded){.grid = grid_find("asym"),
                                          .N = N,
                                          .K = K,
                                          .G = width,
                                          .bits = bits,
                                          .group = plain ? group : 1,
                                          .codes = codes,
                                          .scale_type = DT_F32,
                                          .scales = s,
                                          .zeros = z,
                                          .tensor_scale = 1.0},
                          0, N, w, e);
    }
    free(s);
    free(z);
    return rc;
}

/* scales [G,N] */
static int scales_read(const struct format_source *from, const struct st_entry *x, size_t N,
                       size_t G, float *scales, struct err *e)
{
    const uint64_t shape[2] = {G, N};
    struct tensor t;

    if (st_load_rows_f32(from->set, x, 0, G, scales, e) < 0 ||
        tensor_borrow(&t, x->name, DT_F32, 2, shape, scales, e) < 0)
        return -1;
    return tensor_count_bad(&t)
               ? err_set(e, ERR_USE, "%s: tensor '%s' holds NaN or infinite numbers",
                         from->set->paths[x->shard], x->name)
               : 0;
}

int gptq_load(const void *spec, const struct format_source *from, const char *name, size_t N,
              size_t K, float *w, struct err *e)
{
    struct tensor q = {0}, qz = {0};
    int32_t *group_of = NULL;
    uint8_t *codes = NULL, *zeros = NULL;
    float *scales = NULL;
    int bits, plain, rc = -1;
    int64_t group;
    size_t G;

    if (width_of(spec, from, name, &bits, &group, e) < 0)
        return -1;
    G = grid_groups(K, group);
    group_of = groups_read(from, name, K, group, &plain, e);
    codes = mem_raw(N * K, 1, e);
    zeros = mem_raw(N * G, 1, e);
    scales = mem_raw(N * G, sizeof *scales, e);
    if (!group_of || !codes || !zeros || !scales ||
        st_load(from->set, part_find(from, name, "qweight"), &q, e) < 0 ||
        st_load(from->set, part_find(from, name, "qzeros"), &qz, e) < 0 ||
        scales_read(from, part_find(from, name, "scales"), N, G, scales, e) < 0)
        goto out;
    if (gptq_unpack_codes(N, K, bits, q.data, codes) != 0 ||
        gptq_unpack_zeros(N, G, bits, qz.data, zeros) != 0) {
        err_set(e, ERR_USE, "%s: '%s': a zero point lies outside 8 bits", from->dir, name);
        goto out;
    }
    rc = dequantize(bits, group, N, K, group_of, plain, codes, scales, zeros, w, e);
out:
    tensor_release(&q);
    tensor_release(&qz);
    free(group_of);
    free(codes);
    free(zeros);
    free(scales);
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
    scales = part_find(&from, l->name, "scales");
    zeros = part_find(&from, l->name, "qzeros");
    if (!scales || !zeros || x->ndim != 2 || scales->ndim != 2 || zeros->ndim != 2 ||
        !scales->shape[0] || !scales->shape[1])
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

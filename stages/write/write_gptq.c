/* SPDX-License-Identifier: Apache-2.0 */
/* write_gptq - GPTQ v1: P.qweight, P.qzeros, P.scales, P.g_idx for each linear P, bias and
 * everything else as in the source.
 *
 * Rows in their order (g_idx = k / group, desc_act false): the variant that every reader takes
 * on its fast path. Scales are stored in the type they were solved in (F16, or BF16 which newer
 * readers take) and config.json's dtype becomes that type, because readers compute in it.
 * Asymmetric checkpoints load in vLLM and SGLang; GPTQModel (and with it transformers) refuses
 * asymmetric v1 files of other producers. bits, group_size and sym are those of most linears;
 * the others stand in "dynamic" (write_dynamic.c). What it leaves out: v2, quantized heads. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/base/mem.h"
#include "../../common/base/version.h"
#include "../../common/format/gptq_format.h"
#include "../../common/format/coded.h"
#include "write_dynamic.h"
#include "write_format.h"

/* Readers compute in one type. */
static int same_type(const struct plan *p, const struct plan_linear *l,
                     const struct solution_linear *s, struct err *e)
{
    for (size_t i = 0; i < p->nlinears; i++) {
        const struct plan_linear *x = &p->linear[i];

        if (!x->bits || x == l)
            continue;
        if (x->scale_type != s->scales->dtype)
            return err_set(
                e, ERR_USE,
                "'%s' has scales of type %s, '%s' of %s: the gptq format stores one type", s->name,
                dtype_name(s->scales->dtype), x->name, dtype_name(x->scale_type));
        return 0; /* the others are like x */
    }
    return 0;
}

static int check(const struct plan *p, const struct plan_linear *l, const struct solution_linear *s,
                 struct err *e)
{
    const uint8_t *zeros = s->zeros ? s->zeros->data : NULL;

    if (s->scales->dtype != DT_F16 && s->scales->dtype != DT_BF16)
        return err_set(e, ERR_USE,
                       "'%s': scales of type %s cannot be stored in the gptq format; solve with "
                       "--scale-type f16",
                       s->name, dtype_name(s->scales->dtype));
    if (gptq_check(l->N, l->K, s->bits, s->group, l->name, e))
        return err_prefix(e, "gptq format");
    if (same_type(p, l, s, e))
        return -1;
    for (size_t i = 0; zeros && i < s->N * s->G; i++)
        if (zeros[i] == 0)
            return err_set(
                e, ERR_USE,
                "'%s': zero point 0 (row %zu, group %zu) cannot be stored in GPTQ v1; solve "
                "with zero points of 1 and more, or write --format dense",
                s->name, i / s->G, i % s->G);
    return 0;
}

static int describe(const struct plan_linear *l, struct layout_tensor t[LAYOUT_TENSORS],
                    struct err *e)
{
    const struct {
        const char *part;
        enum dtype dtype;
        uint64_t rows, columns;
    } parts[4] = {
        {"qweight", DT_I32, l->K * (size_t)l->bits / 32, l->N},
        {"qzeros", DT_I32, l->G, l->N * (size_t)l->bits / 32},
        {"scales", l->scale_type, l->G, l->N},
        {"g_idx", DT_I32, l->K, 0},
    };

    for (int i = 0; i < 4; i++) {
        int n = snprintf(t[i].name, sizeof t[i].name, "%s.%s", l->name, parts[i].part);

        if (n < 0 || (size_t)n >= sizeof t[i].name)
            return err_set(e, ERR_USE, "'%s.%s': a name too long", l->name, parts[i].part);
        t[i].dtype = parts[i].dtype;
        t[i].ndim = parts[i].columns ? 2 : 1;
        t[i].shape[0] = parts[i].rows;
        t[i].shape[1] = parts[i].columns;
    }
    return 4;
}

/* scales of 16 bits [N,G] to [G,N] */
static void transpose(const uint16_t *in, size_t N, size_t G, uint16_t *out)
{
    for (size_t n = 0; n < N; n++)
        for (size_t g = 0; g < G; g++)
            out[g * N + n] = in[n * G + g];
}

static int put_one(struct st_writer *w, const char *linear, const char *part, const void *data,
                   size_t bytes, struct err *e)
{
    char name[TENSOR_NAME + 16];

    snprintf(name, sizeof name, "%s.%s", linear, part);
    return st_put(w, name, data, bytes, e);
}

static int put(const struct plan_linear *l, const struct solution_linear *s, struct st_writer *w,
               struct err *e)
{
    size_t qweight = l->K * (size_t)l->bits / 32 * l->N,
           qzeros = l->G * (l->N * (size_t)l->bits / 32);
    size_t width = l->G == 1 ? l->K : (size_t)l->group, room = qweight;
    struct coded c;
    uint8_t *zeros;
    uint32_t *words;
    int rc = -1;

    room = room < qzeros ? qzeros : room;
    room = room < l->K ? l->K : room;
    room = room < l->G * l->N ? l->G * l->N : room;
    zeros = mem_raw(l->N * l->G, 1, e);
    words = mem_raw(room, sizeof *words, e);
    if (!zeros || !words || coded_read(s, &c, e))
        goto out;
    coded_zeros(&c, zeros);
    if (gptq_pack_codes(l->N, l->K, l->bits, s->codes->data, words)) {
        err_set(e, ERR_USE, "'%s': codes beyond %d bits", l->name, l->bits);
        goto out;
    }
    if (put_one(w, l->name, "qweight", words, qweight * sizeof *words, e) ||
        gptq_pack_zeros(l->N, l->G, l->bits, zeros, words, l->name, e) ||
        put_one(w, l->name, "qzeros", words, qzeros * sizeof *words, e))
        goto out;
    transpose(s->scales->data, l->N, l->G, (uint16_t *)words);
    if (put_one(w, l->name, "scales", words, l->G * l->N * sizeof(uint16_t), e))
        goto out;
    for (size_t k = 0; k < l->K; k++)
        words[k] = (uint32_t)(k / width);
    rc = put_one(w, l->name, "g_idx", words, l->K * sizeof *words, e);
out:
    free(words);
    free(zeros);
    return rc;
}

/* The damping that was asked for: what every site had that did not need more. */
static double least_damp(const struct plan *p)
{
    double damp = INFINITY;

    for (size_t i = 0; i < p->sites; i++)
        if (p->site[i].damp > 0 && p->site[i].damp < damp)
            damp = p->site[i].damp;
    return damp;
}

/* 1: at least one linear of the site was quantized. */
static int has_work(const struct plan *p, size_t site)
{
    for (size_t i = p->site[site].first; i < p->site[site].first + p->site[site].count; i++)
        if (!p->linear[i].kept)
            return 1;
    return 0;
}

static struct json *meta(const struct plan *p)
{
    struct json *m = json_new_object(), *list = json_new_array();
    const char *solver = NULL;

    for (size_t i = 0; i < p->sites; i++)
        if (has_work(p, i))
            solver =
                !solver || strcmp(p->site[i].solver, solver) == 0 ? p->site[i].solver : "mixed";
    if (json_push(list, json_new_text("ptqflow:" PTQ_VERSION)))
        json_destroy(&list);
    if (json_set(m, "quantizer", list) || json_set_text(m, "solver", solver))
        json_destroy(&m);
    return m;
}

static struct json *config(const struct plan *p, struct err *e)
{
    struct json *c, *dynamic;
    struct dynamic_base base;
    double damp = least_damp(p);
    int bad;

    if (!plan_first(p)) {
        err_set(e, ERR_USE,
                "every linear was skipped: there is nothing for the gptq format to hold; use "
                "--format dense");
        return NULL;
    }
    base = dynamic_base(p);
    c = json_new_object();
    bad = !c || json_set_int(c, "bits", base.bits) || json_set_int(c, "group_size", base.group) ||
          json_set_bool(c, "desc_act", 0) || json_set_bool(c, "static_groups", 1) ||
          json_set_bool(c, "sym", base.symmetric) || json_set_bool(c, "lm_head", 0) ||
          json_set_bool(c, "true_sequential", 1) ||
          (isfinite(damp) && json_set_real(c, "damp_percent", damp)) ||
          json_set_text(c, "quant_method", "gptq") ||
          json_set_text(c, "checkpoint_format", "gptq") || json_set_text(c, "format", "gptq") ||
          json_set_text(c, "pack_dtype", "int32");
    dynamic = bad ? NULL : dynamic_rules(p, &base);
    bad = bad || !dynamic || (json_count(dynamic) && json_set(c, "dynamic", json_clone(dynamic))) ||
          json_set(c, "meta", meta(p));
    json_destroy(&dynamic);
    if (bad) {
        json_destroy(&c);
        err_set(e, ERR_SYS, "quantization_config: out of memory");
    }
    return c;
}

static const struct layout layout = {describe, put, config, "quantize_config.json"};

static int assemble(struct assembly *a, struct err *e)
{
    return assemble_safetensors(a, &layout, e);
}

extern const struct output_format format_gptq;
const struct output_format format_gptq = {
    .name = "gptq",
    .about = "GPTQ v1 (vLLM, SGLang, transformers): packed codes, F16 or BF16 scales",
    .check = check,
    .assemble = assemble,
};

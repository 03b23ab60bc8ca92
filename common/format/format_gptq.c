/* SPDX-License-Identifier: Apache-2.0 */
/* format_gptq - GPTQ v1 (and what v2 shares): P.qweight, P.qzeros, P.scales, P.g_idx for each
 * linear P, bias and everything else as in the source.
 *
 * Rows in their order (g_idx = k / group, desc_act false), the variant that every reader takes on
 * its fast path; with --desc-act g_idx is the solution's, and desc_act true. Scales are stored in
 * the type they were solved in (F16, or BF16 which newer readers take) and config.json's dtype
 * becomes that type, because readers compute in it.
 * bits, group_size and sym are those of most linears; the others stand in "dynamic"
 * (format_gptq_rules.c). There is no "meta": readers that take it for another producer's refuse
 * the file, and who made it stands in the metadata of the weight files. Which engines load what:
 * format_gptq_engines.c. What it leaves out: quantized heads. */
#include <math.h>
#include <stdlib.h>

#include "../base/mem.h"
#include "format_gptq.h"

extern const struct format format_gptq;

int gptq_check_linear(const struct format_linear *l, struct err *e)
{
    if (packed_check(l, "gptq", e) < 0)
        return -1;
    return l->bits && l->group ? gptq_check(l->N, l->K, l->bits, l->group, l->name, e) : 0;
}

static int check_codes(const struct format_linear *l, const struct coded *c, struct err *e)
{
    for (size_t i = 0; c->zeros && i < c->N * c->G; i++)
        if (c->zeros[i] == 0)
            return err_set(
                e, ERR_USE,
                "'%s': zero point 0 (row %zu, group %zu) cannot be stored in GPTQ v1; solve "
                "with zero points of 1 and more, or write --format gptq-v2",
                l->name, i / c->G, i % c->G);
    return 0;
}

int gptq_tensors(const struct format_linear *l, struct format_tensor t[FORMAT_TENSORS],
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

    for (int i = 0; i < 4; i++)
        if (packed_describe(&t[i], l->name, parts[i].part, parts[i].dtype, parts[i].rows,
                            parts[i].columns, e) < 0)
            return -1;
    return 4;
}

int gptq_put(int version, const struct format_linear *l, const struct coded *c, format_emit *emit,
             void *ctx, struct err *e)
{
    const size_t qweight = l->K * (size_t)l->bits / 32 * l->N,
                 qzeros = l->G * (l->N * (size_t)l->bits / 32);
    const size_t width = l->G == 1 ? l->K : (size_t)l->group;
    uint8_t *zeros = mem_raw(l->N * l->G, 1, e);
    size_t room = qweight;
    uint32_t *words;
    int rc = -1;

    room = room < qzeros ? qzeros : room;
    room = room < l->K ? l->K : room;
    room = room < l->G * l->N ? l->G * l->N : room;
    words = mem_raw(room, sizeof *words, e);
    if (!zeros || !words)
        goto out;
    coded_zeros(c, zeros);
    if (gptq_pack_codes(l->N, l->K, l->bits, c->codes, words)) {
        err_set(e, ERR_USE, "'%s': codes beyond %d bits", l->name, l->bits);
        goto out;
    }
    if (packed_put(emit, ctx, l->name, "qweight", words, qweight * sizeof *words, e) ||
        gptq_pack_zeros(l->N, l->G, l->bits, version == 1, zeros, words, l->name, e) ||
        packed_put(emit, ctx, l->name, "qzeros", words, qzeros * sizeof *words, e))
        goto out;
    packed_transpose(c->scales, l->N, l->G, (uint16_t *)words);
    if (packed_put(emit, ctx, l->name, "scales", words, l->G * l->N * sizeof(uint16_t), e))
        goto out;
    for (size_t k = 0; k < l->K; k++)
        words[k] = c->group_of ? (uint32_t)c->group_of[k] : (uint32_t)(k / width);
    rc = packed_put(emit, ctx, l->name, "g_idx", words, l->K * sizeof *words, e);
out:
    free(zeros);
    free(words);
    return rc;
}

struct json *gptq_config(int version, const struct format_model *m, enum dtype *dtype,
                         struct err *e)
{
    const struct format_linear *first = packed_first(m);
    const char *name = version == 1 ? "gptq" : "gptq_v2";
    struct json *c, *dynamic;
    struct gptq_base base;
    int bad, permuted = 0, head = 0;

    if (!first) {
        format_check_kept(&format_gptq, e);
        return NULL;
    }
    *dtype = first->scale_type;
    base = gptq_base(m);
    for (size_t i = 0; i < m->count; i++) {
        permuted |= !m->linear[i]->kept && m->linear[i]->permuted;
        head |= !m->linear[i]->kept && m->linear[i]->head;
    }
    c = json_new_object();
    bad = !c || json_set_int(c, "bits", base.bits) || json_set_int(c, "group_size", base.group) ||
          json_set_bool(c, "desc_act", permuted) || json_set_bool(c, "static_groups", !permuted) ||
          json_set_bool(c, "sym", base.symmetric) || json_set_bool(c, "lm_head", head) ||
          json_set_bool(c, "true_sequential", 1) ||
          (isfinite(m->damp) && json_set_real(c, "damp_percent", m->damp)) ||
          json_set_text(c, "quant_method", "gptq") || json_set_text(c, "checkpoint_format", name) ||
          json_set_text(c, "format", name) || json_set_text(c, "pack_dtype", "int32");
    dynamic = bad ? NULL : gptq_rules(m, &base);
    bad = bad || !dynamic || (json_count(dynamic) && json_set(c, "dynamic", json_clone(dynamic))) ||
          gptq_names(c, m);
    json_destroy(&dynamic);
    if (bad) {
        json_destroy(&c);
        err_set(e, ERR_SYS, "quantization_config: out of memory");
    }
    return c;
}

static int put(const struct format_linear *l, const struct coded *c, format_emit *emit, void *ctx,
               struct err *e)
{
    return gptq_put(1, l, c, emit, ctx, e);
}

static struct json *config(const struct format_model *m, enum dtype *dtype, struct err *e)
{
    return gptq_config(1, m, dtype, e);
}

static int claims(const struct json *q)
{
    return gptq_claims(1, q);
}

const struct format format_gptq = {
    .name = "gptq",
    .title = "GPTQ",
    .about = "GPTQ v1 (transformers, GPTQModel, vLLM, OpenVINO): packed codes, F16 or BF16 scales",
    .fuses = 1,
    .heads = 1,
    .one_scale_type = 1,
    .some_codes = 1,
    .check = gptq_check_linear,
    .check_codes = check_codes,
    .tensors = gptq_tensors,
    .put = put,
    .config = config,
    .config_copy = "quantize_config.json",
    .engines = gptq_engines,
    .mark = "qweight",
    .claims = claims,
    .open = gptq_open,
    .close = gptq_close,
    .find = gptq_find,
    .read = gptq_read,
    .look = gptq_look,
};

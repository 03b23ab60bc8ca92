/* SPDX-License-Identifier: Apache-2.0 */
/* format_awq - AutoAWQ's layout "gemm" (its packing_utils.py and linear/gemm.py): 4 bits.
 *   P.qweight I32 [K, N/8], P.qzeros I32 [G, N/8], P.scales F16 [G, N]
 * A word holds 8 neighbouring outputs of one input (of one group), lowest bit first in the order
 * 0 2 4 6 1 3 5 7; zero points are stored as they are. Where the grid has none it is the one that
 * the grid always uses: readers want qzeros in any case.
 * quantization_config knows one group size for all; what is left as it was stands in
 * modules_to_not_convert, of which readers take each name as a part of a module's name. "lm_head"
 * says that the head is in codes too, which vLLM looks at; transformers leaves heads alone. What it
 * leaves out: the layouts gemv and marlin, other widths. */
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "engine.h"
#include "field.h"
#include "outer.h"
#include "packed.h"

#define EACH 8 /* outputs in a word */

extern const struct format format_awq;

static const uint8_t order[EACH] = {0, 2, 4, 6, 1, 3, 5, 7};

static int shape_check(size_t N, size_t K, int64_t group, const char *name, struct err *e)
{
    if (N == 0 || K == 0)
        return err_set(e, ERR_USE, "'%s': an empty matrix [%zu, %zu] cannot be stored", name, N, K);
    if (N % EACH)
        return err_set(e, ERR_USE, "'%s': %zu outputs do not fill whole 32-bit words, as AWQ needs",
                       name, N);
    if (group != -1 && (group < 1 || (uint64_t)group > K || K % (size_t)group))
        return err_set(e, ERR_USE, "'%s': group %lld does not divide %zu inputs", name,
                       (long long)group, K);
    return 0;
}

static int check(const struct format_linear *l, struct err *e)
{
    if (packed_check(l, "awq", e) < 0 || packed_check_order(l, "awq", e) < 0)
        return -1;
    if (l->scale_type == DT_BF16)
        return err_set(e, ERR_USE,
                       "'%s': the awq format has scales of type F16, not BF16; solve with "
                       "--scale-type f16",
                       l->name);
    if (l->bits && l->bits != 4)
        return err_set(e, ERR_USE, "'%s': AWQ stores 4 bits, not %d", l->name, l->bits);
    return l->group ? shape_check(l->N, l->K, l->group, l->name, e) : 0;
}

static int tensors(const struct format_linear *l, struct format_tensor t[FORMAT_TENSORS],
                   struct err *e)
{
    return packed_describe(&t[0], l->name, "qweight", DT_I32, l->K, l->N / EACH, e) ||
                   packed_describe(&t[1], l->name, "qzeros", DT_I32, l->G, l->N / EACH, e) ||
                   packed_describe(&t[2], l->name, "scales", l->scale_type, l->G, l->N, e)
               ? -1
               : 3;
}

/* values [N,n] to words [n, N/8] */
static int pack(size_t N, size_t n, const uint8_t *values, uint32_t *words)
{
    memset(words, 0, n * (N / EACH) * sizeof *words);
    for (size_t k = 0; k < n; k++)
        for (size_t w = 0; w < N / EACH; w++)
            for (size_t i = 0; i < EACH; i++) {
                const uint8_t v = values[(w * EACH + order[i]) * n + k];

                if (v > 15)
                    return -1;
                field_put(&words[k * (N / EACH) + w], i, 4, v);
            }
    return 0;
}

static void unpack(size_t N, size_t n, const uint32_t *words, uint8_t *values)
{
    for (size_t k = 0; k < n; k++)
        for (size_t w = 0; w < N / EACH; w++)
            for (size_t i = 0; i < EACH; i++)
                values[(w * EACH + order[i]) * n + k] =
                    (uint8_t)field_get(&words[k * (N / EACH) + w], i, 4);
}

static int put(const struct format_linear *l, const struct coded *c, format_emit *emit, void *ctx,
               struct err *e)
{
    const size_t qweight = l->K * (l->N / EACH), qzeros = l->G * (l->N / EACH);
    uint32_t *words = mem_raw(qweight < l->G * l->N ? l->G * l->N : qweight, sizeof *words, e);
    uint8_t *zeros = mem_raw(l->N * l->G, 1, e);
    int rc = -1;

    if (!words || !zeros)
        goto out;
    coded_zeros(c, zeros);
    if (pack(l->N, l->K, c->codes, words) < 0) {
        err_set(e, ERR_USE, "'%s': codes beyond 4 bits", l->name);
        goto out;
    }
    if (packed_put(emit, ctx, l->name, "qweight", words, qweight * sizeof *words, e))
        goto out;
    if (pack(l->N, l->G, zeros, words) < 0) {
        err_set(e, ERR_USE, "'%s': zero points beyond 4 bits", l->name);
        goto out;
    }
    if (packed_put(emit, ctx, l->name, "qzeros", words, qzeros * sizeof *words, e))
        goto out;
    packed_transpose(c->scales, l->N, l->G, (uint16_t *)words);
    rc = packed_put(emit, ctx, l->name, "scales", words, l->G * l->N * sizeof(uint16_t), e);
out:
    free(zeros);
    free(words);
    return rc;
}

/* ---- config.json ---- */

/* Engines' name for linears [first, end) of a site together, when all are kept. */
static int fused_push(struct json *list, const struct format_model *m, size_t first, size_t end)
{
    const struct format_linear *x = m->linear[first];
    const char *dot = strrchr(x->name, '.');
    char name[TENSOR_NAME + 64];

    if (!x->fused || !dot)
        return 0;
    for (size_t i = first; i < end; i++)
        if (!m->linear[i]->kept)
            return 0;
    snprintf(name, sizeof name, "%.*s.%.60s", (int)(dot - x->name), x->name, x->fused);
    return json_push(list, json_new_text(name));
}

/* Readers look for a part of a name: it must be in none of a linear that is packed. */
static int is_of_others(const struct format_model *m, const char *part)
{
    size_t i = 0;

    while (i < m->count && !strstr(m->linear[i]->name, part))
        i++;
    return i == m->count;
}

/* Towers and projectors as a whole, each once: others of a part follow each other. */
static int parts_push(struct json *list, const struct format_model *m)
{
    char part[TENSOR_NAME], last[TENSOR_NAME] = "";
    int bad = 0;

    for (size_t i = 0; i < m->nothers && !bad; i++) {
        if (!outer_part(m, m->other[i], part, sizeof part) || strcmp(part, last) == 0)
            continue;
        memcpy(last, part, sizeof last);
        bad = is_of_others(m, part) && json_push(list, json_new_text(part));
    }
    return bad;
}

/* It is in codes, too. */
static int head(const struct format_model *m)
{
    int there = 0;

    for (size_t i = 0; i < m->count; i++)
        there |= m->linear[i]->head && !m->linear[i]->kept;
    return there;
}

static struct json *kept_names(const struct format_model *m)
{
    struct json *list = json_new_array();
    int bad =
        !list || (!head(m) && json_push(list, json_new_text("lm_head"))) || parts_push(list, m);

    for (size_t first = 0, end; first < m->count && !bad; first = end) {
        for (end = first; end < m->count && m->linear[end]->site == m->linear[first]->site; end++)
            bad = bad ||
                  (m->linear[end]->kept && json_push(list, json_new_text(m->linear[end]->name)));
        bad = bad || fused_push(list, m, first, end);
    }
    for (size_t i = 0; i < m->nothers && !bad; i++)
        bad = strcmp(m->other[i], "lm_head") && json_push(list, json_new_text(m->other[i]));
    if (bad)
        json_destroy(&list);
    return list;
}

static struct json *config(const struct format_model *m, enum dtype *dtype, struct err *e)
{
    const struct format_linear *l = packed_first(m);
    struct json *c;

    *dtype = DT_F16;
    if (!l) {
        format_check_kept(&format_awq, e);
        return NULL;
    }
    c = json_new_object();
    if (!c || json_set_text(c, "quant_method", "awq") || json_set_int(c, "bits", 4) ||
        json_set_int(c, "group_size", l->group) || json_set_bool(c, "zero_point", 1) ||
        json_set_text(c, "version", "gemm") || (head(m) && json_set_bool(c, "lm_head", 1)) ||
        json_set(c, "modules_to_not_convert", kept_names(m))) {
        json_destroy(&c);
        err_set(e, ERR_SYS, "quantization_config: out of memory");
    }
    return c;
}

/* ---- reading ---- */

struct awq_spec {
    int64_t group;
};

static int claims(const struct json *q)
{
    const char *method = json_as_text(json_get(q, "quant_method"));

    return method && strcmp(method, "awq") == 0;
}

static void spec_close(void **spec)
{
    free(*spec);
    *spec = NULL;
}

static void *spec_open(const struct json *q, const char *what, struct err *e)
{
    struct awq_spec *s = mem_array(1, sizeof *s, e);
    const char *version = json_text_or(q, "version", "gemm");
    void *spec = s;
    int64_t bits;

    if (!s || json_need_int(q, "bits", 1, 64, &bits, what, e) < 0 ||
        json_need_int(q, "group_size", -1, INT64_C(1) << 32, &s->group, what, e) < 0)
        goto fail;
    if (bits != 4)
        err_set(e, ERR_USE, "%s: bits is %lld (known: 4)", what, (long long)bits);
    else if (s->group == 0)
        err_set(e, ERR_USE, "%s: group_size is 0 (-1: one group a row)", what);
    else if (strcmp(version, "gemm") && strcmp(version, "GEMM"))
        err_set(e, ERR_USE, "%s: version '%.64s' is not supported (known: gemm)", what, version);
    else
        return spec;
fail:
    spec_close(&spec);
    return NULL;
}

static int find(const void *spec, const struct format_source *from, const char *name, size_t N,
                size_t K, struct err *e)
{
    const struct awq_spec *s = spec;
    const size_t G = grid_groups(K, s->group);

    if (shape_check(N, K, s->group, name, e) < 0)
        return err_prefix(e, "%s", from->dir);
    return packed_part_check(from, name, "qweight", 0, 2, (const uint64_t[]){K, N / EACH}, e) ||
                   packed_part_check(from, name, "qzeros", 0, 2, (const uint64_t[]){G, N / EACH},
                                     e) ||
                   packed_part_check(from, name, "scales", 1, 2, (const uint64_t[]){G, N}, e)
               ? -1
               : 0;
}

static int read_linear(const void *spec, const struct format_source *from, const char *name,
                       size_t N, size_t K, struct packed *p, struct err *e)
{
    const struct awq_spec *s = spec;
    struct tensor codes = {0}, zeros = {0};
    int rc = -1;

    if (packed_open(p, N, K, 4, s->group, e) < 0)
        return -1;
    if (packed_part_load(from, name, "qweight", &codes, e) == 0 &&
        packed_part_load(from, name, "qzeros", &zeros, e) == 0 &&
        packed_scales(p, from, name, "scales", 1, e) == 0) {
        unpack(N, K, codes.data, p->codes);
        unpack(N, p->G, zeros.data, p->zeros);
        rc = 0;
    }
    tensor_release(&codes);
    tensor_release(&zeros);
    if (rc < 0)
        packed_release(p);
    return rc;
}

/* qweight [K, N/8], scales [G, N] */
static int look(const struct st_set *set, const struct st_entry *x, struct format_linear *l)
{
    const struct format_source from = {"", set};
    const struct st_entry *scales;

    *l = (struct format_linear){.bits = 4};
    snprintf(l->name, sizeof l->name, "%.*s", (int)(strlen(x->name) - (sizeof ".qweight" - 1)),
             x->name);
    scales = packed_part(&from, l->name, "scales");
    if (!scales || x->ndim != 2 || scales->ndim != 2 || !scales->shape[0] || !x->shape[1] ||
        scales->shape[1] % EACH || x->shape[1] != scales->shape[1] / EACH)
        return 0;
    l->N = (size_t)scales->shape[1];
    l->K = (size_t)x->shape[0];
    l->G = (size_t)scales->shape[0];
    l->group = (int64_t)(l->K / l->G);
    return l->group > 0;
}

static int vllm_group(int bits, int64_t group)
{
    (void)bits;
    return group == -1 || group == 32 || group == 64 || group == 128;
}

/* Tried on a CPU with transformers 5.24 (gptqmodel 7.7); what vLLM does with a head is read from
 * its source. Of what may differ only zero points do in this format, and they are always there. */
static const struct engine engines[] = {
    {.name = "transformers",
     .bits = 1u << 4,
     .zeros = 1,
     .kept = 1,
     .mixed = 1,
     .parts = 1,
     .use = "AutoModelForCausalLM.from_pretrained(\"DIR\", device_map=\"cpu\", "
            "dtype=torch.float32)  # pip install torch transformers accelerate optimum gptqmodel"},
    {.name = "vLLM",
     .bits = 1u << 4,
     .zeros = 1,
     .kept = 1,
     .mixed = 1,
     .head = 1,
     .group = vllm_group,
     .use = "vllm serve DIR"},
    {.name = "SGLang",
     .bits = 1u << 4,
     .gpu = 1u << 4,
     .kept = 1,
     .mixed = 1,
     .zeros = 1,
     .group = vllm_group,
     .refuses = engine_tiles,
     .use = SGLANG,
     .untried = 1},
    {.name = NULL},
};

const struct format format_awq = {
    .name = "awq",
    .title = "AWQ",
    .about = "AutoAWQ's layout gemm (vLLM, transformers): 4 bits, one group size for all",
    .fuses = 1,
    .one_scale_type = 1,
    .one_group = 1,
    .heads = 1,
    .some_codes = 1,
    .check = check,
    .tensors = tensors,
    .put = put,
    .config = config,
    .engines = engines,
    .mark = "qweight",
    .claims = claims,
    .open = spec_open,
    .close = spec_close,
    .find = find,
    .read = read_linear,
    .look = look,
};

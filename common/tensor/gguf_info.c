/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_info - what a GGUF file's metadata say of the model.
 *
 * Architectures: those that families have (gguf_names.h). A metadata key of the architecture
 * that is not known here is refused, because it may change the mathematics. Rope: default,
 * linear, yarn, longrope, and llama3, whose parameters a GGUF file does not hold: they are found
 * again from the frequency factors it holds instead. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "gguf_folder.h"

/* of rope scaling; beyond it the tolerance of factors_match() would mean nothing */
#define FACTOR_MAX 128
#define SIZE_MAX_SANE ((int64_t)1 << 31)

/* Below "ARCH."; what a reader may pass over or what is read below. */
static const char *const KNOWN[] = {"block_count",
                                    "context_length",
                                    "embedding_length",
                                    "feed_forward_length",
                                    "attention.head_count",
                                    "attention.head_count_kv",
                                    "attention.key_length",
                                    "attention.value_length",
                                    "attention.layer_norm_rms_epsilon",
                                    "attention.sliding_window",
                                    "attention.sliding_window_pattern",
                                    "attn_logit_softcapping",
                                    "final_logit_softcapping",
                                    "rope.dimension_count",
                                    "rope.freq_base",
                                    "rope.freq_base_swa",
                                    "rope.scaling.type",
                                    "rope.scaling.factor",
                                    "rope.scaling.original_context_length",
                                    "rope.scaling.finetuned",
                                    "rope.scaling.attn_factor",
                                    "rope.scale_linear",
                                    "vocab_size",
                                    "expert_count",
                                    "expert_used_count",
                                    "expert_feed_forward_length",
                                    "tensor_data_layout",
                                    NULL};

struct reader {
    const struct gguf *g;
    const char *arch;
    struct err *e;
};

static void key_of(const struct reader *r, const char *name, char *key, size_t n)
{
    snprintf(key, n, "%s.%s", r->arch, name);
}

/* llama.cpp takes a size from an integer alone. */
static int size_check(const struct reader *r, const char *key)
{
    return json_kind(json_get(r->g->meta, key)) == JSON_KIND_REAL
               ? err_set(r->e, ERR_USE, "%s: key '%s' is a real number, it must be an integer",
                         r->g->path, key)
               : 0;
}

static int need_size(const struct reader *r, const char *name, int64_t *v)
{
    char key[128];

    key_of(r, name, key, sizeof key);
    if (size_check(r, key))
        return -1;
    return json_need_int(r->g->meta, key, 1, SIZE_MAX_SANE, v, r->g->path, r->e);
}

static int opt_size(const struct reader *r, const char *name, int64_t def, int64_t *v)
{
    char key[128];

    key_of(r, name, key, sizeof key);
    if (size_check(r, key))
        return -1;
    return json_opt_int(r->g->meta, key, 0, SIZE_MAX_SANE, def, v, r->g->path, r->e);
}

double gguf_shortest(double v)
{
    char text[32];

    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtof(text, NULL) == (float)v)
            return strtod(text, NULL);
    }
    return v;
}

static int opt_positive(const struct reader *r, const char *name, double def, double *v)
{
    char key[128];

    key_of(r, name, key, sizeof key);
    if (json_opt_real(r->g->meta, key, def, v, r->g->path, r->e))
        return -1;
    *v = gguf_shortest(*v);
    if (!(*v > 0) && *v != def)
        return err_set(r->e, ERR_USE, "%s: key '%s' is %g, it must be above 0", r->g->path, key,
                       *v);
    return 0;
}

/* No reader has a default for it. */
static int epsilon_read(const struct reader *r, double *v)
{
    static const char name[] = "attention.layer_norm_rms_epsilon";
    char key[128];

    key_of(r, name, key, sizeof key);
    if (!json_get(r->g->meta, key))
        return err_set(r->e, ERR_USE, "%s: key '%s' is missing", r->g->path, key);
    return opt_positive(r, name, 1e-6, v); /* it is there: no default */
}

/* m NULL: any of that name. */
static const struct gguf_arch *arch_find(const char *name, const struct gguf_info *m)
{
    const struct gguf_arch *a;

    for (size_t i = 0; (a = gguf_arch_at(i)); i++)
        if (strcmp(a->name, name) == 0 &&
            (!m || (!a->experts == !m->experts && (a->windows || !m->window))))
            return a;
    return NULL;
}

static int arch_read(const struct gguf *g, struct gguf_info *m, struct err *e)
{
    const char *arch = json_need_text(g->meta, "general.architecture", g->path, e);
    char known[256];

    if (!arch)
        return -1;
    if (!(m->arch = arch_find(arch, NULL)))
        return err_set(e, ERR_USE, "%s: architecture '%.64s' cannot be read; these can: %s",
                       g->path, arch, gguf_arch_list(1, known, sizeof known));
    return 0;
}

static int keys_check(const struct gguf *g, const char *arch, struct err *e)
{
    size_t n = strlen(arch);

    for (size_t i = 0; i < json_count(g->meta); i++) {
        const char *key;
        const struct json *v = json_member(g->meta, i, &key);
        size_t k = 0;

        if (strncmp(key, arch, n) || key[n] != '.')
            continue;
        while (KNOWN[k] && strcmp(KNOWN[k], key + n + 1))
            k++;
        if (!KNOWN[k])
            return err_set(e, ERR_USE,
                           "%s: key '%.128s' is not known; it may change the mathematics, so this "
                           "file cannot be read",
                           g->path, key);
        if (json_kind(v) == JSON_KIND_NULL) /* as JSON shows it, and no key that is absent */
            return err_set(e, ERR_USE, "%s: key '%s' is NaN or infinite: download the file again",
                           g->path, key);
    }
    return 0;
}

static int sizes_read(const struct reader *r, struct gguf_info *m)
{
    int64_t value, split;

    if (need_size(r, "block_count", &m->layers) || need_size(r, "embedding_length", &m->d) ||
        need_size(r, "feed_forward_length", &m->ff) ||
        need_size(r, "attention.head_count", &m->heads) ||
        need_size(r, "context_length", &m->context) ||
        opt_size(r, "attention.head_count_kv", m->heads, &m->kv_heads) ||
        opt_size(r, "attention.key_length", m->d / m->heads, &m->head_dim) ||
        opt_size(r, "attention.value_length", m->head_dim, &value) ||
        opt_size(r, "rope.dimension_count", m->head_dim, &m->rope_width) ||
        opt_size(r, "attention.sliding_window", 0, &m->window) ||
        opt_size(r, "expert_count", 0, &m->experts) ||
        opt_size(r, "expert_used_count", 0, &m->top) ||
        opt_size(r, "expert_feed_forward_length", m->ff, &m->expert_ff) ||
        json_opt_int(r->g->meta, "split.count", 0, 65535, 1, &split, r->g->path, r->e))
        return -1;
    if (split > 1)
        return err_set(r->e, ERR_USE,
                       "%s: one of %lld files of a split model; join them first (llama-gguf-split "
                       "--merge FIRST.gguf OUT.gguf)",
                       r->g->path, (long long)split);
    if (m->experts > 65536 || (m->experts && (m->top < 1 || m->top > m->experts)) ||
        m->expert_ff < 1)
        return err_set(r->e, ERR_USE, "%s: %lld of %lld experts, of %lld, do not make a model",
                       r->g->path, (long long)m->top, (long long)m->experts,
                       (long long)m->expert_ff);
    if (m->layers > 4096 || m->kv_heads < 1 || m->heads % m->kv_heads)
        return err_set(
            r->e, ERR_USE, "%s: %lld blocks, %lld heads, %lld key-value heads do not make a model",
            r->g->path, (long long)m->layers, (long long)m->heads, (long long)m->kv_heads);
    if (m->head_dim < 2 || m->head_dim % 2 || m->head_dim > 65536 || value != m->head_dim ||
        m->rope_width % 2 || m->rope_width < 2 || m->rope_width > m->head_dim ||
        (m->rope_width < m->head_dim && !m->arch->longrope))
        return err_set(r->e, ERR_USE,
                       "%s: key length %lld, value length %lld and rope dimensions %lld must be "
                       "equal and even",
                       r->g->path, (long long)m->head_dim, (long long)value,
                       (long long)m->rope_width);
    return 0;
}

static int rope_kind_read(const struct reader *r, struct gguf_info *m)
{
    char key[128];
    const char *type;
    double factor, old;

    if (opt_positive(r, "rope.freq_base", 10000, &m->theta) ||
        opt_positive(r, "rope.scaling.factor", 0, &factor) ||
        opt_positive(r, "rope.scale_linear", 0, &old))
        return -1;
    key_of(r, "rope.scaling.type", key, sizeof key);
    type = json_as_text(json_get(r->g->meta, key));
    if (type && strcmp(type, "none") && strcmp(type, "linear") && strcmp(type, "yarn"))
        return err_set(r->e, ERR_USE, "%s: key '%s' is '%.32s'; none, linear and yarn can be read",
                       r->g->path, key, type);
    if (type && strcmp(type, "none") && factor <= 0)
        return err_set(r->e, ERR_USE, "%s: %s rope scaling without its factor", r->g->path, type);
    if (type && strcmp(type, "yarn") == 0) {
        m->yarn_factor = factor;
        return need_size(r, "rope.scaling.original_context_length", &m->original);
    }
    factor = type && strcmp(type, "linear") == 0 ? factor : type ? 0 : old;
    m->linear_factor = factor == 1 ? 0 : factor;
    return 0;
}

/* How the reference turns f = theta^(-2i/dim) into a factor (1: kept; factor: slowed down;
 * between: by wave length). */
static double llama3_factor(double f, double factor, double low, double high, double original)
{
    double wave = 2 * 3.14159265358979323846 / f, s = (original / wave - low) / (high - low);

    if (wave < original / high)
        return 1;
    if (wave > original / low)
        return factor;
    return 1 / ((1 - s) / factor + s);
}

/* The file's factors were computed in f32: a handful of roundings of 2^-24 in s, enlarged at
 * most `factor` times. */
static int factors_match(const float *have, size_t n, double theta, double factor, double low,
                         double high, double original)
{
    double tolerance = 16 * factor * 0x1p-24;

    for (size_t i = 0; i < n; i++) {
        double f = pow(theta, -(double)i / (double)n),
               want = llama3_factor(f, factor, low, high, original);

        if (!(fabs(have[i] - want) <= tolerance * want))
            return 0;
    }
    return 1;
}

int gguf_rope_factors(const float *factors, size_t n, double theta, struct gguf_info *m)
{
    static const double BANDS[][2] = {{1, 4}, {1, 2}, {1, 8}, {1, 16}, {1, 32}, {2, 4}, {2, 8}};
    double most = 1;

    for (size_t i = 0; i < n; i++)
        if (factors[i] > most)
            most = factors[i];
    m->factor = 0;
    if (!(most <= FACTOR_MAX))
        return -1;
    if (most == 1) /* all of one: no scaling */
        return factors_match(factors, n, theta, 1, 1, 4, 8192) ? 0 : -1;
    for (size_t b = 0; b < sizeof BANDS / sizeof BANDS[0]; b++)
        for (int64_t k = 0; k <= 17; k++) {
            m->original = k == 0 ? 8192 : (int64_t)8 << k; /* Llama 3's own first */
            if (factors_match(factors, n, theta, most, BANDS[b][0], BANDS[b][1],
                              (double)m->original)) {
                m->factor = most;
                m->low = BANDS[b][0];
                m->high = BANDS[b][1];
                return 0;
            }
        }
    return -1;
}

static int rope_factors_read(const struct gguf *g, struct gguf_info *m, struct err *e)
{
    const struct gguf_entry *x = gguf_find(g, GGUF_ROPE_FACTORS);
    size_t n = (size_t)m->head_dim / 2;
    float *factors;
    int rc = -1;

    if (!x || !m->arch->factors)
        return 0;
    if (x->ndim != 1 || x->shape[0] != n || x->type != GGUF_F32)
        return err_set(e, ERR_USE, "%s: tensor '" GGUF_ROPE_FACTORS "' must be %zu values of F32",
                       g->path, n);
    if (m->linear_factor > 0 || m->yarn_factor > 0)
        return err_set(e, ERR_USE, "%s: both rope scaling and tensor 'rope_freqs.weight'", g->path);
    factors = mem_array(n, sizeof *factors, e);
    if (!factors || gguf_load_f32(g, x, factors, e))
        goto out;
    rc = gguf_rope_factors(factors, n, m->theta, m);
    if (rc)
        err_set(e, ERR_USE,
                "%s: tensor 'rope_freqs.weight' holds frequency factors that no llama3 rope "
                "scaling gives; "
                "config.json could not say them",
                g->path);
out:
    free(factors);
    return rc;
}

/* Which blocks have a window, and what caps scores and logits. */
static int windows_read(const struct reader *r, struct gguf_info *m)
{
    const struct gguf_arch *a = m->arch;

    if (a->windows != GGUF_PERIODIC_WINDOWS)
        return 0;
    if (opt_size(r, "attention.sliding_window_pattern", a->period, &m->period) ||
        opt_positive(r, "rope.freq_base_swa", a->theta_window > 0 ? a->theta_window : m->theta,
                     &m->theta_window) ||
        opt_positive(r, "attn_logit_softcapping", a->cap, &m->cap) ||
        opt_positive(r, "final_logit_softcapping", a->logit_cap, &m->logit_cap))
        return -1;
    m->window = m->window ? m->window : a->window;
    if (m->period < 1)
        return err_set(r->e, ERR_USE, "%s: key '%s.attention.sliding_window_pattern' is 0",
                       r->g->path, r->arch);
    return 0;
}

/* One of the two tables of longrope; in the place of the frequencies as in the file. */
static int table_read(const struct reader *r, const char *name, const struct gguf_info *m,
                      const struct gguf_entry **x)
{
    if (!(*x = gguf_find(r->g, name)))
        return 0;
    return (*x)->ndim == 1 && (*x)->shape[0] == (uint64_t)m->rope_width / 2 &&
                   (*x)->type == GGUF_F32
               ? 0
               : err_set(r->e, ERR_USE, "%s: tensor '%s' must be %lld values of F32", r->g->path,
                         name, (long long)(m->rope_width / 2));
}

static int longrope_read(const struct reader *r, struct gguf_info *m)
{
    if (!m->arch->longrope)
        return 0;
    if (opt_size(r, "rope.scaling.original_context_length", m->context, &m->original) ||
        opt_positive(r, "rope.scaling.attn_factor", 1, &m->attention_factor) ||
        table_read(r, GGUF_ROPE_LONG, m, &m->rope_long) ||
        table_read(r, GGUF_ROPE_SHORT, m, &m->rope_short))
        return -1;
    return !m->rope_long == !m->rope_short
               ? 0
               : err_set(r->e, ERR_USE,
                         "%s: one of '" GGUF_ROPE_LONG "' and '" GGUF_ROPE_SHORT "' alone",
                         r->g->path);
}

/* A name may be that of several families, and biases are where their tensors are. */
static int family_read(const struct gguf *g, struct gguf_info *m, struct err *e)
{
    const struct gguf_arch *first = m->arch, *a = arch_find(first->name, m);
    const int attention = gguf_find(g, "blk.0.attn_q.bias") != NULL,
              mlp = gguf_find(g, "blk.0.ffn_gate.bias") != NULL;

    if (!a && m->window && !first->windows && !first->experts == !m->experts)
        return err_set(e, ERR_USE, "%s: a sliding window in a %s model cannot be read", g->path,
                       first->name);
    if (!a)
        return err_set(e, ERR_USE, "%s: %lld experts in a %s model", g->path, (long long)m->experts,
                       first->name);
    m->arch = a;
    m->attention_bias = attention || a->biases == GGUF_QKV_BIASES;
    m->out_bias = attention && a->biases != GGUF_QKV_BIASES;
    m->mlp_bias = mlp;
    if ((attention && a->biases == GGUF_NO_BIASES) || (mlp && a->biases != GGUF_ANY_BIASES))
        return err_set(e, ERR_USE, "%s: biases that a %s model cannot have", g->path,
                       a->model_type);
    return 0;
}

static int is_quantized(const struct gguf *g)
{
    for (size_t i = 0; i < g->count; i++)
        if (strncmp(g->entries[i].name, "blk.", 4) == 0 &&
            gguf_type_find(g->entries[i].type)->elements > 1)
            return 1;
    return 0;
}

int gguf_info_read(const struct gguf *g, struct gguf_info *m, struct err *e)
{
    const struct gguf_entry *embed = gguf_find(g, "token_embd.weight");
    struct reader r = {g, NULL, e};
    int64_t vocab;

    memset(m, 0, sizeof *m);
    if (arch_read(g, m, e) || keys_check(g, m->arch->name, e))
        return -1;
    r.arch = m->arch->name;
    if (sizes_read(&r, m) || rope_kind_read(&r, m) || epsilon_read(&r, &m->eps))
        return -1;
    if (!embed || embed->ndim != 2)
        return err_set(e, ERR_USE, "%s: tensor 'token_embd.weight' is missing or not a matrix",
                       g->path);
    m->vocab = (int64_t)embed->shape[0];
    if (opt_size(&r, "vocab_size", m->vocab, &vocab))
        return -1;
    if (vocab != m->vocab || m->vocab < 1)
        return err_set(e, ERR_USE,
                       "%s: key '%s.vocab_size' is %lld, tensor 'token_embd.weight' has %lld rows",
                       g->path, m->arch->name, (long long)vocab, (long long)m->vocab);
    m->tied = !gguf_find(g, "output.weight");
    m->quantized = is_quantized(g);
    return family_read(g, m, e) || windows_read(&r, m) || longrope_read(&r, m)
               ? -1
               : rope_factors_read(g, m, e);
}

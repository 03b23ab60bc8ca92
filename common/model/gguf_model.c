/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_model - keys as convert_hf_to_gguf.py writes them and src/llama-model.cpp reads them. */
#include "gguf_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "../tensor/gguf_names.h"
#include "../text/tokenizer_gguf.h"

#define EMBED "model.embed_tokens.weight"
#define HEAD "lm_head.weight"
#define ROUTER "ffn_gate_inp.weight"
#define DERIVED ".rotary_emb.inv_freq"

static const struct gguf_arch *arch_of(const struct config *c, struct err *e)
{
    const struct gguf_arch *a;
    char known[256];

    for (size_t i = 0; (a = gguf_arch_at(i)); i++)
        if (strcmp(a->model_type, c->model_type) == 0)
            return a;
    err_set(e, ERR_USE,
            "the gguf format is not written for model type %s, only for %s: take another --format, "
            "or --format dense and llama.cpp's own converter",
            c->model_type, gguf_arch_list(0, known, sizeof known));
    return NULL;
}

static int refuse(const char *what, const struct gguf_arch *a, struct err *e)
{
    return err_set(e, ERR_USE,
                   "the model has %s, which llama.cpp does not compute for architecture %s: take "
                   "another --format",
                   what, a->name);
}

static int rope_check(const struct config *c, const struct gguf_arch *a, struct err *e)
{
    const struct rope_spec *r = &c->rope;

    if (r->width != c->head_dim)
        return refuse("rope on a part of a head", a, e);
    if (r->type == ROPE_DYNAMIC || r->type == ROPE_LONGROPE)
        return refuse("dynamic or longrope scaling", a, e);
    if (r->type == ROPE_LLAMA3 && !a->factors)
        return refuse("llama3 rope scaling", a, e);
    if (r->type == ROPE_YARN && (r->exact || r->low != 1 || r->high != 32 ||
                                 fabs(r->scale - (0.1 * log(r->factor) + 1)) > 1e-6))
        return refuse("yarn scaling with parameters of its own", a, e);
    return 0;
}

/* llama.cpp brings the weights of a token's experts to a sum of 1 in these architectures. */
static int experts_check(const struct config *c, const struct gguf_arch *a, struct err *e)
{
    if (!c->experts)
        return a->layout & (GGUF_EXPERTS | GGUF_EXPERTS_OLD) ? refuse("no experts", a, e) : 0;
    if (!c->experts_normalized || c->experts_scale > 0 || c->experts_groups)
        return refuse("another way to weigh experts", a, e);
    if (c->shared_ff)
        return refuse("shared experts", a, e);
    for (size_t i = 0; i < c->layers; i++)
        if (!c->block || !(c->block[i] & BLOCK_EXPERTS))
            return refuse("blocks without experts", a, e);
    return 0;
}

static int config_check(const struct config *c, const struct gguf_arch *a, struct err *e)
{
    for (size_t i = 0; i < c->layers; i++)
        if (config_window(c, i))
            return refuse("a sliding window", a, e);
    if (c->attention_bias && !a->biases)
        return refuse("biases in attention", a, e);
    if (c->blocks_behind)
        return refuse("blocks behind the last", a, e);
    if (c->activation != ACTIVATION_SILU)
        return refuse("another activation than SiLU", a, e);
    return experts_check(c, a, e) ? -1 : rope_check(c, a, e);
}

/* ---- tensors ---- */

/* A tied checkpoint may hold its one matrix under either name. */
static const char *embed_name(const struct st_set *s)
{
    return st_find(s, EMBED) ? EMBED : HEAD;
}

/* Early checkpoints hold what follows from config.json. */
static int is_derived(const char *name)
{
    const size_t n = strlen(name), tail = sizeof DERIVED - 1;

    return n > tail && strcmp(name + n - tail, DERIVED) == 0;
}

int gguf_model_place(const struct config *c, const struct st_set *s, const char *name,
                     struct gguf_place *p, struct err *e)
{
    const struct gguf_arch *a = arch_of(c, e);
    const char *known = strcmp(name, embed_name(s)) == 0 ? EMBED : name;
    const struct gguf_name *n;
    int64_t block = -1, expert = -1;

    *p = (struct gguf_place){.head_rows = 0};
    if (!a)
        return -1;
    if ((p->left_out = is_derived(name)))
        return 0;
    if (!(n = gguf_name_find(a->layout, known, &block, &expert)) || block >= (int64_t)c->layers ||
        expert >= (int64_t)c->experts)
        return err_set(e, ERR_USE,
                       "tensor '%s' has no place in a GGUF file of architecture %s: take another "
                       "--format",
                       name, a->name);
    p->left_out = c->tied && n->when == GGUF_UNTIED;
    p->head_rows = a->woven && n->rope ? c->head_dim : 0;
    p->matrices = expert < 0 ? 0 : c->experts;
    p->which = expert < 0 ? 0 : (uint64_t)expert;
    p->exact = strcmp(n->file, ROUTER) == 0;
    if (block < 0)
        snprintf(p->name, sizeof p->name, "%s", n->file);
    else
        snprintf(p->name, sizeof p->name, "blk.%lld.%s", (long long)block, n->file);
    return 0;
}

enum gguf_type gguf_model_type(const struct st_entry *x, const struct gguf_place *p)
{
    if (x->ndim < 2 || x->dtype == DT_F32 || p->exact)
        return GGUF_F32;
    return x->dtype == DT_F16 ? GGUF_F16 : GGUF_BF16;
}

void gguf_model_weave(const void *in, void *out, uint64_t rows, size_t bytes)
{
    for (uint64_t i = 0; i < rows; i++)
        memcpy((char *)out + i * bytes, (const char *)in + (i / 2 + i % 2 * (rows / 2)) * bytes,
               bytes);
}

/* ---- metadata ---- */

struct keys {
    struct gguf_meta *m;
    const char *arch;
    struct err *e;
};

static int put_u32(const struct keys *k, const char *name, uint64_t v)
{
    char key[128];

    snprintf(key, sizeof key, "%s.%s", k->arch, name);
    return gguf_meta_u32(k->m, key, v, k->e);
}

static int put_f32(const struct keys *k, const char *name, double v)
{
    char key[128];

    snprintf(key, sizeof key, "%s.%s", k->arch, name);
    return gguf_meta_f32(k->m, key, v, k->e);
}

static int scaling_put(const struct keys *k, const struct rope_spec *r)
{
    char key[128];

    if (r->type != ROPE_LINEAR && r->type != ROPE_YARN)
        return 0;
    snprintf(key, sizeof key, "%s.rope.scaling.type", k->arch);
    if (gguf_meta_text(k->m, key, r->type == ROPE_YARN ? "yarn" : "linear", k->e) ||
        put_f32(k, "rope.scaling.factor", r->factor))
        return -1;
    return r->type == ROPE_YARN ? put_u32(k, "rope.scaling.original_context_length", r->original)
                                : 0;
}

static int experts_put(const struct keys *k, const struct config *c)
{
    if (!c->experts)
        return 0;
    return put_u32(k, "expert_count", c->experts) ||
                   put_u32(k, "expert_used_count", c->experts_top) ||
                   put_u32(k, "expert_feed_forward_length", c->expert_ff)
               ? -1
               : 0;
}

static int sizes_put(const struct keys *k, const struct config *c)
{
    return put_u32(k, "block_count", c->layers) || put_u32(k, "context_length", c->context) ||
                   put_u32(k, "embedding_length", c->d) ||
                   put_u32(k, "feed_forward_length", c->ff) ||
                   put_u32(k, "attention.head_count", c->heads) ||
                   put_u32(k, "attention.head_count_kv", c->kv_heads) ||
                   put_u32(k, "attention.key_length", c->head_dim) ||
                   put_u32(k, "attention.value_length", c->head_dim) ||
                   put_f32(k, "attention.layer_norm_rms_epsilon", c->norm.eps) ||
                   put_u32(k, "rope.dimension_count", c->head_dim) ||
                   put_f32(k, "rope.freq_base", c->rope.theta) || scaling_put(k, &c->rope) ||
                   put_u32(k, "vocab_size", c->vocab) || experts_put(k, c)
               ? -1
               : 0;
}

/* What the model calls itself: the last part of what it was fetched as, or its type. */
static const char *name_of(const struct config *c)
{
    const char *name = json_text_or(c->json, "_name_or_path", ""), *slash = strrchr(name, '/');

    name = slash ? slash + 1 : name;
    return *name ? name : c->model_type;
}

int gguf_model_meta(const char *dir, const struct config *c, struct gguf_meta *m, struct err *e)
{
    const struct gguf_arch *a = arch_of(c, e);
    const struct keys k = {m, a ? a->name : NULL, e};

    if (!a || config_check(c, a, e) || gguf_meta_text(m, "general.architecture", a->name, e) ||
        gguf_meta_text(m, "general.type", "model", e) ||
        gguf_meta_text(m, "general.name", name_of(c), e) ||
        gguf_meta_u32(m, "general.quantization_version", 2, e) || sizes_put(&k, c))
        return -1;
    return tokenizer_gguf(dir, c->vocab, c->json, m, e);
}

/* What a frequency is divided by: what the reference calls smoothing between wave lengths. */
int gguf_model_factors(const struct config *c, float **factors, size_t *n, struct err *e)
{
    const struct rope_spec *r = &c->rope;
    const double original = (double)r->original;

    *factors = NULL;
    *n = r->width / 2;
    if (r->type != ROPE_LLAMA3)
        return 0;
    if (!(*factors = mem_array(*n, sizeof **factors, e)))
        return -1;
    for (size_t i = 0; i < *n; i++) {
        const double wave = 2 * 3.14159265358979323846 *
                            pow(r->theta, 2 * (double)i / (double)r->width),
                     smooth = (original / wave - r->low) / (r->high - r->low);
        double f = 1;

        if (wave > original / r->low)
            f = r->factor;
        else if (wave >= original / r->high)
            f = 1 / ((1 - smooth) / r->factor + smooth);
        (*factors)[i] = (float)f;
    }
    return 0;
}

int gguf_model_check(const char *dir, const struct config *c, const struct st_set *s, struct err *e)
{
    struct gguf_meta m = {0};
    struct gguf_place p;
    int rc = gguf_model_meta(dir, c, &m, e);

    gguf_meta_release(&m);
    for (size_t i = 0; rc == 0 && i < s->count; i++)
        rc = gguf_model_place(c, s, s->entries[i].name, &p, e);
    return rc ? err_prefix(e, "--format gguf") : 0;
}

int gguf_model_check_formats(const char *dir, const struct config *c,
                             const struct format *const *formats, size_t nformats, struct err *e)
{
    struct st_set *s = NULL;
    int rc = 0;

    for (size_t i = 0; i < nformats && !s && rc == 0; i++)
        if (formats[i]->container == FORMAT_GGUF)
            rc = (s = st_open_folder(dir, e)) ? gguf_model_check(dir, c, s, e) : -1;
    st_close(&s);
    return rc;
}

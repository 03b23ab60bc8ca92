/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_model - keys as convert_hf_to_gguf.py writes them and src/llama-model.cpp reads them. */
#include "gguf_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "../tensor/gguf_folder.h"
#include "../text/tokenizer.h"
#include "../text/tokenizer_gguf.h"
#include "gguf_fit.h"

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
    if (!(n = gguf_name_find(a, known, &block, &expert)) || block >= (int64_t)c->layers ||
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
    p->shift = gguf_name_is_norm(n) ? a->norm_shift : 0;
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
    const struct gguf_arch *a;
    struct err *e;
};

static int put_u32(const struct keys *k, const char *name, uint64_t v)
{
    char key[128];

    snprintf(key, sizeof key, "%s.%s", k->a->name, name);
    return gguf_meta_u32(k->m, key, v, k->e);
}

static int put_f32(const struct keys *k, const char *name, double v)
{
    char key[128];

    snprintf(key, sizeof key, "%s.%s", k->a->name, name);
    return gguf_meta_f32(k->m, key, v, k->e);
}

static int scaling_put(const struct keys *k, const struct rope_spec *r)
{
    char key[128];

    if (r->type != ROPE_LINEAR && r->type != ROPE_YARN)
        return 0;
    snprintf(key, sizeof key, "%s.rope.scaling.type", k->a->name);
    if (gguf_meta_text(k->m, key, r->type == ROPE_YARN ? "yarn" : "linear", k->e) ||
        put_f32(k, "rope.scaling.factor", r->factor))
        return -1;
    return r->type == ROPE_YARN ? put_u32(k, "rope.scaling.original_context_length", r->original)
                                : 0;
}

static int windows_put(const struct keys *k, const struct config *c)
{
    if (k->a->windows != GGUF_PERIODIC_WINDOWS)
        return 0;
    if ((c->window && put_u32(k, "attention.sliding_window", c->window)) ||
        put_u32(k, "attention.sliding_window_pattern", gguf_fit_period(c)) ||
        (k->a->theta_window > 0 && put_f32(k, "rope.freq_base_swa", c->rope_window.theta)))
        return -1;
    return c->attention_cap > 0 && (put_f32(k, "attn_logit_softcapping", c->attention_cap) ||
                                    put_f32(k, "final_logit_softcapping", c->logit_cap))
               ? -1
               : 0;
}

/* A window of 0 says that there is none. */
static int longrope_put(const struct keys *k, const struct config *c)
{
    const struct rope_spec *r = &c->rope;

    if (!k->a->longrope)
        return 0;
    if (put_u32(k, "attention.sliding_window", 0) ||
        (r->type != ROPE_YARN && put_u32(k, "rope.scaling.original_context_length",
                                         r->original ? r->original : c->context)))
        return -1;
    return r->type == ROPE_LONGROPE ? put_f32(k, "rope.scaling.attn_factor", r->scale) : 0;
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
                   put_u32(k, "rope.dimension_count", c->rope.width) ||
                   put_f32(k, "rope.freq_base", c->rope.theta) || scaling_put(k, &c->rope) ||
                   put_u32(k, "vocab_size", c->vocab) || experts_put(k, c) || windows_put(k, c) ||
                   longrope_put(k, c)
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

/* By this name llama.cpp sets how these tokens take spaces, and stops where one is missing. */
static int name_fits(const char *dir, const char *name)
{
    static const char *const tokens[] = {"<unk>", "<s>", "<|endoftext|>"};
    struct tokenizer *t;
    int fits = 1;

    if (!strcasestr(name, "phi3") && !strcasestr(name, "phi-3"))
        return 1;
    if (!(t = tokenizer_open(dir, NULL)))
        return 1; /* who writes it says why */
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
        fits = fits && tokenizer_id(t, tokens[i]) >= 0;
    tokenizer_close(&t);
    return fits;
}

int gguf_model_meta(const char *dir, const struct config *c, struct gguf_meta *m, struct err *e)
{
    const struct gguf_arch *a = arch_of(c, e);
    const struct keys k = {m, a, e};

    if (!a || gguf_fit(c, a, e) || gguf_meta_text(m, "general.architecture", a->name, e) ||
        gguf_meta_text(m, "general.type", "model", e) ||
        gguf_meta_text(m, "general.name", name_fits(dir, name_of(c)) ? name_of(c) : "model", e) ||
        gguf_meta_u32(m, "general.quantization_version", 2, e) || sizes_put(&k, c))
        return -1;
    return tokenizer_gguf(dir, c->vocab, c->json, m, e);
}

/* What a frequency is divided by: what the reference calls smoothing between wave lengths. */
static double llama3_divisor(const struct rope_spec *r, size_t i)
{
    const double original = (double)r->original,
                 wave =
                     2 * 3.14159265358979323846 * pow(r->theta, 2 * (double)i / (double)r->width),
                 smooth = (original / wave - r->low) / (r->high - r->low);

    if (wave > original / r->low)
        return r->factor;
    return wave >= original / r->high ? 1 / ((1 - smooth) / r->factor + smooth) : 1;
}

static int table_make(struct gguf_table *t, const char *name, const struct rope_spec *r,
                      const double *from, struct err *e)
{
    t->name = name;
    t->n = r->width / 2;
    if (!(t->values = mem_array(t->n, sizeof *t->values, e)))
        return -1;
    for (size_t i = 0; i < t->n; i++)
        t->values[i] = (float)(from ? from[i] : llama3_divisor(r, i));
    return 0;
}

int gguf_model_tables(const struct config *c, struct gguf_table t[GGUF_TABLES], struct err *e)
{
    const struct rope_spec *r = &c->rope;

    memset(t, 0, GGUF_TABLES * sizeof *t);
    if (r->type == ROPE_LLAMA3)
        return table_make(&t[0], GGUF_ROPE_FACTORS, r, NULL, e);
    if (r->type != ROPE_LONGROPE)
        return 0;
    return table_make(&t[0], GGUF_ROPE_LONG, r, r->extended, e) ||
                   table_make(&t[1], GGUF_ROPE_SHORT, r, r->brief, e)
               ? -1
               : 0;
}

void gguf_model_tables_release(struct gguf_table t[GGUF_TABLES])
{
    for (size_t i = 0; i < GGUF_TABLES; i++)
        free(t[i].values);
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

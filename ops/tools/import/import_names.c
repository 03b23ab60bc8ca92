/* SPDX-License-Identifier: Apache-2.0 */
/* import_names - which tensor of a GGUF file is which of a checkpoint, and what shape it must
 * have.
 *
 * A tensor that is not in the table is refused: it would be part of the mathematics that the
 * checkpoint then lacks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../../common/base/mem.h"
#include "import.h"

enum size { NONE, D, Q, KV, FF, HD, VOCAB };
enum when { ALWAYS, UNTIED, ATTENTION_BIAS, MLP_BIAS, QK_NORM };

struct rule {
    const char *from, *to; /* below blk.N. and model.layers.N. */
    enum size rows, columns;
    enum when when;
    int rope; /* rows of heads that RoPE turns */
};

static const struct rule BLOCK_RULES[] = {
    {"attn_norm.weight", "input_layernorm.weight", D, NONE, ALWAYS, 0},
    {"attn_q.weight", "self_attn.q_proj.weight", Q, D, ALWAYS, 1},
    {"attn_q.bias", "self_attn.q_proj.bias", Q, NONE, ATTENTION_BIAS, 1},
    {"attn_k.weight", "self_attn.k_proj.weight", KV, D, ALWAYS, 1},
    {"attn_k.bias", "self_attn.k_proj.bias", KV, NONE, ATTENTION_BIAS, 1},
    {"attn_v.weight", "self_attn.v_proj.weight", KV, D, ALWAYS, 0},
    {"attn_v.bias", "self_attn.v_proj.bias", KV, NONE, ATTENTION_BIAS, 0},
    {"attn_output.weight", "self_attn.o_proj.weight", D, Q, ALWAYS, 0},
    {"attn_output.bias", "self_attn.o_proj.bias", D, NONE, ATTENTION_BIAS, 0},
    {"attn_q_norm.weight", "self_attn.q_norm.weight", HD, NONE, QK_NORM, 0},
    {"attn_k_norm.weight", "self_attn.k_norm.weight", HD, NONE, QK_NORM, 0},
    {"ffn_norm.weight", "post_attention_layernorm.weight", D, NONE, ALWAYS, 0},
    {"ffn_gate.weight", "mlp.gate_proj.weight", FF, D, ALWAYS, 0},
    {"ffn_gate.bias", "mlp.gate_proj.bias", FF, NONE, MLP_BIAS, 0},
    {"ffn_up.weight", "mlp.up_proj.weight", FF, D, ALWAYS, 0},
    {"ffn_up.bias", "mlp.up_proj.bias", FF, NONE, MLP_BIAS, 0},
    {"ffn_down.weight", "mlp.down_proj.weight", D, FF, ALWAYS, 0},
    {"ffn_down.bias", "mlp.down_proj.bias", D, NONE, MLP_BIAS, 0}};

static const struct rule MODEL_RULES[] = {
    {"token_embd.weight", "model.embed_tokens.weight", VOCAB, D, ALWAYS, 0},
    {"output_norm.weight", "model.norm.weight", D, NONE, ALWAYS, 0},
    {"output.weight", "lm_head.weight", VOCAB, D, UNTIED, 0}};

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

struct tensor_list {
    const struct gguf *g;
    const struct import_model *m;
    struct import_tensor *tensors;
    size_t count;
    unsigned char *used; /* per entry of the file */
};

static uint64_t size_of(const struct import_model *m, enum size s)
{
    switch (s) {
    case D:
        return (uint64_t)m->d;
    case Q:
        return (uint64_t)(m->heads * m->head_dim);
    case KV:
        return (uint64_t)(m->kv_heads * m->head_dim);
    case FF:
        return (uint64_t)m->ff;
    case HD:
        return (uint64_t)m->head_dim;
    case VOCAB:
        return (uint64_t)m->vocab;
    case NONE:
        break;
    }
    return 0;
}

static int applies(const struct import_model *m, enum when w)
{
    switch (w) {
    case UNTIED:
        return !m->tied;
    case ATTENTION_BIAS:
        return m->attention_bias;
    case MLP_BIAS:
        return m->mlp_bias;
    case QK_NORM:
        return m->family == IMPORT_QWEN3;
    case ALWAYS:
        break;
    }
    return 1;
}

static int add(struct tensor_list *l, const struct rule *r, const char *from, const char *to,
               struct err *e)
{
    const struct gguf_entry *x = gguf_find(l->g, from);
    struct import_tensor *t = &l->tensors[l->count++];

    if (!x)
        return err_set(e, ERR_USE, "%s: tensor '%s' is missing", l->g->path, from);
    memcpy(t->name, to, strlen(to) + 1);
    t->from = x;
    t->ndim = r->columns == NONE ? 1 : 2;
    t->shape[0] = size_of(l->m, r->rows);
    t->shape[1] = size_of(l->m, r->columns);
    t->head_rows = r->rope && l->m->permuted ? (uint64_t)l->m->head_dim : 0;
    if (x->ndim != t->ndim || x->shape[0] != t->shape[0] ||
        (t->ndim == 2 && x->shape[1] != t->shape[1])) {
        char have[128], want[128];

        tensor_shape_text(x->ndim, x->shape, have, sizeof have);
        tensor_shape_text(t->ndim, t->shape, want, sizeof want);
        return err_set(e, ERR_USE, "%s: tensor '%s' has shape %s, the metadata say %s", l->g->path,
                       from, have, want);
    }
    l->used[x - l->g->entries] = 1;
    return 0;
}

static int collect(struct tensor_list *l, struct err *e)
{
    char from[TENSOR_NAME], to[TENSOR_NAME];

    for (size_t i = 0; i < COUNT(MODEL_RULES); i++)
        if (applies(l->m, MODEL_RULES[i].when) &&
            add(l, &MODEL_RULES[i], MODEL_RULES[i].from, MODEL_RULES[i].to, e))
            return -1;
    for (int64_t n = 0; n < l->m->layers; n++)
        for (size_t i = 0; i < COUNT(BLOCK_RULES); i++) {
            const struct rule *r = &BLOCK_RULES[i];

            snprintf(from, sizeof from, "blk.%lld.%s", (long long)n, r->from);
            snprintf(to, sizeof to, "model.layers.%lld.%s", (long long)n, r->to);
            if (applies(l->m, r->when) && add(l, r, from, to, e))
                return -1;
        }
    return 0;
}

static int rest_check(const struct tensor_list *l, struct err *e)
{
    for (size_t i = 0; i < l->g->count; i++) {
        const char *name = l->g->entries[i].name;

        if (l->used[i] || (l->m->family != IMPORT_QWEN3 && strcmp(name, "rope_freqs.weight") == 0))
            continue;
        return err_set(e, ERR_USE,
                       "%s: tensor '%s' is not part of a %s model of %lld blocks; this kind of "
                       "model cannot be imported",
                       l->g->path, name, l->m->arch, (long long)l->m->layers);
    }
    return 0;
}

int import_names(const struct gguf *g, const struct import_model *m, struct import_tensor **list,
                 size_t *count, struct err *e)
{
    struct tensor_list l = {g, m, NULL, 0, NULL};
    int rc = -1;

    *list = NULL;
    *count = 0;
    l.tensors = mem_array((size_t)m->layers * COUNT(BLOCK_RULES) + COUNT(MODEL_RULES),
                          sizeof *l.tensors, e);
    l.used = l.tensors ? mem_array(g->count + 1, 1, e) : NULL;
    if (!l.used || collect(&l, e) || rest_check(&l, e))
        goto out;
    *list = l.tensors;
    *count = l.count;
    l.tensors = NULL;
    rc = 0;
out:
    free(l.used);
    free(l.tensors);
    return rc;
}

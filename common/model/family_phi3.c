/* SPDX-License-Identifier: Apache-2.0 */
/* family_phi3 - Phi-3, Phi-3.5 mini, Phi-4: q, k and v are one linear, gate and up are one; they
 * stay what they are. The first part of a head may be all that turns. */
#include <stdlib.h>
#include "../base/mem.h"
#include "../tensor/gguf_folder.h"
#include "config_parts.h"
#include "program_build.h"

static int settle(struct config *c, const char *what, struct err *e)
{
    int64_t window;

    return config_window_key(c, 0, &window, what, e) < 0 ? -1
                                                         : config_windows(c, window, 0, what, e);
}

static void attention(const struct config *c, struct program *p, size_t block, int x)
{
    const size_t nq = c->heads * c->head_dim, nk = c->kv_heads * c->head_dim;
    const int all =
        program_linear(p, x,
                       &(struct program_linear){
                           .name = "self_attn.qkv_proj", .rows = nq + 2 * nk, .site = "attn.qkv"});
    int part[3];

    for (size_t i = 0; i < 3; i++)
        part[i] = program_cut(p, all, i ? nq + (i - 1) * nk : 0, i ? nk : nq);
    family_join(
        c, p, family_attend(c, p, block, part),
        &(struct program_linear){.name = "self_attn.o_proj", .rows = c->d, .site = "attn.o"}, 0,
        NULL);
}

static void build(const struct config *c, size_t block, struct program *p)
{
    attention(c, p, block, program_norm(p, PROGRAM_STREAM, "input_layernorm", &c->norm));
    family_mlp_fused(c, p, program_norm(p, PROGRAM_STREAM, "post_attention_layernorm", &c->norm),
                     NULL);
}

static const char *const reads[] = {"partial_rotary_factor", NULL};

/* ---- of GGUF files ---- */

static const struct gguf_name gguf_own[] = {
    {"attn_qkv.weight", "self_attn.qkv_proj.weight", GGUF_SIZE_QKV, GGUF_SIZE_D, GGUF_ALWAYS, 0, 0},
    {"ffn_up.weight", "mlp.gate_up_proj.weight", GGUF_SIZE_FF2, GGUF_SIZE_D, GGUF_ALWAYS, 0, 0},
    {"ffn_down.weight", "mlp.down_proj.weight", GGUF_SIZE_D, GGUF_SIZE_FF, GGUF_ALWAYS, 0, 0},
    {0}};

static int table_set(struct json *s, const char *key, const struct gguf *g,
                     const struct gguf_entry *x, struct err *e)
{
    const size_t n = (size_t)x->shape[0];
    float *values = mem_raw(n, sizeof *values, e);
    struct json *list = values ? json_new_array() : NULL;
    int rc = list ? gguf_load_f32(g, x, values, e) : -1;

    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = json_push(list, json_new_real(gguf_shortest(values[i])));
    free(values);
    if (rc == 0)
        return json_set(s, key, list);
    json_destroy(&list);
    return -1;
}

/* What turns of a head, and the two tables. */
static int longrope_set(struct json *c, const struct gguf_info *m, const struct gguf *g,
                        struct err *e)
{
    struct json *s;

    if (json_set_real(c, "partial_rotary_factor", (double)m->rope_width / (double)m->head_dim) ||
        json_set_int(c, "original_max_position_embeddings", m->original))
        return -1;
    if (!m->rope_long)
        return 0;
    s = json_new_object();
    if (!s || json_set_text(s, "type", "longrope") ||
        json_set_real(s, "attention_factor", m->attention_factor) ||
        table_set(s, "short_factor", g, m->rope_short, e) ||
        table_set(s, "long_factor", g, m->rope_long, e)) {
        json_destroy(&s);
        return -1;
    }
    return json_set(c, "rope_scaling", s);
}

static int gguf_config_set(struct json *c, const struct gguf_info *m, const struct gguf *g,
                           struct err *e)
{
    return longrope_set(c, m, g, e) || gguf_config_window(c, m) ? -1 : 0;
}

static const struct gguf_arch gguf = {.model_type = "phi3",
                                      .name = "phi3",
                                      .class = "Phi3ForCausalLM",
                                      .parts = GGUF_NORM_BEFORE,
                                      .own = gguf_own,
                                      .longrope = 1,
                                      .windows = GGUF_ALL_WINDOWS,
                                      .config = gguf_config_set};

extern const struct family family_phi3;
const struct family family_phi3 = {
    .model_type = "phi3",
    .architecture = "Phi3ForCausalLM",
    .about = "Phi-3, Phi-3.5 mini, Phi-4 and mini",
    .gguf = &gguf,
    FAMILY_LLAMA_ENDS,
    .reads = reads,
    .eps = 1e-5,
    .settle = settle,
    .build = build,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* family - finding one, and the parts of blocks that many of them share. */
#include "family.h"
#include "program_build.h"

#include <stdio.h>
#include <string.h>

const struct family *family_find(const char *model_type)
{
    const struct family *f;

    for (size_t i = 0; (f = family_at(i)) != NULL; i++)
        if (strcmp(f->model_type, model_type) == 0)
            return f;
    return NULL;
}

const struct family *family_of(const struct config *c)
{
    const struct family *f = family_find(c->model_type);

    return f ? f : family_at(0);
}

const struct family *family_text(const struct config *c)
{
    return c->nested ? c->nested->is : family_of(c);
}

int family_reads(const struct family *f, const char *key)
{
    for (size_t i = 0; f->reads && f->reads[i]; i++)
        if (strcmp(f->reads[i], key) == 0)
            return 1;
    return 0;
}

int family_program(const struct config *c, size_t block, struct program *p, struct err *e)
{
    const struct family *f = family_of(c);
    char prefix[96];

    snprintf(prefix, sizeof prefix, "%s.%zu.", f->blocks, block);
    program_init(p, prefix, c->d);
    family_text(c)->build(c, block, p);
    if (block < c->deepstack)
        program_deepstack(p, block);
    return p->bad || program_round(p, c->act_bits, c->qkv_bits, e) == 0 ? program_finish(p, e) : -1;
}

/* ---- sublayers ---- */

void family_join(const struct config *c, struct program *p, int in, const struct program_linear *l,
                 int has_bias, const char *post)
{
    int made;

    if (!post && c->residual_scale == 1.0) {
        program_linear_add(p, in, PROGRAM_STREAM, l);
        program_bias(p, PROGRAM_STREAM, has_bias);
        return;
    }
    made = program_linear(p, in, l);
    program_bias(p, made, has_bias);
    if (post)
        made = program_norm(p, made, post, &c->norm);
    program_add(p, PROGRAM_STREAM, made, c->residual_scale);
}

static void norm_part(const struct config *c, struct program *p, int slot, size_t heads,
                      const char *name)
{
    if (c->qk_norm != QK_NORM_NONE)
        program_norm_heads(p, slot, c->qk_norm == QK_NORM_HEADS ? heads : 1, name, &c->norm);
}

int family_attend(const struct config *c, struct program *p, size_t block, const int qkv[3])
{
    const struct attention_shape shape = {.heads = c->heads,
                                          .kv_heads = c->kv_heads,
                                          .head_dim = c->head_dim,
                                          .window = config_window(c, block),
                                          .images = c->image_blocks,
                                          .scale = (float)c->attention_scale,
                                          .cap = (float)c->attention_cap};
    const struct rope_spec *rope = config_rope(c, block);

    norm_part(c, p, qkv[0], c->heads, "self_attn.q_norm");
    norm_part(c, p, qkv[1], c->kv_heads, "self_attn.k_norm");
    if (rope) {
        program_rope(p, qkv[0], c->heads, rope);
        program_rope(p, qkv[1], c->kv_heads, rope);
    }
    if (c->query_growth != 0)
        program_temper(p, qkv[0], c->query_growth, c->query_original);
    if (family_text(c)->sinks)
        return program_attention_sinks(p, qkv[0], qkv[1], qkv[2], &shape, family_text(c)->sinks);
    return program_attention(p, qkv[0], qkv[1], qkv[2], &shape);
}

/* What goes over rows alone stands together: it runs over a few rows at a time. */
void family_attention(const struct config *c, struct program *p, size_t block, int x,
                      const char *post)
{
    struct program_linear l = {.site = "attn.qkv", .fused = "qkv_proj"};
    const char *const names[3] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"};
    int part[3], out;

    for (int i = 0; i < 3; i++) {
        l.name = names[i];
        l.rows = (i ? c->kv_heads : c->heads) * c->head_dim;
        part[i] = program_linear(p, x, &l);
    }
    for (int i = 0; i < 3; i++)
        program_bias(p, part[i], c->attention_bias);
    out = family_attend(c, p, block, part);
    l = (struct program_linear){.name = "self_attn.o_proj", .rows = c->d, .site = "attn.o"};
    family_join(c, p, out, &l, c->attention_out_bias, post);
}

void family_mlp(const struct config *c, struct program *p, int x, const char *post)
{
    struct program_linear l = {
        .name = "mlp.gate_proj", .rows = c->ff, .site = "mlp.up", .fused = "gate_up_proj"};
    const int gate = program_linear(p, x, &l);
    int up;

    l.name = "mlp.up_proj";
    up = program_linear(p, x, &l);
    program_bias(p, gate, c->mlp_bias);
    program_bias(p, up, c->mlp_bias);
    program_gate(p, gate, up, c->activation);
    l = (struct program_linear){.name = "mlp.down_proj", .rows = c->d, .site = "mlp.down"};
    family_join(c, p, gate, &l, c->mlp_bias, post);
}

void family_mlp_fused(const struct config *c, struct program *p, int x, const char *post)
{
    const int both = program_linear(
        p, x,
        &(struct program_linear){.name = "mlp.gate_up_proj", .rows = 2 * c->ff, .site = "mlp.up"});
    const int gate = program_cut(p, both, 0, c->ff), up = program_cut(p, both, c->ff, c->ff);

    program_gate(p, gate, up, c->activation);
    family_join(c, p, gate,
                &(struct program_linear){.name = "mlp.down_proj", .rows = c->d, .site = "mlp.down"},
                0, post);
}

void family_block(const struct config *c, size_t block, struct program *p)
{
    family_attention(c, p, block, program_norm(p, PROGRAM_STREAM, "input_layernorm", &c->norm),
                     NULL);
    family_mlp(c, p, program_norm(p, PROGRAM_STREAM, "post_attention_layernorm", &c->norm), NULL);
}

void family_block_behind(const struct config *c, size_t block, struct program *p)
{
    family_attention(c, p, block, program_cut(p, PROGRAM_STREAM, 0, c->d),
                     "post_attention_layernorm");
    family_mlp(c, p, program_cut(p, PROGRAM_STREAM, 0, c->d), "post_feedforward_layernorm");
}

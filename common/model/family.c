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

int family_program(const struct config *c, size_t block, struct program *p, struct err *e)
{
    const struct family *f = family_of(c);
    char prefix[96];

    snprintf(prefix, sizeof prefix, "%s.%zu.", f->blocks, block);
    program_init(p, prefix, c->d);
    f->build(c, block, p);
    return program_finish(p, e);
}

/* What goes over rows alone stands together: it runs over a few rows at a time. */
void family_attention(const struct config *c, struct program *p, int x, size_t window, int heads)
{
    const struct attention_shape shape = {c->heads, c->kv_heads, c->head_dim, window};
    const struct rope_spec rope = rope_spec_of(c);
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
    if (heads) {
        program_norm_heads(p, part[0], c->heads, "self_attn.q_norm", c->norm_eps);
        program_norm_heads(p, part[1], c->kv_heads, "self_attn.k_norm", c->norm_eps);
    }
    program_rope(p, part[0], c->heads, &rope);
    program_rope(p, part[1], c->kv_heads, &rope);
    out = program_attention(p, part[0], part[1], part[2], &shape);
    l = (struct program_linear){.name = "self_attn.o_proj", .rows = c->d, .site = "attn.o"};
    program_linear_add(p, out, PROGRAM_STREAM, &l);
    program_bias(p, PROGRAM_STREAM, c->attention_out_bias);
}

void family_mlp(const struct config *c, struct program *p, int x)
{
    struct program_linear l = {
        .name = "mlp.gate_proj", .rows = c->ff, .site = "mlp.up", .fused = "gate_up_proj"};
    const int gate = program_linear(p, x, &l);
    int up;

    l.name = "mlp.up_proj";
    up = program_linear(p, x, &l);
    program_bias(p, gate, c->mlp_bias);
    program_bias(p, up, c->mlp_bias);
    program_gate(p, gate, up);
    l = (struct program_linear){.name = "mlp.down_proj", .rows = c->d, .site = "mlp.down"};
    program_linear_add(p, gate, PROGRAM_STREAM, &l);
    program_bias(p, PROGRAM_STREAM, c->mlp_bias);
}

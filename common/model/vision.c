/* SPDX-License-Identifier: Apache-2.0 */
/* vision - see vision.h. */
#include "vision.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "../tensor/safetensors.h"
#include "config_parts.h"
#include "op.h"
#include "program_build.h"

#define SIZE_MOST (INT64_C(1) << 20)

/* ---- config.json ---- */

int vision_fields(const struct json *j, const struct vision_field *f, size_t count,
                  const char *what, struct err *e)
{
    for (size_t i = 0; i < count; i++)
        if ((f[i].def ? config_size_or(j, f[i].key, SIZE_MOST, f[i].def, f[i].to, what, e)
                      : config_size(j, f[i].key, SIZE_MOST, f[i].to, what, e)) < 0)
            return err_prefix(e, "vision_config");
    return 0;
}

int vision_activation(const struct json *j, const char *key, const char *def, enum activation *a,
                      const char *what, struct err *e)
{
    const char *name = json_has(j, key) ? json_need_text(j, key, what, e) : def;

    return name ? activation_find(name, a, key, what, e) : -1;
}

int vision_layer(struct vision *v, const struct json *file, int64_t def, const char *what,
                 struct err *e)
{
    static const char key[] = "vision_feature_layer";
    int64_t at = def, n = (int64_t)v->layers;

    if (json_has(file, key) && json_as_int(json_get(file, key), &at) < 0)
        return err_set(e, ERR_USE, "%s: %s must be one number", what, key);
    at = at < 0 ? at + n + 1 : at;
    if (at < 0 || at > n)
        return err_set(e, ERR_USE, "%s: %s is outside of a tower of %zu blocks", what, key,
                       v->layers);
    v->run = (size_t)at;
    return 0;
}

int vision_side(struct vision *v, size_t pixels, const char *what, struct err *e)
{
    v->side = pixels / v->patch;
    return v->side && v->side % v->merge == 0
               ? 0
               : err_set(e, ERR_USE,
                         "%s: image_size %zu with patches of %zu: %zu cells do not become one",
                         what, pixels, v->patch, v->merge);
}

static int check(const struct vision *v, const char *what, struct err *e)
{
    if (v->layers > VISION_BLOCKS || v->run > v->layers)
        return err_set(e, ERR_USE, "%s: a tower of %zu blocks, at most %d are supported", what,
                       v->layers, VISION_BLOCKS);
    if (v->d % v->heads != 0 || v->d / v->heads % 2 != 0)
        return err_set(e, ERR_USE, "%s: the tower has %zu heads in rows of %zu", what, v->heads,
                       v->d);
    for (size_t i = 0; i < v->branches; i++)
        if (v->branch[i] >= v->layers || (i && v->branch[i] <= v->branch[i - 1]))
            return err_set(e, ERR_USE,
                           "%s: deepstack_visual_indexes must name blocks of the tower in their "
                           "order",
                           what);
    return 0;
}

static int read_token(struct vision *v, const struct json *file, const char *what, struct err *e)
{
    const char *key = json_has(file, "image_token_id") ? "image_token_id" : "image_token_index";

    return json_need_int(file, key, 0, INT32_MAX, &v->token, what, e);
}

int vision_read(struct vision **out, const struct config *c, const struct vision_kind *kind,
                const char *what, struct err *e)
{
    const struct json *j = json_get(c->file, "vision_config");
    struct vision *v;

    if (json_kind(j) != JSON_KIND_OBJECT)
        return err_set(e, ERR_USE, "%s: vision_config must be an object", what);
    if (!(v = *out = mem_array(1, sizeof *v, e)))
        return -1;
    v->kind = kind;
    v->prefix = kind->prefixes[0];
    v->out = c->d;
    v->merge = v->frames = 1;
    if (read_token(v, c->file, what, e) < 0 || kind->settle(v, c, j, what, e) < 0)
        return -1;
    return check(v, what, e);
}

/* ---- blocks ---- */

int vision_quantize(struct config *c, const char *what, struct err *e)
{
    if (!c->vision)
        return err_set(e, ERR_USE,
                       "%s: --vision quantize: a model_type '%s' has no tower: leave it out", what,
                       c->model_type);
    c->vision->quantized = 1;
    return 0;
}

static int has_prefix(const struct st_set *st, const char *prefix)
{
    for (size_t i = 0; i < st->count; i++)
        if (strncmp(st->entries[i].name, prefix, strlen(prefix)) == 0)
            return 1;
    return 0;
}

void vision_find(struct vision *v, const struct st_set *st)
{
    for (size_t i = 0; v->kind->prefixes[i]; i++)
        if (has_prefix(st, v->kind->prefixes[i])) {
            v->prefix = v->kind->prefixes[i];
            return;
        }
}

int vision_program(const struct vision *v, size_t block, struct program *p, struct err *e)
{
    char prefix[128];

    snprintf(prefix, sizeof prefix, "%s%s.%zu.", v->prefix, v->kind->blocks, block);
    program_init(p, prefix, v->d);
    v->kind->build(v, block, p);
    for (size_t i = 0; !v->quantized && i < p->nops; i++)
        if (p->op[i].kind == &op_linear)
            p->op[i].linear.site = NULL;
    return program_finish(p, e);
}

int vision_norm(const struct vision *v, struct program *p, int in, const char *name)
{
    const int x = program_norm(p, in, name, &v->norm);

    if (v->norm.kind == NORM_MEAN)
        program_shift(p, x, name);
    return x;
}

void vision_mlp(const struct vision *v, struct program *p, int x, const char *up, const char *down)
{
    const int y = program_linear(
        p, x, &(struct program_linear){.name = up, .rows = v->ff, .site = "vision.mlp.up"});

    program_bias(p, y, 1);
    program_activate(p, y, v->activation);
    program_linear_add(
        p, y, PROGRAM_STREAM,
        &(struct program_linear){.name = down, .rows = v->d, .site = "vision.mlp.down"});
    program_bias(p, PROGRAM_STREAM, 1);
}

void vision_attention(const struct vision *v, struct program *p, const int qkv[3], const char *out)
{
    const struct attention_shape shape = {
        .heads = v->heads, .kv_heads = v->heads, .head_dim = v->d / v->heads, .both = 1};

    if (v->rope.axes) {
        program_rope(p, qkv[0], v->heads, &v->rope);
        program_rope(p, qkv[1], v->heads, &v->rope);
    }
    program_linear_add(
        p, program_attention(p, qkv[0], qkv[1], qkv[2], &shape), PROGRAM_STREAM,
        &(struct program_linear){.name = out, .rows = v->d, .site = "vision.attn.o"});
    program_bias(p, PROGRAM_STREAM, 1);
}

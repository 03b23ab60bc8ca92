/* SPDX-License-Identifier: Apache-2.0 */
/* vision_idefics3 - SigLIP with positions by fraction of the picture, a last norm, cells of
 * patches joined (pixel shuffle) and one linear: Idefics3, SmolVLM. */
#include <stdlib.h>
#include "../base/mem.h"
#include "config_parts.h"
#include "sight_parts.h"

static int settle(struct vision *v, const struct config *c, const struct json *j, const char *what,
                  struct err *e)
{
    size_t pixels;
    const struct vision_field fields[] = {
        {"hidden_size", &v->d, 1152},          {"intermediate_size", &v->ff, 3072},
        {"num_hidden_layers", &v->layers, 12}, {"num_attention_heads", &v->heads, 16},
        {"num_channels", &v->channels, 3},     {"image_size", &pixels, 224},
        {"patch_size", &v->patch, 32}};

    if (tile_settle(v, j, fields, sizeof fields / sizeof fields[0], 1e-6, what, e) < 0 ||
        config_size_or(c->file, "scale_factor", 64, 2, &v->merge, what, e) < 0 ||
        vision_activation(j, "hidden_act", "gelu_pytorch_tanh", &v->activation, what, e) < 0)
        return -1;
    return vision_side(v, pixels, what, e);
}

/* The bucket of a fraction, in f32 as the reference takes it: for most numbers of patches that of
 * patch i is i, for some it is not. */
static size_t position(size_t i, size_t side)
{
    const float step = 1.0f / (float)side, most = 1.0f - 1e-6f;
    float at = (float)i * step;
    size_t bucket = 0;

    at = at < most ? at : most;
    while (bucket + 1 < side && (float)((double)(bucket + 1) / (double)side) <= at)
        bucket++;
    return bucket;
}

static size_t tokens(const struct vision *v, const struct pictures *p, size_t i, struct err *e)
{
    return tile_tokens(v, p, i, v->side / v->merge * (v->side / v->merge), e);
}

static int embed(struct sight *s, struct err *e)
{
    return tile_embed(s, position, 1, e);
}

static int join(struct sight *s, struct err *e)
{
    const struct vision *v = s->v;
    const struct sight_linear l = {.prefix = "model.connector.",
                                   .name = "modality_projection.proj",
                                   .ndim = 2,
                                   .shape = {v->out, v->merge * v->merge * v->d}};
    float *y = mem_raw(s->rows.T * v->d, sizeof *y, e);
    int rc =
        y ? sight_norm(s, v->prefix, "post_layernorm", &v->norm, s->rows.T, v->d, s->x, e) : -1;

    if (rc == 0) {
        tile_cells(s, y);
        rc = sight_multiply(s, &l, s->tokens, y, s->to, e);
    }
    free(y);
    return rc;
}

static const char *const prefixes[] = {"model.vision_model.", NULL};
const struct vision_kind vision_idefics3 = {.prefixes = prefixes,
                                            .blocks = "encoder.layers",
                                            .settle = settle,
                                            .build = tile_build,
                                            .tokens = tokens,
                                            .embed = embed,
                                            .join = join};

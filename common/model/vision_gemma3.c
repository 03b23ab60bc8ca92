/* SPDX-License-Identifier: Apache-2.0 */
/* vision_gemma3 - SigLIP with a last norm, the mean of each cell of patches, a norm of 1 + w and
 * one matrix that stands in the file input by output: Gemma 3. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "config_parts.h"
#include "sight_parts.h"
#include "vec.h"

static int settle(struct vision *v, const struct config *c, const struct json *j, const char *what,
                  struct err *e)
{
    size_t pixels, tokens, cells;
    const struct vision_field fields[] = {
        {"hidden_size", &v->d, 768},           {"intermediate_size", &v->ff, 3072},
        {"num_hidden_layers", &v->layers, 12}, {"num_attention_heads", &v->heads, 12},
        {"num_channels", &v->channels, 3},     {"image_size", &pixels, 224},
        {"patch_size", &v->patch, 16}};

    if (tile_settle(v, j, fields, sizeof fields / sizeof fields[0], 1e-6, what, e) < 0 ||
        config_size_or(c->file, "mm_tokens_per_image", 65536, 256, &tokens, what, e) < 0 ||
        vision_activation(j, "hidden_act", "gelu_pytorch_tanh", &v->activation, what, e) < 0)
        return -1;
    cells = (size_t)sqrt((double)tokens);
    if (cells * cells != tokens || cells > pixels / v->patch)
        return err_set(e, ERR_USE, "%s: mm_tokens_per_image %zu is no square of cells", what,
                       tokens);
    v->merge = pixels / v->patch / cells;
    return vision_side(v, pixels, what, e);
}

static size_t tokens(const struct vision *v, const struct pictures *p, size_t i, struct err *e)
{
    return tile_tokens(v, p, i, v->side / v->merge * (v->side / v->merge), e);
}

static int embed(struct sight *s, struct err *e)
{
    return tile_embed(s, NULL, 1, e);
}

/* The mean of each cell's rows. */
static void pool(const struct vision *v, const float *cells, size_t count, float *out)
{
    const size_t n = v->merge * v->merge;

    memset(out, 0, count * v->d * sizeof *out);
    for (size_t c = 0; c < count; c++) {
        for (size_t i = 0; i < n; i++)
            vec_add(out + c * v->d, cells + (c * n + i) * v->d, v->d);
        vec_scale(out + c * v->d, v->d, 1.0f / (float)n);
    }
}

/* y = x W */
static int project(struct sight *s, const float *x, struct err *e)
{
    const struct vision *v = s->v;
    float *w = sight_tensor(s, "multi_modal_projector.", "mm_input_projection_weight", 2,
                            (const uint64_t[]){v->d, v->out}, e);
    float *turned = w ? mem_raw(v->d * v->out, sizeof *turned, e) : NULL;
    int rc = -1;

    if (turned) {
        for (size_t k = 0; k < v->d; k++)
            for (size_t n = 0; n < v->out; n++)
                turned[n * v->d + k] = w[k * v->out + n];
        rc = s->by->products->linear(s->m->par, s->tokens, v->out, v->d, x, v->d, turned, v->d,
                                     s->to, v->out, 0, e);
    }
    free(turned);
    free(w);
    return rc;
}

static int join(struct sight *s, struct err *e)
{
    const struct vision *v = s->v;
    const struct norm_spec soft = {NORM_RMS_ONE, v->norm.eps};
    float *cells = mem_raw(s->rows.T * v->d, sizeof *cells, e),
          *x = cells ? mem_raw(s->tokens * v->d, sizeof *x, e) : NULL;
    int rc =
        x ? sight_norm(s, v->prefix, "post_layernorm", &v->norm, s->rows.T, v->d, s->x, e) : -1;

    if (rc == 0) {
        tile_cells(s, cells);
        pool(v, cells, s->tokens, x);
        rc = sight_norm(s, "multi_modal_projector.", "mm_soft_emb_norm", &soft, s->tokens, v->d, x,
                        e);
    }
    if (rc == 0)
        rc = project(s, x, e);
    free(x);
    free(cells);
    return rc;
}

static const char *const prefixes[] = {"vision_tower.vision_model.", "vision_tower.", NULL};
const struct vision_kind vision_gemma3 = {.prefixes = prefixes,
                                          .blocks = "encoder.layers",
                                          .settle = settle,
                                          .build = tile_build,
                                          .tokens = tokens,
                                          .embed = embed,
                                          .join = join};

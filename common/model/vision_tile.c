/* SPDX-License-Identifier: Apache-2.0 */
/* vision_tile - what towers of square tiles share: patches of side x side, learned positions,
 * blocks as SigLIP and CLIP have them. */
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "config_parts.h"
#include "program_build.h"
#include "sight_parts.h"
#include "vec.h"

int tile_settle(struct vision *v, const struct json *j, const struct vision_field *f, size_t count,
                double eps, const char *what, struct err *e)
{
    v->norm.kind = NORM_MEAN;
    if (vision_fields(j, f, count, what, e) < 0 ||
        config_positive_or(j, "layer_norm_eps", eps, &v->norm.eps, what, e) < 0)
        return -1;
    v->run = v->layers;
    return 0;
}

void tile_build(const struct vision *v, size_t block, struct program *p)
{
    static const char *const names[3] = {"self_attn.q_proj", "self_attn.k_proj",
                                         "self_attn.v_proj"};
    struct program_linear l = {.rows = v->d, .site = "vision.attn.qkv", .fused = "qkv_proj"};
    const int x = vision_norm(v, p, PROGRAM_STREAM, "layer_norm1");
    int part[3];

    (void)block;
    for (int i = 0; i < 3; i++) {
        l.name = names[i];
        part[i] = program_linear(p, x, &l);
        program_bias(p, part[i], 1);
    }
    vision_attention(v, p, part, "self_attn.out_proj");
    vision_mlp(v, p, vision_norm(v, p, PROGRAM_STREAM, "layer_norm2"), "mlp.fc1", "mlp.fc2");
}

size_t tile_tokens(const struct vision *v, const struct pictures *p, size_t i, size_t each,
                   struct err *e)
{
    const size_t pixels = v->side * v->patch, want = v->channels * pixels * pixels;

    if (p->width != want) {
        err_set(e, ERR_USE, "tiles of %zu numbers, not of %zu (%zu channels, %zu x %zu)", p->width,
                want, v->channels, pixels, pixels);
        return 0;
    }
    return (size_t)p->image_rows[i] * each;
}

/* Rows of patches, each [channels, patch, patch]. */
static void cut_patches(const struct vision *v, const float *tile, float *out)
{
    const size_t w = v->side * v->patch;

    for (size_t i = 0; i < v->side * v->side; i++)
        for (size_t c = 0; c < v->channels; c++)
            for (size_t y = 0; y < v->patch; y++, out += v->patch)
                memcpy(out,
                       tile + (c * w + i / v->side * v->patch + y) * w + i % v->side * v->patch,
                       v->patch * sizeof *out);
}

static int embed_patches(struct sight *s, int has_bias, float *y, struct err *e)
{
    const struct vision *v = s->v;
    const size_t n = v->side * v->side, K = v->channels * v->patch * v->patch;
    const struct sight_linear l = {.prefix = v->prefix,
                                   .name = "embeddings.patch_embedding",
                                   .bias = has_bias,
                                   .ndim = 4,
                                   .shape = {v->d, v->channels, v->patch, v->patch}};
    float *patches = mem_raw(s->p->rows * n * K, sizeof *patches, e);
    int rc = patches ? 0 : -1;

    for (size_t i = 0; rc == 0 && i < s->p->rows; i++)
        cut_patches(v, s->p->pixels + i * s->p->width, patches + i * n * K);
    if (rc == 0)
        rc = sight_multiply(s, &l, s->p->rows * n, patches, y, e);
    free(patches);
    return rc;
}

/* With a row of its own before the patches of each tile, where the tower has one. */
static int place_rows(struct sight *s, size_t (*position)(size_t i, size_t side), const float *y,
                      struct err *e)
{
    const struct vision *v = s->v;
    const size_t n = v->side * v->side, class = v->drops_class ? 1 : 0, d = v->d;
    float *table = sight_tensor(s, v->prefix, "embeddings.position_embedding.weight", 2,
                                (const uint64_t[]){n + class, d}, e);
    float *first = class ? sight_tensor(s, v->prefix, "embeddings.class_embedding", 1,
                                        (const uint64_t[]){d}, e)
                         : NULL;
    float *x = s->x;

    for (size_t i = 0; table && i < s->p->rows; i++) {
        for (size_t k = 0; k < n + class; k++, x += d) {
            const size_t at = k - class;

            if (k < class && first)
                memcpy(x, first, d * sizeof *x);
            else if (k >= class)
                memcpy(x, y + (i * n + at) * d, d * sizeof *x);
            vec_add(x,
                    table + (position && k >= class ? position(at / v->side, v->side) * v->side +
                                                          position(at % v->side, v->side)
                                                    : k) *
                                d,
                    d);
        }
        s->lengths[i] = (int32_t)(n + class);
    }
    free(first);
    free(table);
    return table && (!class || first) ? 0 : -1;
}

int tile_embed(struct sight *s, size_t (*position)(size_t i, size_t side), int has_bias,
               struct err *e)
{
    const size_t n = s->v->side * s->v->side, tiles = s->p->rows;
    float *y = mem_raw(tiles * n * s->v->d, sizeof *y, e);
    int rc = -1;

    if (y && embed_patches(s, has_bias, y, e) == 0 &&
        sight_room(s, tiles * (n + (s->v->drops_class ? 1 : 0)), tiles, e) == 0)
        rc = place_rows(s, position, y, e);
    free(y);
    return rc;
}

void tile_cells(const struct sight *s, float *y)
{
    const struct vision *v = s->v;
    const size_t m = v->merge, cells = v->side / m;

    for (size_t t = 0; t < s->p->rows; t++)
        for (size_t c = 0; c < cells * cells; c++)
            for (size_t i = 0; i < m * m; i++, y += v->d)
                memcpy(y,
                       s->x + ((t * v->side + c / cells * m + i / m) * v->side + c % cells * m +
                               i % m) *
                                  v->d,
                       v->d * sizeof *y);
}

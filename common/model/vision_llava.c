/* SPDX-License-Identifier: Apache-2.0 */
/* vision_llava - the rows behind one of the last blocks of a CLIP or SigLIP tower through two
 * linears: LLaVA 1.5 and LLaVA-OneVision, whose pictures may be split into tiles that are put
 * together again, cut to the shape of the picture, with a row for each new line. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "config_parts.h"
#include "op.h"
#include "sight_parts.h"
#include "vec.h"

static int settle_projector(struct vision *v, const struct config *c, int64_t layer,
                            const char *strategy, const char *what, struct err *e)
{
    const char *said = json_text_or(c->file, "vision_feature_select_strategy", strategy);

    if (strcmp(said, "default") != 0 && strcmp(said, "full") != 0)
        return err_set(e, ERR_USE, "%s: vision_feature_select_strategy '%.64s' is not supported",
                       what, said);
    if ((strcmp(said, "default") == 0) != v->drops_class)
        return err_set(e, ERR_USE,
                       "%s: vision_feature_select_strategy '%s' with this tower is not supported",
                       what, said);
    if (vision_layer(v, c->file, layer, what, e) < 0 ||
        json_opt_bool(c->file, "multimodal_projector_bias", 1, &v->projector_bias, what, e) < 0)
        return -1;
    return vision_activation(c->file, "projector_hidden_act", "gelu", &v->projector, what, e);
}

static int settle_llava(struct vision *v, const struct config *c, const struct json *j,
                        const char *what, struct err *e)
{
    size_t pixels;
    const struct vision_field fields[] = {
        {"hidden_size", &v->d, 1024},          {"intermediate_size", &v->ff, 4096},
        {"num_hidden_layers", &v->layers, 24}, {"num_attention_heads", &v->heads, 16},
        {"num_channels", &v->channels, 3},     {"image_size", &pixels, 336},
        {"patch_size", &v->patch, 14}};
    const char *tower = json_text_or(j, "model_type", "clip_vision_model");

    if (strcmp(tower, "clip_vision_model") != 0)
        return err_set(e, ERR_USE,
                       "%s: a tower '%.64s' is not supported (known: "
                       "clip_vision_model)",
                       what, tower);
    v->drops_class = 1;
    if (tile_settle(v, j, fields, sizeof fields / sizeof fields[0], 1e-5, what, e) < 0 ||
        vision_activation(j, "hidden_act", "quick_gelu", &v->activation, what, e) < 0 ||
        settle_projector(v, c, -2, "default", what, e) < 0)
        return -1;
    return vision_side(v, pixels, what, e);
}

/* anyres_max_9: at most so many tiles' worth of features. */
static int read_aspect(struct vision *v, const struct json *file, const char *what, struct err *e)
{
    static const char start[] = "anyres_max_";
    const char *said = json_text_or(file, "vision_aspect_ratio", "anyres_max_9");

    if (strncmp(said, start, sizeof start - 1) != 0 ||
        !(v->tiles_most = strtoul(said + sizeof start - 1, NULL, 10)))
        return err_set(e, ERR_USE,
                       "%s: vision_aspect_ratio '%.64s' is not supported (known: anyres_max_N)",
                       what, said);
    return 0;
}

static int settle_onevision(struct vision *v, const struct config *c, const struct json *j,
                            const char *what, struct err *e)
{
    size_t pixels;
    const struct vision_field fields[] = {
        {"hidden_size", &v->d, 1152},          {"intermediate_size", &v->ff, 4304},
        {"num_hidden_layers", &v->layers, 26}, {"num_attention_heads", &v->heads, 16},
        {"num_channels", &v->channels, 3},     {"image_size", &pixels, 384},
        {"patch_size", &v->patch, 14}};

    if (tile_settle(v, j, fields, sizeof fields / sizeof fields[0], 1e-6, what, e) < 0 ||
        vision_activation(j, "hidden_act", "gelu_pytorch_tanh", &v->activation, what, e) < 0 ||
        settle_projector(v, c, -1, "full", what, e) < 0 || read_aspect(v, c->file, what, e) < 0)
        return -1;
    return vision_side(v, pixels, what, e);
}

static size_t tokens_llava(const struct vision *v, const struct pictures *p, size_t i,
                           struct err *e)
{
    return tile_tokens(v, p, i, v->side * v->side, e);
}

static int embed_llava(struct sight *s, struct err *e)
{
    return tile_embed(s, NULL, 0, e) < 0 ? -1
                                         : sight_norm(s, s->v->prefix, "pre_layrnorm", &s->v->norm,
                                                      s->rows.T, s->v->d, s->x, e);
}

static int embed_onevision(struct sight *s, struct err *e)
{
    return tile_embed(s, NULL, 1, e);
}

/* All patches of all tiles, [tiles side side, out]. */
static int project(struct sight *s, float *out, struct err *e)
{
    const struct vision *v = s->v;
    const size_t n = v->side * v->side, T = s->p->rows * n;
    const struct sight_linear one = {.prefix = "multi_modal_projector.",
                                     .name = "linear_1",
                                     .bias = v->projector_bias,
                                     .ndim = 2,
                                     .shape = {v->out, v->d}},
                              two = {.prefix = "multi_modal_projector.",
                                     .name = "linear_2",
                                     .bias = v->projector_bias,
                                     .ndim = 2,
                                     .shape = {v->out, v->out}};
    float *x = mem_raw(T * v->d, sizeof *x, e), *y = x ? mem_raw(T * v->out, sizeof *y, e) : NULL;
    const size_t class = v->drops_class ? 1 : 0;
    int rc = y ? 0 : -1;

    for (size_t i = 0; rc == 0 && i < s->p->rows; i++)
        memcpy(x + i * n * v->d, s->x + (i * (n + class) + class) * v->d, n * v->d * sizeof *x);
    if (rc == 0)
        rc = sight_multiply(s, &one, T, x, y, e);
    if (rc == 0) {
        activation_row(v->projector, y, T * v->out);
        rc = sight_multiply(s, &two, T, y, out, e);
    }
    free(y);
    free(x);
    return rc;
}

static int join_llava(struct sight *s, struct err *e)
{
    return project(s, s->to, e);
}

/* ---- tiles that are put together ---- */

/* Of a map of features: what is left of it, and what it is shrunk to. */
struct map {
    size_t rows, columns; /* whole */
    size_t top, left, high, wide;
    size_t to_high, to_wide; /* the same as high and wide: it is not shrunk */
};

/* Half of what is over on each side; the reference rounds to 7 digits first. */
static void cut_side(size_t whole, size_t want, size_t scale_to, size_t scale_of, size_t *first,
                     size_t *left)
{
    const double kept = (double)want * ((double)scale_to / (double)scale_of),
                 rounded = round(kept * 1e7) / 1e7;
    const size_t most = (size_t)rounded < whole ? (size_t)rounded : whole;

    *first = (whole - most) / 2;
    *left = whole - 2 * *first;
}

static struct map map_of(const struct vision *v, const struct pictures *p, size_t i)
{
    const size_t high = (size_t)p->size[2 * i], wide = (size_t)p->size[2 * i + 1];
    struct map m = {.rows = (size_t)p->grid[3 * i + 1] * v->side,
                    .columns = (size_t)p->grid[3 * i + 2] * v->side};
    double ratio;

    m.high = m.rows;
    m.wide = m.columns;
    if ((double)wide / (double)high > (double)m.columns / (double)m.rows)
        cut_side(m.rows, high, m.columns, wide, &m.top, &m.high);
    else
        cut_side(m.columns, wide, m.rows, high, &m.left, &m.wide);
    m.to_high = m.high;
    m.to_wide = m.wide;
    ratio = sqrt((double)(m.high * m.wide) / (double)(v->tiles_most * v->side * v->side));
    if (ratio > 1.1) {
        m.to_high = (size_t)((double)m.high / ratio);
        m.to_wide = (size_t)((double)m.wide / ratio);
    }
    return m;
}

static size_t tokens_onevision(const struct vision *v, const struct pictures *p, size_t i,
                               struct err *e)
{
    const int32_t *grid = p->grid + 3 * i;
    const size_t one = tile_tokens(v, p, i, v->side * v->side, e);
    struct map m;

    if (!one || p->image_rows[i] == 1)
        return one ? one + 1 : 0;
    if (grid[1] < 1 || grid[2] < 1 || grid[1] * grid[2] + 1 != p->image_rows[i] || !p->size ||
        p->size[2 * i] < 1 || p->size[2 * i + 1] < 1) {
        err_set(e, ERR_USE, "%d tiles are not one and %d x %d", (int)p->image_rows[i], (int)grid[1],
                (int)grid[2]);
        return 0;
    }
    m = map_of(v, p, i);
    return v->side * v->side + m.to_high * (m.to_wide + 1);
}

/* The row of a cell of the map in the tiles behind the first. */
static const float *cell(const struct vision *v, const struct map *m, const float *tiles, size_t y,
                         size_t x)
{
    const size_t across = m->columns / v->side, row = m->top + y, column = m->left + x,
                 tile = row / v->side * across + column / v->side;

    return tiles + ((tile * v->side + row % v->side) * v->side + column % v->side) * v->out;
}

/* Between which two of n cells, and how far, cell i of `to` lies. */
static void between(size_t n, size_t to, size_t i, size_t at[2], float *far)
{
    const float scale = (float)n / (float)to;
    float x = ((float)i + 0.5f) * scale - 0.5f;

    x = x > 0 ? x : 0;
    at[0] = (size_t)x < n - 1 ? (size_t)x : n - 1;
    at[1] = at[0] + 1 < n ? at[0] + 1 : at[0];
    *far = x - (float)at[0];
}

static void shrink_cell(const struct vision *v, const struct map *m, const float *tiles, size_t y,
                        size_t x, float *out)
{
    size_t row[2], column[2];
    float down, right;

    between(m->high, m->to_high, y, row, &down);
    between(m->wide, m->to_wide, x, column, &right);
    for (size_t k = 0; k < v->out; k++) {
        const float a = cell(v, m, tiles, row[0], column[0])[k],
                    b = cell(v, m, tiles, row[0], column[1])[k],
                    c = cell(v, m, tiles, row[1], column[0])[k],
                    d = cell(v, m, tiles, row[1], column[1])[k];

        out[k] = (1 - down) * ((1 - right) * a + right * b) + down * ((1 - right) * c + right * d);
    }
}

/* One picture: tiles [image_rows, side side, out] to out; where it ends. */
static float *pack(const struct sight *s, size_t i, const float *tiles, const float *line,
                   float *out)
{
    const struct vision *v = s->v;
    const size_t n = v->side * v->side * v->out;
    struct map m;

    memcpy(out, tiles, n * sizeof *out);
    out += n;
    if (s->p->image_rows[i] == 1) {
        memcpy(out, line, v->out * sizeof *out);
        return out + v->out;
    }
    m = map_of(v, s->p, i);
    for (size_t y = 0; y < m.to_high; y++) {
        for (size_t x = 0; x < m.to_wide; x++, out += v->out)
            if (m.to_high == m.high && m.to_wide == m.wide)
                memcpy(out, cell(v, &m, tiles + n, y, x), v->out * sizeof *out);
            else
                shrink_cell(v, &m, tiles + n, y, x, out);
        memcpy(out, line, v->out * sizeof *out);
        out += v->out;
    }
    return out;
}

static int join_onevision(struct sight *s, struct err *e)
{
    const size_t n = s->v->side * s->v->side * s->v->out;
    float *line = sight_tensor(s, "", "image_newline", 1, (const uint64_t[]){s->v->out}, e),
          *tiles = line ? mem_raw(s->p->rows * n, sizeof *tiles, e) : NULL, *to = s->to;
    size_t at = 0;
    int rc = tiles ? project(s, tiles, e) : -1;

    for (size_t i = 0; rc == 0 && i < s->p->count; i++) {
        to = pack(s, i, tiles + at * n, line, to);
        at += (size_t)s->p->image_rows[i];
    }
    free(tiles);
    free(line);
    return rc;
}

static const char *const prefixes[] = {"vision_tower.vision_model.", "vision_tower.", NULL};
const struct vision_kind vision_llava = {.prefixes = prefixes,
                                         .blocks = "encoder.layers",
                                         .settle = settle_llava,
                                         .build = tile_build,
                                         .tokens = tokens_llava,
                                         .embed = embed_llava,
                                         .join = join_llava};
const struct vision_kind vision_onevision = {.prefixes = prefixes,
                                             .blocks = "encoder.layers",
                                             .settle = settle_onevision,
                                             .build = tile_build,
                                             .tokens = tokens_onevision,
                                             .embed = embed_onevision,
                                             .join = join_onevision};

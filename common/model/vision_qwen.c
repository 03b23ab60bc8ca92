/* SPDX-License-Identifier: Apache-2.0 */
/* vision_qwen - towers of Qwen2-VL, Qwen2.5-VL and Qwen3-VL: pictures of any grid of patches, in
 * cells of merge x merge; positions turn by row and column. Qwen2.5: attention in windows in all
 * but some blocks, with the rows in the order of the windows from the first block to the last.
 * Qwen3: a table of positions that is interpolated besides, and levels that branch off for the
 * first blocks of the decoder. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "config_parts.h"
#include "op.h"
#include "program_build.h"
#include "sight_parts.h"
#include "vec.h"

/* ---- config.json ---- */

static int settle(struct vision *v, const struct json *j, const char *what, struct err *e)
{
    const char *channels = json_has(j, "in_chans") ? "in_chans" : "in_channels";
    const struct vision_field fields[] = {{"depth", &v->layers, 32},
                                          {"num_heads", &v->heads, 16},
                                          {channels, &v->channels, 3},
                                          {"patch_size", &v->patch, 14},
                                          {"spatial_merge_size", &v->merge, 2},
                                          {"temporal_patch_size", &v->frames, 2}};
    double theta;

    if (vision_fields(j, fields, sizeof fields / sizeof fields[0], what, e) < 0 ||
        config_positive_or(json_get(j, "rope_parameters"), "rope_theta", 10000, &theta, what, e) <
            0)
        return -1;
    v->norm = (struct norm_spec){NORM_MEAN, 1e-6};
    v->run = v->layers;
    v->rope = (struct rope_spec){
        .axes = ROPE_GRID, .width = v->d / v->heads, .theta = theta, .factor = 1, .scale = 1};
    return v->rope.width % 4 == 0
               ? 0
               : err_set(e, ERR_USE, "%s: heads of %zu in the tower cannot turn by row and column",
                         what, v->rope.width);
}

static int check_out(const struct vision *v, const struct json *j, const char *key,
                     const char *what, struct err *e)
{
    size_t out;

    if (config_size_or(j, key, INT64_C(1) << 24, v->out, &out, what, e) < 0)
        return -1;
    return out == v->out ? 0
                         : err_set(e, ERR_USE, "%s: %s of the tower is %zu, hidden_size is %zu",
                                   what, key, out, v->out);
}

static int settle2(struct vision *v, const struct config *c, const struct json *j, const char *what,
                   struct err *e)
{
    size_t ratio;
    const struct vision_field fields[] = {{"embed_dim", &v->d, 1280}, {"mlp_ratio", &ratio, 4}};

    (void)c;
    if (vision_fields(j, fields, 2, what, e) < 0 || settle(v, j, what, e) < 0 ||
        vision_activation(j, "hidden_act", "quick_gelu", &v->activation, what, e) < 0)
        return -1;
    v->ff = ratio * v->d;
    return check_out(v, j, "hidden_size", what, e);
}

static int read_full(struct vision *v, const struct json *j, const char *what, struct err *e)
{
    static const char key[] = "fullatt_block_indexes";
    static const int64_t usual[] = {7, 15, 23, 31};
    const struct json *list = json_get(j, key);

    for (size_t i = 0; i < (list ? json_count(list) : 4); i++) {
        int64_t at = list ? -1 : usual[i];

        if ((list && json_as_int(json_at(list, i), &at) < 0) || at < 0 || at >= VISION_BLOCKS)
            return err_set(e, ERR_USE, "%s: %s must name blocks of the tower", what, key);
        v->full[at] = 1;
    }
    return 0;
}

static int settle2_5(struct vision *v, const struct config *c, const struct json *j,
                     const char *what, struct err *e)
{
    size_t window;
    const struct vision_field fields[] = {{"hidden_size", &v->d, 1280},
                                          {"intermediate_size", &v->ff, 3420},
                                          {"window_size", &window, 112}};

    (void)c;
    if (vision_fields(j, fields, 3, what, e) < 0 || settle(v, j, what, e) < 0 ||
        vision_activation(j, "hidden_act", "silu", &v->activation, what, e) < 0 ||
        read_full(v, j, what, e) < 0)
        return -1;
    v->norm.kind = NORM_RMS;
    if (!(v->window = window / v->merge / v->patch))
        return err_set(e, ERR_USE, "%s: window_size %zu is less than a cell of %zu x %zu", what,
                       window, v->merge * v->patch, v->merge * v->patch);
    return check_out(v, j, "out_hidden_size", what, e);
}

static int read_branches(struct vision *v, const struct json *j, const char *what, struct err *e)
{
    static const char key[] = "deepstack_visual_indexes";
    const struct json *list = json_get(j, key);

    for (size_t i = 0; i < json_count(list); i++) {
        int64_t at;

        if (i == VISION_LEVELS || json_as_int(json_at(list, i), &at) < 0 || at < 0)
            return err_set(e, ERR_USE, "%s: %s must be at most %d blocks of the tower", what, key,
                           VISION_LEVELS);
        v->branch[v->branches++] = (size_t)at;
    }
    return 0;
}

static int settle3(struct vision *v, const struct config *c, const struct json *j, const char *what,
                   struct err *e)
{
    size_t positions;
    const struct vision_field fields[] = {{"hidden_size", &v->d, 1152},
                                          {"intermediate_size", &v->ff, 4304},
                                          {"num_position_embeddings", &positions, 2304}};

    (void)c;
    if (vision_fields(j, fields, 3, what, e) < 0 || settle(v, j, what, e) < 0 ||
        vision_activation(j, "hidden_act", "gelu_pytorch_tanh", &v->activation, what, e) < 0 ||
        read_branches(v, j, what, e) < 0)
        return -1;
    v->table = (size_t)sqrt((double)positions);
    if (v->table * v->table != positions)
        return err_set(e, ERR_USE, "%s: num_position_embeddings %zu is no square", what, positions);
    return check_out(v, j, "out_hidden_size", what, e);
}

/* ---- blocks ---- */

static void attention(const struct vision *v, struct program *p)
{
    const int all = program_linear(
        p, vision_norm(v, p, PROGRAM_STREAM, "norm1"),
        &(struct program_linear){.name = "attn.qkv", .rows = 3 * v->d, .site = "vision.attn.qkv"});
    int part[3];

    program_bias(p, all, 1);
    for (size_t i = 0; i < 3; i++)
        part[i] = program_cut(p, all, i * v->d, v->d);
    vision_attention(v, p, part, "attn.proj");
}

static void build2(const struct vision *v, size_t block, struct program *p)
{
    (void)block;
    attention(v, p);
    vision_mlp(v, p, vision_norm(v, p, PROGRAM_STREAM, "norm2"), "mlp.fc1", "mlp.fc2");
}

static void build2_5(const struct vision *v, size_t block, struct program *p)
{
    struct program_linear l = {
        .name = "mlp.gate_proj", .rows = v->ff, .site = "vision.mlp.up", .fused = "gate_up_proj"};
    int x, gate, up;

    (void)block;
    attention(v, p);
    x = vision_norm(v, p, PROGRAM_STREAM, "norm2");
    gate = program_linear(p, x, &l);
    l.name = "mlp.up_proj";
    up = program_linear(p, x, &l);
    program_bias(p, gate, 1);
    program_bias(p, up, 1);
    program_gate(p, gate, up, v->activation);
    program_linear_add(
        p, gate, PROGRAM_STREAM,
        &(struct program_linear){.name = "mlp.down_proj", .rows = v->d, .site = "vision.mlp.down"});
    program_bias(p, PROGRAM_STREAM, 1);
}

static void build3(const struct vision *v, size_t block, struct program *p)
{
    (void)block;
    attention(v, p);
    vision_mlp(v, p, vision_norm(v, p, PROGRAM_STREAM, "norm2"), "mlp.linear_fc1",
               "mlp.linear_fc2");
}

/* ---- pixels become rows ---- */

static size_t tokens(const struct vision *v, const struct pictures *p, size_t i, struct err *e)
{
    const int32_t *g = p->grid + 3 * i;
    const size_t want = v->channels * v->frames * v->patch * v->patch;
    const int64_t m = (int64_t)v->merge;

    if (p->width != want)
        err_set(e, ERR_USE,
                "patches of %zu numbers, not of %zu (%zu channels, %zu frames, %zu x "
                "%zu)",
                p->width, want, v->channels, v->frames, v->patch, v->patch);
    else if (g[0] < 1 || g[1] < 1 || g[2] < 1 || g[1] % m != 0 || g[2] % m != 0 ||
             (int64_t)g[1] * g[2] > INT32_MAX || (int64_t)g[0] * g[1] * g[2] != p->image_rows[i])
        err_set(e, ERR_USE, "%d patches are no grid of %d x %d x %d in cells of %zu",
                (int)p->image_rows[i], (int)g[0], (int)g[1], (int)g[2], v->merge);
    else
        return (size_t)p->image_rows[i] / (v->merge * v->merge);
    return 0;
}

/* A row for each patch, cell by cell: time, row, column. */
static void axes_fill(struct sight *s)
{
    const size_t m = s->v->merge;
    int32_t *axis = s->axis;

    for (size_t i = 0; i < s->p->count; i++) {
        const size_t frames = (size_t)s->p->grid[3 * i], high = (size_t)s->p->grid[3 * i + 1],
                     wide = (size_t)s->p->grid[3 * i + 2];

        s->seen.reach = high > s->seen.reach ? high : s->seen.reach;
        s->seen.reach = wide > s->seen.reach ? wide : s->seen.reach;
        for (size_t t = 0; t < frames; t++)
            for (size_t k = 0; k < high * wide; k++, axis += 3) {
                const size_t cell = k / (m * m), in = k % (m * m);

                axis[0] = 0;
                axis[1] = (int32_t)(cell / (wide / m) * m + in / m);
                axis[2] = (int32_t)(cell % (wide / m) * m + in % m);
            }
    }
    s->seen.axis = s->axis;
}

/* A sequence for each frame. */
static int rows_make(struct sight *s, struct err *e)
{
    size_t n = 0;

    for (size_t i = 0; i < s->p->count; i++)
        n += (size_t)s->p->grid[3 * i];
    if (sight_room(s, s->p->rows, n, e) < 0 ||
        !(s->axis = mem_array(3 * s->p->rows, sizeof *s->axis, e)))
        return -1;
    n = 0;
    for (size_t i = 0; i < s->p->count; i++)
        for (int32_t t = 0; t < s->p->grid[3 * i]; t++)
            s->lengths[n++] = s->p->grid[3 * i + 1] * s->p->grid[3 * i + 2];
    axes_fill(s);
    s->rows.seen = &s->seen;
    return 0;
}

static int embed_patches(struct sight *s, int has_bias, struct err *e)
{
    const struct vision *v = s->v;
    const struct sight_linear l = {.prefix = v->prefix,
                                   .name = "patch_embed.proj",
                                   .bias = has_bias,
                                   .ndim = 5,
                                   .shape = {v->d, v->channels, v->frames, v->patch, v->patch}};

    return rows_make(s, e) < 0 ? -1 : sight_multiply(s, &l, s->p->rows, s->p->pixels, s->x, e);
}

static int embed2(struct sight *s, struct err *e)
{
    return embed_patches(s, 0, e);
}

/* ---- windows ---- */

/* The cells of a frame, window by window; the lengths of those windows in rows. */
static void windows_of(struct sight *s, size_t high, size_t wide, size_t first, size_t *cells)
{
    const size_t w = s->v->window, rows = s->v->merge * s->v->merge;

    for (size_t top = 0; top < high; top += w)
        for (size_t left = 0; left < wide; left += w) {
            size_t n = 0;

            for (size_t y = top; y < top + w && y < high; y++)
                for (size_t x = left; x < left + w && x < wide; x++, n++)
                    s->order[(*cells)++] = first + y * wide + x;
            s->window_lengths[s->windows.nseq++] = (int32_t)(n * rows);
        }
}

/* The rows, and where they are, into the order of the windows. */
static int rows_turn(struct sight *s, struct err *e)
{
    const size_t n = s->v->merge * s->v->merge, d = s->v->d;
    float *x = mem_raw(s->rows.T * d, sizeof *x, e);
    int32_t *axis = x ? mem_array(3 * s->rows.T, sizeof *axis, e) : NULL;

    for (size_t c = 0; axis && c < s->tokens; c++) {
        memcpy(x + c * n * d, s->x + s->order[c] * n * d, n * d * sizeof *x);
        memcpy(axis + 3 * c * n, s->axis + 3 * s->order[c] * n, 3 * n * sizeof *axis);
    }
    if (!axis) {
        free(x);
        return -1;
    }
    free(s->x);
    free(s->axis);
    s->x = x;
    s->seen.axis = s->axis = axis;
    return 0;
}

static int embed2_5(struct sight *s, struct err *e)
{
    const size_t m = s->v->merge;
    size_t cells = 0;

    if (embed_patches(s, 0, e) < 0 || !(s->order = mem_array(s->tokens, sizeof *s->order, e)) ||
        !(s->window_lengths = mem_array(s->tokens, sizeof *s->window_lengths, e)))
        return -1;
    for (size_t i = 0; i < s->p->count; i++)
        for (int32_t t = 0; t < s->p->grid[3 * i]; t++)
            windows_of(s, (size_t)s->p->grid[3 * i + 1] / m, (size_t)s->p->grid[3 * i + 2] / m,
                       cells, &cells);
    s->windows.T = s->rows.T;
    s->windows.lengths = s->window_lengths;
    s->windows.seen = &s->seen;
    return rows_turn(s, e);
}

/* ---- a table that is interpolated ---- */

/* Number i of n from 0 to last, as the reference spaces them. */
static float spaced(size_t last, size_t n, size_t i)
{
    const float step = n > 1 ? (float)last / (float)(n - 1) : 0;

    return i < n / 2 ? step * (float)i : (float)last - step * (float)(n - 1 - i);
}

struct between {
    size_t at[2];
    float far;
};

static struct between between(size_t side, size_t n, size_t i)
{
    const float x = spaced(side - 1, n, i);
    const size_t at = (size_t)x < side - 1 ? (size_t)x : side - 1;

    return (struct between){{at, at + 1 < side ? at + 1 : at}, x - (float)at};
}

static void place(const struct vision *v, const float *table, size_t high, size_t wide,
                  const int32_t axis[3], float *x)
{
    const struct between row = between(v->table, high, (size_t)axis[1]),
                         column = between(v->table, wide, (size_t)axis[2]);

    for (size_t k = 0; k < v->d; k++) {
        const float a = table[(row.at[0] * v->table + column.at[0]) * v->d + k],
                    b = table[(row.at[0] * v->table + column.at[1]) * v->d + k],
                    c = table[(row.at[1] * v->table + column.at[0]) * v->d + k],
                    d = table[(row.at[1] * v->table + column.at[1]) * v->d + k];

        x[k] += (1 - row.far) * (1 - column.far) * a + (1 - row.far) * column.far * b +
                row.far * (1 - column.far) * c + row.far * column.far * d;
    }
}

static int embed3(struct sight *s, struct err *e)
{
    const struct vision *v = s->v;
    float *table;
    size_t at = 0;

    if (embed_patches(s, 1, e) < 0 ||
        !(table = sight_tensor(s, v->prefix, "pos_embed.weight", 2,
                               (const uint64_t[]){v->table * v->table, v->d}, e)))
        return -1;
    for (size_t i = 0; i < s->p->count; i++)
        for (size_t end = at + (size_t)s->p->image_rows[i]; at < end; at++)
            place(v, table, (size_t)s->p->grid[3 * i + 1], (size_t)s->p->grid[3 * i + 2],
                  s->axis + 3 * at, s->x + at * v->d);
    free(table);
    return 0;
}

/* ---- rows become features ---- */

struct merger {
    const char *norm, *one, *two;
    int joined; /* the norm is of the joined rows of a cell */
};

static int merge(const struct sight *s, const struct merger *g, float *to, struct err *e)
{
    const struct vision *v = s->v;
    const size_t cell = v->merge * v->merge * v->d, n = s->tokens;
    const struct sight_linear one = {v->prefix, g->one, 1, 2, {cell, cell}},
                              two = {v->prefix, g->two, 1, 2, {v->out, cell}};
    float *x = mem_raw(n * cell, sizeof *x, e), *y = x ? mem_raw(n * cell, sizeof *y, e) : NULL;
    int rc = -1;

    if (y) {
        memcpy(x, s->x, n * cell * sizeof *x);
        rc = g->joined ? sight_norm(s, v->prefix, g->norm, &v->norm, n, cell, x, e)
                       : sight_norm(s, v->prefix, g->norm, &v->norm, s->rows.T, v->d, x, e);
    }
    if (rc == 0)
        rc = sight_multiply(s, &one, n, x, y, e);
    if (rc == 0) {
        activation_row(ACTIVATION_GELU, y, n * cell);
        rc = sight_multiply(s, &two, n, y, to, e);
    }
    free(y);
    free(x);
    return rc;
}

static int join2(struct sight *s, struct err *e)
{
    return merge(s, &(struct merger){"merger.ln_q", "merger.mlp.0", "merger.mlp.2", 0}, s->to, e);
}

/* Back into the order of the picture. */
static int join2_5(struct sight *s, struct err *e)
{
    const size_t n = s->v->out;
    float *y = mem_raw(s->tokens * n, sizeof *y, e);
    int rc =
        y ? merge(s, &(struct merger){"merger.ln_q", "merger.mlp.0", "merger.mlp.2", 0}, y, e) : -1;

    for (size_t c = 0; rc == 0 && c < s->tokens; c++)
        memcpy(s->to + s->order[c] * n, y + c * n, n * sizeof *y);
    free(y);
    return rc;
}

static int join3(struct sight *s, struct err *e)
{
    return merge(s, &(struct merger){"merger.norm", "merger.linear_fc1", "merger.linear_fc2", 0},
                 s->to, e);
}

static int branch3(struct sight *s, size_t level, struct err *e)
{
    char name[3][64];
    static const char *const ends[3] = {"norm", "linear_fc1", "linear_fc2"};

    for (size_t i = 0; i < 3; i++)
        snprintf(name[i], sizeof name[i], "deepstack_merger_list.%zu.%s", level, ends[i]);
    return merge(s, &(struct merger){name[0], name[1], name[2], 1}, s->to, e);
}

static const char *const visual[] = {"visual.", "model.visual.", NULL}, *const model_visual[] = {
                                                                            "model.visual.",
                                                                            "visual.", NULL};
const struct vision_kind vision_qwen2 = {.prefixes = visual,
                                         .blocks = "blocks",
                                         .settle = settle2,
                                         .build = build2,
                                         .tokens = tokens,
                                         .embed = embed2,
                                         .join = join2};
const struct vision_kind vision_qwen2_5 = {.prefixes = visual,
                                           .blocks = "blocks",
                                           .settle = settle2_5,
                                           .build = build2_5,
                                           .tokens = tokens,
                                           .embed = embed2_5,
                                           .join = join2_5};
const struct vision_kind vision_qwen3 = {.prefixes = model_visual,
                                         .blocks = "blocks",
                                         .settle = settle3,
                                         .build = build3,
                                         .tokens = tokens,
                                         .embed = embed3,
                                         .join = join3,
                                         .branch = branch3};

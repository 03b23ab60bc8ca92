/* SPDX-License-Identifier: Apache-2.0 */
/* sight_parts - what sight*.c and vision_*.c share; nobody else includes this. */
#ifndef PTQ_SIGHT_PARTS_H
#define PTQ_SIGHT_PARTS_H

#include "../tensor/blas.h"
#include "model_parts.h"
#include "pictures.h"

struct sight_table;

struct sight {
    const struct sight_table *by;
    struct model *m;
    const struct vision *v;
    const struct pictures *p;
    struct features *f;
    size_t at;     /* row of the features of the first picture */
    float *x;      /* [rows.T, v->d] */
    float *to;     /* where branch and join write: [features of these pictures, v->out] */
    size_t tokens; /* features of these pictures */
    struct rows rows, windows; /* attention goes over these, or over windows; lengths owned */
    int32_t *lengths, *window_lengths;
    struct rows_seen seen;
    int32_t *axis; /* [rows.T, 3] */
    size_t *order; /* [cells] which cell stands there; NULL: each in its own place */
};

/* y [T, N] = x [T, K] W' + b with NAME.weight of this shape ([N, ...], K numbers in all that
 * follow) and NAME.bias, where it has one. */
struct sight_linear {
    const char *prefix, *name;
    int bias, ndim;
    uint64_t shape[5];
};

/* What towers do with the model and its library (sight.c): they name neither, so that who lists
 * the families needs none. */
struct sight_table {
    int (*room)(struct sight *s, size_t T, size_t sequences, struct err *e);
    float *(*tensor)(const struct sight *s, const char *prefix, const char *name, int ndim,
                     const uint64_t *shape, struct err *e);
    int (*multiply)(const struct sight *s, const struct sight_linear *l, size_t T, const float *x,
                    float *y, struct err *e);
    int (*norm)(const struct sight *s, const char *prefix, const char *name,
                const struct norm_spec *spec, size_t T, size_t n, float *x, struct err *e);
    const struct blas_table *products;
};

/* Room for T rows in `sequences` sequences. */
static inline int sight_room(struct sight *s, size_t T, size_t sequences, struct err *e)
{
    return s->by->room(s, T, sequences, e);
}
/* A tensor of the checkpoint with this shape, malloc'd; NULL: an error. name: below PREFIX, or
 * whole where PREFIX is "". */
static inline float *sight_tensor(const struct sight *s, const char *prefix, const char *name,
                                  int ndim, const uint64_t *shape, struct err *e)
{
    return s->by->tensor(s, prefix, name, ndim, shape, e);
}
static inline int sight_multiply(const struct sight *s, const struct sight_linear *l, size_t T,
                                 const float *x, float *y, struct err *e)
{
    return s->by->multiply(s, l, T, x, y, e);
}
/* Rows in place by NAME.weight and, with NORM_MEAN, NAME.bias. */
static inline int sight_norm(const struct sight *s, const char *prefix, const char *name,
                             const struct norm_spec *spec, size_t T, size_t n, float *x,
                             struct err *e)
{
    return s->by->norm(s, prefix, name, spec, T, n, x, e);
}

/* ---- towers of tiles (vision_tile.c) ---- */

/* A tile is side x side patches: SigLIP and CLIP as most of them have it. */
int tile_settle(struct vision *v, const struct json *j, const struct vision_field *f, size_t count,
                double eps, const char *what, struct err *e);
void tile_build(const struct vision *v, size_t block, struct program *p);
/* Of a picture: all its tiles have as many features as `each` says. */
size_t tile_tokens(const struct vision *v, const struct pictures *p, size_t i, size_t each,
                   struct err *e);
/* Patches and their positions. position: of the patch in row and column i of side; NULL: i. */
int tile_embed(struct sight *s, size_t (*position)(size_t i, size_t side), int has_bias,
               struct err *e);
/* y [tiles (side / merge)^2, merge^2 d]: the rows of each cell, by row, then by column, joined. */
void tile_cells(const struct sight *s, float *y);

#endif

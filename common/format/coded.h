/* SPDX-License-Identifier: Apache-2.0 */
/* coded - one linear as codes on a grid: what a solution carries, what a format packs and unpacks,
 * and the one way back to weights. */
#ifndef PTQ_CODED_H
#define PTQ_CODED_H

#include "../wire/msg_solution.h"
#include "grid.h"
#include "sparse.h"

struct coded {
    const struct grid *grid;
    size_t N, K, G;
    int bits;
    int64_t group;        /* -1: a whole row */
    const uint8_t *codes; /* [N,K] */
    enum dtype scale_type;
    const void *scales;      /* [N,G] */
    const uint8_t *zeros;    /* [N,G]; NULL where the grid has none */
    double tensor_scale;     /* 1 where the grid has none */
    const float *table;      /* [N, 2^bits]; NULL where the grid has none */
    const int32_t *group_of; /* [K] the group of each input, checked; NULL: k / group */
    struct sparse sparse;    /* weights that stand beside the codes; not with group_of */
};

/* Of a linear that is not kept: what the grid has must be there, and nothing else. *c points into
 * the solution. coded_read takes the grid by the name that the solution gives. */
int coded_take(const struct grid *g, const struct solution_linear *x, struct coded *c,
               struct err *e);
int coded_read(const struct solution_linear *x, struct coded *c, struct err *e);
/* What stands for the codes of group g of row n. The scale is read from its type. */
struct grid_group coded_group(const struct coded *c, size_t n, size_t g);
/* zeros [N,G]: the zero point of each group, where the grid has none the one it always uses. */
void coded_zeros(const struct coded *c, uint8_t *zeros);
/* w [rows,K] f32 = the weights of rows first, first + 1, ...: worked out in f64, rounded once. */
int coded_decode(const struct coded *c, size_t first, size_t rows, float *w, struct err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* packed - what the formats of packed codes share: a linear as a checkpoint holds it, and the
 * tensors NAME.PART that stand for it, written and read. */
#ifndef PTQ_PACKED_H
#define PTQ_PACKED_H

#include "format.h"

/* A linear that was read: codes, and what its grid has for each group and for all. */
struct packed {
    size_t N, K, G;
    int bits;
    int64_t group;  /* -1: a whole row */
    uint8_t *codes; /* [N,K] */
    uint8_t *zeros; /* [N,G]; NULL where the grid has none */
    float *scales;  /* [N,G] */
    enum dtype scale_type;
    const struct grid *grid; /* asym for all of equal steps */
    double tensor_scale;     /* 1 where the grid has none */
    int32_t *group_of;       /* [K] the group of each input; NULL: k / group */
    enum dtype weight_type;  /* of the weights in the model; DT_COUNT: not known */
    float *table;            /* [N, 2^bits]; NULL where the grid has none */
    /* Weights beside the codes, of which these are the ends, columns and values; count 0: none */
    struct sparse sparse;
    struct tensor sparse_part[3];
};

/* Room for all but group_of and sparse, on a grid of equal steps; or on g, which has no zero
 * points. */
int packed_open(struct packed *p, size_t N, size_t K, int bits, int64_t group, struct err *e);
int packed_open_grid(struct packed *p, const struct grid *g, size_t N, size_t K, int bits,
                     int64_t group, struct err *e);
void packed_release(struct packed *p);
/* The codes as a format puts them, with these scales; *c borrows from p. */
void packed_coded(const struct packed *p, enum dtype type, const void *scales, struct coded *c);
/* The same with a group for each input, of one whose groups are permuted. */
int packed_spread(const struct packed *p, struct packed *each, struct err *e);
/* w [N,K]: each input by the scale and zero point of its group. */
int packed_weights(const struct packed *p, float *w, struct err *e);
/* Into *l: bits, group, G, type of the scales, and the grid: of those of equal steps sym where
 * every zero point is the middle code, else asym. */
void packed_linear(const struct packed *p, struct format_linear *l);

/* ---- reading ---- */

/* NAME.PART; NULL: not there. */
const struct st_entry *packed_part(const struct format_source *s, const char *name,
                                   const char *part);
/* It must be there, with this shape; real: of a float type, otherwise I32. packed_part_is: of this
 * type (DT_COUNT: a float type). */
int packed_part_check(const struct format_source *s, const char *name, const char *part, int real,
                      int ndim, const uint64_t *shape, struct err *e);
int packed_part_is(const struct format_source *s, const char *name, const char *part,
                   enum dtype type, int ndim, const uint64_t *shape, struct err *e);
/* What packed_part_check has approved, as it is stored; *t is the caller's to release. */
int packed_part_load(const struct format_source *s, const char *name, const char *part,
                     struct tensor *t, struct err *e);
/* p->scales and scale_type from a part [G,N] (by_group) or [N,G]; all must be finite. */
int packed_scales(struct packed *p, const struct format_source *s, const char *name,
                  const char *part, int by_group, struct err *e);
/* p->group_of from a part [K], when it is there and says other than k / group. */
int packed_groups(struct packed *p, const struct format_source *s, const char *name,
                  const char *part, struct err *e);

/* ---- writing ---- */

/* The tensor LINEAR.PART of shape [a], or [a,b] when b is not 0. */
int packed_describe(struct format_tensor *t, const char *linear, const char *part, enum dtype dtype,
                    uint64_t a, uint64_t b, struct err *e);
int packed_put(format_emit *emit, void *ctx, const char *linear, const char *part, const void *data,
               size_t bytes, struct err *e);
/* Numbers of 16 bits [N,G] to [G,N]. */
void packed_transpose(const uint16_t *in, size_t N, size_t G, uint16_t *out);
/* Scales of F16 or BF16, and a grid of equal steps, as far as they are known. */
int packed_check(const struct format_linear *l, const char *format, struct err *e);
/* Groups must be of inputs that follow each other in this format. */
int packed_check_order(const struct format_linear *l, const char *format, struct err *e);
/* Of the linears that are not kept the first; NULL: all are. */
const struct format_linear *packed_first(const struct format_model *m);
/* Bits, group and zero points (has its grid any?) are the same. */
int packed_alike(const struct format_linear *a, const struct format_linear *b);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* grid - which numbers the codes of a quantized weight can stand for: one file for each grid,
 * ending in one const struct grid; grid_list.c is the only list.
 *
 * A weight is a code of up to 8 bits, and what its group, its row or its tensor has beside it: a
 * scale for each group always; a zero point for each group where the grid has zeros; one more
 * scale for the whole tensor, or a table of levels for each row, where it has those. A grid whose
 * levels are the same everywhere keeps them in its own file. Functions take whole groups of codes,
 * or one number for each of GRID_LANES rows; none of them is called for single weights. */
#ifndef PTQ_GRID_H
#define PTQ_GRID_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"
#include "../tensor/dtype.h"

/* What the codes of one group of one row stand for. */
struct grid_group {
    int bits;
    double scale;
    double zero;         /* of the group, or the grid's own */
    double tensor_scale; /* 1 where the grid has none */
    const float *table;  /* [2^bits] of the row; NULL where the grid has none */
};

#define GRID_LANES 64 /* rows that are rounded together */

/* One group of each of GRID_LANES rows. */
struct grid_lanes {
    int bits;
    const double *scale, *zero; /* [GRID_LANES]; scale: times that of the tensor */
};

/* How a grid is laid over the weights of a group. */
enum zero_round { ZERO_NEAREST, ZERO_DOWN, ZERO_UP, ZERO_GIVEN };
struct grid_fit {
    int bits;
    enum dtype scale_type; /* the scale is rounded to it first, zeros and codes follow from that */
    int zero_min;          /* the smallest zero point that may be chosen */
    enum zero_round how;   /* GIVEN: *zero is there already */
    double tensor_scale;   /* looked at by grids that have one: what is stored is scale / this */
};

#define GRID_BIT(n) (1u << (n))

struct grid {
    const char *name;
    const char *about;    /* one line for help */
    unsigned bits;        /* widths of its codes: GRID_BIT(4) for 4 */
    unsigned scale_types; /* of the scale of a group: GRID_BIT(DT_F16) */
    int64_t group;        /* the only size of its groups; 0: any */
    double step;          /* the widest between two levels beside each other, in scales */
    int no_number;        /* a code, below its sign bit, that stands for none; 0: all do */
    int zeros;            /* 1: each group has a zero point of its own, U8 below 2^bits */
    int exact_zeros;      /* 1: scale x zero point is a number of F16, whatever the group */
    int table;            /* 1: each row has its own levels, F32 [2^bits] */
    /* One more scale, F32, for the whole tensor, where the grid has that: a power of two, from the
     * largest weight of all that engines fuse. NULL: none. */
    double (*tensor_scale)(double most);
    /* Of a grid without zeros: the zero point of every group (2^(bits-1): the middle code). */
    int (*zero)(int bits);
    void (*value)(const struct grid_group *g, const uint8_t *codes, size_t n, double *w);
    /* q: the level next to w in each lane, code: its code (may be NULL) */
    void (*nearest)(const struct grid_lanes *g, const double *w, double *q, uint8_t *code);
    /* The lowest and the highest level of each lane. */
    void (*ends)(const struct grid_lanes *g, double *low, double *high);
    /* The range [lo, hi] of a group, lo <= 0 <= hi, as the grid takes it. */
    void (*range)(double *lo, double *hi);
    /* Scale and zero point for such a range shrunk by p. *raised: the scale rounded to 0 and is
     * the smallest normal number of its type instead (all codes of the group then stand for about
     * 0). -1: it overflows its type. */
    int (*place)(const struct grid_fit *f, double lo, double hi, double p, double *scale,
                 double *zero, int *raised);
    /* Rounds a scale to one that the grid can have; see place for *raised and -1. NULL: any of its
     * type will do (grid_store_scale). */
    int (*store)(enum dtype type, double *scale, int *raised);
};

extern const struct grid grid_sym; /* what is taken when nobody says otherwise */

const struct grid *grid_find(const char *name); /* NULL: unknown, or no name */
const struct grid *grid_at(size_t i);           /* NULL past the end */
int grid_takes_bits(const struct grid *g, int bits);

/* For option tables, all NULL-terminated: names of grids in the order of grid_at(); widths that
 * some grid takes ("2", "3", ...); types of scales ("f16", ...). */
const char *const *grid_names(void);
const char *const *grid_bits_names(void);
const char *const *grid_scale_names(void);
/* The same one by one, with what a name stands for (of a grid: its number), as rows of options
 * take them; NULL past the end. */
const char *grid_choice(size_t i, int *value);
const char *grid_bits_choice(size_t i, int *value);
const char *grid_scale_choice(size_t i, int *value);
int grid_bits_at(size_t i);
enum dtype grid_scale_at(size_t i);
/* "sym, sym-narrow, asym" and the like, for messages: names with commas between, the last one
 * behind `or` when that is not NULL. Returns out. */
char *grid_name_list(const char *const *names, const char *last, char *out, size_t room);

/* Number of groups: 1 for group -1, else ceil(K / group). */
size_t grid_groups(size_t K, int64_t group);
/* Of the types of scales that g has the one that was asked for; the only one where it has its own
 * (numbers of 8 bits), which nobody asks for. */
enum dtype grid_scale_type(const struct grid *g, enum dtype asked);
/* Rounds a scale to its storage type; see place for *raised and -1. */
int grid_store_scale(enum dtype type, double *scale, int *raised);
/* The same to one that g can have; tensor_scale as in struct grid_fit. */
int grid_round_scale(const struct grid *g, enum dtype type, double tensor_scale, double *scale,
                     int *raised);

#endif

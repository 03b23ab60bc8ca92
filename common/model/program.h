/* SPDX-License-Identifier: Apache-2.0 */
/* program - what a block does, as a list of operations over slots.
 *
 * A slot is a buffer of f32 rows, one for each token ([T, width]); slot 0 is the residual stream,
 * which a block gets and hands on. Rows of a routed slot are those that its experts get: `top`
 * for each token, in the order of the experts. Where blocks hand on more than the stream there is
 * a second such slot, the carry: its rows lie behind those of the stream. An operation reads slots
 * and writes one, perhaps in place; a slot is read after it was written, a slot of experts when all
 * of them were. A family builds the programs of its blocks from config.json (family.h) with the
 * functions of program_build.h; the first mistake stays in the program and program_finish returns
 * it.
 *
 * A site is the set of linear operations that read the same numbers. Where the rows of sites are
 * ready and their weights are needed the program stops: at a stop stand all sites whose rows are
 * ready there. Sites are numbered stop by stop, in the order of the program. What a chunk needs
 * later of what was computed before a stop are the slots that are alive there. Everything here
 * is names and shapes; who runs a program is block.c. */
#ifndef PTQ_PROGRAM_H
#define PTQ_PROGRAM_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"
#include "attention.h"
#include "config.h"

#define OP_INPUTS 3
#define OP_TENSORS 1
#define PROGRAM_STREAM 0
#define PROGRAM_NAME 32
#define ACT_BITS_MIN 2 /* of activations that are rounded */
#define ACT_BITS_MAX 8

struct program_slot {
    size_t width;
    int route;      /* -1: a row for each token; else the slot that says which rows there are */
    size_t top;     /* rows for each token */
    size_t experts; /* of a routed slot */
    size_t written; /* while it is built: experts that were, or 1 */
};

/* A tensor of the checkpoint, or a part of one that holds several: it is cut when it is read. */
struct op_tensor {
    char *name; /* "model.layers.3.self_attn.q_proj.weight"; NULL: none; owned */
    int optional;
    int ndim;
    uint64_t shape[3]; /* of what is read */
    char *whole;       /* the tensor it is cut from; NULL: it stands alone; owned */
    uint64_t first;    /* its first row there, or in its matrix */
    uint64_t total;    /* rows of that matrix */
    int turned;        /* that matrix is [K, rows] */
    uint64_t stacked;  /* matrices, one behind the other ([stacked, total, K]); 0: just one */
    uint64_t which;    /* of the stacked */
};

struct delta_shape { /* of op_delta.c */
    size_t key_heads, value_heads, key_dim, value_dim;
};

struct op_kind;
struct op {
    const struct op_kind *kind;
    int in[OP_INPUTS], out; /* slots; out may be one of in */
    int adds;               /* to what stands in out */
    int expert;             /* only the rows of this one; -1: all rows */
    struct op_tensor tensor[OP_TENSORS];
    int site; /* of a linear: which one; -1: it stays as the checkpoint has it */
    union {
        struct {
            size_t heads; /* parts of a row that are normed each by itself */
            struct norm_spec spec;
        } norm;
        struct {
            float rate;
            size_t original;
        } temper;
        struct {
            enum activation activation;
        } gate;
        struct {
            float alpha, limit;
        } swiglu;
        struct {
            size_t taps, number; /* number: as of an attention */
        } conv;
        struct {
            struct delta_shape shape;
            size_t number;
        } delta;
        struct {
            size_t heads;
            double eps;
        } unit;
        struct {
            float by;
        } times;
        struct {
            float scale;
        } add;
        struct {
            size_t heads; /* parts of a row that are cut each by itself */
            size_t first;
        } cut;
        struct {
            size_t heads; /* parts of a row of the first slot; the second has as many, or one */
        } concat;
        struct {
            const char *site, *fused; /* fused: what engines make of the linears of the site */
            char name[PROGRAM_NAME];  /* of the site */
            int has_bias;
        } linear;
        struct {
            size_t heads, first; /* first: number of a head that turns */
            struct rope_spec spec;
        } rope;
        struct {
            struct attention_shape shape;
            size_t number; /* among those of the block that a cache keeps something of */
        } attention;
        struct {
            size_t level; /* of the tower's */
        } deepstack;
        struct {
            int bits;
            size_t width; /* numbers that share a scale; 0: a row */
        } round;
        struct {
            size_t experts, top;
            int normalize;
            size_t groups, groups_top; /* op_choose: experts of the best groups only */
            float scale;               /* and its weights times this */
        } route;
    };
};

struct program_site {
    const char *name, *fused; /* of its first linear */
    int slot, expert;
    size_t inputs; /* K */
    size_t first;  /* its first linear */
    size_t count;
    size_t stop;
};

struct program {
    char *prefix; /* "model.layers.3." */
    struct op *op;
    struct program_slot *slot;
    struct program_site *site;
    size_t *stop; /* [nstops] the operation before which it stops */
    size_t nops, nslots, nsites, nstops, keepers;
    int carry; /* the slot; 0: there is none */
    size_t op_cap, slot_cap, site_cap, stop_cap;
    struct err err; /* of building */
    int bad;
};

void program_release(struct program *p);
/* What the linears of sites read becomes rounded to so many bits, a row at a time, and what
 * attention reads, q, k and v behind their positions, each head at a time (op_round.c); 0: it
 * stays. Before program_finish. */
int program_round(struct program *p, int bits, int heads, struct err *e);
/* The sites and stops; -1 with the first mistake that was made. */
int program_finish(struct program *p, struct err *e);

/* ---- what those who run it ask ---- */

/* Does a block get the slot and hand it on? Whoever runs it holds these rows. */
int program_is_held(const struct program *p, int slot);

/* Is a slot needed at operation `at` or later, as it is before it? At the end: the stream. */
int program_alive(const struct program *p, int slot, size_t at);
/* The operation a stop stands before; nops for stop nstops. */
size_t program_stop_at(const struct program *p, size_t stop);
/* 1: at this stop the slot holds rows of sites, in the numbers that the sites see. */
int program_holds_rows(const struct program *p, int slot, size_t stop);
/* Does the operation read what stands in the slot before it? */
int program_reads(const struct op *o, int slot);
const struct op *program_linear_of(const struct program *p, size_t site, size_t i);

/* The most that a chunk of T tokens takes while the program runs from stop to stop, and what is
 * kept of it between them beside the stream, with rows of sites of `item` bytes. */
int program_room(const struct program *p, size_t T, size_t *bytes, struct err *e);
size_t program_kept(const struct program *p, size_t stop, size_t T, size_t item);
size_t program_kept_most(const struct program *p, size_t T, size_t item);

/* ---- how a part of it lies in memory ---- */

#define PROGRAM_SLAB 1024 /* rows of a slab */

/* Operations [from, to) as they run: a span of local operations goes over slabs of rows when
 * that saves whole slots. */
struct program_span {
    size_t from, to;
    int local, slabs;
};
/* The span that begins at from. use: which operations run (NULL: all). */
struct program_span program_span_at(const struct program *p, size_t from, size_t to,
                                    const unsigned char *use);
/* 1: only slabs of the slot exist. */
int program_in_slabs(const struct program *p, int slot, const struct program_span *s,
                     const unsigned char *use);
/* offset [nslots] of each slot in floats, SIZE_MAX for those that do not occur; floats: what all
 * take together. */
int program_place(const struct program *p, size_t from, size_t to, const unsigned char *use,
                  size_t T, size_t *offset, size_t *floats, struct err *e);

#endif

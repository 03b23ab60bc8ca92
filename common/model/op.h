/* SPDX-License-Identifier: Apache-2.0 */
/* op - the operations that blocks are made of: one descriptor per kind, one list (op_list.c).
 *
 * A new kind is one file op_NAME.c that ends in a const struct op_kind, its name below and in the
 * list, and the function in program_build that puts it into a program. Its forward, its
 * vector-Jacobian product (back) and its cost stand in that file. Private to common/model. */
#ifndef PTQ_OP_H
#define PTQ_OP_H

#include "../base/par.h"
#include "kv_cache.h"
#include "program.h"
#include "rope.h"

struct blas_table; /* blas.h */
struct weights16;  /* weights16.h */

/* Which rows of the chunk go to which expert, by expert, then by token. */
struct op_groups {
    size_t experts, count; /* count: rows, `top` for each token */
    size_t *first;         /* [experts + 1] */
    size_t *token;         /* [count] */
    float *weight;         /* [count] */
};

/* Keys and values of earlier positions. */
struct op_cache {
    struct kv_cache *kv;
    size_t block;
    const size_t *slots; /* of each sequence */
    size_t *first;       /* position of its first row */
};

/* An operation at work: on all rows of a chunk, or, where it is local, on those from `first` on
 * in a buffer that may begin there. */
struct op_args {
    const struct op *op;
    struct par *par;
    const struct blas_table *products; /* operations name no library: who lists them needs none */
    const struct rows *rows;           /* the chunk */
    const size_t *position;            /* [rows->T] of each token in its sequence */
    const size_t *length;              /* [rows->T] of that sequence */
    const struct rope *rope;           /* of a rope operation */
    const struct op_cache *cache;      /* NULL: none */
    const struct op_groups *groups;
    const float *tensor[OP_TENSORS]; /* NULL: an optional one that is not there */
    /* A linear whose products are of bf16: its weights, which count instead of tensor[0], and row
     * `first` of what it reads, NULL where that is in f32. */
    const struct weights16 *narrow;
    const uint16_t *in16;
    uint16_t *out16;            /* the output in bf16 too, by op_run; NULL: nobody asks */
    const float *in[OP_INPUTS]; /* row `first` of each input */
    float *out;                 /* row `first` of the output */
    /* What the output begins with, to be copied there before; NULL: it stands there. */
    const float *before;
    size_t width[OP_INPUTS], width_out;
    size_t first, count;
    int exact; /* activations are not rounded */
    int half;  /* attention may multiply in bf16 */
};

/* The way back through an operation: a, as it was run, all rows at once; of in there is what
 * op_kind.keeps says, as it stood before the operation, out is not there. */
struct op_back {
    struct op_args a;
    float *grad; /* of the output, its row `first` */
    /* Row `first` of the gradients of the inputs: to be added to. One that is `grad` itself (the
     * operation works in place): the product takes the place of what stands there. */
    float *grad_in[OP_INPUTS];
    float *grad_tensor[OP_TENSORS]; /* to be written; NULL: not asked for */
    unsigned
        fresh; /* bit k: in grad_in[k] nothing stands yet, it is to be written; op_kind.begins */
};

/* What an operation has to do for some calibration. */
struct op_load {
    double tokens, length; /* length: of a sequence */
};
struct op_cost {
    double flops, bytes; /* bytes: moved between memory and core, f32 */
};

struct op_kind {
    const char *name;
    size_t inputs, tensors; /* it has */
    /* Each row of the output comes from the same row of the inputs: it may run on any part. */
    int local;
    int attends; /* it is an attention of slots q, k and v: op_attention_received may be asked */
    int routes;  /* its output has a weight for each expert, 0: the token does not go there */
    /* The shapes of its slots and its attributes; errors need not say where. */
    int (*check)(const struct program *p, const struct op *o, struct err *e);
    /* One of two: rows [first, first + count) counted from those at hand, on one thread and
     * without memory of its own (operations that follow one another then go over a few rows
     * together) - or all rows at hand. */
    void (*each)(const struct op_args *a, size_t first, size_t count);
    int (*run)(const struct op_args *a, struct err *e);
    /* Its product with the gradient of its output, on all rows at hand; the same bytes for any
     * number of threads. NULL: there is none, and a program with it is not run backwards. */
    int (*back)(const struct op_back *b, struct err *e);
    unsigned keeps; /* bit k: back reads input k */
    int begins;     /* it knows op_back.fresh: by op_back_tiles, or by itself */
    /* Floats that a cache keeps for it, from one call to the next; NULL: none. Its `number` in the
     * block, which program_build gives, is that of kv_cache.h. */
    void (*caches)(const struct op *o, struct kv_layer *l);
    /* Its work for each number of its output: operations, and floats moved between memory and
     * core. What depends on more than that is in cost; NULL: nothing does. */
    double flops, moved;
    void (*cost)(const struct program *p, const struct op *o, const struct op_load *l,
                 struct op_cost *c);
};

extern const struct op_kind op_norm, op_linear, op_bias, op_rope, op_attention, op_gate, op_add,
    op_route, op_gather, op_scatter, op_cut, op_share, op_choose, op_activate, op_temper,
    op_attention_sinks, op_swiglu, op_concat, op_conv, op_decay, op_delta, op_unit, op_times,
    op_experts_times, op_deepstack, op_lay, op_round;
const struct op_kind *op_at(size_t i); /* NULL past the end of the list */

/* On all rows at hand, whichever of the two it has. */
int op_run(const struct op_args *a, struct err *e);
/* For back: `each` on all rows at hand, by tiles. sum [n]: what the tile adds to the gradient of
 * the first tensor (of n numbers), NULL where that is not asked for; tiles are added in order. */
int op_back_tiles(const struct op_back *b, size_t n,
                  void (*each)(const struct op_back *b, size_t first, size_t count, double *sum),
                  struct err *e);

/* One row, or one head: also of the norm behind the last block. */
void norm_row(const struct norm_spec *s, const float *w, size_t n, const float *x, float *y);
/* Its product: to dx [n] is added what the gradient g of y gives for x; dx == g: in place. The
 * same is added to dw for the weights; NULL: not asked for. */
void norm_row_back(const struct norm_spec *s, const float *w, size_t n, const float *x,
                   const float *g, float *dx, double *dw);
void round_row(int bits, const float *x, size_t n, float *y); /* y may be x */
#define OP_EXPERTS 1024                                       /* that a router may have */

/* For an operation that attends: received [T] of its q and k (attention.h). */
int op_attention_received(const struct op_args *a, double *received, struct err *e);

/* The groups of a route's output [T, experts]; *g is to be released in any case. */
int op_groups_make(struct op_groups *g, const float *route, size_t T, size_t experts, size_t top,
                   struct err *e);
void op_groups_release(struct op_groups *g);

#endif

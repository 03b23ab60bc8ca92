/* SPDX-License-Identifier: Apache-2.0 */
/* solver - the contract of every solver: a pure function from a problem to codes. Same problem,
 * same options, same bytes.
 *
 * One file per solver, ending in one const struct solver; solver_list.c is the only list. All
 * arithmetic f64. H = (S / sum w), symmetric, full; D = D_raw / sum w: INTERFACES.md, "problem".
 * The paper of each method is named in its file. */
#ifndef PTQ_SOLVER_H
#define PTQ_SOLVER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include "../../common/base/err.h"
#include "../../common/base/json.h"
#include "../../common/base/opt.h"
#include "../../common/base/par.h"
#include "../../common/format/grid.h"
#include "../../common/format/sparse.h"
#include "../../common/tensor/tensor.h"
#include "../../common/wire/modality.h"

enum fit { FIT_MINMAX, FIT_MSE, FIT_HESSIAN, FIT_NEUQI };
enum order { ORDER_NONE, ORDER_ACT, ORDER_GROUP, ORDER_PIVOT };
enum groups { GROUPS_STATIC, GROUPS_DYNAMIC };
enum dead { DEAD_KEEP, DEAD_ZERO };
/* What a column hands on to the later ones through D: its value before rounding, that value kept
 * inside the grid's range, or the rounded one. AUTO: Q for 2 bits, PRE_CLAMP above. */
enum p_source { P_AUTO, P_PRE, P_PRE_CLAMP, P_Q };
enum criterion { CRITERION_ASYM, CRITERION_PLAIN };
/* Which classes of rows are to lose alike; FIRST: the first token of the rows, and all others. */
enum equalise {
    EQUALISE_NONE,
    EQUALISE_FIRST,
    EQUALISE_POSITION,
    EQUALISE_LENGTH,
    EQUALISE_MODALITY
};
enum sums_kind { SUMS_WEIGHTED, SUMS_PLAIN };

struct overrides;

struct solve_opts {
    const char *solver;         /* "gptq", "qep+gptq", "best:gptq,gptaq" */
    const char *fisher;         /* squeeze, gwq: a file; NULL: none */
    double sensitive, outliers; /* squeeze: shares of the weights that stand beside the codes */
    double gradient_share;      /* gwq: the same */
    int bits;                   /* 2 3 4 8 */
    int64_t group; /* -1 or a divisor of K (a short last group is refused by default) */
    const struct grid *grid;
    enum fit fit;
    enum order order;
    enum groups groups;
    int desc_act; /* groups are of inputs that follow each other in that order */
    double damp;  /* of the mean diagonal */
    enum dead dead;
    /* F16 BF16 F32 F64: scales are rounded to it before codes are chosen; a grid may have a type
     * of its own (grid_scale_type) */
    enum dtype scale_type;
    size_t block; /* columns per lazy update; never changes the result beyond rounding of sums */
    int64_t
        zero_min;  /* smallest zero point the grid may use (1 for GPTQ v1 output, 0 for comparison
                     with goldens) */
    double alpha;  /* gptaq, rescomp, foem: share of the D term */
    double alpha2; /* rescomp: share of the term that holds on to the original weight */
    double beta;   /* foem */
    int64_t pull;  /* foem: the first of so many columns is not pulled; 0: all are */
    double qep_alpha; /* share of the target shift */
    enum p_source p_source;
    int64_t tries;            /* ojbkq: random roundings beside the plain one */
    uint64_t seed;            /* of them */
    int64_t refine;           /* passes over the scales after the codes are chosen */
    double refine_alpha;      /* share of D in them */
    enum criterion criterion; /* best: what is compared */
    /* best: solve again with the winner and all chunks, the held-out ones too */
    int refit;
    enum sums_kind sums;
    enum equalise equalise;
    int64_t equalise_passes;
    int mixed; /* the sums of each modality times mix, instead of the rows as counted */
    double mix[MODALITIES];
    int mix_told; /* mix is what each problem says of itself (--mix auto) */
    /* also try solutions from the rows of one length alone, and tell what they cost */
    int cross;
    int recorded; /* the problems are those of an earlier run: said in the provenance */
    const struct overrides *overrides; /* what is different for some linears; NULL: nothing */
};

/* The defaults of ptq-solve, which its rows hold (solve_opts.c). */
struct solve_opts solve_opts_default(void);

struct solve_stats {
    double damp;  /* what the factorisation needed */
    int attempts; /* factorisations tried, the successful one included; 0: none was needed */
    const char *fallback; /* NULL, "floor", "rtn" */
    size_t dead;          /* dead columns */
};

/* One linear: W [N,K] of a float type in; codes U8 [N,K], scales f64 [N,G] (already rounded to
 * scale_type), zeros U8 [N,G] out where the grid has them. */
struct solve_job {
    const char *name; /* for errors */
    size_t N, K, G;
    enum dtype w_type;
    const void *W;
    const double *H; /* [K,K] undamped; NULL for solvers that do not need it */
    const double *D; /* [K,K] or NULL */
    uint8_t *codes;
    double *scales;        /* times that of the tensor */
    uint8_t *zeros;        /* NULL: the grid has none */
    float *table;          /* [N, 2^bits] of a grid that has one */
    struct sparse apart;   /* weights beside the codes, of the tensors below; count 0: none */
    struct tensor *beside; /* [3] out: solve_beside.h */
    double tensor_scale;   /* looked at where the grid has one */
    atomic_size_t raised;  /* out: scales that rounded to 0 and were raised (solve_grid.h) */
    const double *diag;    /* [K] of the damped H, for fits that weigh errors; set by sweep_run */
    double bound;          /* out: see sweep_run; NaN from a solver without feedback */
    /* out: tr((W-Q)H(W-Q)') and |W-Q|^2, where told is 1: a sweep may know. Who changes scales or
     * codes afterwards, or solved for other weights, sets it to 0. */
    int told;
    double loss, square;
};

#define SOLVER_NEEDS_H 1
#define SOLVER_NEEDS_D 2
#define SOLVER_MAKES_TABLE 8 /* of each row, and no scales */
#define SOLVER_NEEDS_FISHER 16
#define SOLVER_SHIFTS 4 /* moves the whole target itself: not behind qep+ */

/* Rows of the solvers that go column by column (solve_sweep.c). */
extern const struct opt sweep_rows[];
#define SOLVER_SWEEP_OPTIONS "order,groups,damp,dead,block"

struct solver {
    const char *name;
    const char *about; /* one line with the paper */
    /* Its own options, fields of struct solve_opts; NULL: none. Only solvers that look at an
     * option may be given another value than its default. */
    const struct opt *rows;
    const char *takes; /* comma-separated names of others' options that it looks at; NULL: none */
    unsigned needs;
    /* The share of the weights that stand beside the codes, at most 1; NULL: none do. */
    double (*beside)(const struct solve_opts *o);
    /* Memory while it works, beside H and D: matrices of [K,K] f64, further ones when the problem
     * has D, and copies of a linear in f64. Of a solver before another: without the other's. */
    unsigned squares, squares_with_d, copies;
    int back; /* its sweep looks back at what columns started from */
    int half; /* it reads the lower triangle of H alone, and of its own square makes one */
    /* Factorisations of H are shared by the linears of a site: prepare once, solve each, release.
     */
    int (*prepare)(const struct solve_opts *o, size_t K, const double *H, const double *D,
                   struct par *p, void **state, struct solve_stats *st, struct err *e);
    int (*solve)(const struct solve_opts *o, void *state, struct solve_job *j, struct par *p,
                 struct err *e);
    void (*release)(void *state);
};

/* 1: with these options the solver of this name, and what else they ask for, read the lower
 * triangle of H alone; H need not have another (EXPAND_HALF). */
int solver_half(const struct solve_opts *o, const char *name);
/* By the name of one solver; of "qep+gptq" the part before the plus. NULL: unknown. */
const struct solver *solver_find(const char *name);
/* What stands behind the plus ("gptq" for "qep" alone); NULL for a solver that stands alone. */
const char *solver_inner(const char *name);
const struct solver *solver_at(size_t i); /* NULL past the end */
/* As rows of options take it: a name and its number; NULL past the end. */
const char *solver_choice(size_t i, int *value);
/* 1 when the solver looks at this option (name without dashes). */
int solver_takes(const struct solver *s, const char *option);

#endif

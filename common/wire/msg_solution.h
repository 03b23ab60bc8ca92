/* SPDX-License-Identifier: Apache-2.0 */
/* msg_solution - the typed view of a solution and of a commit. */
#ifndef PTQ_MSG_SOLUTION_H
#define PTQ_MSG_SOLUTION_H

#include "msg_problem.h"

/* What came out, per linear. */
struct solution_linear {
    const char *name;
    size_t N, K, G;
    /* 1: not quantized, the checkpoint's own weights stay; of the fields below solver alone is
     * set then, to NULL */
    int kept;
    const char *solver; /* NULL: that of the site */
    int bits;
    int64_t group;               /* -1: per row */
    const char *grid;            /* "sym" */
    const struct tensor *codes;  /* "NAME.codes" U8 [N,K] */
    const struct tensor *scales; /* "NAME.scales" float [N,G] */
    /* Further parts, as the grid has them (common/format/coded.h checks that); else NULL */
    const struct tensor *zeros;        /* "NAME.zeros" U8 [N,G] */
    const struct tensor *tensor_scale; /* "NAME.tensor_scale" F32 [1] */
    const struct tensor *table;        /* "NAME.table" F32 [N, 2^bits] */
    /* "NAME.g_idx" I32 [K]: the group of each input; NULL: k / group. Each group has as many. */
    const struct tensor *g_idx;
    /* Weights beside the codes, by rows (common/format/sparse.h): all three, or none.
     * "NAME.sparse_end" I32 [N], "NAME.sparse_column" I32 [n], "NAME.sparse_value" float [n] */
    const struct tensor *sparse_end, *sparse_column, *sparse_value;
    double loss, rel_loss;   /* tr((W-Q)H(W-Q)'), over tr(WHW') */
    double round_off, trace; /* |W-Q|^2 / |W|^2, |W-Q|^2 tr(H) / K; NaN: not told */
    double asym_loss;        /* NaN without D */
    /* loss, damping included, is at most this if no weight leaves its grid; 0: not known */
    double bound;
};
/* Tensors of the checkpoint that are of no linear and change with the site, at most. */
#define SOLUTION_CHANGED 8
/* The tensors that such a linear has, in the order above; how many. None when it is kept. */
#define SOLUTION_PARTS 9
size_t solution_parts(const struct solution_linear *x, const struct tensor *part[SOLUTION_PARTS]);

struct solution_view {
    uint64_t block, order, sites;
    const char *site;
    size_t K;
    uint64_t tokens, sequences;
    double sum_w, sum_w2;
    const char *solver;
    double damp; /* the relative damping used; attempts before it */
    int64_t attempts;
    const char *fallback; /* NULL, "floor" or "rtn" */
    double seconds;
    size_t nlinears;
    struct solution_linear linear[PROBLEM_LINEARS];
    size_t nchanged;
    const struct tensor *changed[SOLUTION_CHANGED]; /* float, finite, under their own names */
    const struct json *prov;
};
/* MSG_SOLUTION or MSG_COMMIT */
int solution_read(const struct msg *m, struct solution_view *v, struct err *e);
/* A solution with id and metadata from the view (tensors of the view are not looked at); the
 * caller then adds "NAME.codes", "NAME.scales" and what else the grid has, of every linear that is
 * not kept. A commit is the same message with kind set to MSG_COMMIT by the writer. */
struct msg *solution_create(const struct solution_view *v, const char *stage, struct err *e);
/* Says that the checkpoint is to have these tensors instead of its own; the data is copied. */
int solution_add_changed(struct msg *m, const struct tensor *t, size_t count, struct err *e);

#endif

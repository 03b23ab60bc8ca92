/* SPDX-License-Identifier: Apache-2.0 */
/* msg_problem - the typed view of a problem. */
#ifndef PTQ_MSG_PROBLEM_H
#define PTQ_MSG_PROBLEM_H

#include "msg.h"

#define PROBLEM_LINEARS 64

/* A further set of raw sums over the same site: S NULL when it was not collected. */
struct problem_sums {
    const struct tensor *S, *D;
    uint64_t tokens, sequences;
    double sum_w, sum_w2;
};

#define PROBLEM_CLASSES 64

/* The share of S that one class of rows has: those of sequences of one length, at positions of
 * one band, or of one modality. */
struct problem_class {
    const char *kind; /* "length", "position", "modality": classes of one kind add up to S */
    const char *name; /* "256"; "0", "1-127"; "text", "image" */
    /* sequences: those with rows in it; 0 with sum_w2 when not known */
    uint64_t tokens, sequences;
    double sum_w, sum_w2;
    const struct tensor *S; /* "S.class.I" F64 or F32 [K*(K+1)/2], I the place in the list */
    const struct tensor *D; /* "D.class.I" as D; NULL when not collected */
};

/* What a solver gets: raw sums over the calibration rows of one site, and every linear that
 * reads them. */
struct problem_view {
    uint64_t block, order, sites;
    const char *site;
    size_t K;
    uint64_t tokens, sequences;
    double sum_w, sum_w2;
    /* "S" F64 or F32 [K*(K+1)/2]: sum_t w_t x_t x_t', lower triangle row by row */
    const struct tensor *S;
    /* "D" F64 or F32 [K,K]: sum_t w_t (x~_t - x_t) x_t'; NULL when not collected */
    const struct tensor *D;
    /* "diag" F64 or F32 [lengths, K]: for each entry of `lengths` the sum over its rows of
     * x_k^2, every weight 1; NULL */
    const struct tensor *diag;
    size_t nlinears;
    const struct tensor *linear[PROBLEM_LINEARS]; /* W [N,K], float, named as the linear */
    /* "S.hold", "D.hold": chunks that are not in S, to judge solutions on */
    struct problem_sums hold;
    /* "S.plain", "D.plain": the chunks of S with every token weight 1 */
    struct problem_sums plain;
    size_t nclasses; /* 0: not collected */
    struct problem_class classes[PROBLEM_CLASSES];
    const struct json *lengths; /* histogram: array of [length, sequences, sum_w] */
    const struct json *prov;
    /* how much the rows of each modality are to count, as modality_ratios_read takes it; NULL: not
     * said */
    const struct json *ratios;
    /* of an expert's site: rows that its router sent there, and what was done about too few of
     * them: "rtn" (it is to be rounded to nearest), "all-tokens" (the sums are those of all
     * tokens), NULL: nothing */
    int has_routed;
    uint64_t routed;
    const char *starved;
    uint64_t bytes_in; /* bytes of activations that went into it */
};
int problem_read(const struct msg *m, struct problem_view *v, struct err *e);
/* Fields that problem_read knows, NULL at the end. */
extern const char *const problem_known[];
/* Of a problem or a partial: all but prov and linears. S is NULL where it is absent. */
int problem_read_sums(const struct msg *m, struct problem_view *v, struct err *e);
/* The reverse for the metadata, without classes. -1: out of memory. */
int problem_put_sums(struct msg *m, const struct problem_view *v);
/* A problem with id and metadata from the view; linear[i] gives name and shape only (its data is
 * not looked at), S and D are not looked at. hold and plain: their counts are written when
 * hold.tokens or plain.tokens is above 0. The caller then adds the tensors "S", "D", "S.hold" ...
 * and every linear with msg_add() or msg_add_new(). */
struct msg *problem_create(const struct problem_view *v, const char *stage, struct err *e);

/* Adds the list of classes to a problem; their tensors are the caller's to add. n 0: nothing. */
int problem_put_classes(struct msg *m, const struct problem_class *list, size_t n, struct err *e);

#endif

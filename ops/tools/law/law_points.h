/* SPDX-License-Identifier: Apache-2.0 */
/* law_points - what a law is fitted to: how much a model lost when so much of it was quantized.
 *
 * A source is the folder of a run (its journal says what was quantized and how, its kept figures
 * of ptq-eval what that cost) or a file of JSON lines, one point each: {"model", "params", "qr",
 * "qb", "delta"} and optionally "kind". Points of one law are of one kind (solver, bits, grid):
 * other kinds are refused, as constants of one say nothing about another. */
#ifndef PTQ_LAW_POINTS_H
#define PTQ_LAW_POINTS_H

#include <stddef.h>
#include "../../../common/base/err.h"

/* What the loss is measured by: the relative increase of perplexity, the increase of the mean
 * negative log likelihood (nats a token), or the mean KL divergence (nats a token). */
enum law_measure { LAW_PERPLEXITY, LAW_NLL, LAW_KL };

struct law_point {
    char *model; /* points of one model share it; owned */
    char *from;  /* the folder, or "FILE:12"; owned */
    char *kind;  /* "gptq, 4 bits, sym"; "": not said; owned */
    /* parameters of the linears of all blocks; the share of them that is quantized, in [0,1];
     * quantized values that share a scale; what it cost */
    double params, qr, qb, delta;
};

struct law_points {
    size_t count, cap;
    struct law_point *at;
    size_t dropped; /* that lost nothing: they have no logarithm */
};

/* All sources, in order. data: which evaluation of a run counts (the name that ptq-eval had for
 * its --data); NULL: its only one. The points are released on an error too. */
int law_points_read(struct law_points *p, const char *const *sources, size_t count,
                    enum law_measure measure, const char *data, struct err *e);
void law_points_release(struct law_points *p);

#endif

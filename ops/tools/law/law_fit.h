/* SPDX-License-Identifier: Apache-2.0 */
/* law_fit - the scaling law of mixed quantization (arXiv 2410.06722), fitted:
 *
 *     delta = C exp(A Qr) N^-gN (Qb + d)^gc
 *
 * delta: what was lost; Qr: the share of the parameters that is quantized; N: parameters; Qb:
 * values that share a scale. Least squares of ln delta, which is linear in all but d; d is
 * searched for in [0, LAW_D_MAX]. What does not vary among the points (one model, one block size)
 * has no term: its constants are 0 and say so.
 *
 * Intervals are of 95%, by profile: the values of a constant (or of a prediction) for which the
 * best of all other constants, d too, still fits within F(1, n - p) of the best of all. For those
 * that are linear this has a closed form at each d. */
#ifndef PTQ_LAW_FIT_H
#define PTQ_LAW_FIT_H

#include <stddef.h>
#include "../../../common/base/err.h"
#include "law_points.h"

#define LAW_D_MAX 256

enum law_constant { LAW_LN_C, LAW_A, LAW_GN, LAW_GC, LAW_D, LAW_CONSTANTS };

struct law_value {
    double value, low, high; /* NAN: there is no term for it, or nothing is known */
};

struct law_fit {
    size_t points, models, constants; /* constants: that were fitted */
    struct law_value constant[LAW_CONSTANTS];
    double r2;       /* of ln delta */
    double residual; /* standard deviation of ln delta about the law */
    /* What a model says that the law has not seen: root mean square of ln (law / measured), and
     * the model with the worst. NAN: a law cannot be fitted without one of them. */
    double left_out, left_out_worst;
    const char *left_out_model; /* of the points */
    /* The constant of a further term Qr ln N. That N and Qr multiply says it is 0. */
    struct law_value interaction;
};

struct law; /* points with their fit */

/* Borrows the points. NULL: too few of them, or nothing varies; the error says what lacks. */
struct law *law_open(const struct law_points *p, struct err *e);
void law_close(struct law **l);
const struct law_fit *law_fitted(const struct law *l);
/* The name of a constant: "ln C", "A", ... */
const char *law_constant_name(size_t constant);
/* The loss of one more measurement, with its interval. */
struct law_value law_predict(const struct law *l, double params, double qr, double qb);
/* 1: the law was fitted to several values of it; a prediction needs no such, but says nothing
 * about how the loss depends on it. */
int law_has(const struct law *l, enum law_constant constant);

/* Student's t: the value that |t| exceeds in 5% of all cases. */
double law_t95(double freedom);

#endif

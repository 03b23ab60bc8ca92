/* SPDX-License-Identifier: Apache-2.0 */
/* classes - how a solution fares on each class of calibration rows (ptq-reduce --classes), and
 * how one would that had seen the sequences of one length only (ptq-solve --cross length).
 *
 * The question that MaCa (arXiv 2602.07465) asks, for any model and in one run: do sequences of
 * one length speak for those of another? */
#ifndef PTQ_SOLVE_CLASSES_H
#define PTQ_SOLVE_CLASSES_H

#include "work.h"

/* With --cross length: classes by length there must be, and no solver that needs D, for which no
 * classes are kept. */
int classes_check(const struct work *w, struct par *p, struct err *e);
/* Of class c with a solution, one answer for each part: both over its weight. energy NAN: not
 * known, the loss is 0. */
int classes_cost(struct work *w, size_t c, const struct answer *const *by, double *loss,
                 double *energy, struct par *p, struct err *e);
/* After all parts are solved: fills w->classes, one entry for each class of the problem: kind,
 * name, tokens, sum_w, energy = tr(W H W') and loss = tr((W-Q) H (W-Q)') over the linears, H
 * that of the class; and with --cross "cross": for each class by length the loss of the solution
 * from its rows alone (null where it has no rows). No D is used. */
int classes_measure(struct work *w, struct par *p, struct err *e);

#endif

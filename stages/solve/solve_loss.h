/* SPDX-License-Identifier: Apache-2.0 */
/* solve_loss - what a rounding costs, for any solver. */
#ifndef PTQ_SOLVE_LOSS_H
#define PTQ_SOLVE_LOSS_H

#include "solver.h"

struct solve_loss {
    double loss;      /* tr((W-Q) H (W-Q)') */
    double rel_loss;  /* over tr(W H W'); 0 when that is 0 */
    double round_off; /* |W-Q|^2 over |W|^2: without any H; 0 when that is 0 */
    double trace;     /* |W-Q|^2 tr(H) / K: as if all inputs were alike and independent */
    double asym_loss; /* loss + 2 tr(W D (W-Q)'): against the full-precision target, less a
                         constant; NaN without D */
};

/* The job has been solved; its H must be there, D may be. Sums in a fixed order. Without D, of a
 * job whose solver has told it, the loss is that, and W has its part by solve_energy.h. */
int solve_loss(const struct solve_opts *o, const struct solve_job *j, struct par *p,
               struct solve_loss *out, struct err *e);

#endif

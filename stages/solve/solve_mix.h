/* SPDX-License-Identifier: Apache-2.0 */
/* solve_mix - the sums of a problem mixed anew from those of its modalities (ptq-solve --mix): a
 * linear has one solution, and how much text and image rows count in it is said here, not by how
 * many of each were drawn. Private to the stage. */
#ifndef PTQ_SOLVE_MIX_H
#define PTQ_SOLVE_MIX_H

#include "work.h"

/* Fills w->sums and w->mix from the classes by modality, each times its ratio r: S, D, sum w with
 * r, sum w^2 with r^2. Ratios of 1 for all that are there leave the sums of the problem as they
 * are, to the last bit. ERR_USE: the problem holds none. */
int solve_mix_choose(struct work *w, struct err *e);

#endif

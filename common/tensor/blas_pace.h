/* SPDX-License-Identifier: Apache-2.0 */
/* blas_pace - how fast a core of this machine multiplies. */
#ifndef PTQ_BLAS_PACE_H
#define PTQ_BLAS_PACE_H

#include "../base/err.h"

/* Flops a second of one thread at best, f32, in seconds of its own, so that others who want the
 * core too do not count. Takes a tenth of a second, and the kernels of blas_start(). */
int blas_pace(double *flops_s, struct err *e);

#endif

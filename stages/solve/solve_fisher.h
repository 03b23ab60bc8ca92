/* SPDX-License-Identifier: Apache-2.0 */
/* solve_fisher - how sensitive the loss of the model is to each weight: the diagonal of the Fisher
 * information, the means of the squares of the gradient (`ptq-importance --fisher`), from a file.
 */
#ifndef PTQ_SOLVE_FISHER_H
#define PTQ_SOLVE_FISHER_H

#include "../../common/tensor/safetensors.h"
#include "solver.h"

/* Can the file be read? NULL: none is named. */
int fisher_look(const char *path, struct err *e);
/* prepare of solvers that read --fisher: the state is the file, NULL where none is named. */
int fisher_prepare(const struct solve_opts *o, size_t K, const double *H, const double *D,
                   struct par *p, void **state, struct solve_stats *st, struct err *e);
void fisher_release(void *state);
/* Of the linear [N,K], not below 0; the caller frees it. *all NULL: there is no file. */
int fisher_load(const struct st_set *s, const struct solve_job *j, float **all, struct err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* write_head - a head that is rounded to nearest beside linears that were solved (--lm-head), in
 * formats of folders whose engines take one: for them it is one more linear of the plan. */
#ifndef PTQ_WRITE_HEAD_H
#define PTQ_WRITE_HEAD_H

#include "write_plan.h"

/* What of head_check the config alone tells, of the model in dir. */
int head_check_tied(const struct config *c, const char *dir, const struct format *f, int bits,
                    struct err *e);
/* Can the model have one in this format? Before the run. */
int head_check(const struct plan *p, const struct format *f, int bits, struct err *e);
/* The head as the last linear of p, like the first that is quantized but for its bits; symmetric.
 * head_end: as it was. */
int head_begin(struct plan *p, const struct format *f, int bits, struct err *e);
void head_end(struct plan *p);
/* Its codes, to `take`. */
typedef int head_take(void *arg, const struct plan_linear *l, const struct coded *c, struct err *e);
int head_codes(const struct plan *p, head_take *take, void *arg, struct err *e);

#endif

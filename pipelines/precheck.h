/* SPDX-License-Identifier: Apache-2.0 */
/* precheck - what can be seen to be wrong with a model, data and an output folder before any
 * process starts; the stages check everything again. */
#ifndef PTQ_PRECHECK_H
#define PTQ_PRECHECK_H

#include <stdint.h>
#include "../common/base/err.h"
#include "../common/model/config.h"
#include "loads.h"
#include "route.h"

/* What of it concerns the solvers: a run that goes on asks it again of a new one (change.h).
 * s: NULL where the model is not known. l: the solvers are added to it. */
int precheck_solvers(const struct route *t, const struct sites *s, struct loads *l, struct err *e);

/* No stage writes what it or another reads, nor do two write one file. log: the folder of the
 * processes' logs, or NULL. */
int precheck_files(const struct route *t, const char *log, struct err *e);

/* What of it concerns the data: files, and what the sampler makes of them with this model. */
int precheck_data(const struct route *t, const struct config *c, const char *model, struct err *e);

/* What of it concerns a head that is to be quantized (--lm-head). */
int precheck_head(const struct route *t, const struct config *c, const char *model, struct err *e);

/* All of it. t: parsed. reserve: bytes that are to stay free on the disk of the output; states:
 * hidden states are kept there. known: 1 when the stages have a model, whose config is then in *c
 * for the caller to release. l: who will load what the run makes, which is said. */
int precheck(const struct route *t, uint64_t reserve, int states, struct config *c, int *known,
             struct loads *l, struct err *e);

#endif

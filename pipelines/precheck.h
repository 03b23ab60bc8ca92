/* SPDX-License-Identifier: Apache-2.0 */
/* precheck - what can be seen to be wrong with a model, data and an output folder before any
 * process starts; the stages check everything again. */
#ifndef PTQ_PRECHECK_H
#define PTQ_PRECHECK_H

#include <stdint.h>
#include "../common/base/err.h"
#include "../common/model/config.h"
#include "route.h"

/* t: parsed. reserve: bytes that are to stay free on the disk of the output. known: 1 when the
 * stages have a model, whose config is then in *c for the caller to release. */
int precheck(const struct route *t, uint64_t reserve, struct config *c, int *known, struct err *e);

#endif

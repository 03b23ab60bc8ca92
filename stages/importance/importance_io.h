/* SPDX-License-Identifier: Apache-2.0 */
/* importance_io - the links of ptq-importance. */
#ifndef PTQ_IMPORTANCE_IO_H
#define PTQ_IMPORTANCE_IO_H

#include "../../common/base/err.h"
#include "../../common/base/stage.h"

/* The work of the stage: chunks come in, and go out weighed, a lane to one worker. */
int importance_io_run(struct stage *s, struct err *e);

#endif

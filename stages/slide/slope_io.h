/* SPDX-License-Identifier: Apache-2.0 */
/* slope_io - the links of ptq-slope. */
#ifndef PTQ_SLOPE_IO_H
#define PTQ_SLOPE_IO_H

#include "../../common/base/err.h"
#include "../../common/base/stage.h"

/* The work of the stage: parts of steps come in, their gradients go out. */
int slope_io_run(struct stage *s, struct err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* slide_io - the links of ptq-slide. */
#ifndef PTQ_SLIDE_IO_H
#define PTQ_SLIDE_IO_H

#include "../../common/base/err.h"
#include "../../common/base/stage.h"

/* The work of the stage: chunks come in, all of them; solutions go out, block by block. */
int slide_io_run(struct stage *s, struct err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* forward_io - the links of the forward stage: chunks in, rows and weights out, commits back (by
 * link, or by the writer's folder). Private to the stage. */
#ifndef PTQ_FORWARD_IO_H
#define PTQ_FORWARD_IO_H

#include "../../common/base/stage.h"

/* The work of ptq-forward, from loading the model to the writer's end. s->own: struct
 * forward_command. 0; -1 with e set, and whoever takes the rows is told why they are cut short. */
int forward_io_run(struct stage *s, struct err *e);

#endif

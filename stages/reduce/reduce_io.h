/* SPDX-License-Identifier: Apache-2.0 */
/* reduce_io - the links of the reducer: rows and weights in, problems out and into the record,
 * commits back. Private to the stage. */
#ifndef PTQ_REDUCE_IO_H
#define PTQ_REDUCE_IO_H

#include "../../common/base/stage.h"

/* The work of ptq-reduce, from opening its links to closing them. s->own: struct reduce_command.
 * 0; -1 with e set, and whoever takes the problems is told why the stream is cut short. */
int reduce_io_run(struct stage *s, struct err *e);

#endif

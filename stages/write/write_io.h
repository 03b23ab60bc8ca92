/* SPDX-License-Identifier: Apache-2.0 */
/* write_io - the links of the writer: solutions in, commits out. Private to the stage. */
#ifndef PTQ_WRITE_IO_H
#define PTQ_WRITE_IO_H

#include "../../common/base/stage.h"

/* The work of ptq-write, from opening its output to publishing the checkpoint. s->own: struct
 * write_command. 0; -1 with e set: then there is no checkpoint, the output folder says why, and so
 * does the stream of commits. */
int write_io_run(struct stage *s, struct err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* sample_io - the link of the sampler: chunks out, each lane to one worker. Private to the
 * stage. */
#ifndef PTQ_SAMPLE_IO_H
#define PTQ_SAMPLE_IO_H

#include "../../common/base/stage.h"
#include "sample.h"

/* Sends all chunks of s to the workers that --peers waits for, and ends the stream: complete, or
 * cut short with the reason. stage->own: struct sample_command. 0; -1 with e set. */
int sample_io_send(const struct stage *stage, struct sample *s, struct err *e);

#endif

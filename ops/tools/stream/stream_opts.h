/* SPDX-License-Identifier: Apache-2.0 */
/* stream_opts - the options of ptq-stream. */
#ifndef PTQ_STREAM_OPTS_H
#define PTQ_STREAM_OPTS_H

#include "../../../common/base/stage.h"

extern const struct stage_spec stream_spec;

#endif

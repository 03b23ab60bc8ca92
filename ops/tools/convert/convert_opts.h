/* SPDX-License-Identifier: Apache-2.0 */
/* convert_opts - the options of ptq-convert. */
#ifndef PTQ_CONVERT_OPTS_H
#define PTQ_CONVERT_OPTS_H

#include "../../../common/base/stage.h"

struct convert_command {
    const char *model, *format;
    uint64_t shard_bytes;
};

extern const struct stage_spec convert_spec;

#endif

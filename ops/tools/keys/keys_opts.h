/* SPDX-License-Identifier: Apache-2.0 */
/* keys_opts - the options of ptq-keys. */
#ifndef PTQ_KEYS_OPTS_H
#define PTQ_KEYS_OPTS_H

#include "../../../common/base/stage.h"

struct keys_command {
    struct opt_texts workers;
};

extern const struct stage_spec keys_spec;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* import_opts - the options of ptq-import. */
#ifndef PTQ_IMPORT_OPTS_H
#define PTQ_IMPORT_OPTS_H

#include "../../../common/base/stage.h"

struct import_command {
    const char *pre;
    int dtype, vocab_only;
};

extern const struct stage_spec import_spec;

#endif

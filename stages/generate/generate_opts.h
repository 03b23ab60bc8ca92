/* SPDX-License-Identifier: Apache-2.0 */
/* generate_opts - the options of ptq-generate. */
#ifndef PTQ_GENERATE_OPTS_H
#define PTQ_GENERATE_OPTS_H

#include "../../common/base/stage.h"

struct generate_command {
    const char *model, *prompts, *chat_template, *date, *out;
    int64_t count, tokens, prompt_tokens, batch, seed, top_k;
    double temperature, top_p;
    int start, ids, ignore_eos;
};

extern const struct stage_spec generate_spec;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* eval_opts - the options of ptq-eval. */
#ifndef PTQ_EVAL_OPTS_H
#define PTQ_EVAL_OPTS_H

#include "../../common/base/stage.h"
#include "../../common/model/products.h"
#include "../../common/text/docs.h"

struct eval_command {
    const char *model, *data, *ref, *ref_states, *logits, *chat_template, *date;
    int64_t window, max_windows, act_bits, qkv_bits;
    int json, keep, answers;
    enum products products;
    struct docs_opts docs;
};

extern const struct stage_spec eval_spec;

#endif

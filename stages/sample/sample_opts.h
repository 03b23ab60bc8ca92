/* SPDX-License-Identifier: Apache-2.0 */
/* sample_opts - the options of ptq-sample. */
#ifndef PTQ_SAMPLE_OPTS_H
#define PTQ_SAMPLE_OPTS_H

#include "../../common/base/stage.h"
#include "../../common/wire/link.h"
#include "sample.h"

#define SAMPLE_MODE_AUTO 4 /* crops with several lengths, else concat */

struct sample_command {
    struct sample_opts core; /* complete once the spec's check has passed */
    struct opt_texts data, share;
    const char *lengths_text, *clip_text, *only, *lease_text, *paces_text;
    struct link_lease lease;
    double first_weight;
    int64_t length, peers;
    int mode;
    /* what core points to */
    size_t lengths[SAMPLE_LENGTHS_MAX];
    double shares[OPT_TEXTS_MAX];
};

extern const struct stage_spec sample_spec;

/* The defaults of ptq-sample, which its rows hold; neither a model nor data. */
struct sample_opts sample_opts_default(void);

#endif

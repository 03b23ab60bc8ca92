/* SPDX-License-Identifier: Apache-2.0 */
/* worker_model - where the model is that the forward processes of a worker read: where it was told,
 * where the head has it, or in a copy that the head lends (fetch.h). Until that is known the worker
 * is given no lanes. */
#ifndef PTQ_WORKER_MODEL_H
#define PTQ_WORKER_MODEL_H

#include <stdint.h>
#include "../common/base/err.h"
#include "../common/base/json.h"
#include "worker_slot.h"

struct fetch;

struct worker_model {
    const char *host;  /* of the head, as tcp://HOST */
    const char *keys;  /* folder, or NULL */
    const char *cache; /* folder of copies; NULL: the user's */
    uint64_t most;     /* bytes of a copy; 0: none is made */
    int has;           /* it is known */
    struct fetch *fetch;
    double told;   /* when it was said last how far the copy is */
    int told_last; /* enum fetch_state: of what */
};

/* What the head says with a ping. 1: has, or that there will be a copy, is news for the head; 0,
 * -1. */
int worker_model_heard(struct worker_model *m, const char *identity, const struct json *said,
                       struct err *e);
/* The same as time goes by; then terms have the copy, which lives as long as m. */
int worker_model_tick(struct worker_model *m, struct worker_terms *terms, double now,
                      struct err *e);
void worker_model_release(struct worker_model *m);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* run_id - which run a process works for. Nobody tells a stage: the sampler makes the id of what
 * the rows depend on, the others take it from the first message that bears one, and from then on
 * refuse what is of another run, at each of their links. So a process that was left over from an
 * earlier run cannot mix its numbers into the next.
 *
 * An id is MODEL-REST, two digests of 16 hexadecimal digits: the model, and all else that the
 * numbers depend on. Who has the model (fingerprint_model) checks the first for itself; where the
 * sampler saw no weights it is REST alone. Ids that do not look like that are only compared. */
#ifndef PTQ_RUN_ID_H
#define PTQ_RUN_ID_H

#include <pthread.h>
#include <stdint.h>
#include "../base/err.h"

#define RUN_ID 40 /* with the NUL */

/* Shared by the links of a stage, whose threads use it at the same time. */
struct run_id {
    pthread_mutex_t mu;
    char id[RUN_ID];
};
#define RUN_ID_INIT                         \
    {                                       \
        .mu = PTHREAD_MUTEX_INITIALIZER, "" \
    }

void run_id_get(struct run_id *r, char out[RUN_ID]); /* "": not known yet */
/* id is that of the run, or "": whoever said it does not know. 0; ERR_USE names both. fix: where
 * none is known yet it is the one from now on. */
int run_id_check(struct run_id *r, const char *id, int fix, struct err *e);

/* out: MODEL of the digest, and `rest` (which may have a MODEL of its own) with `more` mixed in
 * when it is not NULL. */
void run_id_make(char out[RUN_ID], uint64_t model, const char *rest, const char *more);
/* Is id of this model, as far as it says? ERR_USE names both, and `dir`, where the model is. */
int run_id_check_model(const char *id, uint64_t model, const char *dir, struct err *e);

#endif

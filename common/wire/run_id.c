/* SPDX-License-Identifier: Apache-2.0 */
/* run_id - see run_id.h. */
#include "run_id.h"

#include <stdio.h>
#include <string.h>

#include "../base/hash.h"

#define DIGITS 16

void run_id_get(struct run_id *r, char out[RUN_ID])
{
    pthread_mutex_lock(&r->mu);
    memcpy(out, r->id, RUN_ID);
    pthread_mutex_unlock(&r->mu);
}

int run_id_check(struct run_id *r, const char *id, int fix, struct err *e)
{
    int rc = 0;

    pthread_mutex_lock(&r->mu);
    if (!*r->id && fix)
        snprintf(r->id, RUN_ID, "%s", id);
    else if (*r->id && *id && strcmp(r->id, id) != 0)
        rc = err_set(e, ERR_USE,
                     "run %.39s where run %s is going on: a process of another run, or of other "
                     "options, is connected; end it",
                     id, r->id);
    pthread_mutex_unlock(&r->mu);
    return rc;
}

/* What stands behind the model; NULL: id says nothing of a model. */
static const char *rest_of(const char *id)
{
    return strlen(id) == 2 * DIGITS + 1 && id[DIGITS] == '-' ? id + DIGITS + 1 : NULL;
}

void run_id_make(char out[RUN_ID], uint64_t model, const char *rest, const char *more)
{
    const char *own = rest_of(rest) ? rest_of(rest) : rest;
    char hex[DIGITS + 1], mixed[DIGITS + 1];
    struct hash h;

    hash_hex(model, hex);
    hash_start(&h);
    hash_add(&h, own, strlen(own) + 1);
    if (more)
        hash_add(&h, more, strlen(more));
    hash_hex(hash_end(&h), mixed);
    snprintf(out, RUN_ID, "%s-%s", hex, more ? mixed : own);
}

int run_id_check_model(const char *id, uint64_t model, const char *dir, struct err *e)
{
    char hex[DIGITS + 1];

    hash_hex(model, hex);
    if (!rest_of(id) || strncmp(id, hex, DIGITS) == 0)
        return 0;
    return err_set(e, ERR_USE,
                   "run %s is of the model %.16s, but '%s' is %s: all stages of a run, the sampler "
                   "too, need the same --model, and what was recorded needs the model that it was "
                   "recorded from",
                   id, id, dir, hex);
}

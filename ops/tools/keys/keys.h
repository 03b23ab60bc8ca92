/* SPDX-License-Identifier: Apache-2.0 */
/* keys - folders of keys (curve.h): one for the head, one for each worker. */
#ifndef PTQ_KEYS_H
#define PTQ_KEYS_H

#include "../../../common/base/err.h"

#define KEYS_HEAD "head"

/* DIR/head with a new pair, where there is none yet. 1: it was made, 0: it was there, -1. */
int keys_head(const char *dir, struct err *e);
/* DIR/NAME with a new pair, which DIR/head lets in from now on. ERR_USE when DIR/NAME is there. */
int keys_worker(const char *dir, const char *name, struct err *e);

#endif

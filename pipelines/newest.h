/* SPDX-License-Identifier: Apache-2.0 */
/* newest - the process of a stage that further ones are made like. */
#ifndef PTQ_NEWEST_H
#define PTQ_NEWEST_H

#include <stddef.h>
#include "supervise_state.h"

/* The newest that has joined, else the first of the stage. */
size_t newest_find(const struct supervise *s, size_t stage);

/* The process that first had the place of process i (replace.h); i where it is the first. */
size_t newest_first(const struct supervise *s, size_t i);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* near - which of some names somebody may have meant who mistyped one. */
#ifndef PTQ_NEAR_H
#define PTQ_NEAR_H

#include <stddef.h>

struct near {
    const char *typed; /* n bytes; borrowed */
    size_t n;
    const char *name; /* the nearest so far, borrowed; NULL: none is near enough */
    size_t steps;     /* insertions, deletions, changes and swaps of letters up to it */
};

struct near near_start(const char *typed, size_t n);
/* Takes the name if it is nearer than those before, or as near and the word goes on where it
 * ends. */
void near_try(struct near *x, const char *name);

#endif

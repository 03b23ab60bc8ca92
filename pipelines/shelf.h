/* SPDX-License-Identifier: Apache-2.0 */
/* shelf - the recipes that came with ptqflow, and those in files. */
#ifndef PTQ_SHELF_H
#define PTQ_SHELF_H

#include <stdio.h>
#include "../common/base/err.h"
#include "recipe.h"

/* By path, else by name among those beside the program. cores: 0: this machine's. NULL on error;
 * the caller destroys it. */
struct recipe *shelf_open(const char *name, size_t cores, struct err *e);
/* A line for each: its name and what it does. */
int shelf_print(FILE *f, struct err *e);

#endif

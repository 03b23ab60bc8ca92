/* SPDX-License-Identifier: Apache-2.0 */
/* shelf - the recipes that came with ptqflow, and those in files. */
#ifndef PTQ_SHELF_H
#define PTQ_SHELF_H

#include "../common/base/err.h"
#include "recipe.h"

/* By path, else by name among those beside the program. cores: 0: this machine's. NULL on error;
 * the caller destroys it. */
struct recipe *shelf_open(const char *name, size_t cores, struct err *e);
/* Those beside the program, with what each does. */
typedef void shelf_take(void *ctx, const char *name, const char *about);
int shelf_each(shelf_take *take, void *ctx, struct err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* runs_apart - what a command writes is none of the files of the runs that it reads. */
#ifndef PTQ_RUNS_APART_H
#define PTQ_RUNS_APART_H

#include <stddef.h>
#include "../../common/base/err.h"

/* run: the folders, or files, that are read; their journals count too. NULL and "-" as out are
 * none. */
int runs_apart(const char *option, const char *out, const char *const *run, size_t n,
               struct err *e);

#endif

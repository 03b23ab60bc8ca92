/* SPDX-License-Identifier: Apache-2.0 */
/* waits_say - what the stages of a run waited for: lines for people, a file for ptq-report. */
#ifndef PTQ_WAITS_SAY_H
#define PTQ_WAITS_SAY_H

#include <stdio.h>
#include "../common/base/err.h"
#include "recipe.h"
#include "supervise_state.h"

/* A line for each stage whose processes waited: "forward 31% (22% for write, 9% until ...)". */
void waits_print(FILE *f, const struct recipe *r, const struct supervise *s);
/* OUT/.ptqflow/waits.json: {"seconds", "processes": [{"name", "stage", "from", "to", "width",
 * "waited": [{"for", "seconds", "each"}]}]}; from and to in seconds since the run began;
 * those of workers go by "HOST NAME". */
int waits_write(const char *out, const struct recipe *r, const struct supervise *s, struct err *e);

#endif

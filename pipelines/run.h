/* SPDX-License-Identifier: Apache-2.0 */
/* run - the supervisor: `ptq run RECIPE`. Starts the processes of a plan, passes on what they
 * say, stops all when one fails.
 *
 * A stage that exits 0 is done. 1, 100 or 111 (or a signal, which counts as 111) stops the
 * others with SIGTERM, after 5 s with SIGKILL, unless the writer has all that it needs. What was
 * lost is started again (crew.h, restart.h); else that code is the exit code of the run. SIGTERM or
 * SIGINT is passed on once as SIGTERM: stages finish what they have in hand; a second one kills. */
#ifndef PTQ_RUN_H
#define PTQ_RUN_H

#include "../common/base/opt.h"

/* What it takes beside line_rows and what the recipe's route has. */
extern const struct opt run_rows[];

int run_main(int argc, char **argv); /* argv[0] = "run"; returns the exit code */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* ctl - `ptq ctl` and `ptq top`: talks to a run that is going on, through its control socket
 * (control.h). */
#ifndef PTQ_CTL_H
#define PTQ_CTL_H

#include <stdio.h>
#include "../common/base/json.h"
#include "../common/base/opt.h"

struct ctl_command {
    const char *name, *rest, *about; /* rest: the words that follow the name, for help */
    int least, most;                 /* words, with the name */
};

extern const struct ctl_command ctl_commands[]; /* a NULL name ends them */
extern const struct opt ctl_rows[];             /* what ptq ctl and ptq top take */

/* argv[0]: "ctl" or "top". Returns the exit code of the process. */
int ctl_main(int argc, char **argv);

/* ctl_table.c: the processes of a run as lines. before: an earlier answer, for what they do now;
 * NULL: since they started. columns: of the terminal or page; what is least needed is left out
 * where they are few. */
void ctl_table(FILE *f, const struct json *now, const struct json *before, size_t columns);

#endif

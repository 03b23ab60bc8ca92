/* SPDX-License-Identifier: Apache-2.0 */
/* commands - what may follow `ptq` on a command line, for its help and for completion. */
#ifndef PTQ_COMMANDS_H
#define PTQ_COMMANDS_H

struct command {
    const char *name, *about;
};

extern const struct command commands[]; /* a NULL name ends them */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* launch - a recipe turned into processes: every command with its variables, endpoints and program
 * path put in. */
#ifndef PTQ_LAUNCH_H
#define PTQ_LAUNCH_H

#include <stddef.h>
#include "../common/base/err.h"
#include "recipe.h"

struct launch_process {
    size_t stage;  /* index into the recipe */
    size_t number; /* among the processes of the stage, from 1 */
    char *label;   /* "reduce", or "forward.2" where a stage has several processes */
    char *program; /* path of the executable */
    int ours;      /* a ptq-X: takes --status-fd */
    int elastic;   /* of a stage marked so: its processes may come and go while the run goes on */
    size_t argc;
    char **argv; /* argv[0] as the recipe writes it; NULL at the end */
};

#define LAUNCH_SPARE 1000 /* processes that launch_add can add */

struct launch {
    size_t count, room;
    struct launch_process *process;
};

/* Folder of the running executable, or "" where it cannot be told. */
void launch_own_dir(char *dir, size_t size);
/* Path of a program: beside the running executable, then in PATH; a name with a slash stays.
 * Caller frees. */
char *launch_find_program(const char *name, struct err *e);

/* sockets: folder for the ipc sockets that %names stand for. quiet: every ptq-X gets --quiet.
 * Refused: an unknown variable, a socket nobody or more than one process binds, a socket nobody
 * connects to, a path that the system's limit for sockets cannot hold, a program that is not
 * there. */
struct launch *launch_create(const struct recipe *r, const char *sockets, int quiet, struct err *e);
/* One more process of the stage of process `like`; returns its number, -1 on error. words: its
 * command; the options of `like` are kept, unless the command gives them, when it is the same
 * program; of another program only --in and --out, and nothing when the command names its sockets
 * itself (%name). A command whose first word is no option, as `python3 solve.py`, is another
 * program in any case. `--name=` takes an option away. No words: the same command. No process moves
 * in memory. */
int launch_add(struct launch *p, const struct recipe *r, size_t like, size_t nwords,
               const char *const *word, const char *sockets, struct err *e);
/* One more option for a process that has not been started; value NULL: a flag. */
int launch_give(struct launch_process *p, const char *option, const char *value, struct err *e);
/* The same without an option, wherever it stands; takes_value: the word behind it goes too. */
void launch_withhold(struct launch_process *p, const char *option, int takes_value);
/* The value of an option in its command; NULL: it is not there. */
const char *launch_value(const struct launch_process *p, const char *option);
/* Does it bind the endpoint that another connects to? */
int launch_binds(const struct launch_process *p, const char *here);
/* The newest process goes again: it has never been started. */
void launch_take_back(struct launch *p);
void launch_destroy(struct launch **p);

#endif

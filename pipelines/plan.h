/* plan - a recipe turned into processes: every command with its variables, endpoints and program path put in. */
#ifndef PTQ_PLAN_H
#define PTQ_PLAN_H

#include <stddef.h>
#include "../common/base/err.h"
#include "recipe.h"

struct plan_process {
    size_t stage;       /* index into the recipe */
    char *label;        /* "reduce", or "forward.2" where a stage has several processes */
    char *program;      /* path of the executable */
    int ours;           /* a ptq-X: takes --status-fd */
    size_t argc;
    char **argv;        /* argv[0] as the recipe writes it; NULL at the end */
};

struct plan {
    size_t count;
    struct plan_process *process;
};

/* Folder of the running executable, or "" where it cannot be told. */
void plan_own_dir(char *dir, size_t size);
/* Path of a program: beside the running executable, then in PATH; a name with a slash stays. Caller frees. */
char *plan_find_program(const char *name, struct err *e);

/* sockets: folder for the ipc sockets that %names stand for. quiet: every ptq-X gets --quiet. Refused: an unknown variable, a socket
 * nobody or more than one process binds, a socket nobody connects to, a path that the system's limit for sockets cannot hold, a program that is not there. */
struct plan *plan_create(const struct recipe *r, const char *sockets, int quiet, struct err *e);
void plan_destroy(struct plan **p);

#endif

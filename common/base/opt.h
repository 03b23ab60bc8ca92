/* SPDX-License-Identifier: Apache-2.0 */
/* opt - options by table: parsing, range checks, help text.
 *
 * Long options only, "--name value" or "--name=value"; "--" ends options; "-" is an ordinary
 * argument. --help prints to stdout, --version too. A repeated, unknown or out-of-range option
 * is refused by name. The program's struct holds the values; defaults are what the struct holds
 * before opt_parse() (an int below its range: no default). Text options point into argv.
 * OPT_SIZE takes bytes with an optional K, M, G (1024-based). */
#ifndef PTQ_OPT_H
#define PTQ_OPT_H

#include <stddef.h>
#include <stdint.h>
#include "err.h"

enum opt_type {
    OPT_FLAG,   /* int, set to 1 */
    OPT_INT,    /* int64_t in [min, max] */
    OPT_SIZE,   /* uint64_t bytes */
    OPT_REAL,   /* double in [min, max] */
    OPT_TEXT,   /* const char * */
    OPT_CHOICE, /* int: index into choices "a|b|c" */
    OPT_TEXTS   /* struct opt_texts: may be repeated */
};

#define OPT_TEXTS_MAX 64
struct opt_texts {
    size_t count;
    const char *text[OPT_TEXTS_MAX];
};

struct opt {
    const char *name; /* without the dashes; NULL ends the table */
    enum opt_type type;
    size_t offset;       /* offsetof(struct, field) */
    const char *arg;     /* name of the value in the help, NULL for a flag */
    const char *help;    /* one or more lines; the default is added by the help itself */
    double min, max;     /* OPT_INT, OPT_REAL; both 0: no bounds */
    const char *choices; /* OPT_CHOICE */
};

struct opt_spec {
    const char *command; /* "ptq-solve" */
    const char *about;   /* one line */
    const char *usage;   /* "[options] OUT": what follows the command in the usage line */
    const struct opt *table;
    const char *notes; /* printed after the options: environment, examples; may be NULL */
    size_t args_min, args_max;
};

#define OPT_ARGS_MAX 256
struct opt_args {
    size_t count;
    const char *arg[OPT_ARGS_MAX];
};

/* 0: go on; 1: help or version was shown, exit 0; -1: misuse, e says what (ERR_USE). args may be
 * NULL when args_max is 0. */
int opt_parse(const struct opt_spec *spec, void *values, struct opt_args *args, int argc,
              char **argv, struct err *e);

#endif

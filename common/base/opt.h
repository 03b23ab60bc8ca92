/* SPDX-License-Identifier: Apache-2.0 */
/* opt - options by table: one row has everything about an option: name, type, range, default,
 * choices, help. Parsing, checks and help text follow from it.
 *
 * Long options only, "--name value" or "--name=value"; "--" ends options; "-" is an ordinary
 * argument. -h, --help print to stdout, -V, --version too. A repeated, unknown or out-of-range
 * option is refused by name, as is a text that is empty. A command's options are several groups of
 * rows, each with the struct that it fills. Text options point into argv, or to the row's default.
 * OPT_SIZE takes bytes with an optional K, M, G, T (1024-based), up to 1M of T. */
#ifndef PTQ_OPT_H
#define PTQ_OPT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "err.h"

enum opt_type {
    OPT_FLAG,   /* int, set to 1 */
    OPT_INT,    /* int64_t (or uint64_t, size_t: with a min of 0 or more) in [min, max] */
    OPT_SIZE,   /* uint64_t bytes */
    OPT_REAL,   /* double in [min, max] */
    OPT_TEXT,   /* const char * */
    OPT_CHOICE, /* int or an enum: the value that belongs to a name */
    OPT_TEXTS   /* struct opt_texts: may be repeated */
};

#define OPT_TEXTS_MAX 64
struct opt_texts {
    size_t count;
    const char *text[OPT_TEXTS_MAX];
};

/* Names and what they stand for: the one table to parse, print and explain them by. A NULL name
 * ends it. */
struct opt_choice {
    const char *name;
    int value;
};

/* Of an OPT_TEXT or OPT_TEXTS that names files: apart.h sees to it that none is both. */
enum opt_file { OPT_READS = 1, OPT_WRITES };

struct opt {
    const char *name; /* without the dashes; NULL ends the rows */
    enum opt_type type;
    size_t offset;    /* offsetof(struct, field) */
    const char *arg;  /* name of the value in the help, NULL for a flag */
    const char *help; /* one or more lines; choices and default are added by the help itself */
    const char *def;  /* as a user would write it; NULL: what the struct holds */
    /* OPT_INT, OPT_REAL; both 0: no bounds. A value below min: no default. OPT_SIZE: a number above
     * 0 and below min wants a unit, because nobody means so few bytes */
    double min, max;
    const struct opt_choice *choices;         /* OPT_CHOICE, or: */
    const char *(*nth)(size_t i, int *value); /* a list of them; NULL past the end. Of an
                                                 OPT_TEXT: names for the help */
    int must;                                 /* OPT_TEXT, OPT_TEXTS: the command needs it */
    int aside;  /* no number depends on it: an unfinished run may go on with another value */
    int wiring; /* connects the program with others: in a recipe not the user's to set */
    enum opt_file file; /* 0: names none */
};

/* A number that has a name, as the text of a row's default or of its help. */
#define OPT_NUMBER(x) OPT_NUMBER_TEXT(x)
#define OPT_NUMBER_TEXT(x) #x

struct opt_group {
    const char *title;      /* above its rows in the help; NULL: "Options", "": nothing */
    const struct opt *rows; /* static */
    void *values;           /* the struct that they fill */
};

struct opt_spec {
    const char *command; /* "ptq-solve" */
    const char *about;   /* one line */
    const char *usage;   /* "[options] OUT": what follows the command in the usage line */
    const struct opt_group *group;
    size_t ngroups;
    const char *notes; /* printed after the options: environment, examples; may be NULL */
    size_t args_min, args_max;
    int passes; /* words that begin with a dash and are no option of it are arguments too */
};

#define OPT_ARGS_MAX 256
struct opt_args {
    size_t count;
    const char *arg[OPT_ARGS_MAX];
};

/* Every default that a row has goes into its struct. -1: a row's default is no value of its. */
int opt_defaults(const struct opt_group *group, size_t ngroups, struct err *e);
/* 0: go on; 1: help or version was shown, exit 0; -1: misuse, e says what (ERR_USE). args may be
 * NULL when args_max is 0. Whether what must be there is there, opt_complete says. */
int opt_parse(const struct opt_spec *spec, struct opt_args *args, int argc, char **argv,
              struct err *e);
/* Error unless every option that must be given has been. */
int opt_complete(const struct opt_group *group, size_t ngroups, struct err *e);

/* The row of a name of n bytes, or NULL; values (may be NULL): the struct it fills. */
const struct opt *opt_find(const struct opt_group *group, size_t ngroups, const char *name,
                           size_t n, void **values);
/* One value as a user writes it (NULL for a flag) into a struct; errors name the option by
 * `name`. */
int opt_set(const struct opt *o, void *values, const char *name, const char *value, struct err *e);
/* The same without a struct: would it do? */
int opt_check(const struct opt *o, const char *name, const char *value, struct err *e);
/* 1: the struct does not hold the default of the row. */
int opt_changed(const struct opt *o, const void *values);
/* Options that mean something only where another asks for it: "damp" wanted by "--round gptq".
 * Error, by name, for one that was changed where that is not so. */
struct opt_with {
    const char *name, *other;
    int wanted;
};
int opt_unwanted(const struct opt *rows, const void *values, const struct opt_with *with, size_t n,
                 struct err *e);
/* Is the value in the struct, wherever it came from, in range or among the choices? */
int opt_valid(const struct opt *o, const void *values, struct err *e);
/* The i-th choice of a row and its value; NULL past the end. */
const char *opt_choice_at(const struct opt *o, size_t i, int *value);
/* The name of a value; "?" when the table has none. */
const char *opt_choice_name(const struct opt_choice *choices, int value);

/* The rows of a group for a help text; drop (may be NULL) says which are left out, by name. */
void opt_print(FILE *f, const struct opt_group *group, int (*drop)(void *ctx, const char *name),
               void *ctx);
/* Words wrapped at the width of help texts, from column `at`, later lines from `indent`. */
void opt_print_text(FILE *f, const char *text, int at, int indent);
void opt_print_help(FILE *f, const struct opt_spec *s);

#endif

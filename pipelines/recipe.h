/* SPDX-License-Identifier: Apache-2.0 */
/* recipe - a pipeline as text: the variables it takes and one command a stage.
 *
 *   # first comment line: what the recipe does
 *   set bits = 4        # help of the variable; without a value the user must give one
 *   list data =         # as set, but may be given several times
 *   option record =     # as set, but without a value its word drops out of the command,
 *                       with the option before it
 *   options override =  # as option, but may be given several times
 *   flag overwrite =    # as option, but given without a value: its word becomes --overwrite
 *   forward*cores: ptq-forward --in %chunks --threads ${forward.threads} \
 *                              --out %acts
 *
 * name: command, or name*count: command; count is a number, `cores` or `1`, and --workers name=N
 * replaces it for a stage that has one. `name elastic: command` and `name*count elastic: command`
 * mark a stage whose processes may come, go and be exchanged during a run: they hold nothing that
 * others cannot take over, and the links at both their ends are elastic (link.h). Words are split
 * at blanks first, then ${variables} are put in, so a value with blanks stays one word. A word
 * `%name` connects to the socket of that name, `@%name` binds it. Every stage x has ${x.count} and
 * ${x.threads} (the cores shared out among its processes), its own commands ${x.number} (of the
 * process, from 1); ${cores} is the machine's. A list
 * repeats its word, and the option before it. */
#ifndef PTQ_RECIPE_H
#define PTQ_RECIPE_H

#include <stddef.h>
#include "../common/base/err.h"

#define RECIPE_VALUES 64

struct recipe_var {
    char *name;
    char *help;
    int line;
    int is_list;
    int is_option; /* may be without a value */
    int is_flag;   /* an option whose only value is its own name with the dashes */
    int given;     /* by the user: the default is gone */
    size_t count;  /* of values; 0: none yet */
    char *value[RECIPE_VALUES];
};

struct recipe_stage {
    char *name;
    int line;
    int many;    /* written with *count */
    int elastic; /* its processes may come and go during a run */
    size_t count;
    size_t nwords;
    char **word;
};

/* An option of one stage's program that the user gave; it takes the place of what the stage's line
 * says of it. */
struct recipe_given {
    size_t stage;
    int own;     /* said of this stage alone: --STAGE.name */
    char *typed; /* as the user wrote it, without the dashes */
    char *name;
    char *value; /* NULL: a flag */
};

struct recipe {
    char *path;  /* or the name of one that came with ptq */
    char *about; /* the first comment line; "" when there is none */
    size_t cores;
    size_t nvars;
    struct recipe_var *var;
    size_t nstages;
    struct recipe_stage *stage;
    size_t ngiven;
    struct recipe_given *given;
};

/* cores: of this machine. Errors name path and line. */
struct recipe *recipe_parse(const char *text, const char *path, size_t cores, struct err *e);
void recipe_destroy(struct recipe **r);

/* NULL: no such variable */
const struct recipe_var *recipe_find(const struct recipe *r, const char *name);
/* The value of a variable that is no list, or NULL when there is no such variable or it has no
 * value. */
const char *recipe_value(const struct recipe *r, const char *name);
/* One value for a variable that there is. A second value for no list is an error. */
int recipe_set(struct recipe *r, const char *name, const char *value, struct err *e);
/* One option of a stage's program; what belongs to which, and whether it may be, route.h knows.
 * many: it may be repeated. */
int recipe_give(struct recipe *r, size_t stage, const char *typed, const char *name,
                const char *value, int many, struct err *e);
/* 1: the user gave this option of the stage. */
int recipe_gave(const struct recipe *r, size_t stage, const char *name, size_t n);
/* "forward=2,solve=1" */
int recipe_workers(struct recipe *r, const char *text, struct err *e);
/* Error unless every variable has a value, options apart. */
int recipe_complete(const struct recipe *r, struct err *e);

#endif

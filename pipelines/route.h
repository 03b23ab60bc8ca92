/* SPDX-License-Identifier: Apache-2.0 */
/* route - which stage an option of the command line is for, and what is known of the stages'
 * options before any of them starts.
 *
 * A recipe says how stages are connected and which defaults differ. What is not a variable of it
 * is an option of the programs that its stages run: `--NAME` goes to every stage whose program has
 * it, `--STAGE.NAME` to one. An option that the recipe wires itself (an endpoint, or a ${value})
 * cannot be given; one that has a plain value there can. Programs that are not ours (any command
 * may be a stage) have no options here: theirs stand in the recipe. */
#ifndef PTQ_ROUTE_H
#define PTQ_ROUTE_H

#include <stddef.h>
#include <stdio.h>
#include "../common/base/err.h"
#include "../common/base/stage.h"
#include "launch.h"
#include "recipe.h"

struct route {
    struct recipe *r;     /* borrowed */
    struct stage **stage; /* [r->nstages]; NULL: a program that is not ours */
};

int route_open(struct route *t, struct recipe *r, struct err *e);
void route_close(struct route *t);

/* The option at argv[0], "--name", "--name=value" or "--name value": returns how many words it
 * took, -1: refused by the name that was typed. own: groups of further options, to suggest when it
 * is unknown. */
int route_option(struct route *t, int argc, const char *const *argv, const struct opt_group *own,
                 size_t nown, struct err *e);
/* Is every variable of the recipe within reach of the command line? One that is called as an
 * option of `command` itself is refused. */
int route_variables(const struct route *t, const char *command, const struct opt_group *own,
                    size_t nown, struct err *e);
/* "NAME=VALUE", as --NAME=VALUE. */
int route_pair(struct route *t, const char *pair, const struct opt_group *own, size_t nown,
               struct err *e);
/* The words of one process of each stage into its options, which then hold until the plan goes. */
int route_parse(struct route *t, const struct launch *p, struct err *e);
/* What the recipe's lines and the user say, without what connects the stages: enough to plan a run
 * that cannot start yet. */
int route_apply(struct route *t, struct err *e);
/* After route_parse: is every stage content with its options? */
int route_check(const struct route *t, struct err *e);

/* An option that can be given: --NAME, and where it is of a stage also --STAGE.NAME. */
struct route_choice {
    const char *name;
    const char *stage;            /* NULL: a variable of the recipe */
    const struct recipe_var *var; /* or: */
    const struct opt *row;
    int again; /* --NAME was there already: a variable's, or of a stage before */
};
typedef void route_take(void *ctx, const struct route_choice *x);
/* All of them, by stage. What x points to lives as long as the route. */
void route_each(const struct route *t, route_take *take, void *ctx);

/* The options of the i-th stage that runs this program; NULL: there are no more. */
const struct stage *route_stage(const struct route *t, const struct stage_spec *spec, size_t i);
/* Processes of all stages that run this program. */
size_t route_count(const struct route *t, const struct stage_spec *spec);

/* The model folder of the first stage that has one; NULL: there is none. */
const char *route_model(const struct route *t);

/* After route_apply: the options that can be given, by stage, with the defaults of this recipe. */
void route_help(const struct route *t, FILE *f);

#endif

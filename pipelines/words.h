/* SPDX-License-Identifier: Apache-2.0 */
/* words - command lines that are made of other command lines. */
#ifndef PTQ_WORDS_H
#define PTQ_WORDS_H

#include <stddef.h>
#include "../common/base/err.h"
#include "recipe.h"
#include "route.h"

/* A command line that grows; NULL at the end. */
struct words {
    size_t count, cap;
    char **word; /* owned */
};

int words_add(struct words *w, const char *word, struct err *e);
/* --NAME VALUE; value NULL: a flag. */
int words_option(struct words *w, const char *name, const char *value, struct err *e);
/* Those of argv but for these options, "--NAME VALUE", "--NAME=VALUE" or "--STAGE.NAME ...", and
 * these flags; both lists end with NULL. */
int words_without(struct words *w, int argc, char *const *argv, const char *const *options,
                  const char *const *flags, struct err *e);
/* What the user gave of the options of one stage, but for these. */
int words_given(struct words *w, const struct recipe *r, size_t stage, const char *const *except,
                struct err *e);
/* `eval` of the checkpoint in out against the model of the run that is asked for, on a text, with
 * its figures kept beside it, multiplied as that run multiplies; window NULL: the usual one.
 * states: the file of the model's own, made where it is not there. */
int words_judge(struct words *w, const struct route *t, const char *out, const char *text,
                const char *window, const char *states, struct err *e);
void words_release(struct words *w);

#endif

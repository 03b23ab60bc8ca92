/* SPDX-License-Identifier: Apache-2.0 */
/* loads - which engines will load what a run makes: foreseen from the options of its solvers, and
 * seen at its end from what the solvers did. */
#ifndef PTQ_LOADS_H
#define PTQ_LOADS_H

#include <stddef.h>
#include "../common/format/engine.h"
#include "../common/model/sites.h"
#include "../stages/solve/solve_opts.h"

#define LOADS_TEXT 700

struct loads { /* no formats: nothing is known, and nothing is said */
    size_t count;
    int act_bits; /* that inputs of linears are rounded to; 0: they are not */
    const struct format *format[FORMATS_MAX];
    struct engine_look look[FORMATS_MAX];
};

void loads_start(struct loads *l, const struct format *const *formats, size_t count, int act_bits);
/* All linears of the model, as this solver would make them. */
void loads_add(struct loads *l, const struct solve_command *c, const struct sites *s);
/* Into the log, a line for each format; one that nobody will load is a warning. */
void loads_say(const struct loads *l);
/* 1: fewer engines load it after than before; text then says of each such format which. */
int loads_fewer(const struct loads *before, const struct loads *after, char text[LOADS_TEXT]);
/* A run that has ended well: where its journal in folder out shows that others load it than was
 * foreseen at the start, who. */
void loads_end(const struct loads *start, const char *out, const struct sites *s);

#endif

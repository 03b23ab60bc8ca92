/* SPDX-License-Identifier: Apache-2.0 */
/* override - what is to be different for some linears: bits, group, grid, ... by pattern.
 *
 * A line is "PATTERN: key=value ...", keys bits, group, grid, fit, solver, damp, and skip (or
 * skip=yes, skip=no): a skipped linear stays as the checkpoint has it. PATTERN is a shell
 * pattern (fnmatch: * ? [..]) on the whole name of a linear ("model.layers.*.mlp.down_proj"), of
 * a site ("mlp.down"), or of a site in one block ("b3.mlp.down"). Of the lines that hit a linear
 * the later ones win, key by key. Names of solvers and fits are not looked at here: ptq-solve
 * knows them. In a file: one line each; empty lines and what stands behind a # at the start of a
 * word are nothing. "none" as the whole line, or in place of the file, stands for no override,
 * so that a recipe can have the option. */
#ifndef PTQ_OVERRIDE_H
#define PTQ_OVERRIDE_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"
#include "../format/engine.h"
#include "../model/sites.h"

struct override_values {
    int skip;                 /* -1: not said; 0, 1 */
    int bits;                 /* 0: not said */
    int64_t group;            /* 0: not said */
    const struct grid *grid;  /* NULL: not said */
    double damp;              /* below 0: not said */
    const char *solver, *fit; /* NULL: not said; owned by the overrides */
};

struct override {
    /* "PATTERN: bits=8 group=32" with single blanks, for records and messages; owned */
    char *text;
    char *from;  /* "--override" or "FILE:12"; owned */
    char *words; /* PATTERN, then the values that v points to; owned */
    const char *pattern;
    struct override_values v;
};

struct overrides {
    size_t count, cap;
    struct override *at;
};

#define OVERRIDES_NONE \
    {                  \
        0, 0, NULL     \
    }

/* One line; a "none" or an empty one adds nothing. from: where it stands, for errors. */
int overrides_add(struct overrides *o, const char *text, size_t n, const char *from, struct err *e);
/* The text of a file; errors name `what` and the line. */
int overrides_parse(struct overrides *o, const char *text, size_t length, const char *what,
                    struct err *e);
/* A file (NULL or "none": no file), then the lines of a command, which win over it. *o is empty
 * before; also released on an error. */
int overrides_load(struct overrides *o, const char *path, const char *const *lines, size_t count,
                   struct err *e);
void overrides_release(struct overrides *o);

int override_hits(const struct override *o, size_t block, const char *site, const char *linear);
/* What all lines together say about a linear; 1 when any hits it. */
int overrides_of(const struct overrides *o, size_t block, const char *site, const char *linear,
                 struct override_values *v);
/* *l: linear i of a site as it is to be stored, as far as *all and the overrides say. */
void overrides_linear(const struct overrides *o, const struct format_linear *all,
                      const struct site *site, size_t i, struct format_linear *l);
/* Every pattern must hit a linear of this model: a typo would otherwise be silent. */
int overrides_check(const struct overrides *o, const struct sites *s, struct err *e);
/* The same, and the group divides the inputs of every linear that is not skipped, and each format
 * can hold it, or that none is left. all: bits, group, grid and type of scales where overrides
 * say nothing, as far as they are known (format.h). */
int overrides_check_shapes(const struct overrides *o, const struct sites *s,
                           const struct format_linear *all, const struct format *const *formats,
                           size_t nformats, struct err *e);
/* All linears of the model into x, as they are to be stored: what engines load is known before a
 * run. all: as above. */
void overrides_engines(const struct overrides *o, const struct sites *s,
                       const struct format_linear *all, struct engine_look *x);
/* Where zero points keep engines from `asked`: the next format in which more would load all of the
 * model, with their names in text, and *i one behind it. *i begins at 0. NULL: no more. */
const struct format *overrides_offer(const struct overrides *o, const struct sites *s,
                                     const struct format_linear *all, const struct format *asked,
                                     size_t *i, char *text, size_t room);
/* 1 when the linears of this site are not all to be stored alike (skip, bits, group, grid),
 * although engines fuse them (q k v; gate up). */
int overrides_split(const struct overrides *o, const struct site *s);

#endif

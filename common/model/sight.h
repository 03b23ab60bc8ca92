/* SPDX-License-Identifier: Apache-2.0 */
/* sight - pictures through the tower of a model, to the features that stand for them in the text.
 *
 * One thread at a time calls in, as for a model. Results depend on the pictures given together,
 * not on threads. */
#ifndef PTQ_SIGHT_H
#define PTQ_SIGHT_H

#include "model.h"
#include "pictures.h"

#define SIGHT_ROWS 4096 /* patches that go through the tower together, or one picture */

/* All of it. *f is to be released also after an error. */
int sight_all(struct model *m, const struct pictures *p, struct features *f, struct err *e);
void features_release(struct features *f);

/* ---- in steps: what sight_all does with a few pictures at a time ---- */

/* The room for the features of these pictures, which must fit the tower. */
int features_make(struct model *m, const struct pictures *p, struct features *f, struct err *e);
/* The rows before the first block; features go into f from row `at` on. p and f are borrowed. */
struct sight *sight_open(struct model *m, const struct pictures *p, struct features *f, size_t at,
                         struct err *e);
int sight_block(struct sight *s, size_t block, struct err *e); /* one after the other */
/* In place of sight_block, by who runs the block: its rows and what they are, then what branches
 * off behind it. */
float *sight_stream(struct sight *s, size_t block, const struct rows **r);
int sight_behind(struct sight *s, size_t block, struct err *e);
/* The features lie there now. */
void sight_aim(struct sight *s, struct features *f);
int sight_join(struct sight *s, struct err *e); /* behind vision.run blocks */
/* The rows as they are now: [*n, d of the tower]. */
const float *sight_rows(const struct sight *s, size_t *n);
void sight_close(struct sight **s);

#endif

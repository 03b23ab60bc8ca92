/* SPDX-License-Identifier: Apache-2.0 */
/* reduce_class - the sums of one site kept apart by class of rows: by the length of their
 * sequence, by their position in it, by modality.
 *
 * Beside the sums of all rows, so that the solver can say how a solution fares on each class. The
 * rows of a class bear the same token weights as in S, so that the classes of one kind add up to
 * S but for the rounding of f32 tiles. Those by modality are also mixed anew by the solver: they
 * are whole sums, D and counts included, to the last bit those of a run on these rows alone.
 * Private to the stage. */
#ifndef PTQ_REDUCE_CLASS_H
#define PTQ_REDUCE_CLASS_H

#include "reduce_sum.h"

#define CLASS_LENGTH 1u
#define CLASS_POSITION 2u
#define CLASS_MODALITY 4u
#define CLASS_NAME 48
#define CLASS_LENGTHS_MAX 32 /* different lengths; each costs as much memory as S */

struct class_sum {
    unsigned kind;    /* one of the above */
    uint64_t first;   /* the length; or the first position of the band; or the modality */
    struct sums sums; /* by length and position: no D, no sequences, no lengths */
};

struct class_sums {
    size_t count, cap;
    struct class_sum *at; /* in order of kind, then of first */
};

/* Adds the rows of one chunk to their classes of these kinds; apart: but to those of these
 * modalities (1 << m). */
int class_sums_add(struct class_sums *x, const struct slab_home *home, unsigned kinds,
                   unsigned apart, const struct acts_view *a, struct sums_scratch *t, struct par *p,
                   struct err *e);
/* x += y, element by element; y is empty afterwards. */
int class_sums_merge(struct class_sums *x, struct class_sums *y, const struct slab_home *home,
                     size_t K, struct err *e);
void class_sums_release(struct class_sums *x);
/* The class of this kind and name, without sums where it is new; NULL: an error, no class is
 * called so, or there are too many. */
struct class_sum *class_sums_named(struct class_sums *x, const char *kind, const char *name,
                                   struct err *e);
/* Bands of positions that sequences of this length reach. */
size_t class_bands(uint64_t length);
/* CLASS_* as an array of their names, and back. List NULL: out of memory; parse refuses others. */
struct json *class_kinds_list(unsigned kinds);
int class_kinds_parse(const struct json *list, unsigned *kinds, struct err *e);
const char *class_kind(const struct class_sum *c); /* "length", "position", "modality" */
/* "256"; "0", "1-127", "8192-"; "text" */
void class_name(const struct class_sum *c, char *to, size_t size);

/* All rows are of one of these modalities (1 << m); 0: of any. */
int class_check_only(unsigned only, const struct acts_view *a, struct err *e);

#endif

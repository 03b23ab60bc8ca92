/* SPDX-License-Identifier: Apache-2.0 */
/* reduce_kept - all that is kept of the rows of a lane or of a site: its sets of sums and classes,
 * into a message and, of a partial, back. Private to the stage. */
#ifndef PTQ_REDUCE_KEPT_H
#define PTQ_REDUCE_KEPT_H

#include "../../common/wire/msg_problem.h"
#include "reduce_class.h"

/* What is summed beside S, D and the counts. */
struct kept_how {
    uint64_t holdout; /* every holdout-th chunk is held out, 2 or more; 0: none */
    int plain;        /* keep the sums with weights 1 beside the weighted ones */
    /* keep for each length of the main set the sum over its rows of x_k^2, every weight 1 */
    int length_diagonals;
    unsigned classes; /* CLASS_*: keep the sums of each class of rows of the main set */
};

enum set { SET_MAIN, SET_HOLD, SET_PLAIN, SETS };

struct kept {
    struct sums sums[SETS];
    struct class_sums classes;
};

void kept_release(struct kept *x);
/* x += y, element by element; y is empty afterwards. */
int kept_merge(struct kept *x, struct kept *y, const struct slab_home *home, size_t K,
               struct err *e);
/* The counts of all sets, and *lengths, which the view borrows and the caller destroys. */
int kept_describe(const struct kept *x, struct problem_view *v, struct json **lengths,
                  struct err *e);
/* Tensors S, D, S.hold ..., diag, S.class.I ... and the list of classes: the arrays move into the
 * message, all of them in memory together. */
int kept_move(struct kept *x, size_t K, struct msg *m, struct err *e);
/* The reverse, as copies, into an empty one. Refuses classes that no reducer makes. */
int kept_take(struct kept *x, const struct slab_home *home, const struct problem_view *v,
              struct err *e);
/* The sums of a modality alone, as copies, into its class, which is new; no rows make none. */
int kept_take_class(struct kept *x, const struct slab_home *home, const char *modality,
                    const struct problem_view *v, struct err *e);

#endif

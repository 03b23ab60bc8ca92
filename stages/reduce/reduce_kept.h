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

/* SET_EVERY: of an expert that may be starved, all tokens of the main chunks, and with weights 1 */
enum set { SET_MAIN, SET_HOLD, SET_PLAIN, SET_EVERY, SET_EVERY_PLAIN, SETS };

struct kept {
    struct sums sums[SETS];
    struct class_sums classes;
    uint64_t routed; /* main rows that a router sent */
    int fed;         /* an expert has what it needs by one chunk alone: no SET_EVERY */
};

void kept_release(struct kept *x);
/* x += y, element by element; y is empty afterwards. */
int kept_merge(struct kept *x, struct kept *y, const struct slab_home *home, size_t K,
               struct err *e);
/* All rows are in: is the expert starved, and what was done? NULL: it is not; "rtn"; "all-tokens":
 * their sums have become the main ones. SET_EVERY is gone in any case. */
const char *kept_settle(struct kept *x, const struct msg_expert *how);
/* The expert has what it needs. */
void kept_feed(struct kept *x);
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

/* SPDX-License-Identifier: Apache-2.0 */
/* solve_cluster - k-means of numbers on a line, with weights: the best clusters, not those that
 * some first guess leads to. On a line clusters are runs of the sorted numbers, so they follow from
 * tables of best ends (dynamic programming, each row by divide and conquer: O(k n log n)). */
#ifndef PTQ_SOLVE_CLUSTER_H
#define PTQ_SOLVE_CLUSTER_H

#include <stddef.h>
#include "../../common/base/err.h"

struct cluster_room; /* of one thread, for n numbers and k clusters */
struct cluster_room *cluster_open(size_t n, size_t k, struct err *e);
void cluster_close(struct cluster_room **r);

/* centre [k], rising: the means of the k clusters of x [n] (any order) whose sum of
 * w (x - mean)^2 is least; fewer different numbers than k: the last one is there again. w [n], none
 * below 0; NULL, or all 0: all alike. A cluster that weighs nothing has the plain mean. */
void cluster_find(struct cluster_room *r, const double *x, const double *w, double *centre);

#endif

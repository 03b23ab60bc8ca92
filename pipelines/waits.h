/* SPDX-License-Identifier: Apache-2.0 */
/* waits - what a process of a run stood still for, over its time, from what its links tell
 * (status_waited). A process costs the same room however long the run is: its time is cut into at
 * most WAITS_PIECES pieces, which grow twice as long whenever they are used up. */
#ifndef PTQ_WAITS_H
#define PTQ_WAITS_H

#include <stddef.h>
#include "../common/base/json.h"
#include "../common/base/status.h"

#define WAITS_PIECES 240
#define WAITS_FIRST 0.25 /* seconds of a piece, at first */

struct waits {         /* zeroed: nothing was told yet */
    double from, told; /* clock_wall: when the process was started; of the last line */
    double width;      /* seconds of a piece */
    size_t count;      /* of names */
    char name[STATUS_WAITS][STATUS_WHOM];
    double sum[STATUS_WAITS];               /* seconds, as told last */
    float each[STATUS_WAITS][WAITS_PIECES]; /* seconds in each piece */
};

/* A line came at `now` (clock_wall) of a process that started at `from`: what is new in it lies
 * between the line before and this one. waited: {NAME: seconds so far}; what is no number, or less
 * than before, is passed over. */
void waits_take(struct waits *w, double from, const struct json *waited, double now);

#endif

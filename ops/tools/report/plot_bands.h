/* SPDX-License-Identifier: Apache-2.0 */
/* plot_bands - who worked when: a band for each process over one axis of seconds, a Gantt chart.
 * Where a process did not wait its band is filled; what it waited for fills the rest in a colour of
 * its own. */
#ifndef PTQ_PLOT_BANDS_H
#define PTQ_PLOT_BANDS_H

#include <stddef.h>
#include <stdio.h>

struct band_wait {
    size_t name;        /* of the chart's names */
    const double *each; /* [count] seconds in each piece */
};

struct band {
    const char *name;
    double from, to; /* seconds on the axis */
    double width;    /* seconds of a piece; the last one may be shorter */
    size_t count;    /* of pieces; 0: nothing is known of its waiting */
    size_t waits;
    const struct band_wait *wait;
};

/* names[0]: of work; the others: what is waited for. */
void plot_bands(FILE *f, const char *title, double seconds, const struct band *b, size_t n,
                const char *const *names, size_t nnames);

#endif

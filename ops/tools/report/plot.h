/* SPDX-License-Identifier: Apache-2.0 */
/* plot - charts as inline SVG, and text that is safe in HTML. Colours are classes (c0 ... c7, q0
 * ... q5) that the page's style sheet defines, so that light and dark pages share the pictures;
 * series differ in marks and dashes too. Writes to a FILE; its errors are looked at by the
 * owner. What is drawn has a title for those who do not see it and, point by point, one that
 * shows under the mouse. */
#ifndef PTQ_PLOT_H
#define PTQ_PLOT_H

#include <stddef.h>
#include <stdio.h>

struct plot {
    const char *title, *x_label, *y_label;
    int log_x, log_y;
    int whole_x;    /* ticks at whole numbers only */
    int ordered;    /* colours of an order (lengths) instead of kinds */
    double floor_y; /* lowest number that must be on the axis; NAN: as the data are */
    double line_y;  /* a dashed line across, named line_name; NAN: none */
    const char *line_name;
};

struct plot_series {
    const char *name;
    size_t count;
    const double *x, *y;       /* y NaN: a gap */
    const unsigned char *ring; /* a ring around these points; NULL: none */
    int points;                /* marks at the points */
    int line;
};

/* < > & " ' escaped; characters that XML has not become U+FFFD. */
void html_text(FILE *f, const char *text);
void plot_lines(FILE *f, const struct plot *p, const struct plot_series *s, size_t n);
/* Groups of bars side by side: value [groups, series], drawn against 0; unit: behind the numbers
 * at the bars ("%", "s"). */
void plot_bars(FILE *f, const struct plot *p, const char *const *series, size_t nseries,
               const char *const *groups, size_t ngroups, const double *value, const char *unit);

#endif

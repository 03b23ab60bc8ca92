/* SPDX-License-Identifier: Apache-2.0 */
/* plot_parts - what the charts of plot.c and plot_bands.c are drawn with. Private to them. */
#ifndef PTQ_PLOT_PARTS_H
#define PTQ_PLOT_PARTS_H

#include <stddef.h>
#include <stdio.h>

#define PLOT_WIDTH 480.0
#define PLOT_RIGHT 14.0
#define PLOT_COLOURS 8

/* A figure of this height with its title; the caller ends it with </svg></figure>. */
void plot_start(FILE *f, const char *title, double height);
/* class: of the style sheet; anchor: start, middle, end */
void plot_words(FILE *f, double x, double y, const char *class, const char *anchor,
                const char *text);
/* Squares of colours 0 to n - 1 with their names, from y on; 0 high without names. */
double plot_legend_height(const char *const *names, size_t n);
void plot_legend(FILE *f, const char *const *names, size_t n, double y);

#endif

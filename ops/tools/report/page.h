/* SPDX-License-Identifier: Apache-2.0 */
/* page - what the HTML page of ptq-report is made of: one file that needs nothing from elsewhere
 * (inline SVG and CSS, no scripts; its own policy forbids loading anything), light or dark as the
 * reader's system is. It is well-formed XML too. Texts are escaped. What is printed to f cannot
 * fail here: page_close() looks at the stream. */
#ifndef PTQ_PAGE_H
#define PTQ_PAGE_H

#include <stdio.h>
#include "plot_scale.h"
#include "report_read.h"

/* Borrows all three. */
struct page {
    FILE *f;
    const struct report *r;
    struct err *e;
};

/* title: of the window; about: the headline; where: the line below it */
void page_open(struct page *p, const char *title, const char *about, const char *where);
int page_close(struct page *p); /* f stays open; -1 when something could not be written to it */

void page_head(struct page *p, const char *title); /* of a section */
/* a paragraph; class "" or "missing" */
void page_note(struct page *p, const char *class, const char *fmt, ...) ERR_PRINTF(3, 4);
/* fold: a title to open it by; NULL: open */
void page_table(struct page *p, const char *fold, const char *const *head, size_t n);
void page_table_end(struct page *p, const char *fold);
void page_cell(struct page *p, const char *text);
void page_number(struct page *p, double v, int digits); /* NAN: a dash */
void page_count(struct page *p, int64_t v);             /* below 0: a dash */
void page_seconds(struct page *p, double v);
void page_bytes(struct page *p, double v); /* below 0: a dash */
void page_percent(struct page *p, double share);
void page_row(struct page *p);
void page_row_end(struct page *p);
void page_site(struct page *p, const struct report_site *s); /* cells: block, site */

/* Lines over the blocks of the run. Up to `most` of them, each with room for all sites; it owns
 * the points, names are borrowed. lines_init(): -1 too many, or no memory. */
struct page_lines {
    struct plot_series *s;
    double *data;
    unsigned char *ring;
    size_t n, most, room;
};
int lines_init(struct page_lines *l, size_t most, size_t room, struct err *e);
void lines_release(struct page_lines *l);
/* The line of this name, begun where it is new; NULL: there are as many as there may be. */
struct plot_series *lines_get(struct page_lines *l, const char *name, int line, int points);
void lines_add(struct page_lines *l, struct plot_series *s, double x, double y, int ring);

#endif

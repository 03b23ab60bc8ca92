/* SPDX-License-Identifier: Apache-2.0 */
/* sections - the sections of the page of ptq-report, in its order. What report_read.h does not
 * know is left out, with a note that says so. Those that return an int: -1 no memory. */
#ifndef PTQ_SECTIONS_H
#define PTQ_SECTIONS_H

#include "page.h"

void section_state(struct page *p); /* report_summary.c */
void section_summary(struct page *p);
void section_note(struct page *p);
void section_evals(struct page *p);
int section_losses(struct page *p); /* report_losses.c */
int section_contest(struct page *p);
int section_trouble(struct page *p);
int section_samples(struct page *p); /* report_spectra.c */
int section_lengths(struct page *p);
int section_classes(struct page *p);  /* report_classes.c */
int section_images(struct page *p);   /* report_images.c */
int section_windows(struct page *p);  /* report_windows.c: where windows learned */
int section_spectra(struct page *p);  /* report_spectra.c */
void section_experts(struct page *p); /* report_experts.c: where there are any */
int section_waits(struct page *p);    /* report_waits.c: where that is known */
int section_costs(struct page *p);    /* report_costs.c */
void section_sites(struct page *p);   /* report_summary.c: the numbers of every site */
void section_variables(struct page *p);

#endif

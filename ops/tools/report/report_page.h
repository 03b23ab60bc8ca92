/* SPDX-License-Identifier: Apache-2.0 */
/* report_page - the whole page of ptq-report. Drawing only: report_read.h has the data, page.h
 * what a page is made of, sections.h its parts. */
#ifndef PTQ_REPORT_PAGE_H
#define PTQ_REPORT_PAGE_H

#include <stdio.h>
#include "report_read.h"

/* f stays open; -1: no memory, or f cannot be written. */
int report_page_write(FILE *f, const struct report *r, struct err *e);

#endif

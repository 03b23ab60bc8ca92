/* SPDX-License-Identifier: Apache-2.0 */
/* law_page - a fitted law as an HTML page: the surface that it is, model by model, with the points
 * that were measured, and what is left between both. */
#ifndef PTQ_LAW_PAGE_H
#define PTQ_LAW_PAGE_H

#include "law_fit.h"

/* Publishes the file. */
int law_page(const char *path, const struct law *l, const struct law_points *p, struct err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* slide_schedule - which blocks are learned together, and in what order (SliderQuant, arXiv
 * 2603.25284): windows that grow over the first blocks, windows of a fixed size that slide over
 * those between, windows that shrink over the last ones. First and last block of a window never go
 * back. Private to the stage. */
#ifndef PTQ_SLIDE_SCHEDULE_H
#define PTQ_SLIDE_SCHEDULE_H

#include <stddef.h>
#include "../../common/base/err.h"

struct slide_span {
    size_t first, count;
};

struct slide_zones {
    size_t shallow, deep; /* blocks of the growing and of the shrinking windows; 0: none */
    size_t window;        /* blocks of a fixed one, at least 1 */
    size_t stride;        /* 1 to window */
};

/* *span is the caller's to free: *count windows, which together hold each of the blocks. */
int slide_schedule_make(size_t blocks, const struct slide_zones *z, struct slide_span **span,
                        size_t *count, struct err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* write_take - what an earlier run has committed to OUT/.ptqflow/parts, taken over as if its
 * solutions had come: each part is checked against the model, the journal and the formats. Private
 * to the stage. */
#ifndef PTQ_WRITE_TAKE_H
#define PTQ_WRITE_TAKE_H

#include "../../common/base/err.h"
#include "../../common/wire/msg_solution.h"

struct writer;

/* Before anything is made there: ERR_USE where `out` has no parts. */
int take_look(const char *out, struct err *e);
/* The sites before `from`, all of them; what is there of others is removed. later: not those that
 * the journal has, and not whole parts that it has not: the last writer may have been lost between
 * the commit of one, on which others have gone on, and its line. */
int take_over(struct writer *w, uint64_t from, int later, struct err *e);
/* Every site whose part is there and whole; the linears of the others stay as they are, for good.
 * Parts that cannot be read count as not there (writer.unread). */
int take_found(struct writer *w, struct err *e);

#endif

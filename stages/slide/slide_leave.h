/* SPDX-License-Identifier: Apache-2.0 */
/* slide_leave - a block whose linears are settled: the stream of the quantized model goes through
 * it, and what became of each site is said. Private to the stage. */
#ifndef PTQ_SLIDE_LEAVE_H
#define PTQ_SLIDE_LEAVE_H

#include "slide_data.h"
#include "slide_types.h"

struct slide_leave {
    const struct slide_opts *o;
    struct slide_data *data;
    struct par *par;
    const char *run;         /* of the solutions */
    const struct json *loss; /* of its windows, for the solutions */
    double seconds;          /* that were spent on the block */
    void *ctx;
    int (*emit)(void *ctx, struct msg **m, struct err *e); /* a solution; sites in their order */
};

/* The linears hold the codes of the last step, and so does the block. Their losses are those of
 * the rows that the quantized model gives them. */
int slide_leave_block(const struct slide_leave *x, struct slide_block *b, struct err *e);
/* The options, for the provenance. NULL: out of memory. */
struct json *slide_leave_record(const struct slide_opts *o);

#endif

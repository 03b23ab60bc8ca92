/* SPDX-License-Identifier: Apache-2.0 */
/* slide_gptq - the last rounding of a block by GPTQ (arXiv 2210.17323): what each site reads in the
 * block as it was learned gives H, and the learned weights W~ are rounded column by column on the
 * scales and zero points that were learned; errors are made good by the columns behind. Columns go
 * by falling diagonal of H. Results do not depend on threads. Private to the stage. */
#ifndef PTQ_SLIDE_GPTQ_H
#define PTQ_SLIDE_GPTQ_H

#include "../../common/tensor/inverse.h"
#include "slide_data.h"
#include "slide_types.h"

struct slide_gptq {
    const struct slide_data *data; /* its stream before the block */
    struct par *par;
    double damp;
};

/* Every linear was rounded to nearest, into the block and codes [linears]; both are written over.
 * used [sites of the block]: fallback "rtn" where a site has no rows, or H cannot be factored, and
 * all stays as it was. */
int slide_gptq_block(const struct slide_gptq *g, struct slide_block *b, uint8_t *const *codes,
                     struct inverse_used *used, struct err *e);

#endif

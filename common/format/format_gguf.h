/* SPDX-License-Identifier: Apache-2.0 */
/* format_gguf - what who puts a GGUF file together needs of the format. */
#ifndef PTQ_FORMAT_GGUF_H
#define PTQ_FORMAT_GGUF_H

#include "format.h"

/* The type of the blocks of a linear that is not kept (enum gguf_type). */
uint32_t format_gguf_type(const struct format_linear *l);

/* n weights (whole blocks) rounded to nearest into blocks Q8_0 (bits 8) or Q4_0 (4), as llama.cpp
 * does it: what no solver looks at. */
void format_gguf_round(int bits, const float *w, size_t n, void *out);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* format_gguf - what who puts a GGUF file together needs of the format. */
#ifndef PTQ_FORMAT_GGUF_H
#define PTQ_FORMAT_GGUF_H

#include "format.h"

/* The type of the blocks of a linear that is not kept (enum gguf_type). */
uint32_t format_gguf_type(const struct format_linear *l);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* check_gguf - what is wrong with the tokenizer that a GGUF file holds, for llama.cpp. */
#ifndef PTQ_CHECK_GGUF_H
#define PTQ_CHECK_GGUF_H

#include "../../../common/base/err.h"
#include "../../../common/tensor/gguf.h"

/* Looks at one thing after the other, step 0 first: 1, with what is wrong in e or nothing; 0: there
 * is no such step. */
int check_gguf(const struct gguf *g, size_t step, struct err *e);

#endif
